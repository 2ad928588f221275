/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vDPA device simulator: declarations that its files share.
 *
 * The core (core.c, vq.c, iommu.c, module vdpa_sim) implements what all
 * devices have in common: status, virtqueues, an IOMMU, and a thread that
 * processes the virtqueues.  A class of devices (net.c, blk.c, each a module of
 * its own) defines virtqueues, features and configuration space, and processes
 * the buffers.
 *
 * With parts of vdpa_sim.c:
 * Copyright (c) 2020, Red Hat Inc. All rights reserved.
 */
#ifndef _VDPASIM_H
#define _VDPASIM_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/dma-map-ops.h>
#include <linux/kthread.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/vdpa.h>
#include <linux/vhost_iotlb.h>
#include <linux/virtio_byteorder.h>
#include <linux/vringh.h>
#include <uapi/linux/virtio_config.h>

/* The largest virtqueue. */
#define VDPASIM_QUEUE_MAX 256

/* The largest number of address spaces. */
#define VDPASIM_AS_MAX 8

/* Bytes that are copied before iommu_lock is dropped. */
#define VDPASIM_COPY_MAX 4096

/* Completed buffers that are given back to the driver at once. */
#define VDPASIM_USED_MAX 64

struct vdpasim;

/**
 * struct vdpasim_vq - a virtqueue of a simulated device
 * @vring: the device's side of the ring, with its position
 * @desc_addr: IOVA of the descriptor table
 * @driver_addr: IOVA of the available ring
 * @device_addr: IOVA of the used ring
 * @num: size of the ring
 * @head: the buffer that is being processed
 * @ready: the driver has enabled the queue
 * @broken: the driver has made an error in the ring or in a buffer; the queue
 *          isn't processed any more until the device is reset
 * @completed: buffers have been given back since the driver was last notified
 * @nused: number of elements of @used
 * @used: buffers that have been completed, but aren't in the used ring yet;
 *        none after a round of work
 * @cb: called to notify the driver
 * @callbacks: how often it has been called since the device was added
 * @kicks: how often the driver has kicked the virtqueue since then.  Changed in
 *         any context.
 *
 * Protected by &vdpasim.lock.  The memory of the ring is only accessed with
 * &vdpasim.iommu_lock held.
 */
struct vdpasim_vq {
	struct vringh vring;
	u64 desc_addr;
	u64 driver_addr;
	u64 device_addr;
	u32 num;
	u16 head;
	bool ready;
	bool broken;
	bool completed;
	unsigned int nused;
	struct vring_used_elem used[VDPASIM_USED_MAX];
	struct vdpa_callback cb;
	u64 callbacks;
	atomic64_t kicks;
};

/**
 * struct vdpasim_class - a class of simulated devices
 * @device_id: virtio device id
 * @features: features that a device offers by default
 * @config_size: size of the configuration space, in bytes
 * @nvqs: number of virtqueues, at most BITS_PER_LONG
 * @ngroups: number of virtqueue groups
 * @nas: number of address spaces, at most VDPASIM_AS_MAX
 * @size: size of the structure that embeds &struct vdpasim as its first member
 * @init: set up the class's part of a new device with the attributes that the
 *        user gave; returns 0 or -errno
 * @free: free what @init has set up; also called if @init failed or was never
 *        called (optional)
 * @work: process the virtqueues whose bits are set in the mask, up to a fixed
 *        number of buffers; returns the mask of the virtqueues that may have
 *        more.  Called in the device's thread with &vdpasim.lock held, while
 *        the device is running.
 * @reset: reset the class's part of the device; &vdpasim.lock is held (optional)
 * @close: forget what the user of the device has set and a reset keeps;
 *         &vdpasim.lock is held (optional)
 * @get_vq_group: the group of a virtqueue, less than @ngroups; not needed by a
 *                class with one group
 * @get_vq_stats: as in &struct vdpa_config_ops; &vdpasim.lock is held; not
 *                needed by a class without statistics
 * @get_config: fill in the configuration space; &vdpasim.lock is held
 * @set_config: write to the configuration space, at a range inside it;
 *              &vdpasim.lock is held; not needed by a class that has no
 *              writable field
 */
struct vdpasim_class {
	u32 device_id;
	u64 features;
	size_t config_size;
	unsigned int nvqs;
	unsigned int ngroups;
	unsigned int nas;
	size_t size;

	int (*init)(struct vdpasim *sim,
		    const struct vdpa_dev_set_config *config);
	void (*free)(struct vdpasim *sim);
	unsigned long (*work)(struct vdpasim *sim, unsigned long vqs);
	void (*reset)(struct vdpasim *sim);
	void (*close)(struct vdpasim *sim);
	unsigned int (*get_vq_group)(const struct vdpasim *sim, u16 idx);
	unsigned int (*get_vq_stats)(const struct vdpasim *sim, u16 idx,
				     struct vdpa_vq_stat *stats);
	void (*get_config)(struct vdpasim *sim, void *config);
	void (*set_config)(struct vdpasim *sim, unsigned int offset,
			   const void *buf, unsigned int len);
};

/**
 * struct vdpasim - a simulated device
 * @vdpa: the vDPA device
 * @class: the class of the device
 * @device_features: features that it offers
 * @vq_groups: each virtqueue is a group of its own, whatever the class says
 * @worker: the thread that processes the virtqueues, named after the device
 * @work: one round of processing
 * @kicks: mask of the virtqueues that have been kicked.  Set in any context,
 *         cleared by @work.
 * @doorbell: the page that drivers can map and write to instead of a kick of
 *            any of the virtqueues, or NULL
 * @poll: processes all virtqueues periodically, if there is a doorbell
 * @lock: protects the members down to @kvecs, and those that the class adds
 * @status: device status
 * @suspended: the virtqueues aren't processed until the device is resumed or
 *             reset
 * @config_changed: the driver has to be notified by @config_cb
 * @generation: of the configuration space
 * @features: features that the driver acknowledged
 * @config: buffer for a copy of the configuration space
 * @config_cb: called to notify the driver of a change of the configuration
 *             space or of @status
 * @vqs: the virtqueues
 * @riov: the device-readable part of the buffer that is being processed
 * @wiov: its device-writable part
 * @kvecs: the elements of @riov and @wiov, enough for any descriptor chain
 * @iommu_lock: protects @as and @group_asid
 * @as: the address spaces, as many as @vdpa has
 * @group_asid: the address space of each virtqueue group
 */
struct vdpasim {
	struct vdpa_device vdpa;
	const struct vdpasim_class *class;

	u64 device_features;
	bool vq_groups;

	struct kthread_worker *worker;
	struct kthread_work work;
	unsigned long kicks;
	void *doorbell;
	struct kthread_delayed_work poll;

	/*
	 * The worker holds this for one round of work, and also calls the
	 * driver's callbacks with it.  So with the lock held, no virtqueue
	 * moves and no callback runs.  Taken before iommu_lock.
	 */
	struct mutex lock;
	u8 status;
	bool suspended;
	bool config_changed;
	u32 generation;
	u64 features;
	void *config;
	struct vdpa_callback config_cb;
	struct vdpasim_vq *vqs;
	struct vringh_kiov riov;
	struct vringh_kiov wiov;
	struct kvec *kvecs;

	/*
	 * Taken in any context, interrupts off.  The worker holds it while it
	 * processes a buffer, but drops it between pieces of VDPASIM_COPY_MAX
	 * bytes that it copies, and uses no translation that it got before that.
	 * So after a mapping was removed, or a group was bound to another
	 * address space, under this lock, nothing is accessed through the old
	 * mapping any more; and the time to wait for the lock is bounded,
	 * however large the buffers are.
	 */
	spinlock_t iommu_lock;
	struct vhost_iotlb *as[VDPASIM_AS_MAX];
	unsigned int *group_asid;
};

static inline struct vdpasim *vdpa_to_sim(struct vdpa_device *vdpa)
{
	return container_of(vdpa, struct vdpasim, vdpa);
}

/*
 * Whether the virtqueue is processed while the device is running.  A VMM enables
 * all virtqueues of a device, also those that the driver hasn't set up: they
 * have no addresses.
 */
static inline bool vdpasim_vq_active(const struct vdpasim_vq *vq)
{
	return vq->ready && !vq->broken &&
		(vq->desc_addr || vq->driver_addr || vq->device_addr);
}

/* Number of bytes that are left of a part of a buffer. */
static inline u64 vdpasim_left(const struct vringh_kiov *iov)
{
	u64 len = 0;
	unsigned int i;

	for (i = iov->i; i < iov->used; i++)
		len += iov->iov[i].iov_len;

	return len;
}

static inline bool vdpasim_is_little_endian(const struct vdpasim *sim)
{
	return virtio_legacy_is_little_endian() ||
		(sim->features & BIT_ULL(VIRTIO_F_VERSION_1));
}

static inline __virtio16 cpu_to_vdpasim16(const struct vdpasim *sim, u16 val)
{
	return __cpu_to_virtio16(vdpasim_is_little_endian(sim), val);
}

static inline __virtio32 cpu_to_vdpasim32(const struct vdpasim *sim, u32 val)
{
	return __cpu_to_virtio32(vdpasim_is_little_endian(sim), val);
}

static inline __virtio64 cpu_to_vdpasim64(const struct vdpasim *sim, u64 val)
{
	return __cpu_to_virtio64(vdpasim_is_little_endian(sim), val);
}

static inline u32 vdpasim32_to_cpu(const struct vdpasim *sim, __virtio32 val)
{
	return __virtio32_to_cpu(vdpasim_is_little_endian(sim), val);
}

static inline u64 vdpasim64_to_cpu(const struct vdpasim *sim, __virtio64 val)
{
	return __virtio64_to_cpu(vdpasim_is_little_endian(sim), val);
}

/* core.c: the device */
struct vdpa_device *vdpasim_create(const struct vdpasim_class *class,
				   struct vdpa_mgmt_dev *mdev, const char *name,
				   const struct vdpa_dev_set_config *config,
				   struct netlink_ext_ack *extack);
void vdpasim_kick_all(struct vdpasim *sim);
void vdpasim_needs_reset(struct vdpasim *sim);
void vdpasim_call(const struct vdpa_callback *cb);

/* vq.c: virtqueues, and the operations of a vDPA device on them */
void vdpasim_vq_init(struct vdpasim *sim, struct vdpasim_vq *vq);
void vdpasim_vq_reset(struct vdpasim_vq *vq);
int vdpasim_vq_init_ring(struct vdpasim *sim, struct vdpasim_vq *vq);
bool vdpasim_vq_get(struct vdpasim *sim, struct vdpasim_vq *vq,
		    struct vringh_kiov *riov, struct vringh_kiov *wiov);
void vdpasim_vq_unget(struct vdpasim_vq *vq);
ssize_t vdpasim_vq_pull(struct vdpasim *sim, struct vdpasim_vq *vq,
			void *dst, size_t len);
ssize_t vdpasim_vq_push(struct vdpasim *sim, struct vdpasim_vq *vq,
			const void *src, size_t len);
ssize_t vdpasim_vq_move(struct vdpasim *sim, struct vdpasim_vq *from,
			struct vdpasim_vq *to, size_t done, size_t len);
bool vdpasim_vq_complete(struct vdpasim *sim, struct vdpasim_vq *vq, u32 len);
bool vdpasim_vq_publish(struct vdpasim *sim, struct vdpasim_vq *vq);
void vdpasim_vq_notify(struct vdpasim *sim, struct vdpasim_vq *vq);

int vdpasim_set_vq_address(struct vdpa_device *vdpa, u16 idx, u64 desc_area,
			   u64 driver_area, u64 device_area);
void vdpasim_set_vq_num(struct vdpa_device *vdpa, u16 idx, u32 num);
u32 vdpasim_get_vq_size(struct vdpa_device *vdpa, u16 idx);
void vdpasim_get_vq_info(struct vdpa_device *vdpa, u16 idx,
			 struct vdpa_vq_info *info);
void vdpasim_kick_vq(struct vdpa_device *vdpa, u16 idx);
void vdpasim_set_vq_cb(struct vdpa_device *vdpa, u16 idx,
		       struct vdpa_callback *cb);
void vdpasim_set_vq_ready(struct vdpa_device *vdpa, u16 idx, bool ready);
bool vdpasim_get_vq_ready(struct vdpa_device *vdpa, u16 idx);
int vdpasim_set_vq_state(struct vdpa_device *vdpa, u16 idx,
			 const struct vdpa_vq_state *state);
int vdpasim_get_vq_state(struct vdpa_device *vdpa, u16 idx,
			 struct vdpa_vq_state *state);
struct vdpa_notification_area
vdpasim_get_vq_notification(struct vdpa_device *vdpa, u16 idx);

/* iommu.c: address spaces, and the operations of a vDPA device on them */
extern const struct dma_map_ops vdpasim_dma_ops;

int vdpasim_iommu_init(struct vdpasim *sim);
void vdpasim_iommu_reset(struct vdpasim *sim);
void vdpasim_iommu_free(struct vdpasim *sim);

u32 vdpasim_get_vq_group(struct vdpa_device *vdpa, u16 idx);
int vdpasim_set_group_asid(struct vdpa_device *vdpa, unsigned int group,
			   unsigned int asid);
int vdpasim_set_map(struct vdpa_device *vdpa, unsigned int asid,
		    struct vhost_iotlb *iotlb);
int vdpasim_dma_map(struct vdpa_device *vdpa, unsigned int asid, u64 iova,
		    u64 size, u64 pa, u32 perm);
int vdpasim_dma_unmap(struct vdpa_device *vdpa, unsigned int asid, u64 iova,
		      u64 size);

#endif /* _VDPASIM_H */
