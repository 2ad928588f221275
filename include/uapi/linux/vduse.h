/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * VDUSE: vDPA devices in userspace. See Documentation/userspace-api/vduse.rst.
 *
 * A process, the daemon, creates a device with the ioctls of
 * /dev/vduse/control, and implements it with the ioctls and messages of
 * /dev/vduse/NAME.
 */
#ifndef _UAPI_VDUSE_H_
#define _UAPI_VDUSE_H_

#include <linux/types.h>

#define VDUSE_BASE	0x81

/* ---- ioctls of /dev/vduse/control ---- */

#define VDUSE_API_VERSION	0
/* Virtqueue groups and address spaces */
#define VDUSE_API_VERSION_1	1

/* Get the version that has been set, or else the newest that the kernel has. */
#define VDUSE_GET_API_VERSION	_IOR(VDUSE_BASE, 0x00, __u64)

/* Set the version that devices created through this file have. */
#define VDUSE_SET_API_VERSION	_IOW(VDUSE_BASE, 0x01, __u64)

/**
 * struct vduse_dev_config - what a new device is
 * @name: name of the device, which ends with a NUL
 * @vendor_id: virtio vendor ID
 * @device_id: virtio device ID
 * @features: virtio features that the device offers
 * @vq_num: number of virtqueues
 * @vq_align: alignment of the parts of a virtqueue, in bytes
 * @ngroups: number of virtqueue groups; 0 in version 0
 * @nas: number of address spaces; 0 in version 0
 * @reserved: 0
 * @config_size: size of the configuration space, in bytes
 * @config: the configuration space
 */
struct vduse_dev_config {
#define VDUSE_NAME_MAX	256
	char name[VDUSE_NAME_MAX];
	__u32 vendor_id;
	__u32 device_id;
	__u64 features;
	__u32 vq_num;
	__u32 vq_align;
	__u32 ngroups;
	__u32 nas;
	__u32 reserved[11];
	__u32 config_size;
	__u8 config[];
};

/* Create a device, which is /dev/vduse/NAME then. */
#define VDUSE_CREATE_DEV	_IOW(VDUSE_BASE, 0x02, struct vduse_dev_config)

/* Destroy the device of that name, if it isn't in use. */
#define VDUSE_DESTROY_DEV	_IOW(VDUSE_BASE, 0x03, char[VDUSE_NAME_MAX])

/* Optional requests that a daemon can ask for: bits of VDUSE_SET_FEATURES */
#define VDUSE_F_QUEUE_READY	0	/* VDUSE_SET_VQ_READY */
#define VDUSE_F_SUSPEND		1	/* VDUSE_SUSPEND */

/* Get the bits that the kernel has. */
#define VDUSE_GET_FEATURES	_IOR(VDUSE_BASE, 0x04, __u64)

/* Set the bits for devices created through this file; version 1 only. */
#define VDUSE_SET_FEATURES	_IOW(VDUSE_BASE, 0x05, __u64)

/* ---- ioctls of /dev/vduse/NAME ---- */

/**
 * struct vduse_iotlb_entry - a region of IOVAs
 * @offset: offset of the region in the file
 * @start: first IOVA
 * @last: last IOVA
 * @perm: VDUSE_ACCESS_XX
 */
struct vduse_iotlb_entry {
	__u64 offset;
	__u64 start;
	__u64 last;
#define VDUSE_ACCESS_RO 0x1
#define VDUSE_ACCESS_WO 0x2
#define VDUSE_ACCESS_RW 0x3
	__u8 perm;
};

/*
 * Find the first region in [start, last] of address space 0. Returns a file
 * descriptor to mmap(2), and fills in the entry. EINVAL: there is none.
 */
#define VDUSE_IOTLB_GET_FD	_IOWR(VDUSE_BASE, 0x10, struct vduse_iotlb_entry)

/* Get the virtio features that have been negotiated; valid with FEATURES_OK. */
#define VDUSE_DEV_GET_FEATURES	_IOR(VDUSE_BASE, 0x11, __u64)

/**
 * struct vduse_config_data - a change of the configuration space
 * @offset: offset in the configuration space
 * @length: length in bytes
 * @buffer: what to write
 */
struct vduse_config_data {
	__u32 offset;
	__u32 length;
	__u8 buffer[];
};

/*
 * Change the configuration space. EINVAL: not a valid one. EBUSY: the disk is on
 * the vDPA bus, and it isn't its capacity.
 */
#define VDUSE_DEV_SET_CONFIG	_IOW(VDUSE_BASE, 0x12, struct vduse_config_data)

/* Notify the driver that the configuration space has changed. */
#define VDUSE_DEV_INJECT_CONFIG_IRQ	_IO(VDUSE_BASE, 0x13)

/**
 * struct vduse_vq_config - what a virtqueue is
 * @index: index of the virtqueue
 * @max_size: maximum size
 * @reserved1: 0
 * @group: the group that it is in; 0 in version 0
 * @reserved2: 0
 */
struct vduse_vq_config {
	__u32 index;
	__u16 max_size;
	__u16 reserved1;
	__u32 group;
	__u16 reserved2[10];
};

/* Set up a virtqueue, before the device is added with vdpa(8). */
#define VDUSE_VQ_SETUP		_IOW(VDUSE_BASE, 0x14, struct vduse_vq_config)

/**
 * struct vduse_vq_state_split - where a split virtqueue is in its ring
 * @avail_index: the next index of the available ring
 */
struct vduse_vq_state_split {
	__u16 avail_index;
};

/**
 * struct vduse_vq_state_packed - where a packed virtqueue is in its ring
 * @last_avail_counter: Driver Ring Wrap Counter of @last_avail_idx
 * @last_avail_idx: the next descriptor to look at
 * @last_used_counter: Device Ring Wrap Counter of @last_used_idx
 * @last_used_idx: the next descriptor to write
 */
struct vduse_vq_state_packed {
	__u16 last_avail_counter;
	__u16 last_avail_idx;
	__u16 last_used_counter;
	__u16 last_used_idx;
};

/**
 * struct vduse_vq_info - what the driver has set up
 * @index: index of the virtqueue; set by the caller
 * @num: size of the virtqueue
 * @desc_addr: IOVA of the descriptor area
 * @driver_addr: IOVA of the driver area
 * @device_addr: IOVA of the device area
 * @split: where to start, if the ring is split
 * @packed: where to start, if it is packed
 * @ready: 1 if the virtqueue may be used
 */
struct vduse_vq_info {
	__u32 index;
	__u32 num;
	__u64 desc_addr;
	__u64 driver_addr;
	__u64 device_addr;
	union {
		struct vduse_vq_state_split split;
		struct vduse_vq_state_packed packed;
	};
	__u8 ready;
};

/* Get what the driver has set up. */
#define VDUSE_VQ_GET_INFO	_IOWR(VDUSE_BASE, 0x15, struct vduse_vq_info)

/**
 * struct vduse_vq_eventfd - the eventfd of a virtqueue
 * @index: index of the virtqueue
 * @fd: the eventfd, or VDUSE_EVENTFD_DEASSIGN
 */
struct vduse_vq_eventfd {
	__u32 index;
#define VDUSE_EVENTFD_DEASSIGN -1
	int fd;
};

/* Set the eventfd that is signalled when the driver kicks the virtqueue. */
#define VDUSE_VQ_SETUP_KICKFD	_IOW(VDUSE_BASE, 0x16, struct vduse_vq_eventfd)

/* Notify the driver that buffers have been used. */
#define VDUSE_VQ_INJECT_IRQ	_IOW(VDUSE_BASE, 0x17, __u32)

/**
 * struct vduse_iova_umem - memory of the daemon for a region of IOVAs
 * @uaddr: address of the memory, page-aligned
 * @iova: first IOVA of the region
 * @size: size of the region
 * @asid: address space of the region; 0 in version 0
 * @reserved: 0
 */
struct vduse_iova_umem {
	__u64 uaddr;
	__u64 iova;
	__u64 size;
	__u32 asid;
	__u32 reserved[5];
};

/* Use memory of the daemon for a region that has VDUSE_IOVA_CAP_UMEM. */
#define VDUSE_IOTLB_REG_UMEM	_IOW(VDUSE_BASE, 0x18, struct vduse_iova_umem)

/* Stop that; uaddr isn't used. */
#define VDUSE_IOTLB_DEREG_UMEM	_IOW(VDUSE_BASE, 0x19, struct vduse_iova_umem)

/**
 * struct vduse_iova_info - what a region of IOVAs is
 * @start: first IOVA
 * @last: last IOVA
 * @capability: VDUSE_IOVA_CAP_XX
 * @asid: address space to look in; 0 in version 0
 * @reserved: 0
 */
struct vduse_iova_info {
	__u64 start;
	__u64 last;
#define VDUSE_IOVA_CAP_UMEM (1 << 0)
	__u64 capability;
	__u32 asid;
	__u32 reserved[5];
};

/* Find the first region in [start, last]. */
#define VDUSE_IOTLB_GET_INFO	_IOWR(VDUSE_BASE, 0x1a, struct vduse_iova_info)

/**
 * struct vduse_iotlb_entry_v2 - a region of IOVAs of an address space
 * @offset: offset of the region in the file
 * @start: first IOVA
 * @last: last IOVA
 * @perm: VDUSE_ACCESS_XX
 * @padding: 0
 * @asid: the address space
 * @reserved: 0
 */
struct vduse_iotlb_entry_v2 {
	__u64 offset;
	__u64 start;
	__u64 last;
	__u8 perm;
	__u8 padding[7];
	__u32 asid;
	__u32 reserved[11];
};

/* VDUSE_IOTLB_GET_FD for any address space; version 1 only. */
#define VDUSE_IOTLB_GET_FD2	_IOWR(VDUSE_BASE, 0x1b, struct vduse_iotlb_entry_v2)

/* ---- messages: read(2) gets a request, write(2) answers it ---- */

/**
 * enum vduse_req_type - types of requests
 * @VDUSE_GET_VQ_STATE: tell where a virtqueue is in its ring
 * @VDUSE_SET_STATUS: the driver sets the device status
 * @VDUSE_UPDATE_IOTLB: forget what is known of a range of IOVAs
 * @VDUSE_SET_VQ_GROUP_ASID: a group is bound to an address space; version 1
 * @VDUSE_SET_VQ_READY: a virtqueue becomes ready, or not; VDUSE_F_QUEUE_READY
 * @VDUSE_SUSPEND: stop, and keep the state; VDUSE_F_SUSPEND
 */
enum vduse_req_type {
	VDUSE_GET_VQ_STATE,
	VDUSE_SET_STATUS,
	VDUSE_UPDATE_IOTLB,
	VDUSE_SET_VQ_GROUP_ASID,
	VDUSE_SET_VQ_READY,
	VDUSE_SUSPEND,
};

/**
 * struct vduse_vq_state - where a virtqueue is in its ring
 * @index: index of the virtqueue
 * @split: if the ring is split
 * @packed: if it is packed
 */
struct vduse_vq_state {
	__u32 index;
	union {
		struct vduse_vq_state_split split;
		struct vduse_vq_state_packed packed;
	};
};

/**
 * struct vduse_dev_status - the device status
 * @status: VIRTIO_CONFIG_S_XX; 0 is a reset
 */
struct vduse_dev_status {
	__u8 status;
};

/**
 * struct vduse_iova_range - a range of IOVAs
 * @start: first IOVA
 * @last: last IOVA
 */
struct vduse_iova_range {
	__u64 start;
	__u64 last;
};

/**
 * struct vduse_iova_range_v2 - a range of IOVAs of an address space
 * @start: first IOVA
 * @last: last IOVA
 * @asid: the address space
 * @padding: 0
 */
struct vduse_iova_range_v2 {
	__u64 start;
	__u64 last;
	__u32 asid;
	__u32 padding;
};

/**
 * struct vduse_vq_group_asid - a group and its address space
 * @group: the group
 * @asid: the address space
 */
struct vduse_vq_group_asid {
	__u32 group;
	__u32 asid;
};

/**
 * struct vduse_vq_ready - a virtqueue becomes ready, or not
 * @num: index of the virtqueue
 * @ready: 1 or 0
 */
struct vduse_vq_ready {
	__u32 num;
	__u32 ready;
};

/**
 * struct vduse_dev_request - a request
 * @type: enum vduse_req_type
 * @request_id: for the response
 * @reserved: 0
 * @vq_state: of VDUSE_GET_VQ_STATE; only the index
 * @s: of VDUSE_SET_STATUS
 * @iova: of VDUSE_UPDATE_IOTLB, in version 0
 * @iova_v2: of VDUSE_UPDATE_IOTLB, in version 1
 * @vq_group_asid: of VDUSE_SET_VQ_GROUP_ASID
 * @vq_ready: of VDUSE_SET_VQ_READY
 * @padding: 0
 */
struct vduse_dev_request {
	__u32 type;
	__u32 request_id;
	__u32 reserved[4];
	union {
		struct vduse_vq_state vq_state;
		struct vduse_dev_status s;
		struct vduse_iova_range iova;
		struct vduse_iova_range_v2 iova_v2;
		struct vduse_vq_group_asid vq_group_asid;
		struct vduse_vq_ready vq_ready;
		__u32 padding[32];
	};
};

/**
 * struct vduse_dev_response - the response to a request
 * @request_id: of the request
 * @result: VDUSE_REQ_RESULT_XX
 * @reserved: 0
 * @vq_state: of VDUSE_GET_VQ_STATE
 * @padding: 0
 */
struct vduse_dev_response {
	__u32 request_id;
#define VDUSE_REQ_RESULT_OK	0x00
#define VDUSE_REQ_RESULT_FAILED	0x01
	__u32 result;
	__u32 reserved[4];
	union {
		struct vduse_vq_state vq_state;
		__u32 padding[32];
	};
};

#endif /* _UAPI_VDUSE_H_ */
