// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of virtio-vdpa: what it tells a parent on behalf of a virtio
 * driver, and the driver on behalf of the parent. The parent here keeps what it
 * is told. The virtio driver takes all virtqueues in its probe, and does
 * nothing with them.
 */

#include <kunit/test.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vdpa.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/workqueue.h>

/* virtio knows no such device, so that no other driver takes it */
#define TEST_ID		0xffff

/* The driver has a callback for the first one only. */
#define TEST_VQS	2

/* Features of the device; the second one isn't for drivers of this kernel. */
#define TEST_F_KERNEL	0
#define TEST_F_USER	1

struct test_vdpa {
	struct vdpa_device vdpa;
	struct vdpa_callback config_cb;
	struct vdpa_callback vq_cb[TEST_VQS];
	bool ready[TEST_VQS];
	int bad_vq;		/* set_vq_address() fails for this one */
	u8 status;
	u64 features;		/* the driver's */
	int closes;		/* calls of close() */
};

/* What the virtio driver knows. Cleared before each test case. */
static struct {
	struct virtqueue *vqs[TEST_VQS];	/* NULL when it isn't bound */
	int changes;				/* calls of config_changed() */
} driver;

/* The parent's operations */

static struct test_vdpa *to_test(struct vdpa_device *vdpa)
{
	return container_of(vdpa, struct test_vdpa, vdpa);
}

static int test_set_vq_address(struct vdpa_device *vdpa, u16 idx,
			       u64 desc_area, u64 driver_area, u64 device_area)
{
	return idx == to_test(vdpa)->bad_vq ? -EIO : 0;
}

static void test_set_vq_num(struct vdpa_device *vdpa, u16 idx, u32 num)
{
}

static void test_kick_vq(struct vdpa_device *vdpa, u16 idx)
{
}

static void test_set_vq_cb(struct vdpa_device *vdpa, u16 idx,
			   struct vdpa_callback *cb)
{
	to_test(vdpa)->vq_cb[idx] = *cb;
}

static void test_set_vq_ready(struct vdpa_device *vdpa, u16 idx, bool ready)
{
	to_test(vdpa)->ready[idx] = ready;
}

static bool test_get_vq_ready(struct vdpa_device *vdpa, u16 idx)
{
	return to_test(vdpa)->ready[idx];
}

static u32 test_get_vq_align(struct vdpa_device *vdpa)
{
	return PAGE_SIZE;
}

static u16 test_get_vq_num_max(struct vdpa_device *vdpa)
{
	return 16;
}

static u64 test_get_features(struct vdpa_device *vdpa)
{
	return BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(TEST_F_KERNEL) |
		BIT_ULL(TEST_F_USER);
}

static int test_set_features(struct vdpa_device *vdpa, u64 features)
{
	to_test(vdpa)->features = features;
	return 0;
}

static u64 test_get_driver_features(struct vdpa_device *vdpa)
{
	return BIT_ULL(VIRTIO_F_VERSION_1);
}

static void test_set_config_cb(struct vdpa_device *vdpa,
			       struct vdpa_callback *cb)
{
	to_test(vdpa)->config_cb = *cb;
}

static u32 test_get_device_id(struct vdpa_device *vdpa)
{
	return TEST_ID;
}

static u32 test_get_vendor_id(struct vdpa_device *vdpa)
{
	return 0;
}

static u8 test_get_status(struct vdpa_device *vdpa)
{
	return to_test(vdpa)->status;
}

static void test_set_status(struct vdpa_device *vdpa, u8 status)
{
	to_test(vdpa)->status = status;
}

static int test_reset(struct vdpa_device *vdpa)
{
	to_test(vdpa)->status = 0;
	return 0;
}

static size_t test_get_config_size(struct vdpa_device *vdpa)
{
	return 0;
}

static void test_get_config(struct vdpa_device *vdpa, unsigned int offset,
			    void *buf, unsigned int len)
{
	memset(buf, 0, len);
}

static void test_set_config(struct vdpa_device *vdpa, unsigned int offset,
			    const void *buf, unsigned int len)
{
}

static void test_close(struct vdpa_device *vdpa)
{
	to_test(vdpa)->closes++;
}

static const struct vdpa_config_ops test_ops = {
	.set_vq_address = test_set_vq_address,
	.set_vq_num = test_set_vq_num,
	.kick_vq = test_kick_vq,
	.set_vq_cb = test_set_vq_cb,
	.set_vq_ready = test_set_vq_ready,
	.get_vq_ready = test_get_vq_ready,
	.get_vq_align = test_get_vq_align,
	.get_vq_num_max = test_get_vq_num_max,
	.get_features = test_get_features,
	.set_features = test_set_features,
	.get_driver_features = test_get_driver_features,
	.set_config_cb = test_set_config_cb,
	.get_device_id = test_get_device_id,
	.get_vendor_id = test_get_vendor_id,
	.get_status = test_get_status,
	.set_status = test_set_status,
	.reset = test_reset,
	.get_config_size = test_get_config_size,
	.get_config = test_get_config,
	.set_config = test_set_config,
	.close = test_close,
};

/* The virtio driver */

static void driver_vq_callback(struct virtqueue *vq)
{
}

static void driver_forget(void)
{
	memset(driver.vqs, 0, sizeof(driver.vqs));
}

static int driver_probe(struct virtio_device *vdev)
{
	vq_callback_t *callbacks[TEST_VQS] = { driver_vq_callback };
	const char * const names[TEST_VQS] = { "first", "second" };
	int ret;

	ret = virtio_find_vqs(vdev, TEST_VQS, driver.vqs, callbacks, names,
			      NULL);
	if (ret)
		driver_forget();

	return ret;
}

static void driver_remove(struct virtio_device *vdev)
{
	vdev->config->reset(vdev);
	vdev->config->del_vqs(vdev);
	driver_forget();
}

static void driver_config_changed(struct virtio_device *vdev)
{
	driver.changes++;
}

static const struct virtio_device_id driver_ids[] = {
	{ TEST_ID, VIRTIO_DEV_ANY_ID },
	{}
};

static const unsigned int driver_features[] = { TEST_F_KERNEL, TEST_F_USER };

static struct virtio_driver test_driver = {
	.driver.name = KBUILD_MODNAME,
	.driver.owner = THIS_MODULE,
	.feature_table = driver_features,
	.feature_table_size = ARRAY_SIZE(driver_features),
	.id_table = driver_ids,
	.probe = driver_probe,
	.remove = driver_remove,
	.config_changed = driver_config_changed,
};

/* Resources of a test case: freed at its end, failed or not, last one first */

static int test_driver_init(struct kunit_resource *res, void *context)
{
	res->data = &test_driver;

	return register_virtio_driver(&test_driver);
}

static void test_driver_free(struct kunit_resource *res)
{
	unregister_virtio_driver(&test_driver);
}

static int test_parent_init(struct kunit_resource *res, void *context)
{
	res->data = root_device_register("virtio-vdpa-test-parent");

	return PTR_ERR_OR_ZERO(res->data);
}

static void test_parent_free(struct kunit_resource *res)
{
	root_device_unregister(res->data);
}

static int test_device_init(struct kunit_resource *res, void *vdpa)
{
	res->data = vdpa;

	return vdpa_register_device(vdpa);
}

static void test_device_free(struct kunit_resource *res)
{
	vdpa_unregister_device(res->data);
}

/* A device on the bus, of which set_vq_address() fails for a virtqueue */
static struct test_vdpa *test_add(struct kunit *test, int bad_vq)
{
	struct device *parent = test->priv;
	struct test_vdpa *dev;

	dev = vdpa_alloc_device(struct test_vdpa, vdpa, parent, &test_ops,
				TEST_VQS, 1, 1, NULL);
	KUNIT_ASSERT_FALSE(test, IS_ERR(dev));

	dev->bad_vq = bad_vq;
	dev->vdpa.user_features = BIT_ULL(TEST_F_USER);
	/* Not vhost-vdpa, which may be there, too */
	dev->vdpa.driver_override = kstrdup("virtio_vdpa", GFP_KERNEL);
	if (!dev->vdpa.driver_override ||
	    !kunit_alloc_resource(test, test_device_init, test_device_free,
				  GFP_KERNEL, &dev->vdpa)) {
		put_device(&dev->vdpa.dev);
		KUNIT_ASSERT_TRUE_MSG(test, false, "no device");
	}

	return dev;
}

/* The test cases */

static void expect_unused(struct kunit *test, struct test_vdpa *dev)
{
	int i;

	KUNIT_EXPECT_TRUE(test, !dev->config_cb.callback);
	for (i = 0; i < TEST_VQS; i++) {
		KUNIT_EXPECT_TRUE(test, !dev->vq_cb[i].callback);
		KUNIT_EXPECT_FALSE(test, dev->ready[i]);
	}
}

static void virtio_vdpa_test_callbacks(struct kunit *test)
{
	struct test_vdpa *dev = test_add(test, -1);

	KUNIT_ASSERT_TRUE(test, driver.vqs[0] && driver.vqs[1]);
	KUNIT_EXPECT_TRUE(test, dev->ready[0]);
	KUNIT_EXPECT_TRUE(test, dev->ready[1]);
	KUNIT_EXPECT_TRUE(test, dev->vq_cb[0].callback);
	/* Without a callback the parent may leave out the interrupt. */
	KUNIT_EXPECT_TRUE(test, !dev->vq_cb[1].callback);

	KUNIT_ASSERT_TRUE(test, dev->config_cb.callback);
	dev->config_cb.callback(dev->config_cb.private);
	KUNIT_EXPECT_EQ(test, driver.changes, 1);

	KUNIT_EXPECT_EQ(test, dev->closes, 0);
	device_release_driver(&dev->vdpa.dev);
	KUNIT_EXPECT_TRUE(test, !driver.vqs[0]);
	KUNIT_EXPECT_EQ(test, dev->closes, 1);
	expect_unused(test, dev);
}

static void virtio_vdpa_test_probe_fails(struct kunit *test)
{
	struct test_vdpa *dev = test_add(test, 1);

	KUNIT_EXPECT_TRUE(test, dev->status & VIRTIO_CONFIG_S_FAILED);
	expect_unused(test, dev);
}

static void virtio_vdpa_test_user_features(struct kunit *test)
{
	struct test_vdpa *dev = test_add(test, -1);

	KUNIT_EXPECT_EQ(test, dev->features, BIT_ULL(VIRTIO_F_VERSION_1) |
			BIT_ULL(TEST_F_KERNEL));
}

/* A configuration interrupt, and what comes of it */
static void test_config_irq(struct test_vdpa *dev)
{
	dev->config_cb.callback(dev->config_cb.private);
	flush_workqueue(system_unbound_wq);
}

static void virtio_vdpa_test_needs_reset(struct kunit *test)
{
	struct test_vdpa *dev = test_add(test, -1);

	KUNIT_ASSERT_TRUE(test, driver.vqs[0] && driver.vqs[1]);
	KUNIT_ASSERT_TRUE(test, dev->config_cb.callback);

	test_config_irq(dev);
	KUNIT_EXPECT_FALSE(test, virtqueue_is_broken(driver.vqs[0]));
	KUNIT_EXPECT_FALSE(test, virtqueue_is_broken(driver.vqs[1]));

	dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	test_config_irq(dev);
	KUNIT_EXPECT_TRUE(test, virtqueue_is_broken(driver.vqs[0]));
	KUNIT_EXPECT_TRUE(test, virtqueue_is_broken(driver.vqs[1]));

	/* The next probe, which resets the device, makes new ones. */
	device_release_driver(&dev->vdpa.dev);
	KUNIT_ASSERT_TRUE(test, device_attach(&dev->vdpa.dev) == 1);
	KUNIT_ASSERT_TRUE(test, driver.vqs[0] && driver.vqs[1]);
	KUNIT_EXPECT_FALSE(test, virtqueue_is_broken(driver.vqs[0]));
	KUNIT_EXPECT_FALSE(test, virtqueue_is_broken(driver.vqs[1]));
}

static int virtio_vdpa_test_init(struct kunit *test)
{
	memset(&driver, 0, sizeof(driver));
	if (!kunit_alloc_resource(test, test_driver_init, test_driver_free,
				  GFP_KERNEL, NULL))
		return -ENOMEM;
	test->priv = kunit_alloc_resource(test, test_parent_init,
					  test_parent_free, GFP_KERNEL, NULL);

	return test->priv ? 0 : -ENOMEM;
}

static struct kunit_case virtio_vdpa_test_cases[] = {
	KUNIT_CASE(virtio_vdpa_test_callbacks),
	KUNIT_CASE(virtio_vdpa_test_probe_fails),
	KUNIT_CASE(virtio_vdpa_test_user_features),
	KUNIT_CASE(virtio_vdpa_test_needs_reset),
	{}
};

static struct kunit_suite virtio_vdpa_test_suite = {
	.name = "virtio_vdpa",
	.init = virtio_vdpa_test_init,
	.test_cases = virtio_vdpa_test_cases,
};

kunit_test_suite(virtio_vdpa_test_suite);

MODULE_SOFTDEP("pre: virtio_vdpa");
MODULE_DESCRIPTION("KUnit tests of virtio-vdpa");
MODULE_LICENSE("GPL v2");
