// SPDX-License-Identifier: GPL-2.0-only
/*
 * The management interface of vDPA devices: the generic netlink family "vdpa",
 * which vdpa(8) uses. It lists management devices and devices, adds devices to
 * management devices and deletes them, and shows their configuration and
 * statistics.
 */

#include <linux/ctype.h>
#include <linux/delay.h>
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <net/genetlink.h>
#include <uapi/linux/vdpa.h>
#include <uapi/linux/virtio_blk.h>
#include <uapi/linux/virtio_net.h>

#include "vdpa_priv.h"

/* Maximum length of a device's name, without the terminating 0 */
#define VDPA_NAME_MAX 63

/* How often to read a configuration space that changes while it is read */
#define VDPA_CONFIG_TRIES 16

/* How often to try to lock a device's state, and milliseconds between tries */
#define VDPA_LOCK_TRIES 10
#define VDPA_LOCK_DELAY 20

static struct genl_family vdpa_family;

/* The management devices, by index. Read and changed under vdpa_lock. */
static DEFINE_XARRAY_ALLOC(vdpa_mgmtdevs);

union vdpa_view_config {
	struct virtio_net_config net;
	struct virtio_blk_config blk;
};

/*
 * A device's features, status and configuration space at one point in time.
 * Multi-byte fields of the configuration space are in the driver's byte order:
 * little-endian, or the CPU's for a legacy driver.
 */
struct vdpa_view {
	u64 features;
	u64 driver_features;
	u8 status;
	bool little_endian;
	size_t len;			/* valid bytes in config */
	union vdpa_view_config config;
};

/* True if the configuration space of the device contains the whole field. */
#define vdpa_view_has(view, field) \
	(offsetofend(union vdpa_view_config, field) <= (view)->len)

static bool vdpa_mgmtdev_is(const struct vdpa_mgmt_dev *mdev,
			    const char *bus, const char *name)
{
	const struct bus_type *mdev_bus = mdev->device->bus;

	if (strcmp(dev_name(mdev->device), name))
		return false;
	if (!mdev_bus || !bus)
		return !mdev_bus && !bus;

	return !strcmp(mdev_bus->name, bus);
}

static struct vdpa_mgmt_dev *vdpa_mgmtdev_find(const char *bus,
					       const char *name)
{
	struct vdpa_mgmt_dev *mdev;
	unsigned long index;

	lockdep_assert_held(&vdpa_lock);

	xa_for_each(&vdpa_mgmtdevs, index, mdev)
		if (vdpa_mgmtdev_is(mdev, bus, name))
			return mdev;

	return NULL;
}

/**
 * vdpa_mgmtdev_register - register a management device
 * @mdev: the management device, allocated and filled in by the caller; in use
 *        until vdpa_mgmtdev_unregister() returns
 *
 * Users may add devices to it before this returns. Takes vdpa_lock.
 *
 * Return: 0, -EINVAL if @mdev is incomplete, -EEXIST if a management device of
 * the same name and bus is registered, -EBUSY if no index is free, or -ENOMEM.
 */
int vdpa_mgmtdev_register(struct vdpa_mgmt_dev *mdev)
{
	const struct bus_type *bus;
	int ret;

	if (!mdev->device || !mdev->ops || !mdev->ops->dev_add ||
	    !mdev->id_table)
		return -EINVAL;
	bus = mdev->device->bus;

	mutex_lock(&vdpa_lock);
	if (vdpa_mgmtdev_find(bus ? bus->name : NULL, dev_name(mdev->device)))
		ret = -EEXIST;
	else
		ret = xa_alloc(&vdpa_mgmtdevs, &mdev->index, mdev,
			       xa_limit_31b, GFP_KERNEL);
	mutex_unlock(&vdpa_lock);

	return ret;
}
EXPORT_SYMBOL_GPL(vdpa_mgmtdev_register);

/**
 * vdpa_mgmtdev_unregister - unregister a management device
 * @mdev: the management device
 *
 * Deletes all devices that were added to it, whether they are in use or not.
 * When it returns, no operation of @mdev is running or will be called. Takes
 * vdpa_lock.
 */
void vdpa_mgmtdev_unregister(struct vdpa_mgmt_dev *mdev)
{
	struct vdpa_device *vdev;
	unsigned long index;

	mutex_lock(&vdpa_lock);
	xa_erase(&vdpa_mgmtdevs, mdev->index);
	xa_for_each(&vdpa_devices, index, vdev)
		if (vdev->mdev == mdev)
			vdpa_unregister_device_locked(vdev);
	mutex_unlock(&vdpa_lock);
}
EXPORT_SYMBOL_GPL(vdpa_mgmtdev_unregister);

/* ---- Messages to userspace ---- */

/* Puts the attributes of a device or a management device into a message. */
typedef int vdpa_put_t(struct sk_buff *msg, void *object);

/* Put the attributes that identify a management device into a message. */
static int vdpa_put_mgmtdev_name(struct sk_buff *msg, const struct device *dev)
{
	if (dev->bus && nla_put_string(msg, VDPA_ATTR_MGMTDEV_BUS_NAME,
				       dev->bus->name))
		return -EMSGSIZE;

	return nla_put_string(msg, VDPA_ATTR_MGMTDEV_DEV_NAME, dev_name(dev));
}

static u64 vdpa_mgmtdev_classes(const struct vdpa_mgmt_dev *mdev)
{
	const struct virtio_device_id *id;
	u64 classes = 0;

	for (id = mdev->id_table; id->device; id++)
		if (id->device < 64)
			classes |= BIT_ULL(id->device);

	return classes;
}

static int vdpa_put_mgmtdev(struct sk_buff *msg, void *object)
{
	const struct vdpa_mgmt_dev *mdev = object;

	if (vdpa_put_mgmtdev_name(msg, mdev->device) ||
	    nla_put_u64_64bit(msg, VDPA_ATTR_MGMTDEV_SUPPORTED_CLASSES,
			      vdpa_mgmtdev_classes(mdev), VDPA_ATTR_PAD) ||
	    nla_put_u32(msg, VDPA_ATTR_DEV_MGMTDEV_MAX_VQS,
			mdev->max_supported_vqs) ||
	    nla_put_u64_64bit(msg, VDPA_ATTR_DEV_SUPPORTED_FEATURES,
			      mdev->supported_features, VDPA_ATTR_PAD))
		return -EMSGSIZE;

	return 0;
}

static int vdpa_put_dev(struct sk_buff *msg, void *object)
{
	struct vdpa_device *vdev = object;
	const struct vdpa_config_ops *ops = vdev->config;
	struct device *parent = vdev->dev.parent;

	/* A device that no user added: its parent stands for the manager. */
	if (vdev->mdev)
		parent = vdev->mdev->device;
	if (vdpa_put_mgmtdev_name(msg, parent) ||
	    nla_put_string(msg, VDPA_ATTR_DEV_NAME, dev_name(&vdev->dev)) ||
	    nla_put_u32(msg, VDPA_ATTR_DEV_ID, ops->get_device_id(vdev)) ||
	    nla_put_u32(msg, VDPA_ATTR_DEV_VENDOR_ID,
			ops->get_vendor_id(vdev)) ||
	    nla_put_u32(msg, VDPA_ATTR_DEV_MAX_VQS, vdev->nvqs) ||
	    nla_put_u16(msg, VDPA_ATTR_DEV_MAX_VQ_SIZE,
			ops->get_vq_num_max(vdev)) ||
	    nla_put_u16(msg, VDPA_ATTR_DEV_MIN_VQ_SIZE, 1))
		return -EMSGSIZE;

	return 0;
}

/*
 * The parent may wait for its device with the lock held, e.g. for a process that
 * implements it. Don't wait as long: others wait for vdpa_lock.
 */
static bool vdpa_trylock_state(struct vdpa_device *vdev)
{
	int tries = VDPA_LOCK_TRIES;

	while (!mutex_trylock(&vdev->state_lock)) {
		if (!--tries)
			return false;
		msleep(VDPA_LOCK_DELAY);
	}

	return true;
}

/*
 * Fill a view. vdpa_get_config() can't be used: it sets the features to 0 if
 * the driver hasn't set any, and to look at a device must not change it.
 */
static int vdpa_view_take(struct vdpa_device *vdev, struct vdpa_view *view)
{
	const struct vdpa_config_ops *ops = vdev->config;
	int tries = VDPA_CONFIG_TRIES;
	int ret = 0;
	u32 gen;

	memset(view, 0, sizeof(*view));

	if (!vdpa_trylock_state(vdev))
		return -EBUSY;
	view->features = ops->get_features(vdev);
	view->driver_features = ops->get_driver_features(vdev);
	view->status = ops->get_status(vdev);
	view->little_endian = virtio_legacy_is_little_endian() ||
		view->driver_features & BIT_ULL(VIRTIO_F_VERSION_1);

	/* Drivers are locked out, but the device may change its configuration. */
	view->len = min(ops->get_config_size(vdev), sizeof(view->config));
	do {
		gen = ops->get_generation ? ops->get_generation(vdev) : 0;
		ops->get_config(vdev, 0, &view->config, view->len);
		if (!ops->get_generation || ops->get_generation(vdev) == gen)
			goto out;
	} while (--tries);
	ret = -EBUSY;
out:
	mutex_unlock(&vdev->state_lock);

	return ret;
}

static u16 vdpa_view_u16(const struct vdpa_view *view, __virtio16 val)
{
	return __virtio16_to_cpu(view->little_endian, val);
}

static u32 vdpa_view_u32(const struct vdpa_view *view, __virtio32 val)
{
	return __virtio32_to_cpu(view->little_endian, val);
}

static u64 vdpa_view_u64(const struct vdpa_view *view, __virtio64 val)
{
	return __virtio64_to_cpu(view->little_endian, val);
}

/*
 * Put the number of queue pairs of a network device: 1 unless VIRTIO_NET_F_MQ is
 * in @features.
 */
static int vdpa_put_net_pairs(struct sk_buff *msg, const struct vdpa_view *view,
			      u64 features)
{
	u16 pairs = 1;

	if (features & BIT_ULL(VIRTIO_NET_F_MQ) &&
	    vdpa_view_has(view, net.max_virtqueue_pairs))
		pairs = vdpa_view_u16(view,
				      view->config.net.max_virtqueue_pairs);

	return nla_put_u16(msg, VDPA_ATTR_DEV_NET_CFG_MAX_VQP, pairs);
}

/* Put the fields of a network device that it has the features for. */
static int vdpa_put_net_config(struct sk_buff *msg,
			       const struct vdpa_view *view)
{
	const struct virtio_net_config *net = &view->config.net;

	if (view->features & BIT_ULL(VIRTIO_NET_F_MAC) &&
	    vdpa_view_has(view, net.mac) &&
	    nla_put(msg, VDPA_ATTR_DEV_NET_CFG_MACADDR, ETH_ALEN, net->mac))
		return -EMSGSIZE;

	if (view->features & BIT_ULL(VIRTIO_NET_F_STATUS) &&
	    vdpa_view_has(view, net.status) &&
	    nla_put_u16(msg, VDPA_ATTR_DEV_NET_STATUS,
			vdpa_view_u16(view, net->status)))
		return -EMSGSIZE;

	if (vdpa_put_net_pairs(msg, view, view->features))
		return -EMSGSIZE;

	if (view->features & BIT_ULL(VIRTIO_NET_F_MTU) &&
	    vdpa_view_has(view, net.mtu) &&
	    nla_put_u16(msg, VDPA_ATTR_DEV_NET_CFG_MTU,
			vdpa_view_u16(view, net->mtu)))
		return -EMSGSIZE;

	return 0;
}

static int vdpa_put_blk_topology(struct sk_buff *msg,
				 const struct vdpa_view *view)
{
	const struct virtio_blk_config *blk = &view->config.blk;

	if (nla_put_u8(msg, VDPA_ATTR_DEV_BLK_CFG_PHY_BLK_EXP,
		       blk->physical_block_exp) ||
	    nla_put_u8(msg, VDPA_ATTR_DEV_BLK_CFG_ALIGN_OFFSET,
		       blk->alignment_offset) ||
	    nla_put_u16(msg, VDPA_ATTR_DEV_BLK_CFG_MIN_IO_SIZE,
			vdpa_view_u16(view, blk->min_io_size)) ||
	    nla_put_u32(msg, VDPA_ATTR_DEV_BLK_CFG_OPT_IO_SIZE,
			vdpa_view_u32(view, blk->opt_io_size)))
		return -EMSGSIZE;

	return 0;
}

static int vdpa_put_blk_discard(struct sk_buff *msg,
				const struct vdpa_view *view)
{
	const struct virtio_blk_config *blk = &view->config.blk;

	if (nla_put_u32(msg, VDPA_ATTR_DEV_BLK_CFG_MAX_DISCARD_SEC,
			vdpa_view_u32(view, blk->max_discard_sectors)) ||
	    nla_put_u32(msg, VDPA_ATTR_DEV_BLK_CFG_MAX_DISCARD_SEG,
			vdpa_view_u32(view, blk->max_discard_seg)) ||
	    nla_put_u32(msg, VDPA_ATTR_DEV_BLK_CFG_DISCARD_SEC_ALIGN,
			vdpa_view_u32(view, blk->discard_sector_alignment)))
		return -EMSGSIZE;

	return 0;
}

static int vdpa_put_blk_write_zeroes(struct sk_buff *msg,
				     const struct vdpa_view *view)
{
	const struct virtio_blk_config *blk = &view->config.blk;

	if (nla_put_u32(msg, VDPA_ATTR_DEV_BLK_CFG_MAX_WRITE_ZEROES_SEC,
			vdpa_view_u32(view, blk->max_write_zeroes_sectors)) ||
	    nla_put_u32(msg, VDPA_ATTR_DEV_BLK_CFG_MAX_WRITE_ZEROES_SEG,
			vdpa_view_u32(view, blk->max_write_zeroes_seg)))
		return -EMSGSIZE;

	return 0;
}

/* Put the fields of a block device that it has the features for. */
static int vdpa_put_blk_config(struct sk_buff *msg,
			       const struct vdpa_view *view)
{
	const struct virtio_blk_config *blk = &view->config.blk;

	if (nla_put_u8(msg, VDPA_ATTR_DEV_BLK_READ_ONLY,
		       !!(view->features & BIT_ULL(VIRTIO_BLK_F_RO))) ||
	    nla_put_u8(msg, VDPA_ATTR_DEV_BLK_FLUSH,
		       !!(view->features & BIT_ULL(VIRTIO_BLK_F_FLUSH))))
		return -EMSGSIZE;

	if (vdpa_view_has(view, blk.capacity) &&
	    nla_put_u64_64bit(msg, VDPA_ATTR_DEV_BLK_CFG_CAPACITY,
			      vdpa_view_u64(view, blk->capacity),
			      VDPA_ATTR_PAD))
		return -EMSGSIZE;

	if (view->features & BIT_ULL(VIRTIO_BLK_F_SIZE_MAX) &&
	    vdpa_view_has(view, blk.size_max) &&
	    nla_put_u32(msg, VDPA_ATTR_DEV_BLK_CFG_SIZE_MAX,
			vdpa_view_u32(view, blk->size_max)))
		return -EMSGSIZE;

	if (view->features & BIT_ULL(VIRTIO_BLK_F_SEG_MAX) &&
	    vdpa_view_has(view, blk.seg_max) &&
	    nla_put_u32(msg, VDPA_ATTR_DEV_BLK_CFG_SEG_MAX,
			vdpa_view_u32(view, blk->seg_max)))
		return -EMSGSIZE;

	if (view->features & BIT_ULL(VIRTIO_BLK_F_BLK_SIZE) &&
	    vdpa_view_has(view, blk.blk_size) &&
	    nla_put_u32(msg, VDPA_ATTR_DEV_BLK_CFG_BLK_SIZE,
			vdpa_view_u32(view, blk->blk_size)))
		return -EMSGSIZE;

	if (view->features & BIT_ULL(VIRTIO_BLK_F_TOPOLOGY) &&
	    vdpa_view_has(view, blk.opt_io_size) &&
	    vdpa_put_blk_topology(msg, view))
		return -EMSGSIZE;

	if (view->features & BIT_ULL(VIRTIO_BLK_F_MQ) &&
	    vdpa_view_has(view, blk.num_queues) &&
	    nla_put_u16(msg, VDPA_ATTR_DEV_BLK_CFG_NUM_QUEUES,
			vdpa_view_u16(view, blk->num_queues)))
		return -EMSGSIZE;

	if (view->features & BIT_ULL(VIRTIO_BLK_F_DISCARD) &&
	    vdpa_view_has(view, blk.discard_sector_alignment) &&
	    vdpa_put_blk_discard(msg, view))
		return -EMSGSIZE;

	if (view->features & BIT_ULL(VIRTIO_BLK_F_WRITE_ZEROES) &&
	    vdpa_view_has(view, blk.max_write_zeroes_seg) &&
	    vdpa_put_blk_write_zeroes(msg, view))
		return -EMSGSIZE;

	return 0;
}

static int vdpa_put_config(struct sk_buff *msg, void *object)
{
	struct vdpa_device *vdev = object;
	u32 device_id = vdev->config->get_device_id(vdev);
	struct vdpa_view view;
	int ret;

	ret = vdpa_view_take(vdev, &view);
	if (ret)
		return ret;

	if (nla_put_string(msg, VDPA_ATTR_DEV_NAME, dev_name(&vdev->dev)) ||
	    nla_put_u32(msg, VDPA_ATTR_DEV_ID, device_id) ||
	    nla_put_u64_64bit(msg, VDPA_ATTR_DEV_FEATURES, view.features,
			      VDPA_ATTR_PAD))
		return -EMSGSIZE;

	if (view.status & VIRTIO_CONFIG_S_FEATURES_OK &&
	    nla_put_u64_64bit(msg, VDPA_ATTR_DEV_NEGOTIATED_FEATURES,
			      view.driver_features, VDPA_ATTR_PAD))
		return -EMSGSIZE;

	switch (device_id) {
	case VIRTIO_ID_NET:
		return vdpa_put_net_config(msg, &view);
	case VIRTIO_ID_BLOCK:
		return vdpa_put_blk_config(msg, &view);
	default:
		return 0;
	}
}

/* A virtqueue that a request names */
struct vdpa_vq {
	struct vdpa_device *vdev;
	u32 idx;
};

/* vdpa(8) tells the type of a network device's queue from its index. */
static int vdpa_put_vq_type(struct sk_buff *msg, struct vdpa_device *vdev)
{
	struct vdpa_view view;
	int ret;

	ret = vdpa_view_take(vdev, &view);
	if (ret)
		return ret;

	if (vdpa_put_net_pairs(msg, &view, view.driver_features) ||
	    nla_put_u64_64bit(msg, VDPA_ATTR_DEV_NEGOTIATED_FEATURES,
			      view.driver_features, VDPA_ATTR_PAD))
		return -EMSGSIZE;

	return 0;
}

static int vdpa_put_vq_stats(struct sk_buff *msg, void *object)
{
	struct vdpa_vq_stat stats[VDPA_VQ_STATS_MAX];
	const struct vdpa_vq *vq = object;
	struct vdpa_device *vdev = vq->vdev;
	const struct vdpa_config_ops *ops = vdev->config;
	u32 device_id = ops->get_device_id(vdev);
	unsigned int i, n;
	int ret;

	if (nla_put_string(msg, VDPA_ATTR_DEV_NAME, dev_name(&vdev->dev)) ||
	    nla_put_u32(msg, VDPA_ATTR_DEV_ID, device_id))
		return -EMSGSIZE;

	if (device_id == VIRTIO_ID_NET) {
		ret = vdpa_put_vq_type(msg, vdev);
		if (ret)
			return ret;
	}

	if (nla_put_u32(msg, VDPA_ATTR_DEV_QUEUE_INDEX, vq->idx))
		return -EMSGSIZE;

	n = min_t(unsigned int, ops->get_vq_stats(vdev, vq->idx, stats),
		  ARRAY_SIZE(stats));
	for (i = 0; i < n; i++) {
		if (nla_put_string(msg, VDPA_ATTR_DEV_VENDOR_ATTR_NAME,
				   stats[i].name) ||
		    nla_put_u64_64bit(msg, VDPA_ATTR_DEV_VENDOR_ATTR_VALUE,
				      stats[i].value, VDPA_ATTR_PAD))
			return -EMSGSIZE;
	}

	return 0;
}

static int vdpa_put_msg(struct sk_buff *msg, u32 portid, u32 seq, int flags,
			u8 cmd, vdpa_put_t *put, void *object)
{
	void *hdr;
	int ret;

	hdr = genlmsg_put(msg, portid, seq, &vdpa_family, flags, cmd);
	if (!hdr)
		return -EMSGSIZE;

	ret = put(msg, object);
	if (ret) {
		genlmsg_cancel(msg, hdr);
		return ret;
	}
	genlmsg_end(msg, hdr);

	return 0;
}

/* Reply to a request about one object. */
static int vdpa_reply(struct genl_info *info, u8 cmd, vdpa_put_t *put,
		      void *object)
{
	struct sk_buff *msg;
	int ret;

	msg = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!msg)
		return -ENOMEM;

	ret = vdpa_put_msg(msg, info->snd_portid, info->snd_seq, 0, cmd, put,
			   object);
	if (ret) {
		nlmsg_free(msg);
		if (ret == -EBUSY)
			NL_SET_ERR_MSG(info->extack,
				       "The device is busy, or its configuration keeps changing");
		return ret;
	}

	return genlmsg_reply(msg, info);
}

/*
 * Put as many objects into a message as fit. The next call continues after the
 * index of the last one, so it skips none if others come or go in between.
 */
static int vdpa_dump(struct sk_buff *msg, struct netlink_callback *cb, u8 cmd,
		     struct xarray *objects, vdpa_put_t *put)
{
	unsigned long index;
	void *object;
	int ret = 0;

	mutex_lock(&vdpa_lock);
	xa_for_each_start(objects, index, object, cb->args[0]) {
		ret = vdpa_put_msg(msg, NETLINK_CB(cb->skb).portid,
				   cb->nlh->nlmsg_seq, NLM_F_MULTI, cmd, put,
				   object);
		if (ret == -EMSGSIZE)
			break;
		/* Skip an object that can't be shown, and show the others. */
		ret = 0;
		cb->args[0] = index + 1;
	}
	mutex_unlock(&vdpa_lock);

	return msg->len ?: ret;
}

/* ---- Requests from userspace ---- */

/* Find the management device that a request names. */
static struct vdpa_mgmt_dev *vdpa_genl_mgmtdev(struct genl_info *info)
{
	struct nlattr *bus = info->attrs[VDPA_ATTR_MGMTDEV_BUS_NAME];
	struct nlattr *name = info->attrs[VDPA_ATTR_MGMTDEV_DEV_NAME];
	struct vdpa_mgmt_dev *mdev;

	if (!name) {
		NL_SET_ERR_MSG(info->extack, "No management device named");
		return ERR_PTR(-EINVAL);
	}

	mdev = vdpa_mgmtdev_find(bus ? nla_data(bus) : NULL, nla_data(name));
	if (!mdev) {
		NL_SET_ERR_MSG_ATTR(info->extack, name,
				    "No such management device");
		return ERR_PTR(-ENODEV);
	}

	return mdev;
}

/* Find the device that a request names. */
static struct vdpa_device *vdpa_genl_dev(struct genl_info *info)
{
	struct nlattr *name = info->attrs[VDPA_ATTR_DEV_NAME];
	struct vdpa_device *vdev;

	if (!name) {
		NL_SET_ERR_MSG(info->extack, "No device named");
		return ERR_PTR(-EINVAL);
	}

	vdev = vdpa_find_device(nla_data(name));
	if (!vdev) {
		NL_SET_ERR_MSG_ATTR(info->extack, name, "No such device");
		return ERR_PTR(-ENODEV);
	}

	return vdev;
}

static int vdpa_cmd_mgmtdev_get(struct sk_buff *skb, struct genl_info *info)
{
	struct vdpa_mgmt_dev *mdev;
	int ret;

	mutex_lock(&vdpa_lock);
	mdev = vdpa_genl_mgmtdev(info);
	if (IS_ERR(mdev))
		ret = PTR_ERR(mdev);
	else
		ret = vdpa_reply(info, VDPA_CMD_MGMTDEV_NEW,
				 vdpa_put_mgmtdev, mdev);
	mutex_unlock(&vdpa_lock);

	return ret;
}

static int vdpa_cmd_mgmtdev_dump(struct sk_buff *msg,
				 struct netlink_callback *cb)
{
	return vdpa_dump(msg, cb, VDPA_CMD_MGMTDEV_NEW, &vdpa_mgmtdevs,
			 vdpa_put_mgmtdev);
}

/*
 * The name becomes a directory in sysfs, a link in the directory of the driver
 * that binds to the device, and a part of uevents and log messages.
 */
static int vdpa_nl_check_name(const struct nlattr *attr,
			      struct netlink_ext_ack *extack)
{
	static const char * const driver_files[] = {
		"bind", "module", "unbind",
	};
	const char *name, *c;

	if (!attr) {
		NL_SET_ERR_MSG(extack, "A device needs a name");
		return -EINVAL;
	}

	name = nla_data(attr);
	if (!*name) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "The name is empty");
		return -EINVAL;
	}
	if (strlen(name) > VDPA_NAME_MAX) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "The name is longer than 63 characters");
		return -EINVAL;
	}
	if (!strcmp(name, ".") || !strcmp(name, "..")) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "The name can't be . or ..");
		return -EINVAL;
	}
	if (match_string(driver_files, ARRAY_SIZE(driver_files), name) >= 0) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "Drivers have a file of that name in sysfs");
		return -EINVAL;
	}
	for (c = name; *c; c++) {
		if (isascii(*c) && isgraph(*c) && *c != '/')
			continue;
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "Only visible ASCII characters without / can be in a name");
		return -EINVAL;
	}

	return 0;
}

static int vdpa_nl_parse_features(const struct vdpa_mgmt_dev *mdev,
				  const struct nlattr *attr,
				  struct vdpa_dev_set_config *config,
				  struct netlink_ext_ack *extack)
{
	if (!(mdev->config_attr_mask & BIT_ULL(VDPA_ATTR_DEV_FEATURES))) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "The management device doesn't take device_features");
		return -EOPNOTSUPP;
	}

	config->device_features = nla_get_u64(attr);
	config->mask |= BIT_ULL(VDPA_ATTR_DEV_FEATURES);

	if (config->device_features & ~mdev->supported_features) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "The management device doesn't support all of device_features");
		return -EINVAL;
	}

	return 0;
}

static int vdpa_nl_parse_mac(const struct vdpa_mgmt_dev *mdev, u64 features,
			     const struct nlattr *attr,
			     struct vdpa_dev_set_config *config,
			     struct netlink_ext_ack *extack)
{
	if (!(mdev->config_attr_mask &
	      BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MACADDR))) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "The management device doesn't take mac");
		return -EOPNOTSUPP;
	}
	if (!(features & BIT_ULL(VIRTIO_NET_F_MAC))) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "mac needs the feature VIRTIO_NET_F_MAC");
		return -EINVAL;
	}

	memcpy(config->net.mac, nla_data(attr), ETH_ALEN);
	config->mask |= BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MACADDR);

	if (!is_valid_ether_addr(config->net.mac)) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "mac has to be a unicast address and not zero");
		return -EINVAL;
	}

	return 0;
}

static int vdpa_nl_parse_mtu(const struct vdpa_mgmt_dev *mdev, u64 features,
			     const struct nlattr *attr,
			     struct vdpa_dev_set_config *config,
			     struct netlink_ext_ack *extack)
{
	if (!(mdev->config_attr_mask & BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MTU))) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "The management device doesn't take mtu");
		return -EOPNOTSUPP;
	}
	if (!(features & BIT_ULL(VIRTIO_NET_F_MTU))) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "mtu needs the feature VIRTIO_NET_F_MTU");
		return -EINVAL;
	}

	config->net.mtu = nla_get_u16(attr);
	config->mask |= BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MTU);

	if (config->net.mtu < ETH_MIN_MTU) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "mtu has to be at least 68");
		return -EINVAL;
	}

	return 0;
}

static int vdpa_nl_parse_max_vqp(const struct vdpa_mgmt_dev *mdev, u64 features,
				 const struct nlattr *attr,
				 struct vdpa_dev_set_config *config,
				 struct netlink_ext_ack *extack)
{
	u16 pairs = nla_get_u16(attr);

	if (!(vdpa_mgmtdev_classes(mdev) & BIT_ULL(VIRTIO_ID_NET))) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "The management device doesn't take max_vqp");
		return -EOPNOTSUPP;
	}
	if (!pairs) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "max_vqp has to be at least 1");
		return -EINVAL;
	}
	/* A network device has one pair unless it is given more. */
	if (!(mdev->config_attr_mask &
	      BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MAX_VQP))) {
		if (pairs == 1)
			return 0;
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "The management device supports no max_vqp other than 1");
		return -EOPNOTSUPP;
	}
	if (pairs > 1 && !(features & BIT_ULL(VIRTIO_NET_F_MQ))) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "max_vqp needs the feature VIRTIO_NET_F_MQ");
		return -EINVAL;
	}

	config->net.max_vq_pairs = pairs;
	config->mask |= BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MAX_VQP);

	return 0;
}

/* Parse and check the configuration that a new device is to have. */
static int vdpa_nl_parse_config(const struct vdpa_mgmt_dev *mdev,
				struct genl_info *info,
				struct vdpa_dev_set_config *config)
{
	u64 features = mdev->supported_features;
	struct nlattr *attr;
	int ret;

	attr = info->attrs[VDPA_ATTR_DEV_FEATURES];
	if (attr) {
		ret = vdpa_nl_parse_features(mdev, attr, config, info->extack);
		if (ret)
			return ret;
		features = config->device_features;
	}

	attr = info->attrs[VDPA_ATTR_DEV_NET_CFG_MACADDR];
	if (attr) {
		ret = vdpa_nl_parse_mac(mdev, features, attr, config,
					info->extack);
		if (ret)
			return ret;
	}

	attr = info->attrs[VDPA_ATTR_DEV_NET_CFG_MTU];
	if (attr) {
		ret = vdpa_nl_parse_mtu(mdev, features, attr, config,
					info->extack);
		if (ret)
			return ret;
	}

	attr = info->attrs[VDPA_ATTR_DEV_NET_CFG_MAX_VQP];
	if (attr) {
		ret = vdpa_nl_parse_max_vqp(mdev, features, attr, config,
					    info->extack);
		if (ret)
			return ret;
	}

	return 0;
}

/* The directory of a device is in that of its management device. */
static bool vdpa_mgmtdev_has_file(const struct vdpa_mgmt_dev *mdev,
				  const char *name)
{
	struct kernfs_node *file;

	file = sysfs_get_dirent(mdev->device->kobj.sd, name);
	sysfs_put(file);

	return file;
}

/* Returns the device, registered but not yet probed, or an ERR_PTR(). */
static struct vdpa_device *vdpa_dev_new(struct genl_info *info)
{
	struct nlattr *name = info->attrs[VDPA_ATTR_DEV_NAME];
	struct vdpa_dev_set_config config = {};
	struct vdpa_mgmt_dev *mdev;
	struct vdpa_device *vdev;
	int ret;

	mdev = vdpa_genl_mgmtdev(info);
	if (IS_ERR(mdev))
		return ERR_CAST(mdev);

	ret = vdpa_nl_parse_config(mdev, info, &config);
	if (ret)
		return ERR_PTR(ret);

	if (vdpa_find_device(nla_data(name))) {
		NL_SET_ERR_MSG_ATTR(info->extack, name,
				    "There is a device of that name");
		return ERR_PTR(-EEXIST);
	}
	/* device_add() would notice that too, with a stack trace in the log. */
	if (vdpa_mgmtdev_has_file(mdev, nla_data(name))) {
		NL_SET_ERR_MSG_ATTR(info->extack, name,
				    "The management device has a file of that name in sysfs");
		return ERR_PTR(-EEXIST);
	}

	vdev = mdev->ops->dev_add(mdev, nla_data(name), &config, info->extack);
	if (IS_ERR(vdev))
		return vdev;

	vdev->mdev = mdev;
	ret = vdpa_register_device_locked(vdev);
	if (ret) {
		put_device(&vdev->dev);
		return ERR_PTR(ret);
	}

	return vdev;
}

static int vdpa_cmd_dev_new(struct sk_buff *skb, struct genl_info *info)
{
	struct vdpa_device *vdev;
	int ret;

	ret = vdpa_nl_check_name(info->attrs[VDPA_ATTR_DEV_NAME], info->extack);
	if (ret)
		return ret;

	mutex_lock(&vdpa_lock);
	vdev = vdpa_dev_new(info);
	mutex_unlock(&vdpa_lock);
	if (IS_ERR(vdev))
		return PTR_ERR(vdev);

	vdpa_attach_device(vdev);

	return 0;
}

static int vdpa_dev_del(struct genl_info *info)
{
	struct vdpa_device *vdev;

	vdev = vdpa_genl_dev(info);
	if (IS_ERR(vdev))
		return PTR_ERR(vdev);

	if (!vdev->mdev) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[VDPA_ATTR_DEV_NAME],
				    "Only a device that was added can be deleted");
		return -EINVAL;
	}

	vdpa_unregister_device_locked(vdev);

	return 0;
}

static int vdpa_cmd_dev_del(struct sk_buff *skb, struct genl_info *info)
{
	int ret;

	mutex_lock(&vdpa_lock);
	ret = vdpa_dev_del(info);
	mutex_unlock(&vdpa_lock);

	return ret;
}

static int vdpa_show(struct genl_info *info, u8 cmd, vdpa_put_t *put)
{
	struct vdpa_device *vdev;
	int ret;

	mutex_lock(&vdpa_lock);
	vdev = vdpa_genl_dev(info);
	if (IS_ERR(vdev))
		ret = PTR_ERR(vdev);
	else
		ret = vdpa_reply(info, cmd, put, vdev);
	mutex_unlock(&vdpa_lock);

	return ret;
}

static int vdpa_cmd_dev_get(struct sk_buff *skb, struct genl_info *info)
{
	return vdpa_show(info, VDPA_CMD_DEV_NEW, vdpa_put_dev);
}

static int vdpa_cmd_dev_dump(struct sk_buff *msg, struct netlink_callback *cb)
{
	return vdpa_dump(msg, cb, VDPA_CMD_DEV_NEW, &vdpa_devices,
			 vdpa_put_dev);
}

static int vdpa_cmd_config_get(struct sk_buff *skb, struct genl_info *info)
{
	return vdpa_show(info, VDPA_CMD_DEV_CONFIG_GET,
			 vdpa_put_config);
}

static int vdpa_cmd_config_dump(struct sk_buff *msg,
				struct netlink_callback *cb)
{
	return vdpa_dump(msg, cb, VDPA_CMD_DEV_CONFIG_GET, &vdpa_devices,
			 vdpa_put_config);
}

static int vdpa_vstats_get(struct genl_info *info)
{
	struct nlattr *idx = info->attrs[VDPA_ATTR_DEV_QUEUE_INDEX];
	struct vdpa_vq vq;

	vq.vdev = vdpa_genl_dev(info);
	if (IS_ERR(vq.vdev))
		return PTR_ERR(vq.vdev);

	if (!idx) {
		NL_SET_ERR_MSG(info->extack, "No virtqueue named");
		return -EINVAL;
	}
	vq.idx = nla_get_u32(idx);
	if (vq.idx >= vq.vdev->nvqs) {
		NL_SET_ERR_MSG_ATTR(info->extack, idx, "No such virtqueue");
		return -EINVAL;
	}
	vq.idx = array_index_nospec(vq.idx, vq.vdev->nvqs);

	if (!vq.vdev->config->get_vq_stats) {
		NL_SET_ERR_MSG(info->extack, "The device has no statistics");
		return -EOPNOTSUPP;
	}

	return vdpa_reply(info, VDPA_CMD_DEV_VSTATS_GET, vdpa_put_vq_stats,
			  &vq);
}

static int vdpa_cmd_vstats_get(struct sk_buff *skb, struct genl_info *info)
{
	int ret;

	mutex_lock(&vdpa_lock);
	ret = vdpa_vstats_get(info);
	mutex_unlock(&vdpa_lock);

	return ret;
}

/* A policy for each command: it refuses attributes that it doesn't use. */

static const struct nla_policy vdpa_mgmtdev_policy[] = {
	[VDPA_ATTR_MGMTDEV_BUS_NAME]	= { .type = NLA_NUL_STRING },
	[VDPA_ATTR_MGMTDEV_DEV_NAME]	= { .type = NLA_NUL_STRING },
};

static const struct nla_policy vdpa_new_policy[] = {
	[VDPA_ATTR_MGMTDEV_BUS_NAME]	= { .type = NLA_NUL_STRING },
	[VDPA_ATTR_MGMTDEV_DEV_NAME]	= { .type = NLA_NUL_STRING },
	[VDPA_ATTR_DEV_NAME]		= { .type = NLA_NUL_STRING },
	[VDPA_ATTR_DEV_NET_CFG_MACADDR]	= NLA_POLICY_ETH_ADDR,
	[VDPA_ATTR_DEV_NET_CFG_MAX_VQP]	= { .type = NLA_U16 },
	[VDPA_ATTR_DEV_NET_CFG_MTU]	= { .type = NLA_U16 },
	[VDPA_ATTR_DEV_FEATURES]	= { .type = NLA_U64 },
};

static const struct nla_policy vdpa_dev_policy[] = {
	[VDPA_ATTR_DEV_NAME]		= { .type = NLA_NUL_STRING },
};

static const struct nla_policy vdpa_vstats_policy[] = {
	[VDPA_ATTR_DEV_NAME]		= { .type = NLA_NUL_STRING },
	[VDPA_ATTR_DEV_QUEUE_INDEX]	= { .type = NLA_U32 },
};

static const struct genl_ops vdpa_ops[] = {
	{
		.cmd = VDPA_CMD_MGMTDEV_GET,
		.policy = vdpa_mgmtdev_policy,
		.maxattr = ARRAY_SIZE(vdpa_mgmtdev_policy) - 1,
		.doit = vdpa_cmd_mgmtdev_get,
		.dumpit = vdpa_cmd_mgmtdev_dump,
	},
	{
		.cmd = VDPA_CMD_DEV_NEW,
		.policy = vdpa_new_policy,
		.maxattr = ARRAY_SIZE(vdpa_new_policy) - 1,
		.doit = vdpa_cmd_dev_new,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VDPA_CMD_DEV_DEL,
		.policy = vdpa_dev_policy,
		.maxattr = ARRAY_SIZE(vdpa_dev_policy) - 1,
		.doit = vdpa_cmd_dev_del,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VDPA_CMD_DEV_GET,
		.policy = vdpa_dev_policy,
		.maxattr = ARRAY_SIZE(vdpa_dev_policy) - 1,
		.doit = vdpa_cmd_dev_get,
		.dumpit = vdpa_cmd_dev_dump,
	},
	{
		.cmd = VDPA_CMD_DEV_CONFIG_GET,
		.policy = vdpa_dev_policy,
		.maxattr = ARRAY_SIZE(vdpa_dev_policy) - 1,
		.doit = vdpa_cmd_config_get,
		.dumpit = vdpa_cmd_config_dump,
	},
	{
		.cmd = VDPA_CMD_DEV_VSTATS_GET,
		.policy = vdpa_vstats_policy,
		.maxattr = ARRAY_SIZE(vdpa_vstats_policy) - 1,
		.doit = vdpa_cmd_vstats_get,
	},
};

static struct genl_family vdpa_family __ro_after_init = {
	.name = VDPA_GENL_NAME,
	.version = VDPA_GENL_VERSION,
	.module = THIS_MODULE,
	.ops = vdpa_ops,
	.n_ops = ARRAY_SIZE(vdpa_ops),
	/* Don't block other families while vdpa_lock is held, e.g. in remove. */
	.parallel_ops = true,
};

static int __init vdpa_mgmt_init(void)
{
	return genl_register_family(&vdpa_family);
}
module_init(vdpa_mgmt_init);

static void __exit vdpa_mgmt_exit(void)
{
	genl_unregister_family(&vdpa_family);
}
module_exit(vdpa_mgmt_exit);

MODULE_DESCRIPTION("Management interface of vDPA devices");
MODULE_LICENSE("GPL v2");
MODULE_IMPORT_NS(VDPA);
MODULE_ALIAS_GENL_FAMILY(VDPA_GENL_NAME);
