/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the vDPA tests need of the uAPI, with numbers of its own: a test that takes them from the
 * header under test doesn't notice that they are wrong, and the tests have to build against older
 * headers, too.
 */
#ifndef SELFTESTS_VDPA_UAPI_H
#define SELFTESTS_VDPA_UAPI_H

#include <stdint.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <linux/vhost.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_net.h>

/* Backend features are bit numbers. */
#define BACKEND_F(nr)	(1ULL << (nr))
#define F_MSG_V2		BACKEND_F(1)
#define F_BATCH			BACKEND_F(2)
#define F_ASID			BACKEND_F(3)
#define F_SUSPEND		BACKEND_F(4)
#define F_RESUME		BACKEND_F(5)
#define F_ENABLE_AFTER_OK	BACKEND_F(6)
#define F_DESC_ASID		BACKEND_F(7)
#define F_PERSIST		BACKEND_F(8)

#define VHOST_IO	0xAF
#define GET_CONFIG_SIZE	_IOR(VHOST_IO, 0x79, uint32_t)
#define GET_AS_NUM	_IOR(VHOST_IO, 0x7A, unsigned int)
#define GET_VRING_GROUP	_IOWR(VHOST_IO, 0x7B, struct vhost_vring_state)
#define SET_GROUP_ASID	_IOW(VHOST_IO, 0x7C, struct vhost_vring_state)
#define SUSPEND		_IO(VHOST_IO, 0x7D)
#define RESUME		_IO(VHOST_IO, 0x7E)
#define GET_VQS_COUNT	_IOR(VHOST_IO, 0x80, uint32_t)
#define GET_GROUP_NUM	_IOR(VHOST_IO, 0x81, uint32_t)
#define GET_VRING_SIZE	_IOWR(VHOST_IO, 0x82, struct vhost_vring_state)

/* struct vhost_msg_v2, with the ASID where 5.10 had 'reserved'. */
struct msg_v2 {
	uint32_t type;
	uint32_t asid;
	union {
		struct vhost_iotlb_msg iotlb;
		uint8_t padding[64];
	};
};

_Static_assert(sizeof(struct msg_v2) == 72, "struct vhost_msg_v2 is 72 bytes");
_Static_assert(sizeof(struct vhost_msg_v2) == 72, "struct vhost_msg_v2 is 72 bytes");
_Static_assert(offsetof(struct vhost_msg_v2, iotlb) == 8, "struct vhost_msg_v2");

/* Where the tree's header has the name, it must be the same number. */
#ifdef VHOST_VDPA_GET_AS_NUM
_Static_assert(VHOST_VDPA_GET_CONFIG_SIZE == GET_CONFIG_SIZE, "GET_CONFIG_SIZE");
_Static_assert(VHOST_VDPA_GET_AS_NUM == GET_AS_NUM, "GET_AS_NUM");
_Static_assert(VHOST_VDPA_GET_VRING_GROUP == GET_VRING_GROUP, "GET_VRING_GROUP");
_Static_assert(VHOST_VDPA_SET_GROUP_ASID == SET_GROUP_ASID, "SET_GROUP_ASID");
_Static_assert(VHOST_VDPA_SUSPEND == SUSPEND, "SUSPEND");
_Static_assert(VHOST_VDPA_RESUME == RESUME, "RESUME");
_Static_assert(VHOST_VDPA_GET_VQS_COUNT == GET_VQS_COUNT, "GET_VQS_COUNT");
_Static_assert(VHOST_VDPA_GET_GROUP_NUM == GET_GROUP_NUM, "GET_GROUP_NUM");
_Static_assert(VHOST_VDPA_GET_VRING_SIZE == GET_VRING_SIZE, "GET_VRING_SIZE");
_Static_assert(BACKEND_F(VHOST_BACKEND_F_IOTLB_MSG_V2) == F_MSG_V2, "F_IOTLB_MSG_V2");
_Static_assert(BACKEND_F(VHOST_BACKEND_F_IOTLB_BATCH) == F_BATCH, "F_IOTLB_BATCH");
_Static_assert(BACKEND_F(VHOST_BACKEND_F_IOTLB_ASID) == F_ASID, "F_IOTLB_ASID");
_Static_assert(BACKEND_F(VHOST_BACKEND_F_SUSPEND) == F_SUSPEND, "F_SUSPEND");
_Static_assert(BACKEND_F(VHOST_BACKEND_F_RESUME) == F_RESUME, "F_RESUME");
_Static_assert(offsetof(struct vhost_msg_v2, asid) == 4, "struct vhost_msg_v2.asid");
#endif

/* Generic netlink family "vdpa". */
enum {
	CMD_MGMTDEV_NEW = 1,
	CMD_MGMTDEV_GET,
	CMD_DEV_NEW,
	CMD_DEV_DEL,
	CMD_DEV_GET,
	CMD_DEV_CONFIG_GET,
	CMD_DEV_VSTATS_GET,
};

enum {
	ATTR_MGMTDEV_BUS_NAME = 1,
	ATTR_MGMTDEV_DEV_NAME,
	ATTR_MGMTDEV_SUPPORTED_CLASSES,
	ATTR_DEV_NAME,
	ATTR_DEV_ID,
	ATTR_DEV_VENDOR_ID,
	ATTR_DEV_MAX_VQS,
	ATTR_DEV_MAX_VQ_SIZE,
	ATTR_DEV_MIN_VQ_SIZE,
	ATTR_NET_MACADDR,
	ATTR_NET_STATUS,
	ATTR_NET_MAX_VQP,
	ATTR_NET_MTU,
	ATTR_NEGOTIATED_FEATURES,
	ATTR_MGMTDEV_MAX_VQS,
	ATTR_SUPPORTED_FEATURES,
	ATTR_QUEUE_INDEX,
	ATTR_VENDOR_ATTR_NAME,
	ATTR_VENDOR_ATTR_VALUE,
	ATTR_DEV_FEATURES,
	ATTR_BLK_CAPACITY,
	ATTR_BLK_SIZE_MAX,
	ATTR_BLK_BLK_SIZE,
	ATTR_BLK_SEG_MAX,
	ATTR_BLK_NUM_QUEUES,
	ATTR_BLK_PHY_BLK_EXP,
	ATTR_BLK_ALIGN_OFFSET,
	ATTR_BLK_MIN_IO_SIZE,
	ATTR_BLK_OPT_IO_SIZE,
	ATTR_BLK_MAX_DISCARD_SEC,
	ATTR_BLK_MAX_DISCARD_SEG,
	ATTR_BLK_DISCARD_SEC_ALIGN,
	ATTR_BLK_MAX_WRITE_ZEROES_SEC,
	ATTR_BLK_MAX_WRITE_ZEROES_SEG,
	ATTR_BLK_READ_ONLY,
	ATTR_BLK_FLUSH,
};

#define VF(nr)	(1ULL << (nr))
#ifndef VIRTIO_F_ACCESS_PLATFORM
#define VIRTIO_F_ACCESS_PLATFORM 33
#endif

#endif
