// SPDX-License-Identifier: GPL-2.0-only
/*
 * A minimal parent driver of vDPA devices. Its devices remember what the driver
 * sets, and process no buffers. See Documentation/driver-api/vdpa.rst.
 *
 *	# modprobe vdpa_null
 *	# vdpa dev add name null0 mgmtdev vdpa_null
 */
#include <linux/device.h>
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/vdpa.h>
#include <uapi/linux/vdpa.h>
#include <uapi/linux/virtio_config.h>
#include <uapi/linux/virtio_ids.h>
#include <uapi/linux/virtio_net.h>

#define NULL_VQS	2
#define NULL_VQ_SIZE	1024
#define NULL_FEATURES	(BIT_ULL(VIRTIO_F_VERSION_1) |		\
			 BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) |	\
			 BIT_ULL(VIRTIO_F_RING_PACKED) |	\
			 BIT_ULL(VIRTIO_NET_F_MAC))

/* All devices are children of this one */
static struct device *null_parent;

struct null_vq {
	struct vdpa_vq_state state;
	u32 size;
	bool ready;
};

struct null_vdpa {
	struct vdpa_device vdpa;
	u64 features;
	u8 status;
	struct null_vq vqs[NULL_VQS];
	struct virtio_net_config config;
};

static struct null_vdpa *to_null(struct vdpa_device *vdpa)
{
	return container_of(vdpa, struct null_vdpa, vdpa);
}

/* Virtqueues: the caller has checked the index */

static int null_set_vq_address(struct vdpa_device *vdpa, u16 idx,
			       u64 desc_area, u64 driver_area, u64 device_area)
{
	return 0;
}

static void null_set_vq_num(struct vdpa_device *vdpa, u16 idx, u32 num)
{
	to_null(vdpa)->vqs[idx].size = num;
}

static u32 null_get_vq_size(struct vdpa_device *vdpa, u16 idx)
{
	return to_null(vdpa)->vqs[idx].size;
}

/* Called in any context */
static void null_kick_vq(struct vdpa_device *vdpa, u16 idx)
{
}

/* There is no interrupt, so no callback is called */
static void null_set_vq_cb(struct vdpa_device *vdpa, u16 idx,
			   struct vdpa_callback *cb)
{
}

static void null_set_vq_ready(struct vdpa_device *vdpa, u16 idx, bool ready)
{
	to_null(vdpa)->vqs[idx].ready = ready;
}

static bool null_get_vq_ready(struct vdpa_device *vdpa, u16 idx)
{
	return to_null(vdpa)->vqs[idx].ready;
}

static int null_set_vq_state(struct vdpa_device *vdpa, u16 idx,
			     const struct vdpa_vq_state *state)
{
	to_null(vdpa)->vqs[idx].state = *state;

	return 0;
}

static int null_get_vq_state(struct vdpa_device *vdpa, u16 idx,
			     struct vdpa_vq_state *state)
{
	*state = to_null(vdpa)->vqs[idx].state;

	return 0;
}

static u32 null_get_vq_align(struct vdpa_device *vdpa)
{
	return PAGE_SIZE;
}

static u16 null_get_vq_num_max(struct vdpa_device *vdpa)
{
	return NULL_VQ_SIZE;
}

/* The device */

static u32 null_get_device_id(struct vdpa_device *vdpa)
{
	return VIRTIO_ID_NET;
}

static u32 null_get_vendor_id(struct vdpa_device *vdpa)
{
	return 0;
}

static u64 null_get_features(struct vdpa_device *vdpa)
{
	return NULL_FEATURES;
}

static void null_start_vqs(struct null_vdpa *null)
{
	bool packed = null->features & BIT_ULL(VIRTIO_F_RING_PACKED);
	struct vdpa_vq_state start = {
		.avail_index = packed ? BIT(15) : 0,
		.used_index = packed ? BIT(15) : 0,
	};
	unsigned int i;

	for (i = 0; i < NULL_VQS; i++)
		null->vqs[i].state = start;
}

static int null_set_features(struct vdpa_device *vdpa, u64 features)
{
	struct null_vdpa *null = to_null(vdpa);

	/* The device has an IOMMU: addresses are IOVAs */
	if (!(features & BIT_ULL(VIRTIO_F_ACCESS_PLATFORM)))
		return -EINVAL;

	null->features = features & NULL_FEATURES;
	null_start_vqs(null);

	return 0;
}

static u64 null_get_driver_features(struct vdpa_device *vdpa)
{
	return to_null(vdpa)->features;
}

static void null_set_config_cb(struct vdpa_device *vdpa,
			       struct vdpa_callback *cb)
{
}

static u8 null_get_status(struct vdpa_device *vdpa)
{
	return to_null(vdpa)->status;
}

static void null_set_status(struct vdpa_device *vdpa, u8 status)
{
	to_null(vdpa)->status = status;
}

static int null_reset(struct vdpa_device *vdpa)
{
	struct null_vdpa *null = to_null(vdpa);
	unsigned int i;

	null->status = 0;
	null->features = 0;
	for (i = 0; i < NULL_VQS; i++) {
		null->vqs[i].ready = false;
		null->vqs[i].size = NULL_VQ_SIZE;
	}
	null_start_vqs(null);

	return 0;
}

static size_t null_get_config_size(struct vdpa_device *vdpa)
{
	return sizeof(struct virtio_net_config);
}

/* The caller has checked the range */
static void null_get_config(struct vdpa_device *vdpa, unsigned int offset,
			    void *buf, unsigned int len)
{
	memcpy(buf, (u8 *)&to_null(vdpa)->config + offset, len);
}

/* Nothing is writable */
static void null_set_config(struct vdpa_device *vdpa, unsigned int offset,
			    const void *buf, unsigned int len)
{
}

/*
 * A device that processes buffers keeps the mappings, and accesses nothing else.
 */
static int null_set_map(struct vdpa_device *vdpa, unsigned int asid,
			struct vhost_iotlb *iotlb)
{
	return 0;
}

static const struct vdpa_config_ops null_ops = {
	.set_vq_address		= null_set_vq_address,
	.set_vq_num		= null_set_vq_num,
	.get_vq_size		= null_get_vq_size,
	.kick_vq		= null_kick_vq,
	.set_vq_cb		= null_set_vq_cb,
	.set_vq_ready		= null_set_vq_ready,
	.get_vq_ready		= null_get_vq_ready,
	.set_vq_state		= null_set_vq_state,
	.get_vq_state		= null_get_vq_state,
	.get_vq_align		= null_get_vq_align,
	.get_vq_num_max		= null_get_vq_num_max,
	.get_device_id		= null_get_device_id,
	.get_vendor_id		= null_get_vendor_id,
	.get_features		= null_get_features,
	.set_features		= null_set_features,
	.get_driver_features	= null_get_driver_features,
	.set_config_cb		= null_set_config_cb,
	.get_status		= null_get_status,
	.set_status		= null_set_status,
	.reset			= null_reset,
	.get_config_size	= null_get_config_size,
	.get_config		= null_get_config,
	.set_config		= null_set_config,
	.set_map		= null_set_map,
};

/* Called by "vdpa dev add" */
static struct vdpa_device *null_dev_add(struct vdpa_mgmt_dev *mdev,
					const char *name,
					const struct vdpa_dev_set_config *config,
					struct netlink_ext_ack *extack)
{
	struct null_vdpa *null;

	null = vdpa_alloc_device(struct null_vdpa, vdpa, mdev->device,
				 &null_ops, NULL_VQS, 1, 1, name);
	if (IS_ERR(null))
		return ERR_CAST(null);

	null->vdpa.dma_dev = mdev->device;
	/* The core has checked that it is a valid address */
	if (config->mask & BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MACADDR))
		ether_addr_copy(null->config.mac, config->net.mac);
	else
		eth_random_addr(null->config.mac);
	null_reset(&null->vdpa);

	return &null->vdpa;
}

static const struct vdpa_mgmtdev_ops null_mgmtdev_ops = {
	.dev_add	= null_dev_add,
};

static const struct virtio_device_id null_id_table[] = {
	{ VIRTIO_ID_NET, VIRTIO_DEV_ANY_ID },
	{ 0 },
};

static struct vdpa_mgmt_dev null_mgmtdev = {
	.ops			= &null_mgmtdev_ops,
	.id_table		= null_id_table,
	.config_attr_mask	= BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MACADDR),
	.supported_features	= NULL_FEATURES,
	.max_supported_vqs	= NULL_VQS,
};

static int __init null_init(void)
{
	int ret;

	null_parent = root_device_register("vdpa_null");
	if (IS_ERR(null_parent))
		return PTR_ERR(null_parent);

	null_mgmtdev.device = null_parent;
	ret = vdpa_mgmtdev_register(&null_mgmtdev);
	if (ret)
		root_device_unregister(null_parent);

	return ret;
}
module_init(null_init);

static void __exit null_exit(void)
{
	/* This also removes the devices */
	vdpa_mgmtdev_unregister(&null_mgmtdev);
	root_device_unregister(null_parent);
}
module_exit(null_exit);

MODULE_LICENSE("GPL v2");
MODULE_DESCRIPTION("Minimal parent driver of vDPA devices");
