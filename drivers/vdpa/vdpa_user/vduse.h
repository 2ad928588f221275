/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VDUSE, vDPA devices in userspace: what its files share.
 *
 *	dev.c		/dev/vduse/control, creation and destruction of devices, the
 *			management device
 *	chardev.c	/dev/vduse/NAME: messages and ioctls
 *	vdpa.c		the operations of a vDPA device
 *	as.c		address spaces: files that vhost-vdpa maps
 *	bounce.c	bounce pages: memory of this kernel's own virtio drivers
 *	ring.c		virtqueues of this kernel's own virtio drivers
 *
 * A process, the daemon, implements the device. It isn't trusted: it may answer
 * wrongly or never, and its memory is shared with it as it runs.
 */
#ifndef _VDUSE_H
#define _VDUSE_H

#include <linux/atomic.h>
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/vdpa.h>
#include <linux/vhost_iotlb.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <uapi/linux/vduse.h>

struct vduse_bounce;
struct vduse_dev;
struct vduse_ring;

/* Address spaces and groups of a device: each takes memory */
#define VDUSE_AS_MAX		1024
#define VDUSE_GROUPS_MAX	1024

/*
 * How long all requests of a device that is dying may take in sum, and how long
 * its daemon may do nothing for the driver
 */
#define VDUSE_DYING_TIMEOUT	(2 * HZ)

/* virtio 1.1, 2.6: the largest virtqueue */
#define VDUSE_VQ_SIZE_MAX	32768

/* IOVAs of a virtio driver of this kernel: those of buffers, and above them those of rings */
#define VDUSE_BUFFER_SIZE	(64U << 20)
#define VDUSE_RING_SIZE		(16U << 20)

/**
 * struct vduse_region - a part of a file that an address space maps
 * @map: IOVAs, file and offset; owns a reference of the file
 * @refs: one of the address space, and one of each file that was given to a
 *	daemon
 * @revoked: not mapped any more: can't be mapped by a daemon again
 */
struct vduse_region {
	struct vhost_iotlb_map map;
	refcount_t refs;
	bool revoked;
};

/**
 * struct vduse_as - an address space
 * @regions: regions, by IOVA: members map of struct vduse_region
 * @lock: protects @regions
 */
struct vduse_as {
	struct vhost_iotlb regions;
	/* Protects @regions */
	struct mutex lock;
};

/**
 * struct vduse_vq - a virtqueue
 * @dev: the device that has it
 * @num_max: maximum size, 0 until the daemon has set it up
 * @group: group that it is in
 * @num: size that the driver uses
 * @desc_addr: IOVA of the descriptor area
 * @driver_addr: IOVA of the driver area
 * @device_addr: IOVA of the device area
 * @state: where the device has to start in the ring
 * @kick_lock: protects @ready, @kicked, @kickfd and @ring
 * @ready: the driver has made it ready
 * @kicked: the driver has kicked it, but there was no @kickfd
 * @kickfd: eventfd to signal when the driver kicks, or NULL
 * @kick_work: signals it for vhost-vdpa
 * @ring: of a virtio driver of this kernel: its ring; else NULL
 * @kicks: how often the driver has kicked it since the device was added
 * @irq_lock: protects @cb and @callbacks, and is held while @cb runs.
 *	@kick_lock nests in it.
 * @cb: the driver's callback
 * @callbacks: how often it has been called since the device was added
 *
 * &vduse_dev.lock protects @num_max and @group until the device is added to the
 * bus; they don't change afterwards. &vduse_dev.vq_lock protects @num, the
 * addresses and @state.
 */
struct vduse_vq {
	struct vduse_dev *dev;
	u16 num_max;
	u32 group;
	u32 num;
	u64 desc_addr;
	u64 driver_addr;
	u64 device_addr;
	struct vdpa_vq_state state;
	/* Protects @ready, @kicked, @kickfd and @ring */
	spinlock_t kick_lock;
	bool ready;
	bool kicked;
	struct eventfd_ctx *kickfd;
	struct work_struct kick_work;
	struct vduse_ring *ring;
	atomic64_t kicks;
	/* Protects @cb and @callbacks, and is held while @cb runs */
	spinlock_t irq_lock;
	struct vdpa_callback cb;
	u64 callbacks;
};

/**
 * struct vduse_vdpa - the device on the vDPA bus
 * @vdpa: the vDPA device
 * @dev: the VDUSE device
 */
struct vduse_vdpa {
	struct vdpa_device vdpa;
	struct vduse_dev *dev;
};

/**
 * struct vduse_dev - a VDUSE device
 * @name: its name
 * @minor: minor number of /dev/vduse/NAME
 * @dev: device in sysfs
 * @lock: protects @connected, @vdev and the set-up of virtqueues. Outermost.
 * @connected: a daemon has opened the device
 * @vdev: the device on the vDPA bus, or NULL
 * @api_version: version of the uAPI that it was created with
 * @requests: optional requests that the daemon has asked for, VDUSE_F_XX
 * @device_id: virtio device ID
 * @vendor_id: virtio vendor ID
 * @features: virtio features that it offers
 * @vq_align: alignment of the parts of a virtqueue
 * @nvqs: number of virtqueues
 * @vqs: virtqueues
 * @vq_lock: protects what the driver sets up of virtqueues
 * @num_max: the smallest maximum size of a virtqueue, once it is on the bus
 * @space_lock: protects @config and @generation
 * @config: configuration space
 * @config_size: its size
 * @generation: counts changes of @config by the daemon
 * @config_irq_lock: protects @config_cb, and is held while it runs
 * @config_cb: the driver's callback for changes of the configuration
 * @status: device status without NEEDS_RESET. Written with
 *	&vdpa_device.state_lock held.
 * @suspended: no kick and no callback until the next reset
 * @driver_features: features that the driver has acknowledged
 * @msg_lock: protects the members below
 * @send: requests that the daemon hasn't read
 * @sent: requests that the daemon has to answer
 * @msg_id: ID of the next request
 * @broken: the daemon didn't answer in time, or the device is dying: no request
 *	is sent, and the daemon reaches no memory
 * @needs_reset: it has become @broken since the last reset: the driver sees
 *	NEEDS_RESET
 * @reopened: a daemon has opened the device since it was @broken; the next reset
 *	mends it
 * @dying: about to leave the bus
 * @dying_until: in jiffies, when requests have to be answered then
 * @msg_timeout: seconds in which a request has to be answered
 * @msg_wait: for the daemon: waits for requests
 * @broken_work: takes the memory away, and gives the driver its buffers back
 * @dying_work: looks whether a dying device still works
 * @progress: counts the notifications of virtqueues by the daemon
 * @last_progress: @progress when @dying_work looked last
 * @nas: number of address spaces
 * @as: address spaces, by ASID
 * @bounce: bounce pages, in the address space 0, which a virtio driver of this
 *	kernel uses; NULL while the device isn't on the bus. @lock protects it.
 * @ngroups: number of groups
 */
struct vduse_dev {
	char name[VDUSE_NAME_MAX];
	int minor;
	struct device *dev;
	/* Protects @connected, @vdev and the set-up of virtqueues */
	struct mutex lock;
	bool connected;
	struct vduse_vdpa *vdev;
	u64 api_version;
	u64 requests;
	u32 device_id;
	u32 vendor_id;
	u64 features;
	u32 vq_align;
	u32 nvqs;
	struct vduse_vq *vqs;
	/* Protects what the driver sets up of virtqueues */
	struct mutex vq_lock;
	u16 num_max;

	/* Protects @config and @generation */
	struct mutex space_lock;
	u8 *config;
	u32 config_size;
	u32 generation;
	/* Protects @config_cb, and is held while it runs */
	spinlock_t config_irq_lock;
	struct vdpa_callback config_cb;
	u8 status;
	bool suspended;
	u64 driver_features;

	/* Protects the members below */
	spinlock_t msg_lock;
	struct list_head send;
	struct list_head sent;
	u32 msg_id;
	bool broken;
	bool needs_reset;
	bool reopened;
	bool dying;
	unsigned long dying_until;
	unsigned int msg_timeout;
	wait_queue_head_t msg_wait;
	struct work_struct broken_work;
	struct delayed_work dying_work;
	unsigned long progress;
	unsigned long last_progress;

	unsigned int ngroups;
	unsigned int nas;
	struct vduse_as *as;
	struct vduse_bounce *bounce;
};

static inline struct vduse_dev *vdpa_to_vduse(struct vdpa_device *vdpa)
{
	return container_of(vdpa, struct vduse_vdpa, vdpa)->dev;
}

/* chardev.c */
extern const struct file_operations vduse_dev_fops;

int vduse_set_status_msg(struct vduse_dev *dev, u8 status);
int vduse_get_vq_state_msg(struct vduse_dev *dev, u32 index,
			   struct vdpa_vq_state *state);
int vduse_update_iotlb_msg(struct vduse_dev *dev, u32 asid, u64 start,
			   u64 last);
int vduse_set_group_asid_msg(struct vduse_dev *dev, u32 group, u32 asid);
int vduse_set_vq_ready_msg(struct vduse_dev *dev, u32 index, bool ready);
int vduse_suspend_msg(struct vduse_dev *dev);
void vduse_break(struct vduse_dev *dev);
void vduse_dying(struct vduse_dev *dev);
bool vduse_mend(struct vduse_dev *dev);

/* dev.c */
extern struct workqueue_struct *vduse_wq;

struct vduse_dev *vduse_dev_open(int minor);
bool vduse_config_ok(u32 device_id, u64 features, u32 nvqs, const u8 *config,
		     u32 size);
bool vduse_vq_num_ok(struct vduse_dev *dev, u32 num);

/* vdpa.c */
void vduse_vdpa_init(void);
struct vdpa_device *vduse_vdpa_alloc(struct vduse_dev *dev,
				     struct device *parent, const char *name);
void vduse_vq_call(struct vduse_dev *dev, struct vduse_vq *vq);
void vduse_config_call(struct vduse_dev *dev);
void vduse_kick_work(struct work_struct *work);

/* as.c */
int vduse_as_init(struct vduse_dev *dev, unsigned int nas);
void vduse_as_reset(struct vduse_dev *dev);
void vduse_as_free(struct vduse_dev *dev);
int vduse_as_get_info(struct vduse_dev *dev, struct vduse_iova_info *info);
int vduse_as_set_map(struct vduse_dev *dev, unsigned int asid,
		     struct vhost_iotlb *iotlb);
int vduse_as_get_fd(struct vduse_dev *dev, struct vduse_iotlb_entry_v2 *entry,
		    struct file **file);

/* bounce.c */
extern const struct dma_map_ops vduse_dma_ops;

struct vduse_bounce *vduse_bounce_alloc(void);
bool vduse_bounce_used(struct vduse_bounce *bounce);
bool vduse_bounce_find(struct vduse_bounce *bounce,
		       struct vduse_iotlb_entry_v2 *entry);
struct file *vduse_bounce_get_file(struct vduse_bounce *bounce);
void *vduse_bounce_ring(struct vduse_bounce *bounce, u64 iova, size_t size,
			void **shadow);
void *vduse_bounce_orig(struct vduse_bounce *bounce, u64 iova, size_t *size);
struct page **vduse_umem_pin(unsigned long uaddr);
void vduse_umem_unpin(struct page **umem, struct mm_struct *mm);
int vduse_bounce_reg_umem(struct vduse_bounce *bounce, struct page **umem);
int vduse_bounce_dereg_umem(struct vduse_bounce *bounce);
void vduse_bounce_poison(struct vduse_bounce *bounce);
void vduse_bounce_revoke(struct vduse_bounce *bounce, bool revoke);
void vduse_bounce_trim(struct vduse_bounce *bounce);
void vduse_bounce_free(struct vduse_bounce *bounce);

/* ring.c */
struct vduse_ring *vduse_ring_alloc(struct vduse_dev *dev,
				    const struct vduse_vq *vq);
void vduse_ring_free(struct vduse_ring *ring);
void vduse_ring_kick(struct vduse_ring *ring);
bool vduse_ring_use(struct vduse_ring *ring);
void vduse_ring_stop(struct vduse_ring *ring);
void vduse_ring_complete(struct vduse_ring *ring);
bool vduse_ring_busy(struct vduse_ring *ring);
void vduse_ring_get_info(const struct vduse_ring *ring,
			 struct vdpa_vq_info *info);

#endif /* _VDUSE_H */
