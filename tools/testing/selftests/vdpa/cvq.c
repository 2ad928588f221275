// SPDX-License-Identifier: GPL-2.0
/*
 * The control virtqueue: commands of a driver, and of a hostile one. A bad command is answered with
 * VIRTIO_NET_ERR and changes nothing, and the next one works.
 */
#define _GNU_SOURCE
#include "vdpa_util.h"
#include "harness.h"

#define UNSET	0x5a
#define SLOT	0x80
#define ACK	BUF(8)

FIXTURE(cvq) {
	struct net n;
	uint8_t mac[ETH_ALEN];
};

FIXTURE_SETUP(cvq) {
	self->n.fd = GET_DEV(.loop = true, .features = MAC_FEATURES);
	ASSERT_LE(0, self->n.fd);
	self->n.asid[CVQ] = vdev.cvq_apart ? ASID1 : ASID0;
	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
	memcpy(self->mac, test_mac, ETH_ALEN);
}

FIXTURE_TEARDOWN(cvq) {
	net_stop(&self->n);
	sim_del(TEST_DEV);
}

static uint8_t *ctrl(const struct net *n, size_t offset)
{
	return (uint8_t *)n->ctrl.va + offset;
}

/*
 * Queues the bytes of a command in pieces: a new one begins where @cuts has a bit (bit 0: after the
 * first byte). Each lies in a place of its own.
 */
static void add_cut(struct net *n, const uint8_t *bytes, size_t len, unsigned int cuts,
		    uint32_t ack_len)
{
	struct seg s[40];
	size_t i;
	int k = -1;

	for (i = 0; i < len; i++) {
		if (!i || (i - 1 < 32 && cuts & (1U << (i - 1)))) {
			k++;
			s[k] = (struct seg) { n->ctrl.iova + BUF(0) + k * SLOT, 0, false };
		}
		*ctrl(n, BUF(0) + k * SLOT + s[k].len++) = bytes[i];
	}
	k++;
	memset(ctrl(n, ACK), UNSET, 64);
	if (ack_len)
		s[k++] = (struct seg) { n->ctrl.iova + ACK, ack_len, true };
	ring_add(&n->q[CVQ], s, k);
}

/* The device's answer to such a command; UNSET, if it completed without one. */
static int cut(struct net *n, const uint8_t *bytes, size_t len, unsigned int cuts)
{
	int rc;

	add_cut(n, bytes, len, cuts, 1);
	ring_kick(&n->q[CVQ]);
	rc = ring_wait(&n->q[CVQ], WAIT_MS, NULL, NULL);

	return rc ? rc : *ctrl(n, ACK);
}

static int mac_is(struct net *n, const uint8_t *mac)
{
	uint8_t got[ETH_ALEN];

	return !config_mac(n->fd, got) && !memcmp(got, mac, ETH_ALEN);
}

/* Changes the address to a new one: the device still handles commands. */
static int still_works(struct net *n, uint8_t *mac)
{
	mac[5]++;
	return ctrl_set_mac(n, mac) == VIRTIO_NET_OK && mac_is(n, mac);
}

TEST_F(cvq, set_mac)
{
	int i;

	for (i = 0; i < 300; i++) {
		self->mac[4] = i;
		ASSERT_EQ(VIRTIO_NET_OK, ctrl_set_mac(&self->n, self->mac));
		ASSERT_TRUE(mac_is(&self->n, self->mac));
	}
	EXPECT_EQ(1, net_loops(&self->n, self->mac));
	EXPECT_EQ(0, net_loops(&self->n, test_mac));
}

TEST_F(cvq, cut_anywhere)
{
	uint8_t cmd[8] = { VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 0x52, 0x54 };
	unsigned int cuts;

	for (cuts = 0; cuts < 128; cuts++) {
		cmd[7] = cuts;
		ASSERT_EQ(VIRTIO_NET_OK, cut(&self->n, cmd, 8, cuts))
			TH_LOG("cuts %#x", cuts);
		ASSERT_TRUE(mac_is(&self->n, cmd + 2));
	}
}

TEST_F(cvq, wrong_length)
{
	uint8_t cmd[100] = { VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 0x52, 0x54 };
	static const unsigned int cuts[] = { 0, 1, 2, 3, 0x7f, 0x55, 0x80, 0xffff };
	size_t len, i;

	for (len = 0; len < sizeof(cmd); len++) {
		if (len == 8)
			continue;
		for (i = 0; i < ARRAY_LEN(cuts); i++) {
			ASSERT_EQ(VIRTIO_NET_ERR, cut(&self->n, cmd, len, cuts[i]))
				TH_LOG("%zu bytes, cuts %#x", len, cuts[i]);
		}
		ASSERT_TRUE(mac_is(&self->n, self->mac));
		if (len < 20)
			ASSERT_TRUE(still_works(&self->n, self->mac));
	}
}

TEST_F(cvq, very_long)
{
	static const uint32_t sizes[] = { 4096, 65536, 0x40000, 0x80000 };
	size_t i;

	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		struct seg s[] = {
			{ CTRL_IOVA + BUF(0), 2, false },
			{ CTRL_IOVA + BUF(16), sizes[i], false },
			{ CTRL_IOVA + ACK, 1, true },
		};

		memcpy(ctrl(&self->n, BUF(0)), "\1\1", 2);
		*ctrl(&self->n, ACK) = UNSET;
		ring_add(&self->n.q[CVQ], s, 3);
		ring_kick(&self->n.q[CVQ]);
		ASSERT_EQ(0, ring_wait(&self->n.q[CVQ], WAIT_MS, NULL, NULL));
		EXPECT_EQ(VIRTIO_NET_ERR, *ctrl(&self->n, ACK));
		EXPECT_TRUE(mac_is(&self->n, self->mac));
		EXPECT_TRUE(still_works(&self->n, self->mac));
	}
}

TEST_F(cvq, wrong_command)
{
	uint8_t cmd[8] = { 0, 0, 0x52, 0x54 };
	int class, code;

	for (class = 0; class < 256; class++) {
		for (code = 0; code < 256; code++) {
			/* All of the class that there is, a few of the others. */
			if (class != VIRTIO_NET_CTRL_MAC && code > 2)
				break;
			if (class == VIRTIO_NET_CTRL_MAC && code == VIRTIO_NET_CTRL_MAC_ADDR_SET)
				continue;
			cmd[0] = class;
			cmd[1] = code;
			ASSERT_EQ(VIRTIO_NET_ERR, cut(&self->n, cmd, 8, 0))
				TH_LOG("class %d, command %d", class, code);
		}
	}
	EXPECT_TRUE(mac_is(&self->n, self->mac));
	EXPECT_TRUE(still_works(&self->n, self->mac));
}

TEST_F(cvq, no_room_for_the_answer)
{
	uint8_t cmd[8] = { VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 0x52, 0x54, 9 };
	uint32_t len = 99;
	unsigned int cuts;

	for (cuts = 0; cuts < 4; cuts++) {
		add_cut(&self->n, cmd, 8, cuts, 0);
		ring_kick(&self->n.q[CVQ]);
		ASSERT_EQ(0, ring_wait(&self->n.q[CVQ], WAIT_MS, NULL, &len));
		EXPECT_EQ(0, len);
		EXPECT_TRUE(mac_is(&self->n, self->mac));
		EXPECT_TRUE(still_works(&self->n, self->mac));
	}
}

/* The answer is one byte, also where the buffer has room for more. */
TEST_F(cvq, room_for_more)
{
	uint8_t cmd[8] = { VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 0x52, 0x54, 9 };
	static const uint32_t room[] = { 1, 2, 3, 64 };
	uint32_t len;
	size_t i;

	for (i = 0; i < ARRAY_LEN(room); i++) {
		cmd[7] = i;
		add_cut(&self->n, cmd, 8, 2, room[i]);
		ring_kick(&self->n.q[CVQ]);
		ASSERT_EQ(0, ring_wait(&self->n.q[CVQ], WAIT_MS, NULL, &len));
		EXPECT_EQ(1, len);
		EXPECT_EQ(VIRTIO_NET_OK, *ctrl(&self->n, ACK));
		EXPECT_EQ(UNSET, *ctrl(&self->n, ACK + 1));
		EXPECT_TRUE(mac_is(&self->n, cmd + 2));
	}
}

/* An answer that can't be written: the command has no effect. */
TEST_F(cvq, answer_out_of_reach)
{
	struct seg s[] = {
		{ CTRL_IOVA + BUF(0), 8, false },
		{ CTRL_IOVA - 0x1000, 1, true },
	};

	memcpy(ctrl(&self->n, BUF(0)), "\1\1\x52\x54\1\2\3\4", 8);
	ring_add(&self->n.q[CVQ], s, 2);
	ring_kick(&self->n.q[CVQ]);
	ring_wait(&self->n.q[CVQ], SOON_MS, NULL, NULL);
	EXPECT_TRUE(mac_is(&self->n, self->mac));
	EXPECT_EQ(1, net_loops(&self->n, self->mac));
	ASSERT_EQ(0, net_restart(&self->n));
	EXPECT_TRUE(still_works(&self->n, self->mac));
}

TEST_F(cvq, several_in_a_kick)
{
	struct ring *r = &self->n.q[CVQ];
	uint32_t len;
	int i;

	for (i = 0; i < 100; i++) {
		uint8_t *p = ctrl(&self->n, BUF(0) + i * SLOT);
		struct seg s[] = {
			{ CTRL_IOVA + BUF(0) + i * SLOT, i % 3 ? 8 : 7, false },
			{ CTRL_IOVA + BUF(0) + i * SLOT + 64, 1, true },
		};

		memcpy(p, "\1\1\x52\x54\1\2\3", 7);
		p[7] = i;
		p[64] = UNSET;
		ring_add(r, s, 2);
	}
	ring_kick(r);
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, ring_wait(r, WAIT_MS, NULL, &len));
		EXPECT_EQ(1, len);
		EXPECT_EQ(i % 3 ? VIRTIO_NET_OK : VIRTIO_NET_ERR,
			  *ctrl(&self->n, BUF(0) + i * SLOT + 64));
	}
	EXPECT_TRUE(mac_is(&self->n, ctrl(&self->n, BUF(0) + 98 * SLOT + 2)));
}

/* Writable descriptors before readable ones: the virtio specification forbids it. */
TEST_F(cvq, wrong_order)
{
	struct seg s[] = {
		{ CTRL_IOVA + ACK, 1, true },
		{ CTRL_IOVA + BUF(0), 8, false },
	};

	memcpy(ctrl(&self->n, BUF(0)), "\1\1\x52\x54\1\2\3\4", 8);
	*ctrl(&self->n, ACK) = UNSET;
	ring_add(&self->n.q[CVQ], s, 2);
	ring_kick(&self->n.q[CVQ]);
	ring_wait(&self->n.q[CVQ], SOON_MS, NULL, NULL);
	EXPECT_NE(VIRTIO_NET_OK, *ctrl(&self->n, ACK));
	EXPECT_TRUE(mac_is(&self->n, self->mac));
	ASSERT_EQ(0, net_restart(&self->n));
	EXPECT_TRUE(still_works(&self->n, self->mac));
}

/* As QEMU does it: enable only the CVQ, after DRIVER_OK, and poll its used ring. */
TEST_F(cvq, before_the_data_queues)
{
	struct net *n = &self->n;
	double end = now() + WAIT_MS / 1000.0;
	struct vhost_vring_file file = { .index = CVQ, .fd = -1 };
	int i;

	NEED_ENABLE_AFTER_OK();
	ASSERT_EQ(0, set_status(n->fd, 0));
	ASSERT_EQ(0, net_negotiate(n, CTRL_FEATURES));
	ASSERT_EQ(0, net_bind(n, CVQ));
	for (i = 0; i < NQUEUES; i++) {
		ring_free(&n->q[i]);
		ASSERT_EQ(0, ring_init(&n->q[i], n->fd, i, 256, i == CVQ ? &n->ctrl : &n->data,
				       i * RING_SIZE));
	}
	ASSERT_EQ(0, io(n->fd, VHOST_SET_VRING_CALL, &file));
	ASSERT_EQ(0, set_status(n->fd, 15));
	ASSERT_EQ(0, ring_enable(&n->q[CVQ], true));
	add_cut(n, (const uint8_t *)"\1\1\x52\x54\1\2\3\4", 8, 2, 1);
	ring_kick(&n->q[CVQ]);
	while (!__atomic_load_n(&n->q[CVQ].used->idx, __ATOMIC_SEQ_CST) && now() < end)
		;
	EXPECT_EQ(VIRTIO_NET_OK, *ctrl(n, ACK));
	n->q[CVQ].last_used = n->q[CVQ].used->idx;
	ASSERT_EQ(0, ring_enable(&n->q[RXQ], true));
	ASSERT_EQ(0, ring_enable(&n->q[TXQ], true));
	EXPECT_EQ(1, net_loops(n, (const uint8_t *)"\x52\x54\1\2\3\4"));
}

TEST_F(cvq, without_ctrl_mac_addr)
{
	ASSERT_EQ(0, set_status(self->n.fd, 0));
	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES & ~VF(VIRTIO_NET_F_CTRL_MAC_ADDR)));
	EXPECT_EQ(VIRTIO_NET_ERR, ctrl_set_mac(&self->n, other_mac));
	EXPECT_TRUE(mac_is(&self->n, self->mac));
}

/* Without the feature, a ring that is set up for a control virtqueue isn't used. */
TEST_F(cvq, without_ctrl_vq)
{
	struct net *n = &self->n;

	ASSERT_EQ(0, set_status(n->fd, 0));
	ASSERT_EQ(0, net_start(n, NET_FEATURES));
	ASSERT_EQ(0, set_status(n->fd, 0));
	ASSERT_EQ(0, net_negotiate(n, NET_FEATURES));
	ASSERT_EQ(0, net_bind(n, CVQ));
	ring_free(&n->q[CVQ]);
	if (!ring_init(&n->q[CVQ], n->fd, CVQ, 256, &n->ctrl, CVQ * RING_SIZE))
		ring_enable(&n->q[CVQ], true);
	ASSERT_EQ(0, set_status(n->fd, 15));
	add_cut(n, (const uint8_t *)"\1\1\x52\x54\1\2\3\4", 8, 2, 1);
	ring_kick(&n->q[CVQ]);
	EXPECT_EQ(-ETIMEDOUT, ring_wait(&n->q[CVQ], SOON_MS, NULL, NULL));
	EXPECT_TRUE(mac_is(n, self->mac));
}

/* Starts again without VIRTIO_NET_F_CTRL_MAC_ADDR. */
static int start_plain(struct net *n)
{
	int rc = set_status(n->fd, 0);

	return rc ? rc : net_start(n, CTRL_FEATURES & ~VF(VIRTIO_NET_F_CTRL_MAC_ADDR));
}

/* Skips the rest of a test, if what is written to the configuration space is dropped. */
#define NEED_WRITABLE_CONFIG() \
	NEED(config_is_writable(self), "the configuration space can't be written")

static bool config_is_writable(struct _test_data_cvq *self)
{
	bool yes;

	if (start_plain(&self->n) || write_mac(self->n.fd, other_mac, 0, ETH_ALEN))
		return false;
	yes = mac_is(&self->n, other_mac);
	write_mac(self->n.fd, test_mac, 0, ETH_ALEN);

	return yes;
}

/* A driver that has no command for it writes the address into the configuration space. */
TEST_F(cvq, mac_in_config)
{
	struct net *n = &self->n;

	NEED_WRITABLE_CONFIG();
	ASSERT_EQ(0, start_plain(n));
	EXPECT_EQ(0, write_mac(n->fd, other_mac, 0, ETH_ALEN));
	EXPECT_TRUE(mac_is(n, other_mac));
	EXPECT_EQ(1, net_loops(n, other_mac));
	EXPECT_EQ(0, net_loops(n, test_mac));

	/* It outlives resets, but not the user of the device. */
	ASSERT_EQ(0, start_plain(n));
	EXPECT_TRUE(mac_is(n, other_mac));
	EXPECT_EQ(1, net_loops(n, other_mac));
	net_stop(n);
	n->fd = vdpa_open(TEST_DEV);
	ASSERT_LE(0, n->fd);
	EXPECT_TRUE(mac_is(n, test_mac));
	ASSERT_EQ(0, net_start(n, CTRL_FEATURES));
	EXPECT_EQ(1, net_loops(n, test_mac));
	EXPECT_EQ(0, net_loops(n, other_mac));
}

/* QEMU writes the address before anything else, and may use the command later. */
TEST_F(cvq, mac_in_config_before_features)
{
	struct net *n = &self->n;

	NEED_WRITABLE_CONFIG();
	net_stop(n);
	n->fd = vdpa_open(TEST_DEV);
	ASSERT_LE(0, n->fd);
	EXPECT_EQ(0, write_mac(n->fd, other_mac, 0, ETH_ALEN));
	EXPECT_TRUE(mac_is(n, other_mac));
	ASSERT_EQ(0, set_status(n->fd, 0));
	ASSERT_EQ(0, net_start(n, CTRL_FEATURES));
	EXPECT_TRUE(mac_is(n, other_mac));
	EXPECT_EQ(1, net_loops(n, other_mac));
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(n, test_mac));
	EXPECT_TRUE(mac_is(n, test_mac));

	/* A reset takes back what the command did, but not what was written. */
	ASSERT_EQ(0, net_restart(n));
	EXPECT_TRUE(mac_is(n, other_mac));
}

/* With the command, the address can't be written. */
TEST_F(cvq, mac_in_config_with_command)
{
	EXPECT_EQ(0, write_mac(self->n.fd, other_mac, 0, ETH_ALEN));
	EXPECT_TRUE(mac_is(&self->n, test_mac));
	EXPECT_EQ(1, net_loops(&self->n, test_mac));
}

TEST_F(cvq, mac_in_config_partly)
{
	static const uint8_t bad[][ETH_ALEN] = {
		{ 0 }, { 1, 0, 0x5e, 1, 2, 3 }, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
	};
	struct {
		uint32_t off, len;
		struct virtio_net_config config;
	} c = { 0, sizeof(c.config) }, before = c;
	struct net *n = &self->n;
	uint8_t mac[ETH_ALEN];
	uint32_t i;

	NEED_WRITABLE_CONFIG();
	ASSERT_EQ(0, start_plain(n));
	/* A legacy driver writes bytes. */
	memcpy(mac, test_mac, ETH_ALEN);
	for (i = 0; i < ETH_ALEN; i++) {
		EXPECT_EQ(0, write_mac(n->fd, other_mac, i, 1));
		mac[i] = other_mac[i];
		EXPECT_TRUE(mac_is(n, mac));
	}
	EXPECT_EQ(0, write_mac(n->fd, test_mac, 2, 3));
	memcpy(mac + 2, test_mac + 2, 3);
	EXPECT_TRUE(mac_is(n, mac));
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(0, write_mac(n->fd, bad[i], 0, ETH_ALEN));
		EXPECT_TRUE(mac_is(n, mac));
	}

	/* QEMU writes all of it: only the address is changed. */
	ASSERT_EQ(0, io(n->fd, VHOST_VDPA_GET_CONFIG, &before));
	memset(&c.config, 0x7e, sizeof(c.config));
	EXPECT_EQ(0, io(n->fd, VHOST_VDPA_SET_CONFIG, &c));
	memcpy(before.config.mac, c.config.mac, ETH_ALEN);
	ASSERT_EQ(0, io(n->fd, VHOST_VDPA_GET_CONFIG, &c));
	EXPECT_EQ(0, memcmp(&c, &before, sizeof(c)));
}

TEST_F(cvq, small_ring)
{
	struct net *n = &self->n;
	int i;

	ASSERT_EQ(0, set_status(n->fd, 0));
	ASSERT_EQ(0, net_negotiate(n, CTRL_FEATURES));
	ASSERT_EQ(0, net_bind(n, CVQ));
	ring_free(&n->q[CVQ]);
	ASSERT_EQ(0, ring_init(&n->q[CVQ], n->fd, CVQ, 4, &n->ctrl, CVQ * RING_SIZE));
	ASSERT_EQ(0, ring_enable(&n->q[CVQ], true));
	ASSERT_EQ(0, set_status(n->fd, 15));
	for (i = 0; i < 50; i++) {
		self->mac[4] = i;
		ASSERT_EQ(VIRTIO_NET_OK, ctrl_set_mac(n, self->mac));
	}
	EXPECT_TRUE(mac_is(n, self->mac));
}

TEST_HARNESS_MAIN
