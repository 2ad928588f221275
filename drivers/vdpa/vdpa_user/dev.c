// SPDX-License-Identifier: GPL-2.0-only
/*
 * VDUSE, vDPA devices in userspace: /dev/vduse/control creates and destroys
 * devices; the management device "vduse" adds them to the vDPA bus.
 *
 * See Documentation/userspace-api/vduse.rst.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/blkdev.h>
#include <linux/ctype.h>
#include <linux/idr.h>
#include <linux/log2.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <uapi/linux/virtio_blk.h>
#include <uapi/linux/virtio_config.h>
#include <uapi/linux/virtio_ids.h>
#include <uapi/linux/virtio_net.h>

#include "vduse.h"

#define VDUSE_DEVS_MAX		BIT(MINORBITS)
#define VDUSE_VQS_MAX		0xffff
/* Blocks of 2^16 logical blocks */
#define VDUSE_BLOCK_EXP_MAX	16
/* The best size of a request: twice as much is read ahead */
#define VDUSE_IO_OPT_MAX	(64U << 20)
/* Segments of a request, for each of which virtio_blk allocates memory in advance */
#define VDUSE_SEG_MAX		1024
/* Segments of all requests of a virtqueue */
#define VDUSE_SEGS_SUM		(2U << 20)
#define VDUSE_MSG_TIMEOUT	30
#define VDUSE_MSG_TIMEOUT_MAX	600

/* The newest version that this driver has */
#define VDUSE_VERSION_MAX	VDUSE_API_VERSION_1

/* The optional requests that it has */
#define VDUSE_FEATURES (BIT_ULL(VDUSE_F_QUEUE_READY) | BIT_ULL(VDUSE_F_SUSPEND))

/*
 * Held while devices are created, destroyed, opened or looked up. Nests in
 * vdpa_lock; the lock of a device nests in it.
 */
static DEFINE_MUTEX(vduse_lock);
static DEFINE_IDR(vduse_devs);
static dev_t vduse_major;
static struct cdev vduse_cdev;
static struct class *vduse_class;
static struct device *vduse_mgmt_device;

/* For work that outlives a device */
struct workqueue_struct *vduse_wq;

/**
 * struct vduse_control - an open file of /dev/vduse/control
 * @lock: protects the other members
 * @asked: the program has asked for the version
 * @set: the program has set @version
 * @version: version of the uAPI for new devices
 * @features: optional requests for new devices
 */
struct vduse_control {
	/* Protects the other members */
	struct mutex lock;
	bool asked;
	bool set;
	u64 version;
	u64 features;
};

/* ---- devices ---- */

static struct vduse_dev *vduse_find(const char *name)
{
	struct vduse_dev *dev;
	int minor;

	lockdep_assert_held(&vduse_lock);

	idr_for_each_entry(&vduse_devs, dev, minor)
		if (!strcmp(dev->name, name))
			return dev;

	return NULL;
}

/**
 * vduse_dev_open - get the device of a minor number for a daemon
 * @minor: the minor number
 *
 * There is one daemon at a time. The device stays until it is closed.
 *
 * Return: the device, or an ERR_PTR(): -ENODEV or -EBUSY.
 */
struct vduse_dev *vduse_dev_open(int minor)
{
	struct vduse_dev *dev;

	mutex_lock(&vduse_lock);
	dev = idr_find(&vduse_devs, minor);
	if (!dev) {
		dev = ERR_PTR(-ENODEV);
		goto unlock;
	}

	mutex_lock(&dev->lock);
	if (dev->connected) {
		mutex_unlock(&dev->lock);
		dev = ERR_PTR(-EBUSY);
		goto unlock;
	}
	dev->connected = true;
	spin_lock(&dev->msg_lock);
	dev->reopened = true;
	spin_unlock(&dev->msg_lock);
	mutex_unlock(&dev->lock);
unlock:
	mutex_unlock(&vduse_lock);

	return dev;
}

static ssize_t msg_timeout_show(struct device *device,
				struct device_attribute *attr, char *buf)
{
	struct vduse_dev *dev = dev_get_drvdata(device);

	return sysfs_emit(buf, "%u\n", READ_ONCE(dev->msg_timeout));
}

static ssize_t msg_timeout_store(struct device *device,
				 struct device_attribute *attr,
				 const char *buf, size_t count)
{
	struct vduse_dev *dev = dev_get_drvdata(device);
	unsigned int timeout;
	int ret;

	ret = kstrtouint(buf, 10, &timeout);
	if (ret)
		return ret;
	/* No operation waits for ever */
	if (!timeout || timeout > VDUSE_MSG_TIMEOUT_MAX)
		return -EINVAL;

	WRITE_ONCE(dev->msg_timeout, timeout);

	return count;
}
static DEVICE_ATTR_RW(msg_timeout);

static struct attribute *vduse_dev_attrs[] = {
	&dev_attr_msg_timeout.attr,
	NULL
};
ATTRIBUTE_GROUPS(vduse_dev);

static void vduse_dev_free(struct vduse_dev *dev)
{
	unsigned int i;

	for (i = 0; dev->vqs && i < dev->nvqs; i++)
		cancel_work_sync(&dev->vqs[i].kick_work);
	vduse_as_free(dev);
	kvfree(dev->vqs);
	kfree(dev->config);
	mutex_destroy(&dev->vq_lock);
	mutex_destroy(&dev->space_lock);
	mutex_destroy(&dev->lock);
	kfree(dev);
}

/* Takes over @config, also after an error. */
static struct vduse_dev *vduse_dev_alloc(const struct vduse_dev_config *info,
					 u8 *config, u64 version,
					 u64 requests)
{
	struct vduse_dev *dev;
	unsigned int i;

	dev = kzalloc(sizeof(*dev), GFP_KERNEL_ACCOUNT);
	if (!dev) {
		kfree(config);
		return ERR_PTR(-ENOMEM);
	}

	strscpy(dev->name, info->name, sizeof(dev->name));
	dev->api_version = version;
	dev->requests = requests;
	dev->device_id = info->device_id;
	dev->vendor_id = info->vendor_id;
	dev->features = info->features;
	dev->vq_align = info->vq_align;
	dev->config = config;
	dev->config_size = info->config_size;
	dev->msg_timeout = VDUSE_MSG_TIMEOUT;
	dev->ngroups = max(info->ngroups, 1U);
	mutex_init(&dev->lock);
	mutex_init(&dev->vq_lock);
	mutex_init(&dev->space_lock);
	spin_lock_init(&dev->config_irq_lock);
	spin_lock_init(&dev->msg_lock);
	INIT_LIST_HEAD(&dev->send);
	INIT_LIST_HEAD(&dev->sent);
	init_waitqueue_head(&dev->msg_wait);

	dev->nvqs = info->vq_num;
	dev->vqs = kvcalloc(dev->nvqs, sizeof(*dev->vqs), GFP_KERNEL_ACCOUNT);
	for (i = 0; dev->vqs && i < dev->nvqs; i++) {
		spin_lock_init(&dev->vqs[i].kick_lock);
		INIT_WORK(&dev->vqs[i].kick_work, vduse_kick_work);
		dev->vqs[i].dev = dev;
		spin_lock_init(&dev->vqs[i].irq_lock);
	}
	if (!dev->vqs || vduse_as_init(dev, max(info->nas, 1U))) {
		vduse_dev_free(dev);
		return ERR_PTR(-ENOMEM);
	}

	return dev;
}

/* Takes over @config, also after an error. */
static int vduse_create(const struct vduse_dev_config *info, u8 *config,
			u64 version, u64 requests)
{
	struct vduse_dev *dev;
	int ret;

	lockdep_assert_held(&vduse_lock);

	if (vduse_find(info->name)) {
		kfree(config);
		return -EEXIST;
	}

	dev = vduse_dev_alloc(info, config, version, requests);
	if (IS_ERR(dev))
		return PTR_ERR(dev);

	ret = idr_alloc(&vduse_devs, dev, 1, VDUSE_DEVS_MAX, GFP_KERNEL);
	if (ret < 0)
		goto err;
	dev->minor = ret;

	dev->dev = device_create_with_groups(vduse_class, NULL,
					     MKDEV(MAJOR(vduse_major), ret),
					     dev, vduse_dev_groups, "%s",
					     dev->name);
	if (IS_ERR(dev->dev)) {
		ret = PTR_ERR(dev->dev);
		idr_remove(&vduse_devs, dev->minor);
		goto err;
	}
	/* Devices aren't files: they stay when the control file is closed */
	__module_get(THIS_MODULE);

	return 0;

err:
	vduse_dev_free(dev);
	return ret;
}

static int vduse_destroy(const char *name)
{
	struct vduse_dev *dev;

	lockdep_assert_held(&vduse_lock);

	dev = vduse_find(name);
	if (!dev)
		return -EINVAL;

	mutex_lock(&dev->lock);
	if (dev->connected || dev->vdev) {
		mutex_unlock(&dev->lock);
		return -EBUSY;
	}
	mutex_unlock(&dev->lock);

	/* Nothing finds it any more, as vduse_lock is held */
	idr_remove(&vduse_devs, dev->minor);
	device_destroy(vduse_class, MKDEV(MAJOR(vduse_major), dev->minor));
	vduse_dev_free(dev);
	module_put(THIS_MODULE);

	return 0;
}

/* ---- /dev/vduse/control ---- */

/* The name is a file in /dev and a directory in sysfs. */
static bool vduse_name_ok(const char *name)
{
	const char *c;

	if (!*name || !memchr(name, '\0', VDUSE_NAME_MAX) ||
	    !strcmp(name, ".") || !strcmp(name, "..") ||
	    !strcmp(name, "control"))
		return false;
	for (c = name; *c; c++)
		/* The driver core turns ! into / */
		if (!isascii(*c) || !isgraph(*c) || *c == '/' || *c == '!')
			return false;

	return true;
}

/*
 * Features that this driver can't fulfil: a driver that writes to the
 * configuration space, or for which the kernel would trust the daemon.
 */
static bool vduse_features_ok(const struct vduse_dev_config *info, u64 version)
{
	u64 refused = 0;

	if (info->device_id == VIRTIO_ID_BLOCK)
		refused = BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE);
	else if (info->device_id == VIRTIO_ID_NET && !version)
		refused = BIT_ULL(VIRTIO_NET_F_CTRL_VQ);

	return info->features & BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) &&
	       !(info->features & refused);
}

/* Segments of a request that virtio_blk makes room for */
static u32 vduse_blk_segs(u64 features, const struct virtio_blk_config *blk)
{
	u32 segs = le32_to_cpu((__force __le32)blk->seg_max);

	return features & BIT_ULL(VIRTIO_BLK_F_SEG_MAX) && segs ? segs : 1;
}

/**
 * vduse_config_ok - check a configuration space
 * @device_id: virtio device ID
 * @features: virtio features that the device offers
 * @nvqs: number of virtqueues
 * @config: the configuration space
 * @size: its size
 *
 * virtio_blk trusts its device: e.g. it uses the first virtqueue, even if the
 * device says that there is none.
 *
 * Return: false if it has values that a virtio driver of this kernel can't take.
 */
bool vduse_config_ok(u32 device_id, u64 features, u32 nvqs, const u8 *config,
		     u32 size)
{
	struct virtio_blk_config blk = {};
	u32 blk_size, num_queues, segs;

	if (device_id != VIRTIO_ID_BLOCK)
		return true;

	memcpy(&blk, config, min_t(size_t, size, sizeof(blk)));
	if (le64_to_cpu((__force __le64)blk.capacity) > LLONG_MAX >> SECTOR_SHIFT)
		return false;
	segs = vduse_blk_segs(features, &blk);
	if (segs > VDUSE_SEG_MAX)
		return false;
	blk_size = SECTOR_SIZE;
	if (features & BIT_ULL(VIRTIO_BLK_F_BLK_SIZE))
		blk_size = le32_to_cpu((__force __le32)blk.blk_size);
	if (blk_size < SECTOR_SIZE || blk_size > PAGE_SIZE ||
	    !is_power_of_2(blk_size))
		return false;
	if (features & BIT_ULL(VIRTIO_BLK_F_TOPOLOGY) &&
	    (blk.physical_block_exp > VDUSE_BLOCK_EXP_MAX ||
	     le32_to_cpu((__force __le32)blk.opt_io_size) >
	     VDUSE_IO_OPT_MAX / blk_size))
		return false;
	num_queues = le16_to_cpu((__force __le16)blk.num_queues);
	if (features & BIT_ULL(VIRTIO_BLK_F_MQ) &&
	    (!num_queues || num_queues > nvqs))
		return false;
	if (features & BIT_ULL(VIRTIO_BLK_F_DISCARD) &&
	    (le32_to_cpu((__force __le32)blk.discard_sector_alignment) >
	     UINT_MAX >> SECTOR_SHIFT ||
	     le32_to_cpu((__force __le32)blk.max_discard_seg) > segs))
		return false;

	return true;
}

/**
 * vduse_vq_num_ok - check the size of a virtqueue for a virtio driver of this kernel
 * @dev: the device
 * @num: the size
 *
 * The drivers wait for ever if the virtqueue can't take a request at all, and
 * virtio_blk allocates memory for the segments of as many requests as there are
 * descriptors.
 *
 * Return: true if the driver can do with that size.
 */
bool vduse_vq_num_ok(struct vduse_dev *dev, u32 num)
{
	struct virtio_blk_config blk = {};
	/* A header and a socket buffer */
	u32 segs = MAX_SKB_FRAGS + 2;

	if (dev->device_id == VIRTIO_ID_BLOCK) {
		mutex_lock(&dev->space_lock);
		memcpy(&blk, dev->config,
		       min_t(size_t, dev->config_size, sizeof(blk)));
		mutex_unlock(&dev->space_lock);
		/* With a header and a status */
		segs = vduse_blk_segs(dev->features, &blk) + 2;
	}

	return num >= segs && num <= VDUSE_SEGS_SUM / segs;
}

static bool vduse_groups_ok(const struct vduse_dev_config *info, u64 version)
{
	if (!version)
		return !info->ngroups && !info->nas;

	return info->ngroups && info->ngroups <= VDUSE_GROUPS_MAX &&
	       info->nas && info->nas <= VDUSE_AS_MAX;
}

static bool vduse_info_ok(const struct vduse_dev_config *info, u64 version)
{
	return vduse_name_ok(info->name) &&
	       (info->device_id == VIRTIO_ID_NET ||
		info->device_id == VIRTIO_ID_BLOCK) &&
	       info->vq_num && info->vq_num <= VDUSE_VQS_MAX &&
	       is_power_of_2(info->vq_align) && info->vq_align <= PAGE_SIZE &&
	       info->config_size && info->config_size <= PAGE_SIZE &&
	       vduse_groups_ok(info, version) &&
	       !memchr_inv(info->reserved, 0, sizeof(info->reserved)) &&
	       vduse_features_ok(info, version);
}

static long vduse_create_ioctl(struct vduse_control *control,
			       struct vduse_dev_config __user *argp)
{
	u64 version = control->version;
	struct vduse_dev_config info;
	u8 *config;
	int ret;

	if (copy_from_user(&info, argp, sizeof(info)))
		return -EFAULT;
	/*
	 * A program that asks but doesn't set a version may be one that knows
	 * version 0 only: then it has 0 in what was reserved.
	 */
	if (!control->set && control->asked && (info.ngroups || info.nas))
		version = VDUSE_API_VERSION_1;
	if (!vduse_info_ok(&info, version))
		return -EINVAL;
	config = memdup_user(argp->config, info.config_size);
	if (IS_ERR(config))
		return PTR_ERR(config);
	if (!vduse_config_ok(info.device_id, info.features, info.vq_num, config,
			     info.config_size)) {
		kfree(config);
		return -EINVAL;
	}

	mutex_lock(&vduse_lock);
	ret = vduse_create(&info, config, version,
			   version ? control->features : 0);
	mutex_unlock(&vduse_lock);

	return ret;
}

static long vduse_destroy_ioctl(void __user *argp)
{
	char name[VDUSE_NAME_MAX];
	int ret;

	if (copy_from_user(name, argp, sizeof(name)))
		return -EFAULT;
	name[sizeof(name) - 1] = '\0';

	mutex_lock(&vduse_lock);
	ret = vduse_destroy(name);
	mutex_unlock(&vduse_lock);

	return ret;
}

static long vduse_set_version(struct vduse_control *control, u64 __user *argp)
{
	u64 version;

	if (get_user(version, argp))
		return -EFAULT;
	if (version > VDUSE_VERSION_MAX)
		return -EINVAL;

	control->version = version;
	control->set = true;

	return 0;
}

static long vduse_get_version(struct vduse_control *control, u64 __user *argp)
{
	u64 version = control->set ? control->version : VDUSE_VERSION_MAX;

	control->asked = true;

	return put_user(version, argp);
}

static long vduse_set_requests(struct vduse_control *control, u64 __user *argp)
{
	u64 features;

	if (get_user(features, argp))
		return -EFAULT;
	if (features & ~VDUSE_FEATURES)
		return -EINVAL;
	/* Version 0 has no such requests */
	if (features && control->set && !control->version)
		return -EINVAL;

	control->features = features;

	return 0;
}

static long vduse_control_ioctl(struct file *file, unsigned int cmd,
				unsigned long arg)
{
	struct vduse_control *control = file->private_data;
	void __user *argp = (void __user *)arg;
	long ret;

	/* A file may be shared by several processes */
	mutex_lock(&control->lock);
	switch (cmd) {
	case VDUSE_GET_API_VERSION:
		ret = vduse_get_version(control, argp);
		break;
	case VDUSE_SET_API_VERSION:
		ret = vduse_set_version(control, argp);
		break;
	case VDUSE_GET_FEATURES:
		ret = put_user(VDUSE_FEATURES, (u64 __user *)argp);
		break;
	case VDUSE_SET_FEATURES:
		ret = vduse_set_requests(control, argp);
		break;
	case VDUSE_CREATE_DEV:
		ret = vduse_create_ioctl(control, argp);
		break;
	case VDUSE_DESTROY_DEV:
		ret = vduse_destroy_ioctl(argp);
		break;
	default:
		ret = -ENOIOCTLCMD;
		break;
	}
	mutex_unlock(&control->lock);

	return ret;
}

static int vduse_control_open(struct inode *inode, struct file *file)
{
	struct vduse_control *control;

	control = kzalloc(sizeof(*control), GFP_KERNEL_ACCOUNT);
	if (!control)
		return -ENOMEM;
	mutex_init(&control->lock);
	file->private_data = control;

	return 0;
}

static int vduse_control_release(struct inode *inode, struct file *file)
{
	struct vduse_control *control = file->private_data;

	mutex_destroy(&control->lock);
	kfree(control);

	return 0;
}

static const struct file_operations vduse_control_fops = {
	.owner = THIS_MODULE,
	.open = vduse_control_open,
	.release = vduse_control_release,
	.unlocked_ioctl = vduse_control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice vduse_control = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vduse-control",
	.nodename = "vduse/control",
	.fops = &vduse_control_fops,
};

/* ---- the management device ---- */

/*
 * The control virtqueue may be in the VMM's hands while the guest has the others:
 * it can't share their address space. Returns false if it shares a group.
 */
static bool vduse_cvq_apart(struct vduse_dev *dev)
{
	const struct virtio_net_config *net;
	u32 cvq = 2, i;

	if (dev->device_id != VIRTIO_ID_NET ||
	    !(dev->features & BIT_ULL(VIRTIO_NET_F_CTRL_VQ)))
		return true;

	if (dev->features & BIT_ULL(VIRTIO_NET_F_MQ)) {
		if (dev->config_size < offsetofend(struct virtio_net_config,
						   max_virtqueue_pairs))
			return false;
		mutex_lock(&dev->space_lock);
		net = (void *)dev->config;
		cvq = 2 * le16_to_cpu((__force __le16)net->max_virtqueue_pairs);
		mutex_unlock(&dev->space_lock);
	}
	if (cvq >= dev->nvqs)
		return false;
	for (i = 0; i < dev->nvqs; i++)
		if (i != cvq && dev->vqs[i].group == dev->vqs[cvq].group)
			return false;

	return true;
}

static struct vdpa_device *vduse_mgmt_add(struct vdpa_mgmt_dev *mdev,
					  const char *name,
					  const struct vdpa_dev_set_config *config,
					  struct netlink_ext_ack *extack)
{
	struct vdpa_device *vdpa = ERR_PTR(-EINVAL);
	struct vduse_dev *dev;
	unsigned int i;

	mutex_lock(&vduse_lock);
	dev = vduse_find(name);
	if (!dev) {
		NL_SET_ERR_MSG_MOD(extack,
				   "There is no VDUSE device of that name: start its daemon first");
		mutex_unlock(&vduse_lock);
		return ERR_PTR(-EINVAL);
	}

	mutex_lock(&dev->lock);
	mutex_unlock(&vduse_lock);
	/* The core has checked that no device of the name is on the bus */
	if (WARN_ON_ONCE(dev->vdev))
		goto unlock;

	dev->num_max = U16_MAX;
	for (i = 0; i < dev->nvqs; i++) {
		if (!dev->vqs[i].num_max) {
			NL_SET_ERR_MSG_MOD(extack,
					   "The daemon hasn't set up all virtqueues");
			goto unlock;
		}
		dev->num_max = min(dev->num_max, dev->vqs[i].num_max);
	}
	if (!vduse_cvq_apart(dev)) {
		NL_SET_ERR_MSG_MOD(extack,
				   "The control virtqueue needs a group of its own");
		goto unlock;
	}

	vdpa = vduse_vdpa_alloc(dev, mdev->device, name);
unlock:
	mutex_unlock(&dev->lock);

	return vdpa;
}

static const struct vdpa_mgmtdev_ops vduse_mgmt_ops = {
	.dev_add = vduse_mgmt_add,
};

static const struct virtio_device_id vduse_ids[] = {
	{ VIRTIO_ID_NET, VIRTIO_DEV_ANY_ID },
	{ VIRTIO_ID_BLOCK, VIRTIO_DEV_ANY_ID },
	{ 0 },
};

static struct vdpa_mgmt_dev vduse_mgmt = {
	.ops = &vduse_mgmt_ops,
	.id_table = vduse_ids,
	.max_supported_vqs = VDUSE_VQS_MAX,
};

/* ---- the module ---- */

static char *vduse_devnode(struct device *dev, umode_t *mode)
{
	return kasprintf(GFP_KERNEL, "vduse/%s", dev_name(dev));
}

static int __init vduse_init(void)
{
	int ret;

	vduse_vdpa_init();

	vduse_wq = alloc_workqueue("vduse", WQ_UNBOUND, 0);
	if (!vduse_wq)
		return -ENOMEM;

	vduse_class = class_create(THIS_MODULE, "vduse");
	if (IS_ERR(vduse_class)) {
		ret = PTR_ERR(vduse_class);
		goto err_class;
	}
	vduse_class->devnode = vduse_devnode;

	ret = alloc_chrdev_region(&vduse_major, 0, VDUSE_DEVS_MAX, "vduse");
	if (ret)
		goto err_region;

	cdev_init(&vduse_cdev, &vduse_dev_fops);
	vduse_cdev.owner = THIS_MODULE;
	ret = cdev_add(&vduse_cdev, vduse_major, VDUSE_DEVS_MAX);
	if (ret)
		goto err_cdev;

	vduse_mgmt_device = root_device_register("vduse");
	if (IS_ERR(vduse_mgmt_device)) {
		ret = PTR_ERR(vduse_mgmt_device);
		goto err_root;
	}

	vduse_mgmt.device = vduse_mgmt_device;
	ret = vdpa_mgmtdev_register(&vduse_mgmt);
	if (ret)
		goto err_mgmt;

	ret = misc_register(&vduse_control);
	if (ret)
		goto err_misc;

	return 0;

err_misc:
	vdpa_mgmtdev_unregister(&vduse_mgmt);
err_mgmt:
	root_device_unregister(vduse_mgmt_device);
err_root:
	cdev_del(&vduse_cdev);
err_cdev:
	unregister_chrdev_region(vduse_major, VDUSE_DEVS_MAX);
err_region:
	class_destroy(vduse_class);
err_class:
	destroy_workqueue(vduse_wq);
	return ret;
}
module_init(vduse_init);

/* There are no devices: each holds a reference of the module. */
static void __exit vduse_exit(void)
{
	misc_deregister(&vduse_control);
	vdpa_mgmtdev_unregister(&vduse_mgmt);
	root_device_unregister(vduse_mgmt_device);
	cdev_del(&vduse_cdev);
	unregister_chrdev_region(vduse_major, VDUSE_DEVS_MAX);
	class_destroy(vduse_class);
	destroy_workqueue(vduse_wq);
	idr_destroy(&vduse_devs);
}
module_exit(vduse_exit);

MODULE_LICENSE("GPL v2");
MODULE_DESCRIPTION("vDPA devices in userspace");
