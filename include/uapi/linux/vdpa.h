/* SPDX-License-Identifier: GPL-2.0+ WITH Linux-syscall-note */
/*
 * The management interface of vDPA devices: a generic netlink family.
 *
 * The numbers are the same in every kernel that has this family, so that one
 * vdpa(8) works with all of them. This kernel refuses the commands and
 * attributes listed here that it doesn't implement.
 */
#ifndef _UAPI_LINUX_VDPA_H
#define _UAPI_LINUX_VDPA_H

#define VDPA_GENL_NAME "vdpa"
#define VDPA_GENL_VERSION 0x1

enum vdpa_command {
	VDPA_CMD_UNSPEC,
	VDPA_CMD_MGMTDEV_NEW,
	VDPA_CMD_MGMTDEV_GET,		/* can dump */
	VDPA_CMD_DEV_NEW,
	VDPA_CMD_DEV_DEL,
	VDPA_CMD_DEV_GET,		/* can dump */
	VDPA_CMD_DEV_CONFIG_GET,	/* can dump */
	VDPA_CMD_DEV_VSTATS_GET,
	VDPA_CMD_DEV_ATTR_SET,
};

enum vdpa_attr {
	VDPA_ATTR_UNSPEC,

	/* Pads 64-bit attributes to their alignment */
	VDPA_ATTR_PAD = VDPA_ATTR_UNSPEC,

	/* A management device: name of its bus (if any) and its own name */
	VDPA_ATTR_MGMTDEV_BUS_NAME,		/* string */
	VDPA_ATTR_MGMTDEV_DEV_NAME,		/* string */
	/* Bit n: devices with the virtio device ID n can be added to it */
	VDPA_ATTR_MGMTDEV_SUPPORTED_CLASSES,	/* u64 */

	VDPA_ATTR_DEV_NAME,			/* string */
	VDPA_ATTR_DEV_ID,			/* u32, virtio device ID */
	VDPA_ATTR_DEV_VENDOR_ID,		/* u32 */
	VDPA_ATTR_DEV_MAX_VQS,			/* u32 */
	VDPA_ATTR_DEV_MAX_VQ_SIZE,		/* u16 */
	VDPA_ATTR_DEV_MIN_VQ_SIZE,		/* u16 */

	VDPA_ATTR_DEV_NET_CFG_MACADDR,		/* binary, 6 bytes */
	VDPA_ATTR_DEV_NET_STATUS,		/* u16, VIRTIO_NET_S_XX */
	VDPA_ATTR_DEV_NET_CFG_MAX_VQP,		/* u16, queue pairs */
	VDPA_ATTR_DEV_NET_CFG_MTU,		/* u16, bytes */

	/* Features that the driver acknowledged, once FEATURES_OK is set */
	VDPA_ATTR_DEV_NEGOTIATED_FEATURES,	/* u64 */
	/* Maximum number of virtqueues of a device of the management device */
	VDPA_ATTR_DEV_MGMTDEV_MAX_VQS,		/* u32 */
	/* Features that devices of the management device can have */
	VDPA_ATTR_DEV_SUPPORTED_FEATURES,	/* u64 */

	VDPA_ATTR_DEV_QUEUE_INDEX,		/* u32 */
	VDPA_ATTR_DEV_VENDOR_ATTR_NAME,		/* string */
	VDPA_ATTR_DEV_VENDOR_ATTR_VALUE,	/* u64 */

	/* Features that the device offers, or that a new one is to offer */
	VDPA_ATTR_DEV_FEATURES,			/* u64 */

	VDPA_ATTR_DEV_BLK_CFG_CAPACITY,		/* u64 */
	VDPA_ATTR_DEV_BLK_CFG_SIZE_MAX,		/* u32 */
	VDPA_ATTR_DEV_BLK_CFG_BLK_SIZE,		/* u32 */
	VDPA_ATTR_DEV_BLK_CFG_SEG_MAX,		/* u32 */
	VDPA_ATTR_DEV_BLK_CFG_NUM_QUEUES,	/* u16 */
	VDPA_ATTR_DEV_BLK_CFG_PHY_BLK_EXP,	/* u8 */
	VDPA_ATTR_DEV_BLK_CFG_ALIGN_OFFSET,	/* u8 */
	VDPA_ATTR_DEV_BLK_CFG_MIN_IO_SIZE,	/* u16 */
	VDPA_ATTR_DEV_BLK_CFG_OPT_IO_SIZE,	/* u32 */
	VDPA_ATTR_DEV_BLK_CFG_MAX_DISCARD_SEC,	/* u32 */
	VDPA_ATTR_DEV_BLK_CFG_MAX_DISCARD_SEG,	/* u32 */
	VDPA_ATTR_DEV_BLK_CFG_DISCARD_SEC_ALIGN,/* u32 */
	VDPA_ATTR_DEV_BLK_CFG_MAX_WRITE_ZEROES_SEC,	/* u32 */
	VDPA_ATTR_DEV_BLK_CFG_MAX_WRITE_ZEROES_SEG,	/* u32 */
	VDPA_ATTR_DEV_BLK_READ_ONLY,		/* u8 */
	VDPA_ATTR_DEV_BLK_FLUSH,		/* u8 */

	/* New attributes go above; this is their number, not the last one's */
	VDPA_ATTR_MAX,
};

#endif /* _UAPI_LINUX_VDPA_H */
