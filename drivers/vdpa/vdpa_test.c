// SPDX-License-Identifier: GPL-2.0-only
/*
 * A test of the vDPA core, for tools/testing/selftests/vdpa: what it refuses, so
 * that no parent and no user has to, and when it lets go of a parent. Loading
 * the module runs it, and fails if the test does; the log says where. The parent
 * here does nothing but count; no bus driver takes its devices, because their
 * virtio device ID is 0.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/vdpa.h>
#include <uapi/linux/virtio_config.h>

#include "../../tools/testing/selftests/kselftest_module.h"

KSTM_MODULE_GLOBALS();

#define CHECK(condition) KSTM_CHECK_ZERO(!(condition))

#define TEST_VQS	3
#define TEST_GROUPS	2
#define TEST_AS		2

/* What the parent was asked, and what it answers. */
static struct {
	u32 group;		/* get_vq_group() */
	u8 status;		/* get_status() */
	int asid_calls;		/* set_group_asid() */
	int map_calls;		/* set_map(), dma_map(), dma_unmap() */
	int frees;		/* free() */
} seen;

struct test_vdpa {
	struct vdpa_device vdpa;
	int private;
};

static u32 test_get_vq_group(struct vdpa_device *vdpa, u16 idx)
{
	return seen.group;
}

static int test_set_group_asid(struct vdpa_device *vdpa, unsigned int group,
			       unsigned int asid)
{
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
	return 0;
}

static size_t test_get_config_size(struct vdpa_device *vdpa)
{
	return 0;
}

static void test_get_config(struct vdpa_device *vdpa, unsigned int offset,
			    void *buf, unsigned int len)
{
}

static void test_free(struct vdpa_device *vdpa)
{
	seen.frees++;
}

/* vdpa(8) may look at the devices while the test runs. */
#define TEST_SHOWN_OPS						\
	.get_vq_num_max = test_get_vq_num_max,			\
	.get_features = test_get_features,			\
	.get_driver_features = test_get_features,		\
	.get_config_size = test_get_config_size,		\
	.get_config = test_get_config

/* A parent that can do all that matters here. */
static const struct vdpa_config_ops test_full = {
	.get_vq_group = test_get_vq_group,
	.set_group_asid = test_set_group_asid,
	.set_map = test_set_map,
	.dma_map = test_dma_map,
	.dma_unmap = test_dma_unmap,
	.get_status = test_get_status,
	.get_device_id = test_get_id,
	.get_vendor_id = test_get_id,
	TEST_SHOWN_OPS,
	.free = test_free,
};

/* One that leaves mapping to the platform IOMMU. */
static const struct vdpa_config_ops test_platform = {
	.get_vq_group = test_get_vq_group,
	.set_group_asid = test_set_group_asid,
	.get_status = test_get_status,
	.get_device_id = test_get_id,
	.get_vendor_id = test_get_id,
	TEST_SHOWN_OPS,
	.free = test_free,
};

/* One of the time before groups. */
static const struct vdpa_config_ops test_old = {
	.set_map = test_set_map,
	.get_status = test_get_status,
	.get_device_id = test_get_id,
	.get_vendor_id = test_get_id,
	TEST_SHOWN_OPS,
	.free = test_free,
};

static struct device *parent;

static struct vdpa_device *test_alloc(const struct vdpa_config_ops *ops,
				      unsigned int ngroups, unsigned int nas,
				      const char *name)
{
	struct test_vdpa *dev;

	dev = vdpa_alloc_device(struct test_vdpa, vdpa, parent, ops, TEST_VQS,
				ngroups, nas, name);
	if (IS_ERR(dev))
		return ERR_CAST(dev);

	return &dev->vdpa;
}

static void __init check_refused(const struct vdpa_config_ops *ops,
				 unsigned int ngroups, unsigned int nas)
{
	struct vdpa_device *vdpa = test_alloc(ops, ngroups, nas, NULL);

	CHECK(PTR_ERR_OR_ZERO(vdpa) == -EINVAL);
	if (!IS_ERR(vdpa))
		put_device(&vdpa->dev);
}

static void __init test_alloc_refuses(void)
{
	struct vdpa_config_ops ops;

	check_refused(NULL, 1, 1);
	check_refused(&test_full, 0, 1);
	check_refused(&test_full, 1, 0);

	/* The platform IOMMU sees the device as a whole. */
	check_refused(&test_platform, TEST_GROUPS, TEST_AS);

	/* Groups that can't be told apart, address spaces to no end */
	check_refused(&test_old, TEST_GROUPS, 1);
	check_refused(&test_old, 1, TEST_AS);

	ops = test_full;
	ops.dma_unmap = NULL;
	check_refused(&ops, 1, 1);

	/* None of them got as far as to have something to free. */
	CHECK(seen.frees == 0);
}

static void __init test_alloc_takes(void)
{
	struct vdpa_device *vdpa;

	vdpa = test_alloc(&test_full, TEST_GROUPS, TEST_AS, "vdpa-test");
	CHECK(!IS_ERR(vdpa));
	if (IS_ERR(vdpa))
		return;
	CHECK(vdpa->ngroups == TEST_GROUPS);
	CHECK(vdpa->nas == TEST_AS);
	CHECK(!strcmp(dev_name(&vdpa->dev), "vdpa-test"));
	put_device(&vdpa->dev);

	vdpa = test_alloc(&test_platform, TEST_GROUPS, 1, "vdpa-test");
	CHECK(!IS_ERR(vdpa));
	if (IS_ERR(vdpa))
		return;
	put_device(&vdpa->dev);

	/* Never registered: freed with the last reference. */
	CHECK(seen.frees == 2);
}

static void __init test_vq_group(void)
{
	struct vdpa_device *vdpa;

	vdpa = test_alloc(&test_full, TEST_GROUPS, TEST_AS, "vdpa-test");
	CHECK(!IS_ERR(vdpa));
	if (IS_ERR(vdpa))
		return;
	seen.group = 1;
	CHECK(vdpa_get_vq_group(vdpa, TEST_VQS - 1) == 1);
	CHECK(vdpa_get_vq_group(vdpa, TEST_VQS) == -ENOBUFS);
	CHECK(vdpa_get_vq_group(vdpa, U32_MAX) == -ENOBUFS);
	seen.group = TEST_GROUPS;
	CHECK(vdpa_get_vq_group(vdpa, 0) == -EIO);
	seen.group = U32_MAX;
	CHECK(vdpa_get_vq_group(vdpa, 0) == -EIO);
	put_device(&vdpa->dev);

	vdpa = test_alloc(&test_old, 1, 1, "vdpa-test");
	CHECK(!IS_ERR(vdpa));
	if (IS_ERR(vdpa))
		return;
	CHECK(vdpa_get_vq_group(vdpa, 0) == -EOPNOTSUPP);
	CHECK(vdpa_get_vq_group(vdpa, TEST_VQS) == -ENOBUFS);
	put_device(&vdpa->dev);
}

static void __init test_group_asid(void)
{
	struct vdpa_device *vdpa;

	vdpa = test_alloc(&test_full, TEST_GROUPS, TEST_AS, "vdpa-test");
	CHECK(!IS_ERR(vdpa));
	if (IS_ERR(vdpa))
		return;
	CHECK(vdpa_set_group_asid(vdpa, 1, 1) == 0);
	CHECK(seen.asid_calls == 1);

	/* Groups have nothing to do with the number of virtqueues. */
	CHECK(vdpa_set_group_asid(vdpa, TEST_GROUPS, 0) == -EINVAL);
	CHECK(vdpa_set_group_asid(vdpa, 0, TEST_AS) == -EINVAL);
	CHECK(vdpa_set_group_asid(vdpa, U32_MAX, U32_MAX) == -EINVAL);

	/* Out of range comes before busy. */
	seen.status = VIRTIO_CONFIG_S_DRIVER_OK;
	CHECK(vdpa_set_group_asid(vdpa, 0, TEST_AS) == -EINVAL);
	CHECK(vdpa_set_group_asid(vdpa, 0, 0) == -EBUSY);
	CHECK(seen.asid_calls == 1);
	put_device(&vdpa->dev);

	/* Busy comes before not supported. */
	vdpa = test_alloc(&test_old, 1, 1, "vdpa-test");
	CHECK(!IS_ERR(vdpa));
	if (IS_ERR(vdpa))
		return;
	CHECK(vdpa_set_group_asid(vdpa, 0, 0) == -EBUSY);
	seen.status = 0;
	CHECK(vdpa_set_group_asid(vdpa, 0, 0) == -EOPNOTSUPP);
	put_device(&vdpa->dev);
}

static void __init test_map_asid(void)
{
	struct vdpa_device *vdpa;

	vdpa = test_alloc(&test_full, TEST_GROUPS, TEST_AS, "vdpa-test");
	CHECK(!IS_ERR(vdpa));
	if (IS_ERR(vdpa))
		return;
	CHECK(vdpa_set_map(vdpa, TEST_AS, NULL) == -EINVAL);
	CHECK(vdpa_dma_map(vdpa, TEST_AS, 0, 1, 0, 0) == -EINVAL);
	CHECK(vdpa_dma_unmap(vdpa, TEST_AS, 0, 1) == -EINVAL);
	CHECK(seen.map_calls == 0);

	CHECK(vdpa_set_map(vdpa, 1, NULL) == 0);
	CHECK(vdpa_dma_map(vdpa, 1, 0, 1, 0, 0) == 0);
	CHECK(vdpa_dma_unmap(vdpa, 1, 0, 1) == 0);
	CHECK(seen.map_calls == 3);
	put_device(&vdpa->dev);
}

static void __init test_names(void)
{
	struct vdpa_device *taken, *twice, *automatic;
	static const char * const files[] = { "uevent", "bind", "unbind" };
	char name[16];
	int i, ret;

	/* The name that the next but one would get */
	taken = test_alloc(&test_full, 1, 1, NULL);
	CHECK(!IS_ERR(taken));
	if (IS_ERR(taken))
		return;
	twice = test_alloc(&test_full, 1, 1, NULL);
	CHECK(!IS_ERR(twice));
	if (!IS_ERR(twice)) {
		snprintf(name, sizeof(name), "vdpa%u", twice->index);
		put_device(&twice->dev);
	}
	put_device(&taken->dev);
	if (IS_ERR(twice))
		return;

	taken = test_alloc(&test_full, 1, 1, name);
	CHECK(!IS_ERR(taken));
	if (IS_ERR(taken))
		return;
	ret = vdpa_register_device(taken);
	CHECK(!ret);
	if (ret) {
		put_device(&taken->dev);
		return;
	}

	twice = test_alloc(&test_full, 1, 1, name);
	CHECK(!IS_ERR(twice));
	if (IS_ERR(twice))
		return;
	ret = vdpa_register_device(twice);
	CHECK(ret == -EEXIST);
	if (ret)
		put_device(&twice->dev);
	else
		vdpa_unregister_device(twice);

	automatic = test_alloc(&test_full, 1, 1, NULL);
	CHECK(!IS_ERR(automatic));
	if (IS_ERR(automatic))
		return;
	CHECK(!strcmp(dev_name(&automatic->dev), name));
	ret = vdpa_register_device(automatic);
	CHECK(!ret);
	CHECK(strcmp(dev_name(&automatic->dev), name));
	if (ret)
		put_device(&automatic->dev);
	else
		vdpa_unregister_device(automatic);
	vdpa_unregister_device(taken);

	/* Files that the parent, and bus drivers, have in sysfs */
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		taken = test_alloc(&test_full, 1, 1, files[i]);
		CHECK(!IS_ERR(taken));
		if (IS_ERR(taken))
			return;
		ret = vdpa_register_device(taken);
		CHECK(ret == -EEXIST);
		if (ret)
			put_device(&taken->dev);
		else
			vdpa_unregister_device(taken);
	}
}

static void __init test_unregister_frees(void)
{
	struct vdpa_device *vdpa;
	int ret;

	vdpa = test_alloc(&test_full, TEST_GROUPS, TEST_AS, "vdpa-test");
	CHECK(!IS_ERR(vdpa));
	if (IS_ERR(vdpa))
		return;
	ret = vdpa_register_device(vdpa);
	CHECK(!ret);
	if (ret) {
		put_device(&vdpa->dev);
		return;
	}

	/* Somebody in sysfs looks at the device while it goes. */
	get_device(&vdpa->dev);
	vdpa_unregister_device(vdpa);
	CHECK(seen.frees == 1);
	CHECK(!vdpa->config);
	put_device(&vdpa->dev);
	CHECK(seen.frees == 1);
}

static struct vdpa_device *test_dev_add(struct vdpa_mgmt_dev *mdev,
					const char *name,
					const struct vdpa_dev_set_config *config,
					struct netlink_ext_ack *extack)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static void __init test_mgmtdev(void)
{
	static const struct vdpa_mgmtdev_ops ops = { .dev_add = test_dev_add };
	static const struct vdpa_mgmtdev_ops no_ops;
	static const struct virtio_device_id none[1];
	struct vdpa_mgmt_dev mdev = {
		.device = parent, .ops = &ops, .id_table = none,
	};
	struct vdpa_mgmt_dev other = mdev;

	other.device = NULL;
	CHECK(vdpa_mgmtdev_register(&other) == -EINVAL);
	other = mdev;
	other.ops = NULL;
	CHECK(vdpa_mgmtdev_register(&other) == -EINVAL);
	other.ops = &no_ops;
	CHECK(vdpa_mgmtdev_register(&other) == -EINVAL);
	other = mdev;
	other.id_table = NULL;
	CHECK(vdpa_mgmtdev_register(&other) == -EINVAL);

	CHECK(vdpa_mgmtdev_register(&mdev) == 0);
	other = mdev;
	CHECK(vdpa_mgmtdev_register(&other) == -EEXIST);
	vdpa_mgmtdev_unregister(&mdev);
}

static void __init selftest(void)
{
	static void (* const tests[])(void) __initconst = {
		test_alloc_refuses,
		test_alloc_takes,
		test_vq_group,
		test_group_asid,
		test_map_asid,
		test_names,
		test_unregister_frees,
		test_mgmtdev,
	};
	int i;

	parent = root_device_register("vdpa-test-parent");
	CHECK(!IS_ERR(parent));
	if (IS_ERR(parent))
		return;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		memset(&seen, 0, sizeof(seen));
		tests[i]();
	}

	root_device_unregister(parent);
}

KSTM_MODULE_LOADERS(vdpa_test);

MODULE_DESCRIPTION("Test of the vDPA core");
MODULE_LICENSE("GPL v2");
