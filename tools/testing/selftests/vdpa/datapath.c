// SPDX-License-Identifier: GPL-2.0
/*
 * The data path of a network device that loops frames: what it receives and what it drops, the
 * state of rings, interrupts, and malformed rings.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "vdpa_util.h"
#include "harness.h"

static const uint8_t multicast[ETH_ALEN] = { 0x01, 0x00, 0x5e, 0x01, 0x02, 0x03 };

#define RX_ROOM	0x4000
#define SMALL	(NET_HDR + ETH_HLEN + 50)

FIXTURE(data) {
	struct net n;
};

FIXTURE_VARIANT(data) {
	bool batch_mapping;
};

FIXTURE_VARIANT_ADD(data, incremental) {
	.batch_mapping = false,
};

FIXTURE_VARIANT_ADD(data, whole_table) {
	.batch_mapping = true,
};

FIXTURE_SETUP(data) {
	self->n.fd = GET_DEV(.batch_mapping = variant->batch_mapping, .loop = true);
	ASSERT_LE(0, self->n.fd);
	self->n.asid[CVQ] = vdev.cvq_apart ? ASID1 : ASID0;
	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
}

FIXTURE_TEARDOWN(data) {
	net_stop(&self->n);
	sim_del(TEST_DEV);
}

static uint8_t *data(const struct net *n, size_t offset)
{
	return (uint8_t *)n->data.va + offset;
}

/* Sends a frame of this payload to the device's own address: 1 if it comes back as it was. */
static int loops_whole(struct net *n, size_t payload)
{
	size_t size = frame_make(data(n, BUF(8)), test_mac, payload, payload);
	int rc;

	memset(data(n, BUF(40)), 0, RX_ROOM);
	net_post_rx(n, 40, 1, RX_ROOM);
	rc = net_send(n, 8, size);
	if (!rc)
		rc = net_recv(n, NULL);
	if (rc < 0)
		return rc;

	return rc == (int)size &&
	       !memcmp(data(n, BUF(40)) + NET_HDR, data(n, BUF(8)) + NET_HDR, size - NET_HDR) &&
	       !data(n, BUF(40))[size];
}

TEST_F(data, sizes)
{
	static const size_t sizes[] = { 0, 1, 45, 46, 100, 1000, 1486, 1499, 1500 };
	size_t i;

	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		EXPECT_EQ(1, loops_whole(&self->n, sizes[i]))
			TH_LOG("payload %zu", sizes[i]);
	}
}

/* Sends what is at BUF(8) in pieces of @tx bytes, has it received in pieces of @rx. */
static int loops_in_pieces(struct net *n, size_t size, size_t tx, size_t rx)
{
	struct seg s[256];
	size_t done;
	int k, rc;

	memset(data(n, BUF(40)), 0, RX_ROOM);
	for (k = 0, done = 0; done < 2048 && k < 250; k++, done += rx)
		s[k] = (struct seg) { n->data.iova + BUF(40) + done, rx, true };
	ring_add(&n->q[RXQ], s, k);
	for (k = 0, done = 0; done < size; k++, done += s[k - 1].len)
		s[k] = (struct seg) {
			n->data.iova + BUF(8) + done, size - done < tx ? size - done : tx, false
		};
	ring_add(&n->q[TXQ], s, k);
	ring_kick(&n->q[TXQ]);
	rc = ring_wait(&n->q[TXQ], WAIT_MS, NULL, NULL);
	if (!rc)
		rc = net_recv(n, NULL);
	if (rc < 0)
		return rc;

	return rc == (int)size && !memcmp(data(n, BUF(40)) + NET_HDR, data(n, BUF(8)) + NET_HDR,
					  size - NET_HDR);
}

TEST_F(data, pieces)
{
	static const size_t pieces[] = { 2000, 1000, 512, 97, 64, 33, 16, 12, 9 };
	size_t size = frame_make(data(&self->n, BUF(8)), test_mac, 1500, 5), i, k;

	for (i = 0; i < ARRAY_LEN(pieces); i++) {
		for (k = 0; k < ARRAY_LEN(pieces); k++) {
			ASSERT_EQ(1, loops_in_pieces(&self->n, size, pieces[i], pieces[k]))
				TH_LOG("sent in %zu, received in %zu", pieces[i], pieces[k]);
		}
	}
	size = frame_make(data(&self->n, BUF(8)), test_mac, 100, 5);
	EXPECT_EQ(1, loops_in_pieces(&self->n, size, 1, 2000));
	EXPECT_EQ(1, loops_in_pieces(&self->n, size, 1, 9));
}

/* Pages with contiguous IOVAs that aren't contiguous in memory. */
TEST_F(data, scattered_memory)
{
	uint64_t iova = 0x70000000;
	struct seg tx, rx;
	struct area a;
	size_t size;
	int i;

	ASSERT_EQ(0, area_alloc(&a, iova, 512 * 4096));
	for (i = 0; i < 512; i++)
		((char *)a.va)[(i * 197) % 512 * 4096] = i;
	ASSERT_EQ(0, map(self->n.fd, 0, iova, a.size, a.va, VHOST_ACCESS_RW));
	for (i = 1; i < 500; i += 7) {
		char *from = (char *)a.va + i * 4096 - 700, *to = (char *)a.va + 505 * 4096 - 90;

		size = frame_make(from, test_mac, 1500, i);
		tx = (struct seg) { iova + i * 4096 - 700, size, false };
		rx = (struct seg) { iova + 505 * 4096 - 90, 2000, true };
		memset(to, 0, 2000);
		ring_add(&self->n.q[RXQ], &rx, 1);
		ring_add(&self->n.q[TXQ], &tx, 1);
		ring_kick(&self->n.q[TXQ]);
		ASSERT_EQ(0, ring_wait(&self->n.q[TXQ], WAIT_MS, NULL, NULL));
		ASSERT_EQ(size, net_recv(&self->n, NULL));
		ASSERT_EQ(0, memcmp(from + NET_HDR, to + NET_HDR, size - NET_HDR));
	}
	area_free(&a);
}

TEST_F(data, filter)
{
	uint8_t near[ETH_ALEN];

	EXPECT_EQ(1, net_loops(&self->n, test_mac));
	EXPECT_EQ(1, net_loops(&self->n, multicast));
	EXPECT_EQ(0, net_loops(&self->n, other_mac));
	memcpy(near, test_mac, ETH_ALEN);
	near[5] ^= 1;
	EXPECT_EQ(0, net_loops(&self->n, near));
	memcpy(near, test_mac, ETH_ALEN);
	near[0] ^= 2;
	EXPECT_EQ(0, net_loops(&self->n, near));
	EXPECT_EQ(1, net_loops(&self->n, test_mac));
}

/* QEMU never acknowledges VIRTIO_NET_F_MAC to the device. */
TEST_F(data, filter_without_feature_mac)
{
	NEED_CVQ();
	ASSERT_EQ(0, set_status(self->n.fd, 0));
	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES & ~VF(VIRTIO_NET_F_MAC)));
	EXPECT_EQ(1, net_loops(&self->n, test_mac));
	EXPECT_EQ(0, net_loops(&self->n, other_mac));
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(&self->n, other_mac));
	EXPECT_EQ(1, net_loops(&self->n, other_mac));
	EXPECT_EQ(0, net_loops(&self->n, test_mac));
}

TEST_F(data, runts)
{
	uint32_t size;

	/* None of them may take the room of the frame that comes after them. */
	net_post_rx(&self->n, 40, 1, RX_ROOM);
	for (size = 1; size < NET_HDR + ETH_HLEN; size++) {
		memset(data(&self->n, BUF(8)), 0xff, 64);
		ASSERT_EQ(0, net_send(&self->n, 8, size));
	}
	EXPECT_EQ(1, loops_whole(&self->n, 100));
}

/* A frame that doesn't fit isn't written behind the buffer. */
TEST_F(data, small_receive_buffer)
{
	static const uint32_t room[] = { 1, 11, 12, 20, 63 };
	size_t i;

	for (i = 0; i < ARRAY_LEN(room); i++) {
		memset(data(&self->n, BUF(40)), 0xee, 4096);
		net_post_rx(&self->n, 40, 1, room[i]);
		ASSERT_EQ(0, net_send(&self->n, 8,
				      frame_make(data(&self->n, BUF(8)), test_mac, 1000, 1)));
		ring_wait(&self->n.q[RXQ], SOON_MS, NULL, NULL);
		EXPECT_EQ(0xee, data(&self->n, BUF(40))[room[i]]);
	}
	ASSERT_EQ(0, net_restart(&self->n));
	EXPECT_EQ(1, loops_whole(&self->n, 1000));
}

TEST_F(data, nowhere_to_receive)
{
	int i;

	NEED_CVQ();
	for (i = 0; i < 300; i++)
		net_queue_tx(&self->n, 8, frame_make(data(&self->n, BUF(8)), test_mac, 50, 1));
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(&self->n, test_mac));
	ASSERT_EQ(0, net_restart(&self->n));
	EXPECT_EQ(1, loops_whole(&self->n, 100));
}

/* Starts the device with rings of this size. */
static int start_small(struct net *n, unsigned int num, uint16_t base)
{
	int i, rc;

	rc = set_status(n->fd, 0);
	if (!rc)
		rc = net_negotiate(n, NET_FEATURES);
	for (i = RXQ; !rc && i <= TXQ; i++) {
		ring_free(&n->q[i]);
		rc = ring_init(&n->q[i], n->fd, i, num, &n->data, i * RING_SIZE);
		n->q[i].avail_idx = base;
		n->q[i].last_used = base;
		n->q[i].avail->idx = base;
		n->q[i].used->idx = base;
		if (!rc)
			rc = vring_state(n->fd, VHOST_SET_VRING_BASE, i, base);
		if (!rc)
			rc = ring_enable(&n->q[i], true);
	}

	return rc ? rc : set_status(n->fd, 15);
}

TEST_F(data, ring_sizes)
{
	static const unsigned int sizes[] = { 1, 2, 4, 16, 64, 128, 256 };
	size_t i;
	int k;

	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		ASSERT_EQ(0, start_small(&self->n, sizes[i], 0));
		for (k = 0; k < 20 || k < (int)sizes[i] * 3; k++) {
			ASSERT_EQ(1, loops_whole(&self->n, 100 + k % 7))
				TH_LOG("ring of %u, frame %d", sizes[i], k);
		}
		EXPECT_EQ(k, vring_state(self->n.fd, VHOST_GET_VRING_BASE, TXQ, 0));
	}
}

/* A device starts at the index that it is given. Indices wrap at 2^16, not at the ring's size. */
TEST_F(data, ring_base)
{
	static const unsigned int bases[] = { 1, 255, 256, 0x7fff, 0xfff0, 0xffff };
	size_t i;
	int k;

	for (i = 0; i < ARRAY_LEN(bases); i++) {
		ASSERT_EQ(0, start_small(&self->n, 64, bases[i]));
		for (k = 0; k < 40; k++) {
			ASSERT_EQ(1, loops_whole(&self->n, 100))
				TH_LOG("base %#x, frame %d", bases[i], k);
		}
		EXPECT_EQ((bases[i] + k) & 0xffff,
			  vring_state(self->n.fd, VHOST_GET_VRING_BASE, TXQ, 0));
		EXPECT_EQ((bases[i] + k) & 0xffff,
			  vring_state(self->n.fd, VHOST_GET_VRING_BASE, RXQ, 0));
	}
}

/* Until DRIVER_OK the index of a queue that is enabled may change. Nothing is available there. */
TEST_F(data, ring_base_after_enable)
{
	static const unsigned int bases[] = { 5, 64, 0xffff };
	struct net *n = &self->n;
	size_t i;
	int q;

	for (i = 0; i < ARRAY_LEN(bases); i++) {
		ASSERT_EQ(0, set_status(n->fd, 0));
		ASSERT_EQ(0, net_negotiate(n, NET_FEATURES));
		for (q = RXQ; q <= TXQ; q++) {
			struct ring *r = &n->q[q];

			ring_free(r);
			ASSERT_EQ(0, ring_init(r, n->fd, q, 64, &n->data, q * RING_SIZE));
			ASSERT_EQ(0, ring_enable(r, true));
			r->avail_idx = bases[i];
			r->last_used = bases[i];
			r->avail->idx = bases[i];
			r->used->idx = bases[i];
			ASSERT_EQ(0, vring_state(n->fd, VHOST_SET_VRING_BASE, q, bases[i]));
		}
		ASSERT_EQ(0, set_status(n->fd, 15));
		ring_kick(&n->q[TXQ]);
		usleep(SOON_MS * 1000);
		EXPECT_EQ(bases[i], n->q[TXQ].used->idx);
		EXPECT_EQ(bases[i], vring_state(n->fd, VHOST_GET_VRING_BASE, TXQ, 0));
		EXPECT_EQ(1, loops_whole(n, 100));
	}
}

/* As in a migration: suspend, read the state, start again with it and the same memory. */
TEST_F(data, suspend_and_restore)
{
	struct net *n = &self->n;
	int base[2], i, round;

	NEED_SUSPEND();
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 10; i++)
			ASSERT_EQ(1, loops_whole(n, 100));
		ASSERT_EQ(0, io(n->fd, SUSPEND, NULL));
		/* What is offered now is for the device that comes next. */
		net_post_rx(n, 40, 1, RX_ROOM);
		net_queue_tx(n, 8, frame_make(data(n, BUF(8)), test_mac, 77, round));
		EXPECT_EQ(-ETIMEDOUT, ring_wait(&n->q[TXQ], SOON_MS, NULL, NULL));
		for (i = RXQ; i <= TXQ; i++) {
			base[i] = vring_state(n->fd, VHOST_GET_VRING_BASE, i, 0);
			EXPECT_EQ(n->q[i].used->idx, base[i]);
		}

		ASSERT_EQ(0, set_status(n->fd, 0));
		ASSERT_EQ(0, net_negotiate(n, NET_FEATURES));
		for (i = RXQ; i <= TXQ; i++) {
			struct vhost_vring_addr addr = {
				.index = i,
				.desc_user_addr = n->q[i].iova,
				.avail_user_addr = n->q[i].iova + RING_AVAIL,
				.used_user_addr = n->q[i].iova + RING_USED,
			};
			struct vhost_vring_file kick = { i, n->q[i].kick };
			struct vhost_vring_file call = { i, n->q[i].call };

			ASSERT_EQ(0, vring_state(n->fd, VHOST_SET_VRING_NUM, i, 256));
			ASSERT_EQ(0, io(n->fd, VHOST_SET_VRING_ADDR, &addr));
			ASSERT_EQ(0, vring_state(n->fd, VHOST_SET_VRING_BASE, i, base[i]));
			ASSERT_EQ(0, io(n->fd, VHOST_SET_VRING_KICK, &kick));
			ASSERT_EQ(0, io(n->fd, VHOST_SET_VRING_CALL, &call));
			ASSERT_EQ(0, ring_enable(&n->q[i], true));
		}
		ASSERT_EQ(0, set_status(n->fd, 15));
		ring_kick(&n->q[TXQ]);
		ASSERT_EQ(0, ring_wait(&n->q[TXQ], WAIT_MS, NULL, NULL));
		ASSERT_EQ(SMALL + 27, net_recv(n, NULL));
	}
}

TEST_F(data, suspend_when_busy)
{
	struct net *n = &self->n;
	int i, round, used;

	NEED_SUSPEND();
	for (round = 0; round < 10; round++) {
		net_post_rx(n, 40, 120, 0x800);
		for (i = 0; i < 250; i++)
			net_queue_tx(n, 8, frame_make(data(n, BUF(8)), test_mac, 50, i));
		usleep(round * 30);
		ASSERT_EQ(0, io(n->fd, SUSPEND, NULL));
		used = __atomic_load_n(&n->q[TXQ].used->idx, __ATOMIC_SEQ_CST);
		EXPECT_EQ(used, vring_state(n->fd, VHOST_GET_VRING_BASE, TXQ, 0));
		usleep(5000);
		EXPECT_EQ(used, __atomic_load_n(&n->q[TXQ].used->idx, __ATOMIC_SEQ_CST));
		ASSERT_EQ(0, net_restart(n));
	}
}

/*
 * A frame that is offered and kicked while the device is suspended isn't looped before it is
 * resumed, and then without another kick. @n has room in its rings for it.
 */
static int resumes(struct net *n, int seed)
{
	size_t size = frame_make(data(n, BUF(8)), test_mac, 77, seed);
	int rc;

	memset(data(n, BUF(40)), 0, RX_ROOM);
	net_post_rx(n, 40, 1, RX_ROOM);
	net_queue_tx(n, 8, size);
	if (ring_wait(&n->q[TXQ], SOON_MS, NULL, NULL) != -ETIMEDOUT)
		return -EBUSY;
	rc = io(n->fd, RESUME, NULL);
	if (!rc)
		rc = ring_wait(&n->q[TXQ], WAIT_MS, NULL, NULL);
	if (!rc)
		rc = net_recv(n, NULL);
	if (rc < 0)
		return rc;

	return rc == (int)size &&
	       !memcmp(data(n, BUF(40)) + NET_HDR, data(n, BUF(8)) + NET_HDR, size - NET_HDR);
}

TEST_F(data, suspend_and_resume)
{
	struct net *n = &self->n;
	int i, round;

	NEED_SUSPEND();
	NEED_RESUME();
	/* It isn't suspended. */
	EXPECT_EQ(0, io(n->fd, RESUME, NULL));
	for (round = 0; round < 5; round++) {
		for (i = 0; i <= round; i++)
			ASSERT_EQ(1, loops_whole(n, 100));
		ASSERT_EQ(0, io(n->fd, SUSPEND, NULL));
		ASSERT_EQ(0, io(n->fd, SUSPEND, NULL));
		for (i = RXQ; i <= TXQ; i++) {
			EXPECT_EQ(n->q[i].used->idx,
				  vring_state(n->fd, VHOST_GET_VRING_BASE, i, 0));
		}
		ASSERT_EQ(1, resumes(n, round));
		EXPECT_EQ(0, io(n->fd, RESUME, NULL));
		EXPECT_EQ(1, loops_whole(n, 200));
	}

	/* A reset ends the suspension, too. */
	ASSERT_EQ(0, io(n->fd, SUSPEND, NULL));
	ASSERT_EQ(0, net_restart(n));
	EXPECT_EQ(1, loops_whole(n, 100));
	EXPECT_EQ(-EBUSY, vring_state(n->fd, VHOST_SET_VRING_BASE, TXQ, 0));
}

/* The control virtqueue goes on as well. */
TEST_F(data, resume_control_queue)
{
	struct net *n = &self->n;

	NEED_RESUME();
	NEED_CVQ();
	ASSERT_EQ(VIRTIO_NET_OK, ctrl_set_mac(n, other_mac));
	ASSERT_EQ(0, io(n->fd, SUSPEND, NULL));
	ASSERT_EQ(0, io(n->fd, RESUME, NULL));
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(n, test_mac));
	EXPECT_EQ(1, loops_whole(n, 100));
}

static int set_addr(struct net *n, unsigned int idx, uint64_t iova)
{
	struct vhost_vring_addr addr = {
		.index = idx,
		.desc_user_addr = iova,
		.avail_user_addr = iova + RING_AVAIL,
		.used_user_addr = iova + RING_USED,
	};

	return io(n->fd, VHOST_SET_VRING_ADDR, &addr);
}

/* A VMM takes over with rings of its own, of another size and at other positions, and goes back. */
TEST_F(data, resume_with_other_rings)
{
	static const uint16_t base[] = { [RXQ] = 65535, [TXQ] = 1000 };
	struct net *n = &self->n;
	struct ring guest[2];
	int i, round;

	NEED_RESUME();
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 10; i++)
			ASSERT_EQ(1, loops_whole(n, 100));
		for (i = RXQ; i <= TXQ; i++) {
			EXPECT_EQ(-EBUSY, set_addr(n, i, n->q[i].iova));
			EXPECT_EQ(-EBUSY, vring_state(n->fd, VHOST_SET_VRING_BASE, i, base[i]));
			EXPECT_EQ(-EBUSY, vring_state(n->fd, VHOST_SET_VRING_NUM, i, 64));
		}

		ASSERT_EQ(0, io(n->fd, SUSPEND, NULL));
		for (i = RXQ; i <= TXQ; i++) {
			struct ring *r = &n->q[i];
			size_t offset = (4 + i) * RING_SIZE;

			guest[i] = *r;
			memset(data(n, offset), 0, RING_SIZE);
			r->num = 64;
			r->iova = n->data.iova + offset;
			r->desc = (void *)data(n, offset);
			r->avail = (void *)data(n, offset + RING_AVAIL);
			r->used = (void *)data(n, offset + RING_USED);
			r->next = 0;
			r->avail_idx = base[i];
			r->last_used = base[i];
			r->avail->idx = base[i];
			r->used->idx = base[i];
			ASSERT_EQ(0, vring_state(n->fd, VHOST_SET_VRING_NUM, i, r->num));
			ASSERT_EQ(0, set_addr(n, i, r->iova));
			ASSERT_EQ(0, vring_state(n->fd, VHOST_SET_VRING_BASE, i, base[i]));
			EXPECT_EQ(base[i], vring_state(n->fd, VHOST_GET_VRING_BASE, i, 0));
		}
		EXPECT_EQ(1, resumes(n, round));
		for (i = 0; i < 100; i++)
			ASSERT_EQ(1, loops_whole(n, 100));

		/* The guest's rings haven't been touched; go on with them. */
		ASSERT_EQ(0, io(n->fd, SUSPEND, NULL));
		for (i = RXQ; i <= TXQ; i++) {
			EXPECT_EQ((uint16_t)(base[i] + 101),
				  vring_state(n->fd, VHOST_GET_VRING_BASE, i, 0));
			EXPECT_EQ(guest[i].last_used, guest[i].used->idx);
			n->q[i] = guest[i];
			ASSERT_EQ(0, vring_state(n->fd, VHOST_SET_VRING_NUM, i, 256));
			ASSERT_EQ(0, set_addr(n, i, n->q[i].iova));
			ASSERT_EQ(0, vring_state(n->fd, VHOST_SET_VRING_BASE, i,
						 n->q[i].used->idx));
		}
		EXPECT_EQ(1, resumes(n, round));
	}
}

/* No buffer is lost, or used twice, however often the device is stopped and goes on. */
TEST_F(data, resume_when_busy)
{
	struct net *n = &self->n;
	struct ring *tx = &n->q[TXQ];
	uint16_t used;
	int i, round;

	NEED_RESUME();
	for (round = 0; round < 20; round++) {
		net_post_rx(n, 40, 120, 0x800);
		for (i = 0; i < 120; i++)
			net_queue_tx(n, 8, frame_make(data(n, BUF(8)), test_mac, 50, i));
		for (i = 0; i < 3; i++) {
			usleep(round * 30);
			ASSERT_EQ(0, io(n->fd, SUSPEND, NULL));
			used = __atomic_load_n(&tx->used->idx, __ATOMIC_SEQ_CST);
			EXPECT_EQ(used, vring_state(n->fd, VHOST_GET_VRING_BASE, TXQ, 0));
			ASSERT_EQ(0, io(n->fd, RESUME, NULL));
		}
		for (i = 0; i < 120; i++) {
			ASSERT_EQ(0, ring_wait(tx, WAIT_MS, NULL, NULL));
			ASSERT_EQ(SMALL, net_recv(n, NULL));
		}
		EXPECT_EQ(tx->avail_idx, tx->used->idx);
	}
}

/* Queues this many frames and kicks once. Returns the number of calls until all are used. */
static long calls_for(struct net *n, int frames)
{
	uint64_t calls = 0, some;
	int i;

	while (read(n->q[TXQ].call, &some, sizeof(some)) > 0)
		;
	for (i = 0; i < frames; i++) {
		struct seg rx = { n->data.iova + BUF(40), 0x800, true };
		struct seg tx = { n->data.iova + BUF(8), SMALL, false };

		ring_add(&n->q[RXQ], &rx, 1);
		ring_add(&n->q[TXQ], &tx, 1);
	}
	ring_kick(&n->q[TXQ]);
	for (i = 0; i < WAIT_MS; i++) {
		if (__atomic_load_n(&n->q[TXQ].used->idx, __ATOMIC_SEQ_CST) ==
		    n->q[TXQ].avail_idx)
			break;
		usleep(1000);
	}
	usleep(100000);
	if (read(n->q[TXQ].call, &some, sizeof(some)) > 0)
		calls = some;

	return n->q[TXQ].used->idx == n->q[TXQ].avail_idx ? (long)calls : -ETIMEDOUT;
}

TEST_F(data, fewer_calls_than_packets)
{
	long calls;

	frame_make(data(&self->n, BUF(8)), test_mac, 50, 1);
	calls = calls_for(&self->n, 250);
	EXPECT_LE(1, calls);
	EXPECT_GE(50, calls);
}

TEST_F(data, no_calls_wanted)
{
	frame_make(data(&self->n, BUF(8)), test_mac, 50, 1);
	self->n.q[TXQ].avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	EXPECT_EQ(0, calls_for(&self->n, 50));
}

TEST_F(data, enable_after_driver_ok)
{
	struct net *n = &self->n;

	NEED_ENABLE_AFTER_OK();
	ASSERT_EQ(0, set_status(n->fd, 0));
	ASSERT_EQ(0, net_negotiate(n, NET_FEATURES));
	ring_free(&n->q[RXQ]);
	ring_free(&n->q[TXQ]);
	ASSERT_EQ(0, ring_init(&n->q[RXQ], n->fd, RXQ, 256, &n->data, RXQ * RING_SIZE));
	ASSERT_EQ(0, ring_init(&n->q[TXQ], n->fd, TXQ, 256, &n->data, TXQ * RING_SIZE));
	ASSERT_EQ(0, set_status(n->fd, 15));
	ASSERT_EQ(0, ring_enable(&n->q[TXQ], true));
	ASSERT_EQ(0, ring_enable(&n->q[RXQ], true));
	EXPECT_EQ(1, loops_whole(n, 100));
}

/* A driver that only sends: its frames are dropped. */
TEST_F(data, no_receive_queue)
{
	struct net *n = &self->n;
	int i;

	ASSERT_EQ(0, set_status(n->fd, 0));
	ASSERT_EQ(0, net_negotiate(n, NET_FEATURES));
	ring_free(&n->q[RXQ]);
	ring_free(&n->q[TXQ]);
	ASSERT_EQ(0, ring_init(&n->q[TXQ], n->fd, TXQ, 256, &n->data, TXQ * RING_SIZE));
	ASSERT_EQ(0, ring_enable(&n->q[TXQ], true));
	ASSERT_EQ(0, set_status(n->fd, 15));
	for (i = 0; i < 300; i++)
		ASSERT_EQ(0, net_send(n, 8, frame_make(data(n, BUF(8)), test_mac, 50, i)));

	/* Frames are received from the moment that the queue is enabled. */
	ASSERT_EQ(0, ring_init(&n->q[RXQ], n->fd, RXQ, 256, &n->data, RXQ * RING_SIZE));
	ASSERT_EQ(0, ring_enable(&n->q[RXQ], true));
	EXPECT_EQ(1, loops_whole(n, 100));
	EXPECT_EQ(15, get_status(n->fd));
}

/* A VMM enables all queues of the device; the driver in the guest has set up one of them. */
TEST_F(data, enabled_without_a_ring)
{
	const int queues = self->n.features & VF(VIRTIO_NET_F_CTRL_VQ) ? 3 : 2;
	struct net *n = &self->n;
	struct area a;
	int own, q;
	size_t i;

	/* What a device reaches that takes address 0 for that of a ring. */
	ASSERT_EQ(0, area_alloc(&a, 0, 0x10000));
	memset(a.va, 0x5a, a.size);
	ASSERT_EQ(0, map(n->fd, ASID0, a.iova, a.size, a.va, VHOST_ACCESS_RW));
	for (own = 0; own < queues; own++) {
		ASSERT_EQ(0, set_status(n->fd, 0));
		ASSERT_EQ(0, net_negotiate(n, CTRL_FEATURES));
		for (q = 0; q < queues; q++)
			ring_free(&n->q[q]);
		ASSERT_EQ(0, ring_init(&n->q[own], n->fd, own, 256, &n->data, own * RING_SIZE));
		for (q = 0; q < queues; q++)
			ASSERT_EQ(0, vring_state(n->fd, VHOST_VDPA_SET_VRING_ENABLE, q, 1));
		ASSERT_EQ(0, set_status(n->fd, 15));
		for (i = 0; own == TXQ && i < 10; i++)
			ASSERT_EQ(0, net_send(n, 8, frame_make(data(n, BUF(8)), test_mac, 50, i)));
		usleep(SOON_MS * 1000);
		EXPECT_EQ(15, get_status(n->fd))
			TH_LOG("queue %d has a ring", own);
	}
	for (i = 0; i < a.size; i++)
		ASSERT_EQ(0x5a, ((uint8_t *)a.va)[i]);
	area_free(&a);
}

/* Sends a frame of @size bytes, from any to any alignment: 1 if it comes back as it was. */
static int loops_large(struct net *n, size_t size, size_t align)
{
	struct seg tx = { n->data.iova + BUF(8) + align, size, false };
	struct seg rx = { n->data.iova + BUF(40) + 7 * align, size, true };
	uint8_t *from = data(n, BUF(8) + align), *to = data(n, BUF(40) + 7 * align);
	int rc;

	frame_make(from, test_mac, size - NET_HDR - ETH_HLEN, size);
	memset(to, 0xee, size + 1);
	ring_add(&n->q[RXQ], &rx, 1);
	ring_add(&n->q[TXQ], &tx, 1);
	ring_kick(&n->q[TXQ]);
	rc = ring_wait(&n->q[TXQ], WAIT_MS, NULL, NULL);
	if (!rc)
		rc = net_recv(n, NULL);
	if (rc < 0)
		return rc;

	return rc == (int)size && !memcmp(to + NET_HDR, from + NET_HDR, size - NET_HDR) &&
	       to[size] == 0xee;
}

/* Buffers that the device copies in pieces. */
TEST_F(data, large_frames)
{
	static const size_t sizes[] = { 4095, 4096, 4097, 8191, 8192, 8193, 40000, 65535, 65536 };
	size_t i, align;

	ASSERT_EQ(0, set_status(self->n.fd, 0));
	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES & ~VF(VIRTIO_NET_F_MTU)));
	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		for (align = 0; align < 4000; align = align * 3 + 1) {
			ASSERT_EQ(1, loops_large(&self->n, sizes[i], align))
				TH_LOG("%zu bytes at %zu", sizes[i], align);
		}
	}
}

TEST_F(data, disabled)
{
	struct net *n = &self->n;

	NEED_CVQ();
	ASSERT_EQ(0, ring_enable(&n->q[TXQ], false));
	EXPECT_EQ(0, net_loops_at_all(n));
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(n, test_mac));
}

/* The eventfd of a queue changes, or is taken away, while the device signals it. */
TEST_F(data, changing_eventfds)
{
	struct net *n = &self->n;
	struct vhost_vring_file file = { .index = TXQ };
	int i, k;

	for (i = 0; i < 100; i++) {
		for (k = 0; k < 50; k++)
			net_queue_tx(n, 8, SMALL);
		file.fd = i & 1 ? eventfd(0, EFD_NONBLOCK) : -1;
		ASSERT_EQ(0, io(n->fd, VHOST_SET_VRING_CALL, &file));
		if (file.fd >= 0)
			close(file.fd);
		n->q[TXQ].last_used = n->q[TXQ].used->idx;
		usleep(200);
	}
	file.fd = n->q[TXQ].call;
	ASSERT_EQ(0, io(n->fd, VHOST_SET_VRING_CALL, &file));
	ASSERT_EQ(0, net_restart(n));
	EXPECT_EQ(1, loops_whole(n, 100));
}

/* A thread that keeps both data queues filled. */
struct feeder {
	struct net *n;
	pthread_t thread;
	bool stop;
};

static void *feed(void *arg)
{
	struct feeder *f = arg;
	struct net *n = f->n;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		n->q[RXQ].avail_idx = n->q[RXQ].used->idx + 255;
		__atomic_store_n(&n->q[RXQ].avail->idx, n->q[RXQ].avail_idx, __ATOMIC_SEQ_CST);
		n->q[TXQ].avail_idx = n->q[TXQ].used->idx + 255;
		__atomic_store_n(&n->q[TXQ].avail->idx, n->q[TXQ].avail_idx, __ATOMIC_SEQ_CST);
		ring_kick(&n->q[TXQ]);
	}

	return NULL;
}

/* @tx, @rx: where the frames, which have been made, are sent and received. */
static int feeder_start_at(struct feeder *f, struct net *n, uint64_t tx, uint64_t rx,
			   size_t payload)
{
	int i;

	memset(f, 0, sizeof(*f));
	f->n = n;
	for (i = 0; i < 256; i++) {
		n->q[RXQ].desc[i] = (struct vring_desc) {
			rx, NET_HDR + ETH_HLEN + payload, VRING_DESC_F_WRITE, 0
		};
		n->q[TXQ].desc[i] = (struct vring_desc) {
			tx, NET_HDR + ETH_HLEN + payload, 0, 0
		};
		n->q[RXQ].avail->ring[i] = i;
		n->q[TXQ].avail->ring[i] = i;
	}

	return pthread_create(&f->thread, NULL, feed, f);
}

static int feeder_start(struct feeder *f, struct net *n)
{
	frame_make(data(n, BUF(8)), broadcast, 1400, 1);
	return feeder_start_at(f, n, n->data.iova + BUF(8), n->data.iova + BUF(40), 1400);
}

static void feeder_stop(struct feeder *f)
{
	__atomic_store_n(&f->stop, true, __ATOMIC_RELAXED);
	pthread_join(f->thread, NULL);
}

TEST_F(data, busy_queue_starves_nobody)
{
	struct feeder f;
	int i;

	NEED_CVQ();
	NEED_SUSPEND();
	ASSERT_EQ(0, feeder_start(&f, &self->n));
	for (i = 0; i < 50; i++)
		ASSERT_EQ(VIRTIO_NET_OK, ctrl_set_mac(&self->n, i & 1 ? test_mac : other_mac));
	EXPECT_EQ(0, ring_moves(&self->n.q[TXQ]));
	/* A device at work is reset, suspended, and its mappings change, without ado. */
	EXPECT_EQ(0, io(self->n.fd, SUSPEND, NULL));
	EXPECT_EQ(0, set_status(self->n.fd, 0));
	feeder_stop(&f);
}

TEST_F(data, mappings_change_when_busy)
{
	/* The whole table takes its time on a debugging kernel. */
	int i, rounds = variant->batch_mapping ? 20 : 200;
	struct feeder f;
	struct area a;

	NEED_CVQ();
	NEED_AS(2);
	ASSERT_EQ(0, area_alloc(&a, 0x70000000, 64 * 4096));
	ASSERT_EQ(0, feeder_start(&f, &self->n));
	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, map(self->n.fd, 0, a.iova, a.size, a.va, VHOST_ACCESS_RW));
		ASSERT_EQ(0, map(self->n.fd, i & 1, 0x80000000, a.size, a.va, VHOST_ACCESS_RW));
		ASSERT_EQ(0, unmap(self->n.fd, 0, a.iova, a.size));
		ASSERT_EQ(0, unmap(self->n.fd, i & 1, 0x80000000, a.size));
	}
	feeder_stop(&f);
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(&self->n, test_mac));
	area_free(&a);
}

/*
 * Frames of 65000 bytes go from @tx to @rx, one of which is @a; that is unmapped at a moment that
 * @round chooses, and overwritten.
 */
static int unmap_when_busy(struct feeder *f, struct net *n, const struct area *a, uint64_t tx,
			   uint64_t rx, int round)
{
	int rc = set_status(n->fd, 0), i;

	if (!rc)
		rc = net_start(n, CTRL_FEATURES & ~VF(VIRTIO_NET_F_MTU));
	if (!rc)
		rc = map(n->fd, 0, a->iova, a->size, a->va, VHOST_ACCESS_RW);
	if (!rc)
		rc = feeder_start_at(f, n, tx, rx, 65000);
	if (rc)
		return rc;
	while (!__atomic_load_n(&n->q[RXQ].used->idx, __ATOMIC_SEQ_CST))
		usleep(100);
	usleep(round * 10);
	rc = unmap(n->fd, 0, a->iova, a->size);
	memset(a->va, 0xee, a->size);
	usleep(2000);
	/* The feeder may not have had the CPU. */
	for (i = 0; i < 5000 && !(get_status(n->fd) & VIRTIO_CONFIG_S_NEEDS_RESET); i++)
		usleep(1000);

	return rc;
}

/*
 * A mapping goes while a large buffer is copied through it. When it is gone nothing is written any
 * more, the queue has failed, and the others work.
 */
TEST_F(data, unmapped_when_busy)
{
	size_t size = NET_HDR + ETH_HLEN + 65000, k;
	struct net *n = &self->n;
	struct feeder f;
	struct area a;
	int i;

	ASSERT_EQ(0, area_alloc(&a, 0x70000000, 0x10000));
	frame_make(data(n, BUF(8)), broadcast, 65000, 1);
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, unmap_when_busy(&f, n, &a, n->data.iova + BUF(8), a.iova, i));
		for (k = 0; k < size && ((uint8_t *)a.va)[k] == 0xee; k++)
			;
		EXPECT_EQ(size, k);
		feeder_stop(&f);
		EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(n, test_mac));
		EXPECT_EQ(15 | VIRTIO_CONFIG_S_NEEDS_RESET, get_status(n->fd));
	}
	ASSERT_EQ(0, net_restart(n));
	EXPECT_EQ(1, loops_whole(n, 100));
	area_free(&a);
}

/* The same with memory that is sent: what it has after it is gone is never received. */
TEST_F(data, sent_unmapped_when_busy)
{
	struct net *n = &self->n;
	struct feeder f;
	struct area a;
	size_t size;
	int i;

	ASSERT_EQ(0, area_alloc(&a, 0x70000000, 0x10000));
	size = frame_make(data(n, BUF(8)), broadcast, 65000, 1);
	for (i = 0; i < 20; i++) {
		memcpy(a.va, data(n, BUF(8)), size);
		ASSERT_EQ(0, unmap_when_busy(&f, n, &a, a.iova, n->data.iova + BUF(40), i));
		feeder_stop(&f);
		EXPECT_EQ(0, memcmp(data(n, BUF(40)) + NET_HDR, data(n, BUF(8)) + NET_HDR,
				    size - NET_HDR));
		EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(n, test_mac));
		EXPECT_EQ(15 | VIRTIO_CONFIG_S_NEEDS_RESET, get_status(n->fd));
	}
	ASSERT_EQ(0, net_restart(n));
	EXPECT_EQ(1, loops_whole(n, 100));
	area_free(&a);
}

/*
 * One page of a large frame, or of the buffer for it, can't be accessed: the queue that it belongs
 * to fails at that buffer. The other one loses nothing: a frame that can't be received has been
 * sent, a buffer without a frame is still there.
 */
TEST_F(data, page_out_of_reach)
{
	const size_t size = NET_HDR + ETH_HLEN + 13000;
	struct net *n = &self->n;
	int q, page, k, perm;
	struct area a;

	ASSERT_EQ(0, area_alloc(&a, 0x70000000, 4 * 4096));
	for (q = RXQ; q <= TXQ; q++) {
		for (page = 0; page < 8; page++) {
			struct seg rx = { n->data.iova + BUF(40), size, true };
			struct seg tx = { n->data.iova + BUF(8), size, false };
			uint8_t *p = (uint8_t *)a.va + page % 4 * 4096;

			if (q == RXQ)
				rx.iova = a.iova + 100;
			else
				tx.iova = a.iova + 100;
			frame_make(q == RXQ ? data(n, BUF(8)) : (uint8_t *)a.va + 100, broadcast,
				   13000, page);
			if (q == RXQ)
				memset(a.va, 0xee, a.size);
			ASSERT_EQ(0, set_status(n->fd, 0));
			ASSERT_EQ(0, net_start(n, CTRL_FEATURES & ~VF(VIRTIO_NET_F_MTU)));
			/* It isn't mapped at all, or not for this. */
			for (k = 0; k < 4; k++) {
				perm = k != page % 4 ? VHOST_ACCESS_RW :
				       q == RXQ ? VHOST_ACCESS_RO : VHOST_ACCESS_WO;
				if (k != page)
					ASSERT_EQ(0, map(n->fd, 0, a.iova + k * 4096, 4096,
							 (char *)a.va + k * 4096, perm));
			}
			ring_add(&n->q[RXQ], &rx, 1);
			ring_add(&n->q[TXQ], &tx, 1);
			ring_kick(&n->q[TXQ]);

			EXPECT_EQ(q == RXQ ? 0 : -ETIMEDOUT,
				  ring_wait(&n->q[TXQ], q == RXQ ? WAIT_MS : SOON_MS, NULL, NULL));
			EXPECT_EQ(-ETIMEDOUT, ring_wait(&n->q[RXQ], SOON_MS, NULL, NULL));
			EXPECT_EQ(15 | VIRTIO_CONFIG_S_NEEDS_RESET, get_status(n->fd));
			EXPECT_EQ(0, vring_state(n->fd, VHOST_GET_VRING_BASE, RXQ, 0));
			EXPECT_EQ(q == RXQ, vring_state(n->fd, VHOST_GET_VRING_BASE, TXQ, 0));
			for (k = 0; q == RXQ && k < 4096; k++)
				ASSERT_EQ(0xee, p[k]);
			ASSERT_EQ(0, unmap(n->fd, 0, a.iova, a.size));
		}
	}
	ASSERT_EQ(0, net_restart(n));
	EXPECT_EQ(1, loops_whole(n, 100));
	area_free(&a);
}

/* A large frame that doesn't fit leaves the buffer to a smaller one. */
TEST_F(data, large_frame_small_buffer)
{
	static const size_t room[] = { 12, 127, 128, 129, 4096, 4224, 8999 };
	struct net *n = &self->n;
	size_t i;

	ASSERT_EQ(0, set_status(n->fd, 0));
	ASSERT_EQ(0, net_start(n, CTRL_FEATURES & ~VF(VIRTIO_NET_F_MTU)));
	for (i = 0; i < ARRAY_LEN(room); i++) {
		struct seg rx = { n->data.iova + BUF(40), room[i], true };
		size_t size = frame_make(data(n, BUF(8)), broadcast, 9000, 1);
		bool fits = room[i] > SMALL;

		memset(data(n, BUF(40)), 0xee, RX_ROOM);
		ring_add(&n->q[RXQ], &rx, 1);
		ASSERT_EQ(0, net_send(n, 8, size));
		EXPECT_EQ(-ETIMEDOUT, ring_wait(&n->q[RXQ], SOON_MS, NULL, NULL));
		EXPECT_EQ(0xee, data(n, BUF(40))[room[i]]);
		EXPECT_EQ(i, vring_state(n->fd, VHOST_GET_VRING_BASE, RXQ, 0));
		if (!fits) {
			rx.len = RX_ROOM;
			n->q[RXQ].desc[(n->q[RXQ].next + 255) % 256].len = RX_ROOM;
		}
		ASSERT_EQ(0, net_send(n, 8, frame_make(data(n, BUF(8)), broadcast, 50, 1)));
		EXPECT_EQ(SMALL, net_recv(n, NULL));
	}
	EXPECT_EQ(15, get_status(n->fd));
}

TEST_F(data, resets_when_busy)
{
	struct feeder f;
	int i;

	for (i = 0; i < 30; i++) {
		ASSERT_EQ(0, feeder_start(&f, &self->n));
		usleep(i * 100);
		ASSERT_EQ(0, set_status(self->n.fd, 0));
		feeder_stop(&f);
		ASSERT_EQ(0, net_restart(&self->n));
	}
	EXPECT_EQ(1, loops_whole(&self->n, 100));
}

/* Malformed rings: the queue stops, the other queues go on. */
FIXTURE(hostile) {
	struct net n;
};

FIXTURE_VARIANT(hostile) {
	int queue;
};

FIXTURE_VARIANT_ADD(hostile, rx) {
	.queue = RXQ,
};

FIXTURE_VARIANT_ADD(hostile, tx) {
	.queue = TXQ,
};

FIXTURE_VARIANT_ADD(hostile, cvq) {
	.queue = CVQ,
};

FIXTURE_SETUP(hostile) {
	self->n.fd = GET_DEV(.loop = true, .features = MAC_FEATURES);
	ASSERT_LE(0, self->n.fd);
	self->n.asid[CVQ] = vdev.cvq_apart ? ASID1 : ASID0;
	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
}

/* After a reset the device works. */
FIXTURE_TEARDOWN(hostile) {
	EXPECT_EQ(0, net_restart(&self->n));
	EXPECT_EQ(1, loops_whole(&self->n, 100));
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(&self->n, test_mac));
	net_stop(&self->n);
	sim_del(TEST_DEV);
}

/* Makes the device look at the test's ring. Returns 1 if the other queues work. */
static int others_work(struct net *n, int queue)
{
	int kicks;

	for (kicks = 0; kicks < 3; kicks++) {
		/* It takes a frame to make the device look at the receive queue. */
		if (queue == RXQ)
			net_queue_tx(n, 8, frame_make(data(n, BUF(8)), broadcast, 50, 1));
		ring_kick(&n->q[queue]);
		usleep(20000);
	}
	if (queue == CVQ)
		return loops_whole(n, 100);

	/* It looks at the control virtqueue first: the second answer is of a later round. */
	return ctrl_set_mac(n, test_mac) == VIRTIO_NET_OK &&
	       ctrl_set_mac(n, test_mac) == VIRTIO_NET_OK;
}

/* Returns true if the device has used a buffer; if it is expected to, waits for it. */
static bool taken(struct net *n, int queue, bool wanted)
{
	return !ring_wait(&n->q[queue], wanted ? WAIT_MS : 0, NULL, NULL);
}

static struct vring_desc *hostile_desc(struct ring *r, int i, uint64_t addr, uint32_t len,
				       uint16_t flags, uint16_t next)
{
	r->desc[i] = (struct vring_desc) { addr, len, flags, next };
	return &r->desc[i];
}

static uint64_t buf_of(struct net *n, int queue)
{
	return (queue == CVQ ? n->ctrl.iova : n->data.iova) + BUF(8);
}

static uint16_t dir_of(int queue)
{
	return queue == RXQ ? VRING_DESC_F_WRITE : 0;
}

TEST_F(hostile, head_out_of_range)
{
	static const uint16_t heads[] = { 256, 257, 0x7fff, 0x8000, 0xffff };
	size_t i;

	for (i = 0; i < ARRAY_LEN(heads); i++) {
		/* What a careless device takes for it. */
		hostile_desc(&self->n.q[variant->queue], heads[i] % 256,
			     buf_of(&self->n, variant->queue), 0x800, dir_of(variant->queue), 0);
		ring_post(&self->n.q[variant->queue], heads[i]);
		EXPECT_EQ(1, others_work(&self->n, variant->queue));
		EXPECT_FALSE(taken(&self->n, variant->queue, false));
		ASSERT_EQ(0, net_restart(&self->n));
	}
}

TEST_F(hostile, next_out_of_range)
{
	static const uint16_t nexts[] = { 256, 257, 0x8000, 0xffff };
	struct ring *r = &self->n.q[variant->queue];
	size_t i;

	for (i = 0; i < ARRAY_LEN(nexts); i++) {
		hostile_desc(r, 0, buf_of(&self->n, variant->queue), 64,
			     dir_of(variant->queue) | VRING_DESC_F_NEXT, nexts[i]);
		/* What a careless device finds behind the table. */
		hostile_desc(r, 1, buf_of(&self->n, variant->queue), 0x800,
			     dir_of(variant->queue), 0);
		ring_post(r, 0);
		EXPECT_EQ(1, others_work(&self->n, variant->queue));
		EXPECT_FALSE(taken(&self->n, variant->queue, false));
		ASSERT_EQ(0, net_restart(&self->n));
	}
}

TEST_F(hostile, loops)
{
	struct ring *r = &self->n.q[variant->queue];
	uint64_t addr = buf_of(&self->n, variant->queue);
	uint16_t flags = dir_of(variant->queue) | VRING_DESC_F_NEXT;
	int i;

	/* One descriptor, two, all of them; the lengths of a chain of 256 pass 2^32. */
	hostile_desc(r, 0, addr, 64, flags, 0);
	ring_post(r, 0);
	EXPECT_EQ(1, others_work(&self->n, variant->queue));
	EXPECT_FALSE(taken(&self->n, variant->queue, false));
	ASSERT_EQ(0, net_restart(&self->n));

	hostile_desc(r, 0, addr, 64, flags, 1);
	hostile_desc(r, 1, addr, 64, flags, 0);
	ring_post(r, 0);
	EXPECT_EQ(1, others_work(&self->n, variant->queue));
	EXPECT_FALSE(taken(&self->n, variant->queue, false));
	ASSERT_EQ(0, net_restart(&self->n));

	for (i = 0; i < 256; i++)
		hostile_desc(r, i, addr, 0x80000000, flags, (i + 1) % 256);
	ring_post(r, 0);
	EXPECT_EQ(1, others_work(&self->n, variant->queue));
	EXPECT_FALSE(taken(&self->n, variant->queue, false));
}

TEST_F(hostile, too_many_available)
{
	static const uint16_t counts[] = { 257, 0x8001, 0xffff };
	struct ring *r = &self->n.q[variant->queue];
	size_t i;

	for (i = 0; i < ARRAY_LEN(counts); i++) {
		/* There would be something to take. */
		hostile_desc(r, 0, buf_of(&self->n, variant->queue), 0x800,
			     dir_of(variant->queue), 0);
		r->avail_idx = counts[i] - 1;
		ring_post(r, 0);
		EXPECT_EQ(1, others_work(&self->n, variant->queue));
		EXPECT_FALSE(taken(&self->n, variant->queue, false));
		ASSERT_EQ(0, net_restart(&self->n));
	}
}

TEST_F(hostile, addresses)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {
		{ 0, 64 }, { DATA_IOVA - 4096, 64 }, { DATA_IOVA - 1, 64 },
		{ DATA_IOVA + AREA_SIZE - 1, 64 }, { DATA_IOVA + AREA_SIZE, 64 },
		{ ~0ULL, 1 }, { ~0ULL, 64 }, { ~0ULL - 63, 64 }, { ~0ULL - 0xfff, 0x2000 },
		{ 1ULL << 63, 0x7fffffff }, { 0xffff888000000000, 4096 },
		{ DATA_IOVA, 0xffffffff }, { CTRL_IOVA, 0xffffffff }, { 0, 0xffffffff },
	};
	uint64_t own = variant->queue == CVQ ? CTRL_IOVA : DATA_IOVA;
	struct ring *r = &self->n.q[variant->queue];
	bool mapped;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		hostile_desc(r, 0, bad[i].addr, bad[i].len, dir_of(variant->queue), 0);
		ring_post(r, 0);
		EXPECT_EQ(1, others_work(&self->n, variant->queue))
			TH_LOG("address %#llx, %#x bytes", (unsigned long long)bad[i].addr,
			       bad[i].len);
		/* Only as much of a buffer is looked at as is needed. */
		mapped = bad[i].addr == own ||
			 (!vdev.cvq_apart &&
			  (bad[i].addr == DATA_IOVA || bad[i].addr == CTRL_IOVA));
		EXPECT_EQ(mapped, taken(&self->n, variant->queue, mapped))
			TH_LOG("address %#llx, %#x bytes", (unsigned long long)bad[i].addr,
			       bad[i].len);
		ASSERT_EQ(0, net_restart(&self->n));
	}
}

TEST_F(hostile, indirect_not_negotiated)
{
	struct ring *r = &self->n.q[variant->queue];

	uint8_t *table = (uint8_t *)(variant->queue == CVQ ? self->n.ctrl.va : self->n.data.va);
	struct vring_desc entry = {
		buf_of(&self->n, variant->queue), 0x800, dir_of(variant->queue), 0
	};

	/* The table is fine. */
	memcpy(table + BUF(9), &entry, sizeof(entry));
	hostile_desc(r, 0, buf_of(&self->n, variant->queue) + BUF(9) - BUF(8), sizeof(entry),
		     VRING_DESC_F_INDIRECT, 0);
	ring_post(r, 0);
	EXPECT_EQ(1, others_work(&self->n, variant->queue));
	EXPECT_FALSE(taken(&self->n, variant->queue, false));
}

TEST_F(hostile, flags)
{
	struct ring *r = &self->n.q[variant->queue];
	unsigned int flags;
	bool fine;

	for (flags = 0; flags < 0x10000; flags = flags ? flags << 1 : 1) {
		/* A direction that the queue has, and no table; the rest means nothing. */
		fine = flags & VRING_DESC_F_WRITE ? variant->queue != TXQ : variant->queue != RXQ;
		fine = fine && !(flags & VRING_DESC_F_INDIRECT);
		hostile_desc(r, 0, buf_of(&self->n, variant->queue), 0x800, flags, 1);
		hostile_desc(r, 1, buf_of(&self->n, variant->queue), 0, 0, 0);
		ring_post(r, 0);
		EXPECT_EQ(1, others_work(&self->n, variant->queue));
		EXPECT_EQ(fine, taken(&self->n, variant->queue, fine))
			TH_LOG("flags %#x", flags);
		ASSERT_EQ(0, net_restart(&self->n));
	}
}

/* Whether the configuration interrupt comes. */
static bool config_call(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint64_t count;

	return poll(&pfd, 1, ms) == 1 && read(fd, &count, sizeof(count)) == sizeof(count);
}

/* A queue that fails tells the driver: see DEVICE_NEEDS_RESET in the virtio specification. */
TEST_F(hostile, needs_reset)
{
	static const char * const errors[] = { "head", "descriptor", "address", "used ring" };
	int call = eventfd(0, EFD_NONBLOCK), q = variant->queue, off = -1;
	struct net *n = &self->n;
	struct vhost_vring_addr addr = { .index = q };
	struct ring *r = &n->q[q];
	size_t i;

	for (i = 0; i < ARRAY_LEN(errors); i++) {
		ASSERT_EQ(0, io(n->fd, VHOST_VDPA_SET_CONFIG_CALL, &call));
		EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(n, test_mac));
		EXPECT_EQ(1, loops_whole(n, 100));
		EXPECT_EQ(15, get_status(n->fd));
		EXPECT_FALSE(config_call(call, 0));

		hostile_desc(r, 5, buf_of(n, q), 0x800, dir_of(q), 0);
		if (i == 1)
			r->desc[5] = (struct vring_desc) { 0, 64, VRING_DESC_F_NEXT, 300 };
		if (i == 2)
			r->desc[5].addr = 0x1000;
		if (i == 3) {
			addr.desc_user_addr = r->iova;
			addr.avail_user_addr = r->iova + RING_AVAIL;
			addr.used_user_addr = 0x1000;
			ASSERT_EQ(0, ring_enable(r, false));
			ASSERT_EQ(0, io(n->fd, VHOST_SET_VRING_ADDR, &addr));
			ASSERT_EQ(0, ring_enable(r, true));
		}
		ring_post(r, i ? 5 : 256);
		/* It takes a frame to make the device look at the receive queue. */
		if (q == RXQ)
			net_queue_tx(n, 8, frame_make(data(n, BUF(8)), broadcast, 50, 1));
		ring_kick(r);
		EXPECT_TRUE(config_call(call, WAIT_MS))
			TH_LOG("%s", errors[i]);
		EXPECT_EQ(15 | VIRTIO_CONFIG_S_NEEDS_RESET, get_status(n->fd));

		/* Once; and only a reset helps. */
		ring_kick(r);
		ASSERT_EQ(0, ring_enable(r, false));
		ASSERT_EQ(0, ring_enable(r, true));
		EXPECT_EQ(1, others_work(n, q));
		EXPECT_FALSE(config_call(call, SOON_MS));
		EXPECT_EQ(0, set_status(n->fd, 15 | VIRTIO_CONFIG_S_NEEDS_RESET));
		EXPECT_EQ(15 | VIRTIO_CONFIG_S_NEEDS_RESET, get_status(n->fd));
		ASSERT_EQ(0, set_status(n->fd, 0));
		EXPECT_EQ(0, get_status(n->fd));
		ASSERT_EQ(0, net_start(n, CTRL_FEATURES));
	}

	/* Without an interrupt, the status tells. */
	ASSERT_EQ(0, io(n->fd, VHOST_VDPA_SET_CONFIG_CALL, &call));
	ASSERT_EQ(0, io(n->fd, VHOST_VDPA_SET_CONFIG_CALL, &off));
	ring_post(r, 256);
	EXPECT_EQ(1, others_work(n, q));
	EXPECT_EQ(15 | VIRTIO_CONFIG_S_NEEDS_RESET, get_status(n->fd));
	EXPECT_FALSE(config_call(call, 0));
	close(call);
}

/* Flags and index lie in one page, the entries and the event in the next. */
TEST_F(hostile, used_ring_read_only)
{
	static const int perm[][2] = {
		{ VHOST_ACCESS_RO, VHOST_ACCESS_RO }, { VHOST_ACCESS_RO, VHOST_ACCESS_RW },
		{ VHOST_ACCESS_RW, VHOST_ACCESS_RO }, { VHOST_ACCESS_RW, VHOST_ACCESS_RW },
	};
	const uint64_t iova = 0x60000000;
	struct net *n = &self->n;
	int q = variant->queue, page, k;
	struct seg s = { buf_of(n, q), 0x800, q == RXQ };
	struct ring *r = &n->q[q];
	struct area a;
	size_t i;

	ASSERT_EQ(0, area_alloc(&a, iova, 2 * 4096));
	for (i = 0; i < ARRAY_LEN(perm); i++) {
		struct vhost_vring_addr addr = { .index = q, .used_user_addr = iova + 4096 - 4 };
		bool fine = i == ARRAY_LEN(perm) - 1;
		uint8_t *p = a.va;

		ASSERT_EQ(0, net_restart(n));
		for (page = 0; page < 2; page++)
			ASSERT_EQ(0, map(n->fd, n->asid[q], iova + page * 4096, 4096,
					 p + page * 4096, perm[i][page]));
		memset(p, 0x5a, a.size);
		addr.desc_user_addr = r->iova;
		addr.avail_user_addr = r->iova + RING_AVAIL;
		ASSERT_EQ(0, ring_enable(r, false));
		ASSERT_EQ(0, io(n->fd, VHOST_SET_VRING_ADDR, &addr));
		ASSERT_EQ(0, ring_enable(r, true));
		ring_add(r, &s, 1);
		EXPECT_EQ(1, others_work(n, q));

		for (page = 0; page < 2; page++) {
			for (k = 0; k < 4096 && p[page * 4096 + k] == 0x5a; k++)
				;
			if (fine || perm[i][page] == VHOST_ACCESS_RO) {
				EXPECT_EQ(!fine, k == 4096)
					TH_LOG("case %zu, page %d, byte %d", i, page, k);
			}
		}
		EXPECT_EQ(fine ? 15 : 15 | VIRTIO_CONFIG_S_NEEDS_RESET, get_status(n->fd));
		ASSERT_EQ(0, unmap(n->fd, n->asid[q], iova, a.size));
	}
	area_free(&a);
}

/* Parts of the ring that aren't mapped, or not up to their end. */
TEST_F(hostile, ring_addresses)
{
	static const uint64_t bad[] = {
		0, 0x1000, DATA_IOVA - 0x1000, DATA_IOVA + AREA_SIZE - 0x10, CTRL_IOVA - 16,
		1ULL << 63, ~0ULL - 0xff, ~0ULL - 0xfff,
	};
	struct net *n = &self->n;
	size_t i;
	int part;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		for (part = 0; part < 3; part++) {
			struct ring *r = &n->q[variant->queue];
			struct vhost_vring_addr addr = { .index = variant->queue };
			struct seg s = { buf_of(n, variant->queue), 0x800, variant->queue == RXQ };

			ASSERT_EQ(0, set_status(n->fd, 0));
			ASSERT_EQ(0, net_start(n, CTRL_FEATURES));
			addr.desc_user_addr = part == 0 ? bad[i] : r->iova;
			addr.avail_user_addr = part == 1 ? bad[i] : r->iova + RING_AVAIL;
			addr.used_user_addr = part == 2 ? bad[i] & ~3ULL : r->iova + RING_USED;
			ring_enable(r, false);
			if (!io(n->fd, VHOST_SET_VRING_ADDR, &addr))
				ring_enable(r, true);
			ring_add(r, &s, 1);
			EXPECT_EQ(1, others_work(n, variant->queue));
			/* The last descriptor of the area is a descriptor, without bytes. */
			EXPECT_EQ(part == 0 &&
				  (variant->queue == TXQ ||
				   (variant->queue == CVQ && !vdev.cvq_apart)) &&
				  bad[i] == DATA_IOVA + AREA_SIZE - 0x10, r->used->idx)
				TH_LOG("part %d at %#llx", part, (unsigned long long)bad[i]);
		}
	}
}

TEST_F(hostile, ring_alignment)
{
	struct vhost_vring_addr addr = { .index = variant->queue };

	ASSERT_EQ(0, ring_enable(&self->n.q[variant->queue], false));
	addr.desc_user_addr = DATA_IOVA;
	addr.avail_user_addr = DATA_IOVA + RING_AVAIL;
	addr.used_user_addr = DATA_IOVA + RING_USED;
	EXPECT_EQ(0, io(self->n.fd, VHOST_SET_VRING_ADDR, &addr));
	addr.desc_user_addr = DATA_IOVA + 8;
	EXPECT_EQ(-EINVAL, io(self->n.fd, VHOST_SET_VRING_ADDR, &addr));
	addr.desc_user_addr = DATA_IOVA;
	addr.avail_user_addr = DATA_IOVA + RING_AVAIL + 1;
	addr.used_user_addr = DATA_IOVA + RING_USED;
	EXPECT_EQ(-EINVAL, io(self->n.fd, VHOST_SET_VRING_ADDR, &addr));
	addr.avail_user_addr = DATA_IOVA + RING_AVAIL;
	addr.used_user_addr = DATA_IOVA + RING_USED + 2;
	EXPECT_EQ(-EINVAL, io(self->n.fd, VHOST_SET_VRING_ADDR, &addr));
}

/* Changes rings while the device reads them. */
static void *scribble(void *arg)
{
	struct feeder *f = arg;
	unsigned int seed = 1;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		struct ring *r = &f->n->q[rand_r(&seed) % NQUEUES];
		struct vring_desc *d = &r->desc[rand_r(&seed) % 256];

		d->addr = rand_r(&seed) & 1 ? r->iova + rand_r(&seed) % 0x8000 : rand_r(&seed);
		d->len = rand_r(&seed) % 5000;
		d->flags = rand_r(&seed) % 8;
		d->next = rand_r(&seed) % 260;
		r->avail->ring[rand_r(&seed) % 256] = rand_r(&seed) % 260;
		r->avail->idx += rand_r(&seed) % 3;
		ring_kick(r);
	}

	return NULL;
}

TEST(scribbled_rings)
{
	struct net n = { 0 };
	struct feeder f = { .n = &n };
	int i;

	n.fd = GET_DEV(.loop = true, .features = MAC_FEATURES);
	ASSERT_LE(0, n.fd);
	n.asid[CVQ] = vdev.cvq_apart ? ASID1 : ASID0;
	ASSERT_EQ(0, net_start(&n, CTRL_FEATURES));
	for (i = 0; i < 40; i++) {
		f.stop = false;
		ASSERT_EQ(0, pthread_create(&f.thread, NULL, scribble, &f));
		usleep(20000);
		feeder_stop(&f);
		ASSERT_EQ(0, net_restart(&n));
	}
	EXPECT_EQ(1, loops_whole(&n, 100));
	net_stop(&n);
	EXPECT_EQ(0, sim_del(TEST_DEV));
}

/* Sends a frame of @entries bytes from a table of as many descriptors. */
static int loops_from_table(struct net *n, int entries)
{
	size_t size = frame_make(data(n, BUF(8)), test_mac, entries - NET_HDR - ETH_HLEN, entries);
	struct vring_desc *table = (void *)data(n, BUF(60));
	struct ring *tx = &n->q[TXQ];
	int i, rc;

	for (i = 0; i < entries; i++)
		table[i] = (struct vring_desc) {
			n->data.iova + BUF(8) + i, 1, i + 1 < entries ? VRING_DESC_F_NEXT : 0, i + 1
		};
	memset(data(n, BUF(40)), 0, RX_ROOM);
	net_post_rx(n, 40, 1, RX_ROOM);
	hostile_desc(tx, 0, n->data.iova + BUF(60), entries * sizeof(*table),
		     VRING_DESC_F_INDIRECT, 0);
	ring_post(tx, 0);
	ring_kick(tx);
	rc = net_recv(n, NULL);

	return rc < 0 ? rc : rc == (int)size && !memcmp(data(n, BUF(40)) + NET_HDR,
							data(n, BUF(8)) + NET_HDR, size - NET_HDR);
}

/* Linux's driver makes tables longer than the ring. */
TEST(indirect_tables)
{
	uint64_t features = NET_FEATURES | VF(VIRTIO_RING_F_INDIRECT_DESC);
	struct attr attrs[] = {
		{ ATTR_MGMTDEV_DEV_NAME, mgmtdev_name(), strlen(mgmtdev_name()) + 1 },
		{ ATTR_DEV_NAME, TEST_DEV, sizeof(TEST_DEV) },
		{ ATTR_NET_MACADDR, test_mac, ETH_ALEN },
		{ ATTR_DEV_FEATURES, &features, sizeof(features) },
	};
	static const int entries[] = { 27, 255, 256, 257, 600, 1024 };
	struct net n = { 0 };
	size_t i;

	test_dev_end(GET_DEV(.own = true, .sim = true, .loop = true));
	ASSERT_EQ(0, vdpa_request(CMD_DEV_NEW, 0, attrs, ARRAY_LEN(attrs), NULL, 0));
	n.fd = vdpa_open(TEST_DEV);
	ASSERT_LE(0, n.fd);
	ASSERT_EQ(0, net_start(&n, features));
	ASSERT_EQ(features, n.features);
	for (i = 0; i < ARRAY_LEN(entries); i++) {
		EXPECT_EQ(1, loops_from_table(&n, entries[i]))
			TH_LOG("%d entries", entries[i]);
	}
	EXPECT_EQ(15, get_status(n.fd));
	EXPECT_EQ(-ETIMEDOUT, loops_from_table(&n, 1025));
	EXPECT_EQ(15 | VIRTIO_CONFIG_S_NEEDS_RESET, get_status(n.fd));
	net_stop(&n);
	EXPECT_EQ(0, sim_del(TEST_DEV));
}

/* A device with an MTU of its own. */
FIXTURE(mtu) {
	struct net n;
};

FIXTURE_VARIANT(mtu) {
	uint16_t mtu;
};

FIXTURE_VARIANT_ADD(mtu, least) {
	.mtu = 68,
};

FIXTURE_VARIANT_ADD(mtu, usual) {
	.mtu = 1500,
};

FIXTURE_VARIANT_ADD(mtu, jumbo) {
	.mtu = 9000,
};

FIXTURE_SETUP(mtu) {
	self->n.fd = GET_DEV(.own = true, .loop = true, .features = VF(VIRTIO_NET_F_MTU));
	ASSERT_LE(0, self->n.fd);
	close(self->n.fd);
	ASSERT_EQ(0, sim_del(TEST_DEV));
	ASSERT_EQ(0, sim_add(TEST_DEV, test_mac, variant->mtu));
	self->n.fd = vdpa_open(TEST_DEV);
	ASSERT_LE(0, self->n.fd);
	ASSERT_EQ(0, net_start(&self->n, NET_FEATURES));
}

FIXTURE_TEARDOWN(mtu) {
	net_stop(&self->n);
	sim_del(TEST_DEV);
}

TEST_F(mtu, whole)
{
	struct {
		uint32_t off, len;
		uint16_t mtu;
	} c = { offsetof(struct virtio_net_config, mtu), 2, 0 };

	EXPECT_EQ(0, io(self->n.fd, VHOST_VDPA_GET_CONFIG, &c));
	EXPECT_EQ(variant->mtu, c.mtu);
	EXPECT_EQ(1, loops_whole(&self->n, variant->mtu));
	EXPECT_EQ(1, loops_whole(&self->n, variant->mtu - 1));
	/* Longer ones are the driver's fault: they get lost, and do no harm. */
	net_post_rx(&self->n, 40, 1, RX_ROOM);
	EXPECT_EQ(0, net_send(&self->n, 8, frame_make(data(&self->n, BUF(8)), test_mac,
						      variant->mtu + 1, 1)));
	EXPECT_EQ(0, net_send(&self->n, 8, frame_make(data(&self->n, BUF(8)), test_mac, 16000, 1)));
	EXPECT_EQ(-ETIMEDOUT, ring_wait(&self->n.q[RXQ], SOON_MS, NULL, NULL));
	ASSERT_EQ(0, net_restart(&self->n));
	EXPECT_EQ(1, loops_whole(&self->n, variant->mtu));
}

TEST_HARNESS_MAIN
