// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls of /dev/vhost-vdpa-N: answers, errors and their order, hostile arguments.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/eventfd.h>

#include "vdpa_util.h"
#include "harness.h"

#define STATUS_OK (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | \
		   VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)

/* An address outside of every process's address space. */
#define NOWHERE	((void *)(~0UL - 0xfff))

FIXTURE(dev) {
	int fd;
	struct net net;
};

FIXTURE_VARIANT(dev) {
	int num_as;
	bool vq_groups;
	/* What the simulator has with it. */
	unsigned int groups;
	unsigned int as;
	int group[NQUEUES];
};

FIXTURE_VARIANT_ADD(dev, net) {
	.num_as = 0, .groups = 2, .as = 2, .group = { 0, 0, 1 },
};

FIXTURE_VARIANT_ADD(dev, group_a_queue) {
	.num_as = 8, .vq_groups = true, .groups = 3, .as = 8, .group = { 0, 1, 2 },
};

FIXTURE_VARIANT_ADD(dev, only_groups) {
	.vq_groups = true, .groups = 3, .as = 2, .group = { 0, 1, 2 },
};

FIXTURE_VARIANT_ADD(dev, one_address_space) {
	.num_as = 1, .groups = 2, .as = 1, .group = { 0, 0, 1 },
};

FIXTURE_SETUP(dev) {
	self->fd = GET_DEV(.num_as = variant->num_as, .vq_groups = variant->vq_groups,
			   .sim = variant->num_as || variant->vq_groups);
	ASSERT_LE(0, self->fd);
	self->net.fd = self->fd;
}

FIXTURE_TEARDOWN(dev) {
	test_dev_end(self->fd);
}

TEST_F(dev, backend_features)
{
	uint64_t offered = 0, set;
	int nr, want;

	ASSERT_EQ(0, io(self->fd, VHOST_GET_BACKEND_FEATURES, &offered));
	EXPECT_EQ(F_MSG_V2, offered & F_MSG_V2);
	if (sim_is_default()) {
		EXPECT_EQ(BACKEND_ALL, offered & BACKEND_ALL);
		/* There is no descriptor group, so nothing to put into an address space. */
		EXPECT_EQ(0, offered & F_DESC_ASID);
	}
	EXPECT_EQ(0, io(self->fd, VHOST_SET_BACKEND_FEATURES, &offered));

	for (nr = 0; nr < 64; nr++) {
		set = BACKEND_F(nr);
		want = set & offered ? 0 : -EOPNOTSUPP;
		EXPECT_EQ(want, io(self->fd, VHOST_SET_BACKEND_FEATURES, &set))
			TH_LOG("feature %d alone", nr);
		set |= offered;
		EXPECT_EQ(want, io(self->fd, VHOST_SET_BACKEND_FEATURES, &set))
			TH_LOG("feature %d with the others", nr);
	}
	set = 0;
	EXPECT_EQ(0, io(self->fd, VHOST_SET_BACKEND_FEATURES, &set));
}

TEST_F(dev, bad_pointers)
{
	static const unsigned long cmds[] = {
		VHOST_GET_FEATURES, VHOST_SET_FEATURES,
		VHOST_GET_BACKEND_FEATURES, VHOST_SET_BACKEND_FEATURES,
		VHOST_VDPA_GET_DEVICE_ID, VHOST_VDPA_GET_STATUS, VHOST_VDPA_SET_STATUS,
		VHOST_VDPA_GET_CONFIG, VHOST_VDPA_SET_CONFIG,
		VHOST_VDPA_SET_VRING_ENABLE, VHOST_VDPA_GET_VRING_NUM,
		VHOST_VDPA_SET_CONFIG_CALL, VHOST_VDPA_GET_IOVA_RANGE,
		GET_CONFIG_SIZE, GET_AS_NUM, GET_VRING_GROUP, SET_GROUP_ASID,
		GET_VQS_COUNT, GET_GROUP_NUM, GET_VRING_SIZE,
		VHOST_SET_VRING_NUM, VHOST_SET_VRING_ADDR, VHOST_SET_VRING_BASE,
		VHOST_GET_VRING_BASE, VHOST_SET_VRING_KICK, VHOST_SET_VRING_CALL,
		VHOST_SET_VRING_ERR,
	};
	size_t i;

	ASSERT_EQ(0, io(self->fd, VHOST_SET_OWNER, NULL));
	for (i = 0; i < ARRAY_LEN(cmds); i++) {
		EXPECT_EQ(-EFAULT, io(self->fd, cmds[i], NOWHERE))
			TH_LOG("ioctl number %#lx", cmds[i] & 0xff);
		EXPECT_EQ(-EFAULT, io(self->fd, cmds[i], NULL))
			TH_LOG("ioctl number %#lx", cmds[i] & 0xff);
	}
}

/* The structure begins on a mapped page and ends on an unmapped one. */
TEST_F(dev, half_a_structure)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, munmap(page + 4096, 4096));
	ASSERT_EQ(0, io(self->fd, VHOST_SET_OWNER, NULL));
	EXPECT_EQ(-EFAULT, io(self->fd, GET_VRING_GROUP, page + 4092));
	EXPECT_EQ(-EFAULT, io(self->fd, SET_GROUP_ASID, page + 4092));
	EXPECT_EQ(-EFAULT, io(self->fd, VHOST_SET_VRING_NUM, page + 4092));
	EXPECT_EQ(-EFAULT, io(self->fd, VHOST_SET_VRING_ADDR, page + 4092));
	EXPECT_EQ(-EFAULT, io(self->fd, VHOST_VDPA_SET_VRING_ENABLE, page + 4092));
}

TEST_F(dev, before_owner)
{
	struct vhost_vring_addr addr = { 0 };
	struct vhost_vring_file file = { .fd = -1 };
	struct area a;

	EXPECT_EQ(-EPERM, vring_state(self->fd, GET_VRING_GROUP, 0, 0));
	EXPECT_EQ(-EPERM, vring_state(self->fd, GET_VRING_SIZE, 0, 0));
	EXPECT_EQ(-EPERM, bind_group(self->fd, 0, 0));
	EXPECT_EQ(-EPERM, vring_state(self->fd, VHOST_SET_VRING_NUM, 0, 16));
	EXPECT_EQ(-EPERM, vring_state(self->fd, VHOST_SET_VRING_BASE, 0, 0));
	EXPECT_EQ(-EPERM, vring_state(self->fd, VHOST_GET_VRING_BASE, 0, 0));
	EXPECT_EQ(-EPERM, vring_state(self->fd, VHOST_VDPA_SET_VRING_ENABLE, 0, 1));
	EXPECT_EQ(-EPERM, io(self->fd, VHOST_SET_VRING_ADDR, &addr));
	EXPECT_EQ(-EPERM, io(self->fd, VHOST_SET_VRING_KICK, &file));
	EXPECT_EQ(-EPERM, io(self->fd, VHOST_SET_VRING_CALL, &file));

	ASSERT_EQ(0, area_alloc(&a, DATA_IOVA, 4096));
	EXPECT_EQ(-EFAULT, map(self->fd, 0, a.iova, a.size, a.va, VHOST_ACCESS_RW));
	ASSERT_EQ(0, io(self->fd, VHOST_SET_OWNER, NULL));
	EXPECT_EQ(-EBUSY, io(self->fd, VHOST_SET_OWNER, NULL));
	EXPECT_EQ(0, map(self->fd, 0, a.iova, a.size, a.va, VHOST_ACCESS_RW));
	area_free(&a);
}

TEST_F(dev, counts)
{
	uint32_t vqs = 0, groups = 0, id = 0;
	unsigned int as = 0;
	uint16_t num = 0;
	int i, group;

	EXPECT_EQ(0, io(self->fd, GET_VQS_COUNT, &vqs));
	EXPECT_LT(0, vqs);
	EXPECT_EQ(0, io(self->fd, GET_GROUP_NUM, &groups));
	EXPECT_LT(0, groups);
	EXPECT_EQ(0, io(self->fd, GET_AS_NUM, &as));
	EXPECT_LT(0, as);
	EXPECT_EQ(0, io(self->fd, VHOST_VDPA_GET_VRING_NUM, &num));
	EXPECT_LT(0, num);
	EXPECT_EQ(0, io(self->fd, VHOST_VDPA_GET_DEVICE_ID, &id));
	EXPECT_LT(0, id);

	ASSERT_EQ(0, io(self->fd, VHOST_SET_OWNER, NULL));
	for (i = 0; i < (int)vqs; i++) {
		group = vring_state(self->fd, GET_VRING_GROUP, i, ~0U);
		EXPECT_TRUE(group == -EOPNOTSUPP ? groups == 1 :
			    group >= 0 && group < (int)groups)
			TH_LOG("queue %d is in group %d", i, group);
	}
	if (!sim_is_default())
		return;

	EXPECT_EQ(3, vqs);
	EXPECT_EQ(variant->groups, groups);
	EXPECT_EQ(variant->as, as);
	EXPECT_EQ(256, num);
	EXPECT_EQ(VIRTIO_ID_NET, id);
	for (i = 0; i < NQUEUES; i++)
		EXPECT_EQ(variant->group[i], vring_state(self->fd, GET_VRING_GROUP, i, ~0U));
}

TEST_F(dev, index_out_of_range)
{
	const unsigned int last = vdev.vqs > vdev.groups ? vdev.vqs : vdev.groups;
	const unsigned int far[] = {
		last, last + 1, last + 0xff, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
		0xffffffff,
	};
	struct vhost_vring_addr addr = { 0 };
	struct vhost_vring_file file = { .fd = -1 };
	size_t i;

	ASSERT_EQ(0, io(self->fd, VHOST_SET_OWNER, NULL));
	for (i = 0; i < ARRAY_LEN(far); i++) {
		addr.index = far[i];
		file.index = far[i];
		EXPECT_EQ(-ENOBUFS, vring_state(self->fd, GET_VRING_GROUP, far[i], 0));
		EXPECT_EQ(-ENOBUFS, vring_state(self->fd, GET_VRING_SIZE, far[i], 0));
		EXPECT_EQ(-ENOBUFS, vring_state(self->fd, VHOST_SET_VRING_NUM, far[i], 16));
		EXPECT_EQ(-ENOBUFS, vring_state(self->fd, VHOST_SET_VRING_BASE, far[i], 0));
		EXPECT_EQ(-ENOBUFS, vring_state(self->fd, VHOST_GET_VRING_BASE, far[i], 0));
		EXPECT_EQ(-ENOBUFS, vring_state(self->fd, VHOST_VDPA_SET_VRING_ENABLE, far[i], 1));
		EXPECT_EQ(-ENOBUFS, io(self->fd, VHOST_SET_VRING_ADDR, &addr));
		EXPECT_EQ(-ENOBUFS, io(self->fd, VHOST_SET_VRING_KICK, &file));
		EXPECT_EQ(-ENOBUFS, io(self->fd, VHOST_SET_VRING_CALL, &file));
		EXPECT_EQ(-EINVAL, bind_group(self->fd, far[i], 0));
	}
}

/* EINVAL comes before EBUSY: a bad group is reported in any state of the device. */
TEST_F(dev, group_asid_order)
{
	static const unsigned int wild[] = { 0x100, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff };
	unsigned int groups = vdev.groups, as = vdev.as, g, a;
	size_t i;
	int ok, want;

	ASSERT_EQ(0, net_negotiate(&self->net, CTRL_FEATURES));
	/* With one address space, a parent needs no operation for it. */
	want = as == 1 && bind_group(self->fd, 0, 0) == -EOPNOTSUPP ? -EOPNOTSUPP : 0;
	for (ok = 0; ok < 2; ok++) {
		for (g = 0; g < groups; g++)
			for (a = 0; a < as; a++)
				EXPECT_EQ(ok ? -EBUSY : want, bind_group(self->fd, g, a));
		EXPECT_EQ(-EINVAL, bind_group(self->fd, groups, 0));
		EXPECT_EQ(-EINVAL, bind_group(self->fd, 0, as));
		EXPECT_EQ(-EINVAL, bind_group(self->fd, groups, as));
		for (i = 0; i < ARRAY_LEN(wild); i++) {
			if (wild[i] >= groups)
				EXPECT_EQ(-EINVAL, bind_group(self->fd, wild[i], 0));
			if (wild[i] >= as)
				EXPECT_EQ(-EINVAL, bind_group(self->fd, 0, wild[i]));
		}
		if (!ok)
			ASSERT_EQ(0, set_status(self->fd, STATUS_OK));
	}
	/* A reset opens it again. */
	ASSERT_EQ(0, set_status(self->fd, 0));
	EXPECT_EQ(want, bind_group(self->fd, groups - 1, as - 1));
}

TEST_F(dev, suspend_before_driver_ok)
{
	ASSERT_EQ(0, net_negotiate(&self->net, CTRL_FEATURES));
	NEED_SUSPEND();
	EXPECT_EQ(0, io(self->fd, SUSPEND, NULL));
	/* Nothing was done: the device starts and runs. */
	NEED(vdev.id == VIRTIO_ID_NET && vdev.ring_max >= 256, "not a network device");
	NEED_CVQ();
	ASSERT_EQ(0, set_status(self->fd, 0));
	ASSERT_EQ(0, net_start(&self->net, CTRL_FEATURES));
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(&self->net, other_mac));
	if (sim_is_default())
		EXPECT_EQ(1, net_loops(&self->net, other_mac));
}

TEST_F(dev, resume_before_driver_ok)
{
	ASSERT_EQ(0, net_negotiate(&self->net, CTRL_FEATURES));
	NEED_RESUME();
	EXPECT_EQ(0, io(self->fd, RESUME, NULL));
	/* A device that wasn't running isn't suspended. */
	EXPECT_EQ(0, io(self->fd, SUSPEND, NULL));
	EXPECT_EQ(0, io(self->fd, RESUME, NULL));
	NEED(vdev.id == VIRTIO_ID_NET && vdev.ring_max >= 256, "not a network device");
	NEED_CVQ();
	ASSERT_EQ(0, set_status(self->fd, 0));
	ASSERT_EQ(0, net_start(&self->net, CTRL_FEATURES));
	EXPECT_EQ(VIRTIO_NET_OK, ctrl_set_mac(&self->net, other_mac));
}

TEST_F(dev, ring_size)
{
	static const unsigned int good[] = { 1, 2, 4, 128, 256 };
	const unsigned int bad[] = {
		0, 3, 255, 257, 2 * vdev.ring_max, 4 * vdev.ring_max, vdev.ring_max + 1,
		65535, 65536, 0x80000000, 0xffffffff,
	};
	size_t i;

	ASSERT_EQ(0, io(self->fd, VHOST_SET_OWNER, NULL));
	for (i = 0; i < ARRAY_LEN(good) && good[i] <= vdev.ring_max; i++)
		EXPECT_EQ(0, vring_state(self->fd, VHOST_SET_VRING_NUM, 0, good[i]));
	EXPECT_EQ(0, vring_state(self->fd, VHOST_SET_VRING_NUM, 0, vdev.ring_max));
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(-EINVAL, vring_state(self->fd, VHOST_SET_VRING_NUM, 0, bad[i]))
			TH_LOG("size %u", bad[i]);
	}
}

/* The size that has been set, and the largest possible one before that. */
TEST_F(dev, get_ring_size)
{
	int max;

	ASSERT_EQ(0, io(self->fd, VHOST_SET_OWNER, NULL));
	max = vring_state(self->fd, GET_VRING_SIZE, 0, ~0U);
	NEED(max != -EOPNOTSUPP, "the device doesn't tell the size of a ring");
	ASSERT_LT(0, max);
	EXPECT_GE(vdev.ring_max, max);
	if (sim_is_default())
		EXPECT_EQ(256, max);
	ASSERT_EQ(0, vring_state(self->fd, VHOST_SET_VRING_NUM, 0, max / 2));
	EXPECT_EQ(max / 2, vring_state(self->fd, GET_VRING_SIZE, 0, ~0U));
	/* A size that is refused changes nothing. */
	EXPECT_EQ(-EINVAL, vring_state(self->fd, VHOST_SET_VRING_NUM, 0, 2 * vdev.ring_max));
	EXPECT_EQ(max / 2, vring_state(self->fd, GET_VRING_SIZE, 0, ~0U));
	if (vdev.vqs > 1)
		EXPECT_EQ(max, vring_state(self->fd, GET_VRING_SIZE, 1, ~0U));
	ASSERT_EQ(0, set_status(self->fd, 0));
	EXPECT_EQ(max, vring_state(self->fd, GET_VRING_SIZE, 0, ~0U));
}

TEST_F(dev, ring_base)
{
	ASSERT_EQ(0, io(self->fd, VHOST_SET_OWNER, NULL));
	EXPECT_EQ(0, vring_state(self->fd, VHOST_SET_VRING_BASE, 0, 0xffff));
	EXPECT_EQ(0xffff, vring_state(self->fd, VHOST_GET_VRING_BASE, 0, 0));
	EXPECT_EQ(-EINVAL, vring_state(self->fd, VHOST_SET_VRING_BASE, 0, 0x10000));
	EXPECT_EQ(-EINVAL, vring_state(self->fd, VHOST_SET_VRING_BASE, 0, 0xffffffff));
	EXPECT_EQ(0xffff, vring_state(self->fd, VHOST_GET_VRING_BASE, 0, 0));
	/* Another queue's is its own. */
	NEED(vdev.vqs > 1, "the device has one virtqueue");
	EXPECT_EQ(0, vring_state(self->fd, VHOST_GET_VRING_BASE, 1, 0));
}

TEST_F(dev, bad_descriptors)
{
	struct vhost_vring_file file = { .index = 0, .fd = 12345 };
	int fd = 12345, null = open("/dev/null", O_RDWR);

	ASSERT_LE(0, null);
	ASSERT_EQ(0, io(self->fd, VHOST_SET_OWNER, NULL));
	EXPECT_EQ(-EBADF, io(self->fd, VHOST_SET_VRING_KICK, &file));
	EXPECT_EQ(-EBADF, io(self->fd, VHOST_SET_VRING_CALL, &file));
	EXPECT_EQ(-EBADF, io(self->fd, VHOST_VDPA_SET_CONFIG_CALL, &fd));
	file.fd = null;
	EXPECT_EQ(-EINVAL, io(self->fd, VHOST_SET_VRING_KICK, &file));
	EXPECT_EQ(-EINVAL, io(self->fd, VHOST_SET_VRING_CALL, &file));
	EXPECT_EQ(-EINVAL, io(self->fd, VHOST_VDPA_SET_CONFIG_CALL, &null));
	/* -1 takes the eventfd away. */
	fd = -1;
	file.fd = -1;
	EXPECT_EQ(0, io(self->fd, VHOST_SET_VRING_KICK, &file));
	EXPECT_EQ(0, io(self->fd, VHOST_SET_VRING_CALL, &file));
	EXPECT_EQ(0, io(self->fd, VHOST_VDPA_SET_CONFIG_CALL, &fd));
	close(null);
}

TEST_F(dev, status)
{
	ASSERT_EQ(0, io(self->fd, VHOST_SET_OWNER, NULL));
	EXPECT_EQ(0, get_status(self->fd));
	EXPECT_EQ(0, set_status(self->fd, 1));
	EXPECT_EQ(0, set_status(self->fd, 3));
	/* A bit goes only with a reset. */
	EXPECT_EQ(-EINVAL, set_status(self->fd, 1));
	EXPECT_EQ(-EINVAL, set_status(self->fd, 2));
	EXPECT_EQ(3, get_status(self->fd));
	EXPECT_EQ(0, set_status(self->fd, 0));
	EXPECT_EQ(0, get_status(self->fd));
}

TEST_F(dev, features)
{
	uint64_t offered = 0;

	ASSERT_EQ(0, io(self->fd, VHOST_SET_OWNER, NULL));
	ASSERT_EQ(0, io(self->fd, VHOST_GET_FEATURES, &offered));
	if (sim_is_default()) {
		/* Any other feature could keep QEMU from isolating the control virtqueue. */
		EXPECT_EQ(CTRL_FEATURES | VF(VIRTIO_F_ANY_LAYOUT), offered);
		EXPECT_EQ(-EINVAL, set_features(self->fd, VF(VIRTIO_F_VERSION_1)));
	}
	EXPECT_EQ(0, set_features(self->fd, offered));
	ASSERT_EQ(0, set_status(self->fd, VIRTIO_CONFIG_S_FEATURES_OK));
	EXPECT_EQ(-EBUSY, set_features(self->fd, offered));
}

TEST_F(dev, config_space)
{
	struct {
		uint32_t off, len;
		uint8_t buf[512];
	} c = { 0, 0, { 0 } };
	uint32_t size = 0, i;

	ASSERT_EQ(0, io(self->fd, GET_CONFIG_SIZE, &size));
	ASSERT_LT(0, size);
	ASSERT_LE(size, sizeof(c.buf));

	c.len = size;
	EXPECT_EQ(0, io(self->fd, VHOST_VDPA_GET_CONFIG, &c));
	if (sim_is_default()) {
		EXPECT_EQ(sizeof(struct virtio_net_config), size);
		EXPECT_EQ(0, memcmp(c.buf, test_mac, ETH_ALEN));
		EXPECT_EQ(VIRTIO_NET_S_LINK_UP, c.buf[6]);
	}

	for (i = 0; i < size; i++) {
		c.off = i;
		c.len = size - i;
		EXPECT_EQ(0, io(self->fd, VHOST_VDPA_GET_CONFIG, &c));
		c.len = size - i + 1;
		EXPECT_EQ(-EINVAL, io(self->fd, VHOST_VDPA_GET_CONFIG, &c));
		EXPECT_EQ(-EINVAL, io(self->fd, VHOST_VDPA_SET_CONFIG, &c));
	}
	c.off = 0;
	c.len = 0;
	EXPECT_EQ(-EINVAL, io(self->fd, VHOST_VDPA_GET_CONFIG, &c));
	c.off = 0xffffffff;
	c.len = 2;
	EXPECT_EQ(-EINVAL, io(self->fd, VHOST_VDPA_GET_CONFIG, &c));
	EXPECT_EQ(-EINVAL, io(self->fd, VHOST_VDPA_SET_CONFIG, &c));
	c.off = 2;
	c.len = 0xffffffff;
	EXPECT_EQ(-EINVAL, io(self->fd, VHOST_VDPA_GET_CONFIG, &c));
	EXPECT_EQ(-EINVAL, io(self->fd, VHOST_VDPA_SET_CONFIG, &c));

	ONLY_FOR(sim_is_default(), "each device has its own answer to a write to the MTU");
	/* Not for the driver to write. */
	c.off = offsetof(struct virtio_net_config, mtu);
	c.len = 2;
	EXPECT_EQ(0, io(self->fd, VHOST_VDPA_GET_CONFIG, &c));
	memset(c.buf + 2, 0x77, 2);
	memcpy(c.buf + 4, c.buf, 2);
	memcpy(c.buf, c.buf + 2, 2);
	EXPECT_EQ(0, io(self->fd, VHOST_VDPA_SET_CONFIG, &c));
	EXPECT_EQ(0, io(self->fd, VHOST_VDPA_GET_CONFIG, &c));
	EXPECT_EQ(0, memcmp(c.buf, c.buf + 4, 2));
}

TEST_F(dev, unknown)
{
	struct vhost_vring_state s = { 0 };

	ASSERT_EQ(0, io(self->fd, VHOST_SET_OWNER, NULL));
	EXPECT_EQ(-ENOTTY, io(self->fd, _IO(VHOST_IO, 0x6f), &s));
	EXPECT_EQ(-ENOTTY, io(self->fd, _IOWR(VHOST_IO, 0xf0, struct vhost_vring_state), &s));
	EXPECT_EQ(-ENOTTY, io(self->fd, VHOST_SET_LOG_BASE, &s));
	EXPECT_EQ(-ENOTTY, io(self->fd, VHOST_SET_LOG_FD, &s));
}

TEST_F(dev, one_user)
{
	EXPECT_EQ(-EBUSY, vdpa_open(TEST_DEV));
}

TEST_HARNESS_MAIN
