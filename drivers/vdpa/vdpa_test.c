// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the vDPA core: what it refuses on behalf of parents and users,
 * which lock it holds around which operation of a parent, and when it frees a
 * device. The parent here only records calls. No bus driver binds to its
 * devices, because their virtio device ID is 0.
 */

#include <kunit/test.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/vdpa.h>
#include <uapi/linux/virtio_config.h>

#define TEST_VQS	3
#define TEST_GROUPS	2
#define TEST_AS		2

/* The calls of the parent's operations, and what these return */
struct seen {
	u32 group;		/* get_vq_group() */
	u8 status;		/* get_status() */
	int reset_result;	/* reset() */
	int asid_calls;		/* set_group_asid() */
	int map_calls;		/* set_map(), dma_map(), dma_unmap() */
	int state_calls;	/* operations that need the state_lock */
	int unlocked_calls;	/* of these, the ones without it */
	int frees;		/* free() */
};

/* Not in the device: it has to survive that. Cleared before each test case. */
static struct seen seen;

struct test_vdpa {
	struct vdpa_device vdpa;
	int private;
};

/* The operations */

static void test_state_op(struct vdpa_device *vdpa)
{
	seen.state_calls++;
	if (!mutex_is_locked(&vdpa->state_lock))
		seen.unlocked_calls++;
}

static u32 test_get_vq_group(struct vdpa_device *vdpa, u16 idx)
{
	return seen.group;
}

static int test_set_group_asid(struct vdpa_device *vdpa, unsigned int group,
			       unsigned int asid)
{
	test_state_op(vdpa);
	seen.asid_calls++;
	return 0;
}

static int test_set_map(struct vdpa_device *vdpa, unsigned int asid,
			struct vhost_iotlb *iotlb)
{
	seen.map_calls++;
	return 0;
}

static int test_dma_map(struct vdpa_device *vdpa, unsigned int asid, u64 iova,
			u64 size, u64 pa, u32 perm)
{
	seen.map_calls++;
	return 0;
}

static int test_dma_unmap(struct vdpa_device *vdpa, unsigned int asid,
			  u64 iova, u64 size)
{
	seen.map_calls++;
	return 0;
}

static u8 test_get_status(struct vdpa_device *vdpa)
{
	return seen.status;
}

static void test_set_status(struct vdpa_device *vdpa, u8 status)
{
	test_state_op(vdpa);
	seen.status = status;
}

static int test_reset(struct vdpa_device *vdpa)
{
	test_state_op(vdpa);
	return seen.reset_result;
}

static u32 test_get_id(struct vdpa_device *vdpa)
{
	return 0;
}

static u16 test_get_vq_num_max(struct vdpa_device *vdpa)
{
	return 1;
}

static u64 test_get_features(struct vdpa_device *vdpa)
{
	test_state_op(vdpa);
	return BIT_ULL(VIRTIO_F_VERSION_1);
}

static int test_set_features(struct vdpa_device *vdpa, u64 features)
{
	test_state_op(vdpa);
	return 0;
}

static u64 test_get_driver_features(struct vdpa_device *vdpa)
{
	test_state_op(vdpa);
	return BIT_ULL(VIRTIO_F_RING_PACKED);
}

static size_t test_get_config_size(struct vdpa_device *vdpa)
{
	return 0;
}

static void test_get_config(struct vdpa_device *vdpa, unsigned int offset,
			    void *buf, unsigned int len)
{
	test_state_op(vdpa);
}

static void test_set_config(struct vdpa_device *vdpa, unsigned int offset,
			    const void *buf, unsigned int len)
{
	test_state_op(vdpa);
}

static void test_free(struct vdpa_device *vdpa)
{
	seen.frees++;
}

/*
 * What every parent here has. vdpa(8) may show the devices while the tests
 * run, so the operations for that are needed, too.
 */
#define TEST_COMMON_OPS						\
	.get_device_id = test_get_id,				\
	.get_vendor_id = test_get_id,				\
	.get_status = test_get_status,				\
	.set_status = test_set_status,				\
	.reset = test_reset,					\
	.get_vq_num_max = test_get_vq_num_max,			\
	.get_features = test_get_features,			\
	.set_features = test_set_features,			\
	.get_driver_features = test_get_driver_features,	\
	.get_config_size = test_get_config_size,		\
	.get_config = test_get_config,				\
	.set_config = test_set_config,				\
	.free = test_free

/* A parent with groups, address spaces and mapping operations */
static const struct vdpa_config_ops test_full = {
	TEST_COMMON_OPS,
	.get_vq_group = test_get_vq_group,
	.set_group_asid = test_set_group_asid,
	.set_map = test_set_map,
	.dma_map = test_dma_map,
	.dma_unmap = test_dma_unmap,
};

/* A parent that leaves mapping to the platform IOMMU */
static const struct vdpa_config_ops test_platform = {
	TEST_COMMON_OPS,
	.get_vq_group = test_get_vq_group,
	.set_group_asid = test_set_group_asid,
};

/* A parent without groups and address spaces */
static const struct vdpa_config_ops test_old = {
	TEST_COMMON_OPS,
	.set_map = test_set_map,
};

/* Resources of a test case: freed at its end, failed or not, last one first */

static int test_parent_init(struct kunit_resource *res, void *context)
{
	res->data = root_device_register("vdpa-test-parent");

	return PTR_ERR_OR_ZERO(res->data);
}

static void test_parent_free(struct kunit_resource *res)
{
	root_device_unregister(res->data);
}

static int test_device_init(struct kunit_resource *res, void *vdpa)
{
	res->data = vdpa;

	return 0;
}

static void test_device_free(struct kunit_resource *res)
{
	struct vdpa_device *vdpa = res->data;

	if (device_is_registered(&vdpa->dev))
		vdpa_unregister_device(vdpa);
	else
		put_device(&vdpa->dev);
}

static bool test_is_resource(struct kunit *test, struct kunit_resource *res,
			     void *data)
{
	return res->data == data;
}

static struct vdpa_device *test_try_alloc(struct kunit *test,
					  const struct vdpa_config_ops *ops,
					  unsigned int ngroups,
					  unsigned int nas, const char *name)
{
	struct device *parent = test->priv;
	struct test_vdpa *dev;

	dev = vdpa_alloc_device(struct test_vdpa, vdpa, parent, ops, TEST_VQS,
				ngroups, nas, name);

	return IS_ERR(dev) ? ERR_CAST(dev) : &dev->vdpa;
}

/* A device, which the end of the test case frees, or test_drop() */
static struct vdpa_device *test_alloc(struct kunit *test,
				      const struct vdpa_config_ops *ops,
				      unsigned int ngroups, unsigned int nas,
				      const char *name)
{
	struct vdpa_device *vdpa;

	vdpa = test_try_alloc(test, ops, ngroups, nas, name);
	KUNIT_ASSERT_FALSE(test, IS_ERR(vdpa));
	kunit_alloc_resource(test, test_device_init, test_device_free,
			     GFP_KERNEL, vdpa);

	/* Keep bus drivers away: the parent has only some of its operations */
	vdpa->driver_override = kstrdup("vdpa_test", GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, vdpa->driver_override);

	return vdpa;
}

static void test_drop(struct kunit *test, struct vdpa_device *vdpa)
{
	kunit_destroy_resource(test, test_is_resource, vdpa);
}

/* The test cases */

static void expect_refused(struct kunit *test,
			   const struct vdpa_config_ops *ops,
			   unsigned int ngroups, unsigned int nas)
{
	struct vdpa_device *vdpa;

	vdpa = test_try_alloc(test, ops, ngroups, nas, NULL);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(vdpa), -EINVAL);
	if (!IS_ERR(vdpa))
		put_device(&vdpa->dev);
}

static void vdpa_test_alloc_refuses(struct kunit *test)
{
	struct device *parent = test->priv;
	struct vdpa_config_ops ops;

	test->priv = NULL;
	expect_refused(test, &test_full, 1, 1);
	test->priv = parent;

	expect_refused(test, NULL, 1, 1);
	expect_refused(test, &test_full, 0, 1);
	expect_refused(test, &test_full, 1, 0);

	/* The platform IOMMU sees the device as a whole. */
	expect_refused(test, &test_platform, TEST_GROUPS, TEST_AS);

	/* No get_vq_group */
	expect_refused(test, &test_old, TEST_GROUPS, 1);
	/* No set_group_asid */
	expect_refused(test, &test_old, 1, TEST_AS);

	ops = test_full;
	ops.dma_unmap = NULL;
	expect_refused(test, &ops, 1, 1);

	ops = test_full;
	ops.reset = NULL;
	expect_refused(test, &ops, 1, 1);

	/* A device that isn't allocated isn't freed either. */
	KUNIT_EXPECT_EQ(test, seen.frees, 0);
}

static void vdpa_test_alloc(struct kunit *test)
{
	struct vdpa_device *vdpa;

	vdpa = test_alloc(test, &test_full, TEST_GROUPS, TEST_AS, "vdpa-test");
	KUNIT_EXPECT_EQ(test, vdpa->ngroups, (unsigned int)TEST_GROUPS);
	KUNIT_EXPECT_EQ(test, vdpa->nas, (unsigned int)TEST_AS);
	KUNIT_EXPECT_STREQ(test, dev_name(&vdpa->dev), "vdpa-test");
	test_drop(test, vdpa);

	vdpa = test_alloc(test, &test_platform, TEST_GROUPS, 1, "vdpa-test");
	test_drop(test, vdpa);

	/* Never registered: freed with the last reference */
	KUNIT_EXPECT_EQ(test, seen.frees, 2);
}

static void vdpa_test_vq_group(struct kunit *test)
{
	struct vdpa_device *vdpa;

	vdpa = test_alloc(test, &test_full, TEST_GROUPS, TEST_AS, "vdpa-test");
	seen.group = 1;
	KUNIT_EXPECT_EQ(test, vdpa_get_vq_group(vdpa, TEST_VQS - 1), 1);
	KUNIT_EXPECT_EQ(test, vdpa_get_vq_group(vdpa, TEST_VQS), -ENOBUFS);
	KUNIT_EXPECT_EQ(test, vdpa_get_vq_group(vdpa, U32_MAX), -ENOBUFS);
	seen.group = TEST_GROUPS;
	KUNIT_EXPECT_EQ(test, vdpa_get_vq_group(vdpa, 0), -EIO);
	seen.group = U32_MAX;
	KUNIT_EXPECT_EQ(test, vdpa_get_vq_group(vdpa, 0), -EIO);

	vdpa = test_alloc(test, &test_old, 1, 1, "vdpa-test");
	KUNIT_EXPECT_EQ(test, vdpa_get_vq_group(vdpa, 0), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, vdpa_get_vq_group(vdpa, TEST_VQS), -ENOBUFS);
}

static void vdpa_test_group_asid(struct kunit *test)
{
	struct vdpa_device *vdpa;

	vdpa = test_alloc(test, &test_full, TEST_GROUPS, TEST_AS, "vdpa-test");
	KUNIT_EXPECT_EQ(test, vdpa_set_group_asid(vdpa, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, seen.asid_calls, 1);

	/* The limit is the number of groups, not that of virtqueues. */
	KUNIT_EXPECT_EQ(test, vdpa_set_group_asid(vdpa, TEST_GROUPS, 0),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, vdpa_set_group_asid(vdpa, 0, TEST_AS), -EINVAL);
	KUNIT_EXPECT_EQ(test, vdpa_set_group_asid(vdpa, U32_MAX, U32_MAX),
			-EINVAL);

	/* The range is checked before the status. */
	seen.status = VIRTIO_CONFIG_S_DRIVER_OK;
	KUNIT_EXPECT_EQ(test, vdpa_set_group_asid(vdpa, 0, TEST_AS), -EINVAL);
	KUNIT_EXPECT_EQ(test, vdpa_set_group_asid(vdpa, 0, 0), -EBUSY);
	KUNIT_EXPECT_EQ(test, seen.asid_calls, 1);

	/* The status is checked before the parent's ability. */
	vdpa = test_alloc(test, &test_old, 1, 1, "vdpa-test");
	KUNIT_EXPECT_EQ(test, vdpa_set_group_asid(vdpa, 0, 0), -EBUSY);
	seen.status = 0;
	KUNIT_EXPECT_EQ(test, vdpa_set_group_asid(vdpa, 0, 0), -EOPNOTSUPP);
}

static void vdpa_test_map_asid(struct kunit *test)
{
	struct vdpa_device *vdpa;

	vdpa = test_alloc(test, &test_full, TEST_GROUPS, TEST_AS, "vdpa-test");
	KUNIT_EXPECT_EQ(test, vdpa_set_map(vdpa, TEST_AS, NULL), -EINVAL);
	KUNIT_EXPECT_EQ(test, vdpa_dma_map(vdpa, TEST_AS, 0, 1, 0, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, vdpa_dma_unmap(vdpa, TEST_AS, 0, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, seen.map_calls, 0);

	KUNIT_EXPECT_EQ(test, vdpa_set_map(vdpa, 1, NULL), 0);
	KUNIT_EXPECT_EQ(test, vdpa_dma_map(vdpa, 1, 0, 1, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, vdpa_dma_unmap(vdpa, 1, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, seen.map_calls, 3);
}

static void vdpa_test_state_lock(struct kunit *test)
{
	struct vdpa_device *vdpa;
	u8 byte = 0;

	vdpa = test_alloc(test, &test_full, TEST_GROUPS, TEST_AS, "vdpa-test");
	KUNIT_EXPECT_EQ(test, vdpa_get_features(vdpa),
			BIT_ULL(VIRTIO_F_VERSION_1));
	KUNIT_EXPECT_EQ(test, vdpa_set_features(vdpa, 0), 0);
	KUNIT_EXPECT_EQ(test, vdpa_get_driver_features(vdpa),
			BIT_ULL(VIRTIO_F_RING_PACKED));
	vdpa_set_status(vdpa, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	vdpa_get_config(vdpa, 0, &byte, sizeof(byte));
	vdpa_set_config(vdpa, 0, &byte, sizeof(byte));
	KUNIT_EXPECT_EQ(test, vdpa_set_group_asid(vdpa, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, vdpa_reset(vdpa), 0);

	KUNIT_EXPECT_EQ(test, seen.state_calls, 8);
	KUNIT_EXPECT_EQ(test, seen.unlocked_calls, 0);
	KUNIT_EXPECT_FALSE(test, mutex_is_locked(&vdpa->state_lock));
}

static void vdpa_test_reset(struct kunit *test)
{
	struct vdpa_device *vdpa;

	vdpa = test_alloc(test, &test_full, TEST_GROUPS, TEST_AS, "vdpa-test");
	KUNIT_EXPECT_EQ(test, vdpa_set_features(vdpa, 0), 0);
	KUNIT_EXPECT_TRUE(test, vdpa->features_valid);
	KUNIT_EXPECT_EQ(test, vdpa_reset(vdpa), 0);
	KUNIT_EXPECT_FALSE(test, vdpa->features_valid);

	seen.reset_result = -EIO;
	KUNIT_EXPECT_EQ(test, vdpa_reset(vdpa), -EIO);
}

static void vdpa_test_names(struct kunit *test)
{
	struct vdpa_device *taken, *twice, *automatic;
	char name[16];

	/* Find out the name that the next but one device would get. */
	taken = test_alloc(test, &test_full, 1, 1, NULL);
	twice = test_alloc(test, &test_full, 1, 1, NULL);
	snprintf(name, sizeof(name), "vdpa%u", twice->index);
	test_drop(test, twice);
	test_drop(test, taken);

	taken = test_alloc(test, &test_full, 1, 1, name);
	KUNIT_ASSERT_EQ(test, vdpa_register_device(taken), 0);

	twice = test_alloc(test, &test_full, 1, 1, name);
	KUNIT_EXPECT_EQ(test, vdpa_register_device(twice), -EEXIST);
	test_drop(test, twice);

	automatic = test_alloc(test, &test_full, 1, 1, NULL);
	KUNIT_EXPECT_STREQ(test, dev_name(&automatic->dev), (const char *)name);
	KUNIT_EXPECT_EQ(test, vdpa_register_device(automatic), 0);
	KUNIT_EXPECT_STRNEQ(test, dev_name(&automatic->dev),
			    (const char *)name);
}

static void vdpa_test_unregister(struct kunit *test)
{
	struct vdpa_device *vdpa;

	vdpa = test_alloc(test, &test_full, TEST_GROUPS, TEST_AS, "vdpa-test");
	KUNIT_ASSERT_EQ(test, vdpa_register_device(vdpa), 0);

	/* E.g. an open file in sysfs holds a reference. */
	get_device(&vdpa->dev);
	test_drop(test, vdpa);
	KUNIT_EXPECT_EQ(test, seen.frees, 1);
	KUNIT_EXPECT_TRUE(test, !vdpa->config);
	put_device(&vdpa->dev);
	KUNIT_EXPECT_EQ(test, seen.frees, 1);
}

static struct vdpa_device *test_dev_add(struct vdpa_mgmt_dev *mdev,
					const char *name,
					const struct vdpa_dev_set_config *config,
					struct netlink_ext_ack *extack)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static void vdpa_test_mgmtdev(struct kunit *test)
{
	static const struct vdpa_mgmtdev_ops ops = { .dev_add = test_dev_add };
	static const struct vdpa_mgmtdev_ops no_ops;
	static const struct virtio_device_id none[1];
	struct vdpa_mgmt_dev mdev = {
		.device = test->priv, .ops = &ops, .id_table = none,
	};
	struct vdpa_mgmt_dev other = mdev;

	other.device = NULL;
	KUNIT_EXPECT_EQ(test, vdpa_mgmtdev_register(&other), -EINVAL);
	other = mdev;
	other.ops = NULL;
	KUNIT_EXPECT_EQ(test, vdpa_mgmtdev_register(&other), -EINVAL);
	other.ops = &no_ops;
	KUNIT_EXPECT_EQ(test, vdpa_mgmtdev_register(&other), -EINVAL);
	other = mdev;
	other.id_table = NULL;
	KUNIT_EXPECT_EQ(test, vdpa_mgmtdev_register(&other), -EINVAL);

	KUNIT_ASSERT_EQ(test, vdpa_mgmtdev_register(&mdev), 0);
	other = mdev;
	KUNIT_EXPECT_EQ(test, vdpa_mgmtdev_register(&other), -EEXIST);
	vdpa_mgmtdev_unregister(&mdev);
}

static int vdpa_test_init(struct kunit *test)
{
	memset(&seen, 0, sizeof(seen));
	test->priv = kunit_alloc_resource(test, test_parent_init,
					  test_parent_free, GFP_KERNEL, NULL);

	return test->priv ? 0 : -ENOMEM;
}

static struct kunit_case vdpa_test_cases[] = {
	KUNIT_CASE(vdpa_test_alloc_refuses),
	KUNIT_CASE(vdpa_test_alloc),
	KUNIT_CASE(vdpa_test_vq_group),
	KUNIT_CASE(vdpa_test_group_asid),
	KUNIT_CASE(vdpa_test_map_asid),
	KUNIT_CASE(vdpa_test_state_lock),
	KUNIT_CASE(vdpa_test_reset),
	KUNIT_CASE(vdpa_test_names),
	KUNIT_CASE(vdpa_test_unregister),
	KUNIT_CASE(vdpa_test_mgmtdev),
	{}
};

static struct kunit_suite vdpa_test_suite = {
	.name = "vdpa",
	.init = vdpa_test_init,
	.test_cases = vdpa_test_cases,
};

kunit_test_suite(vdpa_test_suite);

MODULE_DESCRIPTION("KUnit tests of the vDPA core");
MODULE_LICENSE("GPL v2");
