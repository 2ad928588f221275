// SPDX-License-Identifier: GPL-2.0
/*
 * The state of packed rings, on the sample parent vdpa_null (CONFIG_SAMPLE_VDPA): its devices offer
 * VIRTIO_F_RING_PACKED and remember what they are told.
 */
#define _GNU_SOURCE
#include "vdpa_util.h"
#include "harness.h"

#define PACKED	(VF(VIRTIO_F_VERSION_1) | VF(VIRTIO_F_ACCESS_PLATFORM) | VF(VIRTIO_F_RING_PACKED))
#define SPLIT	(VF(VIRTIO_F_VERSION_1) | VF(VIRTIO_F_ACCESS_PLATFORM))

FIXTURE(null) {
	struct net n;
};

FIXTURE_SETUP(null) {
	if (given_dev())
		SKIP(_exit(255), "needs to add devices");
	if (run("modprobe -q vdpa_null"))
		SKIP(_exit(255), "no module vdpa_null");
	ASSERT_EQ(0, setenv("VDPA_MGMTDEV", "vdpa_null", 1));
	self->n.fd = GET_DEV();
	ASSERT_LE(0, self->n.fd);
}

FIXTURE_TEARDOWN(null) {
	net_stop(&self->n);
	sim_del(TEST_DEV);
	EXPECT_EQ(0, run("modprobe -r vdpa_null"));
}

/* The answer has 32 bits, so it can't be told from an error. */
static uint32_t base(int fd, unsigned int idx)
{
	struct vhost_vring_state s = { .index = idx };

	return io(fd, VHOST_GET_VRING_BASE, &s) ? 0xdead : s.num;
}

TEST_F(null, packed)
{
	static const uint32_t bases[] = {
		0, 0x80008000, 0x00058003, 0x7fffffff, 0x80000000, 0xffff0000, 0x0000ffff,
		0xffffffff,
	};
	int fd = self->n.fd;
	size_t i;

	ASSERT_EQ(0, net_negotiate(&self->n, PACKED));
	ASSERT_EQ(PACKED, self->n.features);
	EXPECT_EQ(0x80008000, base(fd, 0));
	for (i = 0; i < ARRAY_LEN(bases); i++) {
		EXPECT_EQ(0, vring_state(fd, VHOST_SET_VRING_BASE, 0, bases[i]));
		EXPECT_EQ(bases[i], base(fd, 0));
		EXPECT_EQ(0x80008000, base(fd, 1));
	}

	/* The device uses the ring. */
	ASSERT_EQ(0, vring_state(fd, VHOST_VDPA_SET_VRING_ENABLE, 0, 1));
	ASSERT_EQ(0, set_status(fd, 15));
	EXPECT_EQ(-EBUSY, vring_state(fd, VHOST_SET_VRING_BASE, 0, 0));
	EXPECT_EQ(0, vring_state(fd, VHOST_SET_VRING_BASE, 1, 0x00010002));
	EXPECT_EQ(0xffffffff, base(fd, 0));
	EXPECT_EQ(0x00010002, base(fd, 1));

	ASSERT_EQ(0, set_status(fd, 0));
	ASSERT_EQ(0, net_negotiate(&self->n, PACKED));
	EXPECT_EQ(0x80008000, base(fd, 0));
}

TEST_F(null, split)
{
	int fd = self->n.fd;

	ASSERT_EQ(0, net_negotiate(&self->n, SPLIT));
	ASSERT_EQ(SPLIT, self->n.features);
	EXPECT_EQ(0, base(fd, 0));
	EXPECT_EQ(0, vring_state(fd, VHOST_SET_VRING_BASE, 0, 0xffff));
	EXPECT_EQ(-EINVAL, vring_state(fd, VHOST_SET_VRING_BASE, 0, 0x10000));
	EXPECT_EQ(-EINVAL, vring_state(fd, VHOST_SET_VRING_BASE, 0, 0x80008000));
	EXPECT_EQ(0xffff, base(fd, 0));
}

/* A packed ring can have any size. */
TEST_F(null, sizes)
{
	static const unsigned int sizes[] = { 1, 2, 3, 100, 512, 1000, 1023, 1024 };
	static const unsigned int bad[] = { 0, 1025, 0xffff, 0xffffffff };
	int fd = self->n.fd;
	size_t i;

	ASSERT_EQ(0, net_negotiate(&self->n, PACKED));
	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		EXPECT_EQ(0, vring_state(fd, VHOST_SET_VRING_NUM, 0, sizes[i]));
		EXPECT_EQ(sizes[i], vring_state(fd, GET_VRING_SIZE, 0, 0));
	}
	for (i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_EQ(-EINVAL, vring_state(fd, VHOST_SET_VRING_NUM, 0, bad[i]));
	EXPECT_EQ(1024, vring_state(fd, GET_VRING_SIZE, 0, 0));

	ASSERT_EQ(0, set_status(fd, 0));
	ASSERT_EQ(0, net_negotiate(&self->n, SPLIT));
	EXPECT_EQ(-EINVAL, vring_state(fd, VHOST_SET_VRING_NUM, 0, 100));
	EXPECT_EQ(0, vring_state(fd, VHOST_SET_VRING_NUM, 0, 128));
}

/* What the device lacks is refused, and it has no statistics. */
TEST_F(null, not_supported)
{
	const uint32_t first = 0;
	const struct attr attrs[] = {
		{ ATTR_DEV_NAME, TEST_DEV, sizeof(TEST_DEV) },
		{ ATTR_QUEUE_INDEX, &first, sizeof(first) },
	};
	uint64_t backend = 0;

	ASSERT_EQ(0, io(self->n.fd, VHOST_SET_OWNER, NULL));
	EXPECT_EQ(0, io(self->n.fd, VHOST_GET_BACKEND_FEATURES, &backend));
	EXPECT_EQ(0, backend & (F_SUSPEND | F_RESUME));
	EXPECT_EQ(-EOPNOTSUPP, io(self->n.fd, SUSPEND, NULL));
	EXPECT_EQ(-EOPNOTSUPP, io(self->n.fd, RESUME, NULL));
	EXPECT_EQ(-EOPNOTSUPP, vring_state(self->n.fd, GET_VRING_GROUP, 0, 0));
	EXPECT_EQ(-EOPNOTSUPP, vdpa_request(CMD_DEV_VSTATS_GET, 0, attrs, 2, NULL, 0));
	EXPECT_EQ(0, access("/sys/kernel/debug/vdpa/" TEST_DEV "/groups", F_OK));
	EXPECT_NE(0, access("/sys/kernel/debug/vdpa/" TEST_DEV "/virtqueues", F_OK));
}

TEST_HARNESS_MAIN
