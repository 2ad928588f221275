// SPDX-License-Identifier: GPL-2.0
/*
 * Address spaces from the device's side: a queue reaches only the memory of the address space that
 * its group is bound to, and nothing any more that was taken away.
 */
#define _GNU_SOURCE
#include "vdpa_util.h"
#include "harness.h"

#define RW	VHOST_ACCESS_RW
#define PG	4096UL
/* Where a test maps memory in addition to rings and buffers. */
#define EXTRA	0x70000000UL

FIXTURE(asid) {
	struct net n;
	struct area x;
};

FIXTURE_VARIANT(asid) {
	bool batch_mapping;
};

FIXTURE_VARIANT_ADD(asid, incremental) {
	.batch_mapping = false,
};

FIXTURE_VARIANT_ADD(asid, whole_table) {
	.batch_mapping = true,
};

FIXTURE_SETUP(asid) {
	self->n.fd = GET_DEV(.batch_mapping = variant->batch_mapping, .loop = true);
	ASSERT_LE(0, self->n.fd);
	self->n.asid[CVQ] = vdev.cvq_apart ? ASID1 : ASID0;
	ASSERT_EQ(0, area_alloc(&self->x, EXTRA, 16 * PG));
}

FIXTURE_TEARDOWN(asid) {
	net_stop(&self->n);
	sim_del(TEST_DEV);
	area_free(&self->x);
}

static bool all_bytes(const void *va, uint8_t want, size_t len)
{
	const uint8_t *p = va;

	while (len--)
		if (*p++ != want)
			return false;
	return true;
}

/* The virtio-net header may differ: the device writes that of a received frame. */
static bool same_frame(const char *a, const char *b)
{
	return !memcmp(a + NET_HDR, b + NET_HDR, ETH_HLEN + 64);
}

/* Sends a broadcast frame that lies at @iova: 1 if it came back. */
static int send_from(struct net *n, uint64_t iova)
{
	struct seg s = { iova, NET_HDR + ETH_HLEN + 64, false };

	net_post_rx(n, 100, 1, 0x800);
	ring_add(&n->q[TXQ], &s, 1);
	ring_kick(&n->q[TXQ]);

	return ring_wait(&n->q[RXQ], SOON_MS, NULL, NULL) ? 0 : 1;
}

/* Has a broadcast frame received at @iova: 1 if the buffer was used. */
static int recv_at(struct net *n, uint64_t iova)
{
	struct seg s = { iova, 0x800, true };

	ring_add(&n->q[RXQ], &s, 1);
	ring_kick(&n->q[RXQ]);
	net_queue_tx(n, 99, frame_make((char *)n->data.va + BUF(99), broadcast, 64, 3));

	return ring_wait(&n->q[RXQ], SOON_MS, NULL, NULL) ? 0 : 1;
}

/* A control command whose three pieces lie at @iova. Doesn't wait long. */
static int mac_from(struct net *n, uint64_t cmd, uint64_t mac, uint64_t ack)
{
	struct seg s[] = { { cmd, 2, false }, { mac, 6, false }, { ack, 1, true } };

	ring_add(&n->q[CVQ], s, 3);
	ring_kick(&n->q[CVQ]);

	return ring_wait(&n->q[CVQ], SOON_MS, NULL, NULL);
}

static void mac_command(struct area *a)
{
	char *p = a->va;

	p[0] = VIRTIO_NET_CTRL_MAC;
	p[1] = VIRTIO_NET_CTRL_MAC_ADDR_SET;
	memcpy(p + 0x10, other_mac, ETH_ALEN);
	p[0x20] = 0x5a;
}

/* The other tests here rely on this. */
TEST_F(asid, works)
{
	NEED_CVQ();
	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
	EXPECT_EQ(1, net_loops(&self->n, test_mac));
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(&self->n, other_mac));
	EXPECT_EQ(1, net_loops(&self->n, other_mac));
	EXPECT_EQ(0, net_loops(&self->n, test_mac));
}

TEST_F(asid, tx_not_from_control_memory)
{
	NEED_CVQ_APART();
	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
	frame_make((char *)self->n.ctrl.va + BUF(9), broadcast, 64, 3);
	EXPECT_EQ(0, send_from(&self->n, CTRL_IOVA + BUF(9)));
	/* Only the data queue suffers. */
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(&self->n, other_mac));
}

TEST_F(asid, rx_not_to_control_memory)
{
	NEED_CVQ_APART();
	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
	memset((char *)self->n.ctrl.va + BUF(9), 0xee, PG);
	recv_at(&self->n, CTRL_IOVA + BUF(9));
	EXPECT_TRUE(all_bytes((char *)self->n.ctrl.va + BUF(9), 0xee, PG));
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(&self->n, other_mac));
}

TEST_F(asid, cvq_not_to_guest_memory)
{
	struct area *x = &self->x;
	uint8_t mac[ETH_ALEN];
	char *va = x->va;

	NEED_CVQ_APART();
	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
	ASSERT_EQ(0, map(self->n.fd, ASID0, EXTRA, PG, va, RW));
	mac_command(x);
	mac_from(&self->n, EXTRA, EXTRA + 0x10, EXTRA + 0x20);
	EXPECT_EQ(0x5a, va[0x20]);
	ASSERT_EQ(0, config_mac(self->n.fd, mac));
	EXPECT_EQ(0, memcmp(mac, test_mac, ETH_ALEN));
	EXPECT_EQ(1, net_loops(&self->n, test_mac));

	/* One piece out of reach is enough. */
	ASSERT_EQ(0, net_restart(&self->n));
	mac_command(&self->n.ctrl);
	memcpy((char *)self->n.ctrl.va + BUF(9), self->n.ctrl.va, 0x40);
	mac_from(&self->n, CTRL_IOVA + BUF(9), EXTRA + 0x10, CTRL_IOVA + BUF(9) + 0x20);
	ASSERT_EQ(0, config_mac(self->n.fd, mac));
	EXPECT_EQ(0, memcmp(mac, test_mac, ETH_ALEN));
}

/* The ring itself has to lie in the address space of its group. */
TEST_F(asid, cvq_ring_not_in_guest_memory)
{
	struct net *n = &self->n;

	NEED_CVQ_APART();
	ASSERT_EQ(0, net_start(n, CTRL_FEATURES));
	ASSERT_EQ(0, map(n->fd, ASID0, EXTRA, 16 * PG, self->x.va, RW));
	ASSERT_EQ(0, set_status(n->fd, 0));
	ASSERT_EQ(0, net_negotiate(n, CTRL_FEATURES));
	ASSERT_EQ(0, net_bind(n, CVQ));
	ring_free(&n->q[CVQ]);
	ASSERT_EQ(0, ring_init(&n->q[CVQ], n->fd, CVQ, 256, &self->x, 0));
	ring_enable(&n->q[CVQ], true);
	ASSERT_EQ(0, set_status(n->fd, 15));
	mac_command(&n->ctrl);
	EXPECT_EQ(-ETIMEDOUT, mac_from(n, CTRL_IOVA, CTRL_IOVA + 0x10, CTRL_IOVA + 0x20));
	EXPECT_EQ(0, n->q[CVQ].used->idx);
}

/* One address, two memories: each queue sees its own. */
TEST_F(asid, same_iova)
{
	struct net *n = &self->n;
	char *guest = self->x.va, *ours = guest + PG;
	uint8_t mac[ETH_ALEN];

	NEED_CVQ_APART();
	ASSERT_EQ(0, net_start(n, CTRL_FEATURES));
	ASSERT_EQ(0, map(n->fd, ASID0, EXTRA, PG, guest, RW));
	ASSERT_EQ(0, map(n->fd, ASID1, EXTRA, PG, ours, RW));
	memset(guest, 0x11, PG);
	mac_command(&(struct area) { .va = ours });
	ASSERT_EQ(0, mac_from(n, EXTRA, EXTRA + 0x10, EXTRA + 0x20));
	EXPECT_EQ(VIRTIO_NET_OK, ours[0x20]);
	EXPECT_TRUE(all_bytes(guest, 0x11, PG));
	ASSERT_EQ(0, config_mac(n->fd, mac));
	EXPECT_EQ(0, memcmp(mac, other_mac, ETH_ALEN));

	memset(ours, 0x22, PG);
	EXPECT_EQ(1, recv_at(n, EXTRA));
	EXPECT_TRUE(all_bytes(ours, 0x22, PG));
	EXPECT_FALSE(all_bytes(guest, 0x11, PG));
}

TEST_F(asid, without_mappings)
{
	struct net *n = &self->n;

	NEED_CVQ_APART();
	ASSERT_EQ(0, net_start(n, CTRL_FEATURES));
	n->asid[RXQ] = ASID1;
	n->asid[TXQ] = ASID1;
	n->asid[CVQ] = ASID1;
	/* The data's rings and buffers are in ASID 0 still. */
	ASSERT_EQ(0, net_restart(n));
	EXPECT_EQ(0, net_loops_at_all(n));
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(n, other_mac));
}

/* Once a group is bound to another address space, it reaches nothing of the old one. */
TEST_F(asid, rebind)
{
	struct net *n = &self->n;
	struct area old, fresh;
	int i;

	NEED_AS(2);
	ASSERT_EQ(0, net_start(n, CTRL_FEATURES));
	old = n->data;
	ASSERT_EQ(0, area_alloc(&fresh, DATA_IOVA, AREA_SIZE));
	ASSERT_EQ(0, map(n->fd, ASID1, DATA_IOVA, AREA_SIZE, fresh.va, RW));
	for (i = 0; i < 10; i++) {
		/* Leave it with work to do. */
		net_post_rx(n, 0, 64, 0x800);
		net_queue_tx(n, 99, frame_make((char *)n->data.va + BUF(99), other_mac, 64, i));

		n->data = i & 1 ? old : fresh;
		n->asid[RXQ] = i & 1 ? ASID0 : ASID1;
		n->asid[TXQ] = n->asid[RXQ];
		ASSERT_EQ(0, net_restart(n));
		memset(i & 1 ? fresh.va : old.va, 0xee, AREA_SIZE);
		ASSERT_EQ(1, net_loops(n, test_mac));
		ASSERT_TRUE(all_bytes(i & 1 ? fresh.va : old.va, 0xee, AREA_SIZE));
	}
	n->data = old;
	area_free(&fresh);
}

/* A reset: mappings stay, groups are back at ASID 0. */
TEST_F(asid, reset)
{
	struct net *n = &self->n;

	NEED_CVQ_APART();
	ASSERT_EQ(0, net_start(n, CTRL_FEATURES));
	ASSERT_EQ(1, net_loops(n, test_mac));
	ASSERT_EQ(0, net_restart(n));
	EXPECT_EQ(1, net_loops(n, test_mac));
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(n, test_mac));

	/* Not bound again this time: the CVQ's ring is out of its reach, the data isn't. */
	n->asid[CVQ] = ASID0;
	ASSERT_EQ(0, net_restart(n));
	mac_command(&n->ctrl);
	EXPECT_EQ(-ETIMEDOUT, mac_from(n, CTRL_IOVA, CTRL_IOVA + 0x10, CTRL_IOVA + 0x20));
	EXPECT_EQ(1, net_loops(n, test_mac));
}

/* The next file has no mappings. */
TEST_F(asid, reopen)
{
	struct net *n = &self->n;

	ASSERT_EQ(0, net_start(n, NET_FEATURES));
	ASSERT_EQ(1, net_loops(n, test_mac));
	close(n->fd);
	n->fd = vdpa_open(TEST_DEV);
	ASSERT_LE(0, n->fd);
	ASSERT_EQ(0, net_start(n, NET_FEATURES));
	EXPECT_EQ(0, net_loops_at_all(n));
}

/* In the next file, groups are bound to ASID 0. */
TEST_F(asid, reopen_unbinds)
{
	struct net *n = &self->n;

	n->asid[RXQ] = ASID1;
	n->asid[TXQ] = ASID1;
	NEED_CVQ_APART();
	ASSERT_EQ(0, net_start(n, CTRL_FEATURES));
	ASSERT_EQ(1, net_loops(n, test_mac));
	close(n->fd);
	n->fd = vdpa_open(TEST_DEV);
	ASSERT_LE(0, n->fd);
	area_free(&n->data);
	area_free(&n->ctrl);
	memset(n->asid, 0, sizeof(n->asid));
	ASSERT_EQ(0, net_start(n, CTRL_FEATURES));
	EXPECT_EQ(1, net_loops(n, test_mac));
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(n, other_mac));
}

TEST_F(asid, unmapped_tx)
{
	ASSERT_EQ(0, net_start(&self->n, NET_FEATURES));
	ASSERT_EQ(0, map(self->n.fd, ASID0, EXTRA, 4 * PG, self->x.va, RW));
	frame_make((char *)self->x.va + 2 * PG, broadcast, 64, 3);
	EXPECT_EQ(1, send_from(&self->n, EXTRA + 2 * PG));
	ASSERT_EQ(0, unmap(self->n.fd, ASID0, EXTRA, 4 * PG));
	EXPECT_EQ(0, send_from(&self->n, EXTRA + 2 * PG));
}

/* INVALIDATE of a part takes the whole UPDATE from the device: no page of it is pinned. */
TEST_F(asid, unmapped_in_part)
{
	ASSERT_EQ(0, net_start(&self->n, NET_FEATURES));
	ASSERT_EQ(0, map(self->n.fd, ASID0, EXTRA, 4 * PG, self->x.va, RW));
	frame_make((char *)self->x.va + 2 * PG, broadcast, 64, 3);
	EXPECT_EQ(1, send_from(&self->n, EXTRA + 2 * PG));
	ASSERT_EQ(0, unmap(self->n.fd, ASID0, EXTRA, PG));
	EXPECT_EQ(0, send_from(&self->n, EXTRA + 2 * PG));
}

TEST_F(asid, remapped)
{
	char *rx, *va = self->x.va;
	int i;

	ASSERT_EQ(0, net_start(&self->n, NET_FEATURES));
	rx = (char *)self->n.data.va + BUF(100);
	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, map(self->n.fd, ASID0, EXTRA, PG, va + i * PG, RW));
		frame_make(va + i * PG, broadcast, 64, i);
		ASSERT_EQ(1, send_from(&self->n, EXTRA));
		EXPECT_TRUE(same_frame(rx, va + i * PG));
		ASSERT_EQ(0, unmap(self->n.fd, ASID0, EXTRA, PG));
	}
}

/* After a batch the device sees the mappings that replaced others inside it. */
TEST_F(asid, batch)
{
	char *rx, *va = self->x.va;
	int i;

	ASSERT_EQ(0, net_start(&self->n, NET_FEATURES));
	rx = (char *)self->n.data.va + BUF(100);
	ASSERT_EQ(0, map(self->n.fd, ASID0, EXTRA, PG, va, RW));
	ASSERT_EQ(0, send_msg(self->n.fd, ASID0, VHOST_IOTLB_BATCH_BEGIN, 0, 0, NULL, 0));
	ASSERT_EQ(0, unmap(self->n.fd, ASID0, EXTRA, PG));
	ASSERT_EQ(0, map(self->n.fd, ASID0, EXTRA, PG, va + PG, RW));
	ASSERT_EQ(0, map(self->n.fd, ASID0, EXTRA + PG, PG, va + 2 * PG, RW));
	ASSERT_EQ(0, send_msg(self->n.fd, ASID0, VHOST_IOTLB_BATCH_END, 0, 0, NULL, 0));
	for (i = 0; i < 3; i++)
		frame_make(va + i * PG, broadcast, 64, 10 + i);
	ASSERT_EQ(1, send_from(&self->n, EXTRA));
	EXPECT_TRUE(same_frame(rx, va + PG));
	ASSERT_EQ(1, send_from(&self->n, EXTRA + PG));
	EXPECT_TRUE(same_frame(rx, va + 2 * PG));
}

/* The device doesn't write to a read-only mapping, nor read from a write-only one. */
TEST_F(asid, read_only)
{
	ASSERT_EQ(0, net_start(&self->n, NET_FEATURES));
	ASSERT_EQ(0, map(self->n.fd, ASID0, EXTRA, PG, self->x.va, VHOST_ACCESS_RO));
	memset(self->x.va, 0xee, PG);
	recv_at(&self->n, EXTRA);
	EXPECT_TRUE(all_bytes(self->x.va, 0xee, PG));
}

TEST_F(asid, write_only)
{
	ASSERT_EQ(0, net_start(&self->n, NET_FEATURES));
	ASSERT_EQ(0, map(self->n.fd, ASID0, EXTRA, PG, self->x.va, VHOST_ACCESS_WO));
	frame_make(self->x.va, broadcast, 64, 3);
	EXPECT_EQ(0, send_from(&self->n, EXTRA));
}

/* A read-only mapping of pages not yet written to shows the device what is written later. */
TEST_F(asid, read_only_shows_later_writes)
{
	char *va = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *rx;
	int i;

	NEED_PINS();
	ASSERT_NE(MAP_FAILED, va);
	ASSERT_EQ(0, net_start(&self->n, NET_FEATURES));
	rx = (char *)self->n.data.va + BUF(100);
	ASSERT_EQ(0, map(self->n.fd, ASID0, EXTRA, PG, va, VHOST_ACCESS_RO));
	for (i = 0; i < 3; i++) {
		frame_make(va, broadcast, 64, 50 + i);
		memset(rx, 0, PG);
		EXPECT_EQ(1, send_from(&self->n, EXTRA));
		EXPECT_TRUE(same_frame(rx, va));
	}
	munmap(va, PG);
}

/* When INVALIDATE returns, a busy device doesn't use the memory any more. */
TEST_F(asid, busy_unmap)
{
	struct net *n = &self->n;
	int round, i;

	NEED_CVQ();
	ASSERT_EQ(0, net_start(n, CTRL_FEATURES));
	for (round = 0; round < 40; round++) {
		struct seg rx = { EXTRA, 16 * PG, true };
		struct seg tx = { DATA_IOVA + BUF(99), NET_HDR + ETH_HLEN + 1400, false };

		ASSERT_EQ(0, map(n->fd, ASID0, EXTRA, 16 * PG, self->x.va, RW));
		frame_make((char *)n->data.va + BUF(99), broadcast, 1400, round);
		for (i = 0; i < 255; i++)
			ring_add(&n->q[RXQ], &rx, 1);
		for (i = 0; i < 255; i++)
			ring_add(&n->q[TXQ], &tx, 1);
		ring_kick(&n->q[TXQ]);
		if (round & 1)
			usleep(round * 20);
		else
			ring_wait(&n->q[RXQ], SOON_MS, NULL, NULL);
		ASSERT_EQ(0, unmap(n->fd, ASID0, EXTRA, 16 * PG));
		memset(self->x.va, 0xee, 16 * PG);
		usleep(2000);
		/* The CVQ is served by the same device, after what it was at. */
		ASSERT_LE(0, ctrl_set_mac(n, test_mac));
		ASSERT_TRUE(all_bytes(self->x.va, 0xee, 16 * PG));
		ASSERT_EQ(0, net_restart(n));
	}
}

/* A device with a group for each virtqueue. */
FIXTURE(groups) {
	struct net n;
};

FIXTURE_VARIANT(groups) {
	bool batch_mapping;
	uint32_t asid[NQUEUES];
};

FIXTURE_VARIANT_ADD(groups, one) {
	.asid = { 0, 0, 0 },
};

FIXTURE_VARIANT_ADD(groups, three_without_two) {
	.asid = { 3, 3, 3 },
};

FIXTURE_VARIANT_ADD(groups, several_in_one) {
	.asid = { 5, 5, 0 },
};

FIXTURE_VARIANT_ADD(groups, each_its_own) {
	.asid = { 7, 1, 4 },
};

FIXTURE_VARIANT_ADD(groups, each_its_own_whole_table) {
	.asid = { 7, 1, 4 },
	.batch_mapping = true,
};

FIXTURE_SETUP(groups) {
	self->n.fd = GET_DEV(.batch_mapping = variant->batch_mapping, .num_as = 8,
			     .vq_groups = true, .loop = true, .features = MAC_FEATURES);
	ASSERT_LE(0, self->n.fd);
	memcpy(self->n.asid, variant->asid, sizeof(variant->asid));
}

FIXTURE_TEARDOWN(groups) {
	net_stop(&self->n);
	sim_del(TEST_DEV);
}

TEST_F(groups, works)
{
	struct net *n = &self->n;

	ASSERT_EQ(0, net_start(n, CTRL_FEATURES));
	EXPECT_EQ(1, net_loops(n, test_mac));
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(n, other_mac));
	EXPECT_EQ(1, net_loops(n, other_mac));
	EXPECT_EQ(0, net_loops(n, test_mac));
	ASSERT_EQ(0, net_restart(n));
	EXPECT_EQ(1, net_loops(n, test_mac));
}

static int map_area(struct net *n, uint32_t asid, const struct area *a)
{
	return map(n->fd, asid, a->iova, a->size, a->va, RW);
}

static int unmap_area(struct net *n, uint32_t asid, const struct area *a)
{
	return unmap(n->fd, asid, a->iova, a->size);
}

/* Each address space in turn loses what one queue needs: that queue stops, the others don't. */
TEST_F(groups, unmap_one)
{
	struct area *data = &self->n.data, *ctrl = &self->n.ctrl;
	struct net *n = &self->n;
	int q;

	ASSERT_EQ(0, net_start(n, CTRL_FEATURES));
	if (n->asid[CVQ] != n->asid[RXQ]) {
		/* The same addresses in both: what the one loses, the other keeps. */
		ASSERT_EQ(0, map_area(n, n->asid[CVQ], data));
		ASSERT_EQ(0, map_area(n, n->asid[RXQ], ctrl));
		ASSERT_EQ(0, unmap_area(n, n->asid[CVQ], data));
		ASSERT_EQ(0, unmap_area(n, n->asid[RXQ], ctrl));
	}
	EXPECT_EQ(1, net_loops(n, test_mac));
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(n, test_mac));

	ASSERT_EQ(0, unmap_area(n, n->asid[CVQ], ctrl));
	mac_command(ctrl);
	EXPECT_EQ(-ETIMEDOUT, mac_from(n, CTRL_IOVA, CTRL_IOVA + 0x10, CTRL_IOVA + 0x20));
	EXPECT_EQ(1, net_loops(n, test_mac));
	ASSERT_EQ(0, map_area(n, n->asid[CVQ], ctrl));

	for (q = RXQ; q <= TXQ; q++) {
		ASSERT_EQ(0, net_restart(n));
		ASSERT_EQ(1, net_loops(n, test_mac));
		ASSERT_EQ(0, unmap_area(n, n->asid[q], data));
		EXPECT_EQ(0, net_loops_at_all(n));
		EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(n, other_mac));
		ASSERT_EQ(0, map_area(n, n->asid[q], data));
	}
}

/*
 * Each buffer is accessed in the address space of its own queue. The two have the same address
 * if their queues have an address space each.
 */
TEST_F(groups, sent_and_received)
{
	static const size_t payloads[] = { 64, 1500, 9000 };
	struct net *n = &self->n;
	uint64_t to_iova = n->asid[RXQ] == n->asid[TXQ] ? EXTRA + 4 * PG : EXTRA;
	struct area from, to;
	size_t i;

	ASSERT_EQ(0, net_start(n, CTRL_FEATURES & ~VF(VIRTIO_NET_F_MTU)));
	ASSERT_EQ(0, area_alloc(&from, EXTRA, 4 * PG));
	ASSERT_EQ(0, area_alloc(&to, to_iova, 4 * PG));
	ASSERT_EQ(0, map_area(n, n->asid[TXQ], &from));
	ASSERT_EQ(0, map_area(n, n->asid[RXQ], &to));
	for (i = 0; i < ARRAY_LEN(payloads); i++) {
		size_t size = frame_make(from.va, broadcast, payloads[i], i);
		struct seg rx = { to_iova, to.size, true }, tx = { EXTRA, size, false };

		memset(to.va, 0xee, to.size);
		ring_add(&n->q[RXQ], &rx, 1);
		ring_add(&n->q[TXQ], &tx, 1);
		ring_kick(&n->q[TXQ]);
		ASSERT_EQ(size, net_recv(n, NULL));
		ASSERT_EQ(0, ring_wait(&n->q[TXQ], WAIT_MS, NULL, NULL));
		EXPECT_EQ(0, memcmp((char *)from.va + NET_HDR, (char *)to.va + NET_HDR,
				    size - NET_HDR));
		EXPECT_TRUE(all_bytes((char *)to.va + size, 0xee, to.size - size));
	}
	area_free(&from);
	area_free(&to);
}

/* All address spaces can be used, and an ASID beyond is refused. */
TEST_F(groups, all_address_spaces)
{
	struct area a;
	int asid;

	ASSERT_EQ(0, net_negotiate(&self->n, CTRL_FEATURES));
	ASSERT_EQ(0, area_alloc(&a, EXTRA, PG));
	for (asid = vdev.as - 1; asid >= 0; asid--)
		EXPECT_EQ(0, map(self->n.fd, asid, EXTRA, PG, a.va, RW));
	EXPECT_EQ(-EFAULT, map(self->n.fd, vdev.as, EXTRA, PG, a.va, RW));
	EXPECT_EQ(0, unmap(self->n.fd, 3, EXTRA, PG));
	EXPECT_EQ(-EFAULT, map(self->n.fd, 2, EXTRA, PG, a.va, RW));
	EXPECT_EQ(-EFAULT, map(self->n.fd, 4, EXTRA, PG, a.va, RW));
	area_free(&a);
}

TEST_HARNESS_MAIN
