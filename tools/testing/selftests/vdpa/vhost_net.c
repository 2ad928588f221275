// SPDX-License-Identifier: GPL-2.0
/*
 * Another vhost driver: /dev/vhost-net refuses ranges of no bytes, but for one that means all, and
 * ranges that wrap around, and knows nothing of address spaces. Whether something is mapped is seen
 * from the device's side: it sends what lies there, or asks for it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <sys/eventfd.h>
#include <linux/if_packet.h>

#include "vdpa_util.h"
#include "harness.h"

#define RW	VHOST_ACCESS_RW
#define PG	4096UL
#define RINGS	0x100000UL
#define DATA	0x200000UL
#define TX	1
#define FRAME	(NET_HDR + ETH_HLEN + 64)
#define TOP	(~0UL - (PG - 1))

/* @in gets what @out sends. Messages are of version 1, or of version 2 with this @asid. */
struct dev {
	int fd;
	int out;
	int in;
	int err;
	bool v1;
	uint32_t asid;
	struct area rings;
	struct area data;
	struct ring tx;
};

static int packet_socket(int proto)
{
	struct sockaddr_ll lo = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(proto),
		.sll_ifindex = if_nametoindex("lo"),
	};
	struct timeval patience = { .tv_sec = WAIT_MS / 1000 };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(proto));

	if (fd >= 0 && (bind(fd, (void *)&lo, sizeof(lo)) ||
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience))))
		return -errno;

	return fd < 0 ? -errno : fd;
}

/* Without an IOTLB, the memory table holds for buffers; rings are named by our own addresses. */
static int dev_open(struct dev *d, bool iotlb)
{
	uint64_t v2 = d->v1 ? 0 : F_MSG_V2;
	struct vhost_memory empty = { 0 };
	int rc;

	d->fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (d->fd < 0 && !run("modprobe vhost_net"))
		d->fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (d->fd < 0)
		return -ENODEV;
	if (unshare(CLONE_NEWNET) || run("ip link set lo up"))
		return -EIO;
	d->out = packet_socket(0);
	d->in = packet_socket(0x88b5);
	d->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->out < 0 || d->in < 0 || d->err < 0)
		return -EIO;

	rc = area_alloc(&d->rings, RINGS, RING_SIZE);
	if (!rc)
		rc = area_alloc(&d->data, DATA, 4 * PG);
	if (!rc)
		rc = io(d->fd, VHOST_SET_OWNER, NULL);
	if (!rc)
		rc = io(d->fd, VHOST_SET_BACKEND_FEATURES, &v2);
	if (!rc)
		rc = io(d->fd, VHOST_SET_MEM_TABLE, &empty);
	if (!rc)
		rc = set_features(d->fd, VF(VIRTIO_F_VERSION_1) | VF(VHOST_NET_F_VIRTIO_NET_HDR) |
				  (iotlb ? VF(VIRTIO_F_ACCESS_PLATFORM) : 0));
	if (!iotlb)
		d->rings.iova = (uintptr_t)d->rings.va;

	return rc;
}

/* Has the device send the frame at @iova, from a ring that starts anew. */
static int dev_send(struct dev *d, uint64_t iova)
{
	struct vhost_vring_file backend = { .index = TX, .fd = -1 };
	struct vhost_vring_file err = { .index = TX, .fd = d->err };
	struct seg s = { iova, FRAME, false };
	char old[sizeof(struct msg_v2)];
	int rc;

	rc = io(d->fd, VHOST_NET_SET_BACKEND, &backend);
	if (rc)
		return rc;
	ring_free(&d->tx);
	while (read(d->fd, old, sizeof(old)) > 0 || read(d->err, old, sizeof(old)) > 0)
		;
	rc = ring_init(&d->tx, d->fd, TX, 256, &d->rings, 0);
	if (!rc)
		rc = io(d->fd, VHOST_SET_VRING_ERR, &err);
	backend.fd = d->out;
	if (!rc)
		rc = io(d->fd, VHOST_NET_SET_BACKEND, &backend);
	if (rc)
		return rc;
	ring_add(&d->tx, &s, 1);
	ring_kick(&d->tx);

	return 0;
}

/* 1: the device has sent a frame. 0: it has not, as it asks for @iova or says that there's none. */
static int dev_sent(struct dev *d, uint64_t iova)
{
	struct pollfd pfd[] = {
		{ .fd = d->tx.call, .events = POLLIN },
		{ .fd = d->err, .events = POLLIN },
		{ .fd = d->fd, .events = POLLIN },
	};
	union {
		struct vhost_msg v1;
		struct msg_v2 v2;
	} msg;
	struct vhost_iotlb_msg *miss = d->v1 ? &msg.v1.iotlb : &msg.v2.iotlb;

	if (poll(pfd, ARRAY_LEN(pfd), WAIT_MS) <= 0)
		return -ETIMEDOUT;
	if (pfd[0].revents)
		return ring_wait(&d->tx, WAIT_MS, NULL, NULL) ?: 1;
	if (pfd[1].revents)
		return 0;

	if (read(d->fd, &msg, sizeof(msg)) != sizeof(msg))
		return -EIO;
	if (d->v1 ? msg.v1.type != VHOST_IOTLB_MSG :
		    msg.v2.type != VHOST_IOTLB_MSG_V2 || msg.v2.asid)
		return -EPROTO;

	return miss->type == VHOST_IOTLB_MISS && miss->iova == iova &&
	       miss->perm == VHOST_ACCESS_RO ? 0 : -EPROTO;
}

/* 1 if the frame at @iova is sent, and is the one at @va. */
static int sends(struct dev *d, uint64_t iova, void *va)
{
	static uint8_t seed;
	char got[FRAME];
	int rc;

	frame_make(va, test_mac, FRAME - NET_HDR - ETH_HLEN, ++seed);
	rc = dev_send(d, iova);
	if (!rc)
		rc = dev_sent(d, iova);
	if (rc != 1)
		return rc;
	/* An UPDATE may have had the ring before this one send its frame first. */
	do {
		if (recv(d->in, got, sizeof(got), 0) != FRAME - NET_HDR)
			return -EIO;
	} while (memcmp(got, (char *)va + NET_HDR, sizeof(got) - NET_HDR));

	return 1;
}

static int message(struct dev *d, int type, uint64_t iova, uint64_t size, void *va)
{
	if (d->v1)
		return send_v1(d->fd, type, iova, size, va, RW);
	return send_msg(d->fd, d->asid, type, iova, size, va, RW);
}

static int update(struct dev *d, uint64_t iova, uint64_t size, void *va)
{
	return message(d, VHOST_IOTLB_UPDATE, iova, size, va);
}

static int invalidate(struct dev *d, uint64_t iova, uint64_t size)
{
	return message(d, VHOST_IOTLB_INVALIDATE, iova, size, NULL);
}

static int map_area(struct dev *d, const struct area *a)
{
	return update(d, a->iova, a->size, a->va);
}

FIXTURE(messages) {
	struct dev d;
};

FIXTURE_VARIANT(messages) {
	bool v1;
	uint32_t asid;
};

FIXTURE_VARIANT_ADD(messages, v1) {
	.v1 = true,
};

FIXTURE_VARIANT_ADD(messages, v2) {
	.asid = 0,
};

FIXTURE_VARIANT_ADD(messages, v2_garbage) {
	.asid = 0xdeadbeef,
};

FIXTURE_SETUP(messages) {
	int rc;

	self->d.v1 = variant->v1;
	self->d.asid = variant->asid;
	rc = dev_open(&self->d, true);
	if (rc == -ENODEV)
		SKIP(_exit(255), "no /dev/vhost-net");
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, map_area(&self->d, &self->d.rings));
}

FIXTURE_TEARDOWN(messages) {
	close(self->d.fd);
}

TEST_F(messages, update_and_invalidate)
{
	struct dev *d = &self->d;
	char *va = d->data.va;

	EXPECT_EQ(0, sends(d, DATA, va));
	EXPECT_EQ(0, map_area(d, &d->data));
	EXPECT_EQ(1, sends(d, DATA, va));
	EXPECT_EQ(1, sends(d, DATA + PG, va + PG));
	EXPECT_EQ(0, sends(d, DATA + 4 * PG, va));
	EXPECT_EQ(0, invalidate(d, DATA + PG, PG));
	EXPECT_EQ(0, sends(d, DATA + PG, va + PG));
}

/* Nobody kicks: the UPDATE is what the device waits for. */
TEST_F(messages, update_answers_miss)
{
	struct dev *d = &self->d;

	frame_make(d->data.va, test_mac, 64, 1);
	ASSERT_EQ(0, dev_send(d, DATA));
	ASSERT_EQ(0, dev_sent(d, DATA));
	EXPECT_EQ(0, map_area(d, &d->data));
	EXPECT_EQ(0, ring_wait(&d->tx, WAIT_MS, NULL, NULL));
}

/* One at 0 would map everything, and have a size of 0 itself: a look-up at 0 would never end. */
TEST_F(messages, update_empty)
{
	struct dev *d = &self->d;

	ASSERT_EQ(-EINVAL, update(d, 0, 0, d->data.va));
	ASSERT_EQ(-EINVAL, update(d, 0, 0, NULL));
	ASSERT_EQ(-EINVAL, update(d, DATA, 0, d->data.va));
	EXPECT_EQ(0, sends(d, DATA, d->data.va));
	EXPECT_EQ(0, sends(d, 0, d->data.va));
	EXPECT_EQ(0, map_area(d, &d->data));
	EXPECT_EQ(1, sends(d, DATA, d->data.va));
}

TEST_F(messages, invalidate_empty)
{
	struct dev *d = &self->d;

	ASSERT_EQ(0, map_area(d, &d->data));
	EXPECT_EQ(-EINVAL, invalidate(d, DATA, 0));
	EXPECT_EQ(1, sends(d, DATA, d->data.va));
}

/* 2^64 bytes can't be said otherwise. */
TEST_F(messages, invalidate_everything)
{
	struct dev *d = &self->d;

	ASSERT_EQ(0, map_area(d, &d->data));
	EXPECT_EQ(0, invalidate(d, 0, 0));
	EXPECT_EQ(0, map_area(d, &d->rings));
	EXPECT_EQ(0, sends(d, DATA, d->data.va));
}

TEST_F(messages, update_wrapping)
{
	struct dev *d = &self->d;

	EXPECT_EQ(-EFAULT, update(d, TOP, 2 * PG, d->data.va));
	EXPECT_EQ(-EFAULT, update(d, ~0UL, 2, d->data.va));
	EXPECT_EQ(-EFAULT, update(d, DATA, ~0UL, d->data.va));
	EXPECT_EQ(0, sends(d, TOP, d->data.va));
	EXPECT_EQ(0, sends(d, 0, d->data.va));
}

/* From behind to before a mapping; from its middle to its middle. */
TEST_F(messages, invalidate_wrapping)
{
	struct dev *d = &self->d;

	ASSERT_EQ(0, map_area(d, &d->data));
	EXPECT_EQ(-EFAULT, invalidate(d, DATA + 8 * PG, -9 * PG));
	EXPECT_EQ(-EFAULT, invalidate(d, DATA + 2 * PG, -PG));
	EXPECT_EQ(1, sends(d, DATA, d->data.va));
}

/* What ends with the last address doesn't wrap. */
TEST_F(messages, to_the_end)
{
	struct dev *d = &self->d;

	ASSERT_EQ(0, update(d, TOP, PG, d->data.va));
	EXPECT_EQ(1, sends(d, TOP, d->data.va));
	EXPECT_EQ(0, invalidate(d, 1, ~0UL));
	ASSERT_EQ(0, map_area(d, &d->rings));
	EXPECT_EQ(0, sends(d, TOP, d->data.va));
}

FIXTURE(table) {
	struct dev d;
};

FIXTURE_SETUP(table) {
	int rc = dev_open(&self->d, false);

	if (rc == -ENODEV)
		SKIP(_exit(255), "no /dev/vhost-net");
	ASSERT_EQ(0, rc);
}

FIXTURE_TEARDOWN(table) {
	close(self->d.fd);
}

/* A memory table with the first page of the data and, if @second, one more region. */
static int set_table(struct dev *d, const struct vhost_memory_region *second)
{
	struct {
		struct vhost_memory head;
		struct vhost_memory_region region[2];
	} t = {
		.head.nregions = second ? 2 : 1,
		.region[0] = { DATA, PG, (uintptr_t)d->data.va },
	};

	if (second)
		t.region[1] = *second;

	return io(d->fd, VHOST_SET_MEM_TABLE, &t);
}

TEST_F(table, regions)
{
	uintptr_t va = (uintptr_t)self->d.data.va + PG;
	struct vhost_memory_region other = { 0, PG, va };
	struct dev *d = &self->d;

	ASSERT_EQ(0, set_table(d, &other));
	EXPECT_EQ(1, sends(d, DATA, d->data.va));
	EXPECT_EQ(1, sends(d, 0, (void *)va));
	other.guest_phys_addr = TOP;
	ASSERT_EQ(0, set_table(d, &other));
	EXPECT_EQ(1, sends(d, TOP, (void *)va));
	EXPECT_EQ(0, sends(d, 0, (void *)va));
}

/* One of no bytes at 0 would become all of the address space. */
TEST_F(table, regions_refused)
{
	uintptr_t va = (uintptr_t)self->d.data.va + PG;
	struct vhost_memory_region bad[] = {
		{ 0, 0, va }, { 0, 0, 0 }, { DATA + PG, 0, va }, { ~0UL, 0, va },
		{ TOP, 2 * PG, va }, { ~0UL, 2, va }, { DATA + PG, ~0UL, va },
	};
	struct dev *d = &self->d;
	size_t i;

	ASSERT_EQ(0, set_table(d, NULL));
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		ASSERT_EQ(-EFAULT, set_table(d, &bad[i]))
			TH_LOG("region %zu", i);
	}
	EXPECT_EQ(1, sends(d, DATA, d->data.va));
	EXPECT_EQ(0, sends(d, DATA + PG, (void *)va));
	EXPECT_EQ(0, sends(d, 0, (void *)va));
}

/* Nothing but what it offered. */
TEST_F(table, backend_features)
{
	uint64_t features = 0;
	int nr;

	ASSERT_EQ(0, io(self->d.fd, VHOST_GET_BACKEND_FEATURES, &features));
	EXPECT_EQ(F_MSG_V2, features);
	for (nr = 2; nr < 64; nr++) {
		features = BACKEND_F(nr);
		EXPECT_EQ(-EOPNOTSUPP, io(self->d.fd, VHOST_SET_BACKEND_FEATURES, &features));
	}
}

TEST_HARNESS_MAIN
