/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vDPA device simulator: what its files share.
 *
 * The core (core.c, vq.c, iommu.c, module vdpa_sim) is a vDPA device that
 * lacks only a purpose: it has a state, virtqueues and an IOMMU, and a thread
 * in which the virtqueues are worked on.  A class of devices (net.c, a module
 * of its own) says which virtqueues and which features there are, and does
 * what is asked for in them.
 */
#ifndef _VDPASIM_H
#define _VDPASIM_H

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

/* The most address spaces. */
#define VDPASIM_AS_MAX 8

struct vdpasim;

/**
 * struct vdpasim_vq - a virtqueue of a simulated device
 * @vring: the device's side of the ring, and its position in it
 * @desc_addr: where the descriptors are
 * @driver_addr: where the available ring is
 * @device_addr: where the used ring is
 * @num: size of the ring
 * @head: the buffer that is worked on
 * @ready: the driver has enabled the queue
 * @broken: what the driver put into the ring made no sense, so nothing more is
 *          done about it until the queue is enabled again
 * @completed: buffers have been completed, and the driver wasn't told yet
 * @cb: how to tell the driver
 * @private: argument of @cb
 *
 * Protected by &vdpasim.lock.  The memory of the ring is only touched with
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
	irqreturn_t (*cb)(void *data);
	void *private;
};

/**
 * struct vdpasim_class - what a class of simulated devices consists of
 * @device_id: of virtio
 * @features: that a device offers unless the user says otherwise
 * @config_size: of the configuration space
 * @nvqs: number of virtqueues, at most BITS_PER_LONG
 * @ngroups: number of virtqueue groups
 * @nas: number of address spaces, at most VDPASIM_AS_MAX
 * @size: of the structure that embeds &struct vdpasim as its first member
 * @init: set up what the class adds to a new device, as the user wants it;
 *        0 or -errno
 * @free: free what @init set up, also if it has failed or wasn't called
 * @work: work on the virtqueues in the mask that it is given, for no longer
 *        than what a budget of a fixed number of buffers allows; returns the
 *        mask of the virtqueues that may have more.  Called in the device's
 *        thread with &vdpasim.lock held, if the device is running.
 * @reset: forget what the driver said; &vdpasim.lock is held
 * @get_vq_group: the group that a virtqueue is in, less than @ngroups; not
 *                needed if there is only one
 * @get_config: fill in the configuration space; &vdpasim.lock is held
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
	unsigned int (*get_vq_group)(const struct vdpasim *sim, u16 idx);
	void (*get_config)(struct vdpasim *sim, void *config);
};

/**
 * struct vdpasim - a simulated device
 * @vdpa: the vDPA device
 * @class: what kind of device it is
 * @device_features: features that it offers
 * @vq_groups: each virtqueue is a group of its own, whatever the class says
 * @worker: the thread that works on the virtqueues, named after the device
 * @work: what it does
 * @kicks: virtqueues that the driver has put something into.  Set by anyone in
 *         any context, taken by @work.
 * @doorbell: the page that drivers can map to write to instead of a kick, for
 *            any of the virtqueues, or NULL
 * @poll: looks for what such a driver has made available
 * @lock: protects what follows down to @iommu_lock, @vqs and what the class
 *        adds
 * @status: device status
 * @suspended: the virtqueues stay where they are until reset
 * @generation: of the configuration space
 * @features: that the driver acknowledged
 * @config: the configuration space, as last read
 * @vqs: the virtqueues
 * @riov: what the driver has written, of the buffer that is worked on
 * @wiov: what the driver wants written likewise
 * @kvecs: the elements of @riov and @wiov, enough for any ring
 * @iommu_lock: protects @as and @group_asid
 * @as: the address spaces: what each lets a virtqueue reach, and where.  As
 *      many as @vdpa has.
 * @group_asid: which of them each group of virtqueues uses
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
	 * State of the device and of its virtqueues.  The worker holds it for
	 * one round of work, and calls the driver back with it: once somebody
	 * else has got it, no virtqueue moves and no callback runs.  Taken
	 * before iommu_lock.
	 */
	struct mutex lock;
	u8 status;
	bool suspended;
	u32 generation;
	u64 features;
	void *config;
	struct vdpasim_vq *vqs;
	struct vringh_kiov riov;
	struct vringh_kiov wiov;
	struct kvec *kvecs;

	/*
	 * The mappings of all address spaces, and which virtqueues use them,
	 * for any context.  The worker holds it from before the first
	 * translation that has to do with a buffer until after the last access
	 * through one.  So when a mapping has been removed, or a group bound to
	 * another address space, nothing is reached through the old one any
	 * more; and to do so one waits for one buffer at most.
	 */
	spinlock_t iommu_lock;
	struct vhost_iotlb *as[VDPASIM_AS_MAX];
	unsigned int *group_asid;
};

static inline struct vdpasim *vdpa_to_sim(struct vdpa_device *vdpa)
{
	return container_of(vdpa, struct vdpasim, vdpa);
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

/* core.c: the device */
struct vdpa_device *vdpasim_create(const struct vdpasim_class *class,
				   struct vdpa_mgmt_dev *mdev, const char *name,
				   const struct vdpa_dev_set_config *config,
				   struct netlink_ext_ack *extack);
void vdpasim_kick_all(struct vdpasim *sim);

/* vq.c: virtqueues, and the operations of a vDPA device on them */
void vdpasim_vq_init(struct vdpasim *sim, struct vdpasim_vq *vq);
void vdpasim_vq_reset(struct vdpasim_vq *vq);
void vdpasim_vq_break(struct vdpasim *sim, struct vdpasim_vq *vq, int err);
bool vdpasim_vq_get(struct vdpasim *sim, struct vdpasim_vq *vq,
		    struct vringh_kiov *riov, struct vringh_kiov *wiov);
void vdpasim_vq_unget(struct vdpasim_vq *vq);
bool vdpasim_vq_complete(struct vdpasim *sim, struct vdpasim_vq *vq, u32 len);
void vdpasim_vq_notify(struct vdpasim *sim, struct vdpasim_vq *vq);

int vdpasim_set_vq_address(struct vdpa_device *vdpa, u16 idx, u64 desc_area,
			   u64 driver_area, u64 device_area);
void vdpasim_set_vq_num(struct vdpa_device *vdpa, u16 idx, u32 num);
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

/* iommu.c: what the device can reach */
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
