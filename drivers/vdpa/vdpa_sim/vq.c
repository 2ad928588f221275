// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vDPA device simulator: virtqueues.  Their setup by the driver, and access
 * to their buffers for a class of devices.
 */
#include <linux/sched.h>

#include "sim.h"

/**
 * vdpasim_vq_init - set up a virtqueue of a new device
 * @sim: the device
 * @vq: the virtqueue
 */
void vdpasim_vq_init(struct vdpasim *sim, struct vdpasim_vq *vq)
{
	vringh_set_iotlb(&vq->vring, sim->as[0]);
	vdpasim_vq_reset(vq);
}

/**
 * vdpasim_vq_reset - put a virtqueue back into its initial state
 * @vq: the virtqueue; the device's lock is held, or nothing uses it yet
 */
void vdpasim_vq_reset(struct vdpasim_vq *vq)
{
	vq->ready = false;
	vq->broken = false;
	vq->completed = false;
	vq->nused = 0;
	vq->desc_addr = 0;
	vq->driver_addr = 0;
	vq->device_addr = 0;
	vq->num = VDPASIM_QUEUE_MAX;
	vq->cb = (struct vdpa_callback) {};
	vringh_set_avail(&vq->vring, 0);
	vq->vring.last_used_idx = 0;
	vq->vring.completed = 0;
}

/**
 * vdpasim_vq_init_ring - use the ring that the driver has set up
 * @sim: the device; its lock is held
 * @vq: the virtqueue, of which no buffer is being processed
 *
 * The position in the ring stays.
 *
 * Return: 0 or -EINVAL.
 */
int vdpasim_vq_init_ring(struct vdpasim *sim, struct vdpasim_vq *vq)
{
	u16 pos = vq->vring.last_avail_idx;
	int ret;

	lockdep_assert_held(&sim->lock);

	if (vq->num > VDPASIM_QUEUE_MAX)
		return -EINVAL;

	ret = vringh_init_iotlb(&vq->vring, sim->features, vq->num, true,
				(struct vring_desc *)(uintptr_t)vq->desc_addr,
				(struct vring_avail *)(uintptr_t)vq->driver_addr,
				(struct vring_used *)(uintptr_t)vq->device_addr);
	if (ret)
		return ret;

	/* Buffers are completed in order, and none is in flight here. */
	vringh_set_avail(&vq->vring, pos);
	vq->vring.last_used_idx = pos;
	vq->completed = false;

	return 0;
}

/* Stop a virtqueue.  Its position is that of the buffer with the error. */
static void vdpasim_vq_break(struct vdpasim *sim, struct vdpasim_vq *vq,
			     int err)
{
	dev_warn_ratelimited(&sim->vdpa.dev,
			     "virtqueue %td stopped at %u: error %d\n",
			     vq - sim->vqs, vq->vring.last_avail_idx, err);
	vq->broken = true;
	vdpasim_needs_reset(sim);
}

/**
 * vdpasim_vq_get - get the next available buffer
 * @sim: the device; both of its locks are held
 * @vq: the virtqueue
 * @riov: &vdpasim.riov, or NULL if the buffer can't have a device-readable part
 * @wiov: &vdpasim.wiov, or NULL if it can't have a device-writable part
 *
 * Return: true if there is one, false if there is none or the virtqueue is
 * broken now.
 */
bool vdpasim_vq_get(struct vdpasim *sim, struct vdpasim_vq *vq,
		    struct vringh_kiov *riov, struct vringh_kiov *wiov)
{
	int ret;

	lockdep_assert_held(&sim->lock);
	lockdep_assert_held(&sim->iommu_lock);

	ret = vringh_getdesc_iotlb(&vq->vring, riov, wiov, &vq->head,
				   GFP_ATOMIC);
	if (unlikely(ret < 0)) {
		/* vringh has moved on, unless the error is in the ring. */
		if (vq->head != vq->vring.vring.num)
			vdpasim_vq_unget(vq);
		vdpasim_vq_break(sim, vq, ret);
		return false;
	}

	return ret;
}
EXPORT_SYMBOL_GPL(vdpasim_vq_get);

/**
 * vdpasim_vq_unget - put a buffer back
 * @vq: the virtqueue that the buffer was got from last; the device's lock is
 *      held
 */
void vdpasim_vq_unget(struct vdpasim_vq *vq)
{
	vringh_abandon_iotlb(&vq->vring, 1);
}
EXPORT_SYMBOL_GPL(vdpasim_vq_unget);

/* The buffer that was got last can't be processed: put it back, and stop. */
static void vdpasim_vq_fault(struct vdpasim *sim, struct vdpasim_vq *vq,
			     int err)
{
	vdpasim_vq_unget(vq);
	vdpasim_vq_break(sim, vq, err);
}

/* Let others have the lock: a driver can make buffers of any size. */
static void vdpasim_vq_relax(struct vdpasim *sim)
	__releases(&sim->iommu_lock) __acquires(&sim->iommu_lock)
{
	spin_unlock_irq(&sim->iommu_lock);
	cond_resched();
	spin_lock_irq(&sim->iommu_lock);
}

/**
 * vdpasim_vq_pull - read from the device-readable part of a buffer
 * @sim: the device; both of its locks are held
 * @vq: the virtqueue that the buffer was got from last, with &vdpasim.riov
 * @dst: where to put the data
 * @len: in bytes; may be more than is left of the buffer
 *
 * Drops &vdpasim.iommu_lock between pieces of VDPASIM_COPY_MAX bytes, and takes
 * it again: what is mapped may change in between.
 *
 * Return: the number of bytes read, or -EINVAL or -EPERM if a part of the
 * buffer isn't mapped as needed.  The virtqueue is broken then.
 */
ssize_t vdpasim_vq_pull(struct vdpasim *sim, struct vdpasim_vq *vq,
			void *dst, size_t len)
{
	size_t done = 0;
	ssize_t ret;

	lockdep_assert_held(&sim->lock);
	lockdep_assert_held(&sim->iommu_lock);

	for (;;) {
		size_t part = min_t(size_t, len - done, VDPASIM_COPY_MAX);

		ret = vringh_iov_pull_iotlb(&vq->vring, &sim->riov, dst + done,
					    part);
		if (unlikely(ret < 0)) {
			vdpasim_vq_fault(sim, vq, ret);
			return ret;
		}

		done += ret;
		if (ret < part || done == len)
			return done;
		vdpasim_vq_relax(sim);
	}
}
EXPORT_SYMBOL_GPL(vdpasim_vq_pull);

/**
 * vdpasim_vq_push - write to the device-writable part of a buffer
 * @sim: the device; both of its locks are held
 * @vq: the virtqueue that the buffer was got from last, with &vdpasim.wiov
 * @src: the data
 * @len: in bytes; may be more than is left of the buffer
 *
 * Drops &vdpasim.iommu_lock between pieces of VDPASIM_COPY_MAX bytes, and takes
 * it again: what is mapped may change in between.
 *
 * Return: the number of bytes written, or -EINVAL or -EPERM if a part of the
 * buffer isn't mapped as needed.  The virtqueue is broken then.
 */
ssize_t vdpasim_vq_push(struct vdpasim *sim, struct vdpasim_vq *vq,
			const void *src, size_t len)
{
	size_t done = 0;
	ssize_t ret;

	lockdep_assert_held(&sim->lock);
	lockdep_assert_held(&sim->iommu_lock);

	for (;;) {
		size_t part = min_t(size_t, len - done, VDPASIM_COPY_MAX);

		ret = vringh_iov_push_iotlb(&vq->vring, &sim->wiov, src + done,
					    part);
		if (unlikely(ret < 0)) {
			vdpasim_vq_fault(sim, vq, ret);
			return ret;
		}

		done += ret;
		if (ret < part || done == len)
			return done;
		vdpasim_vq_relax(sim);
	}
}
EXPORT_SYMBOL_GPL(vdpasim_vq_push);

/**
 * vdpasim_vq_move - copy from the buffer of a virtqueue to that of another one
 * @sim: the device; both of its locks are held
 * @from: the virtqueue that a buffer was got from last with &vdpasim.riov
 * @to: the virtqueue that a buffer was got from last with &vdpasim.wiov
 * @done: bytes of the buffers that have been read and written before
 * @len: bytes to copy in total, @done included; may be more than the buffers
 *       have
 *
 * Each buffer is accessed through the address space of its own virtqueue.
 *
 * Drops &vdpasim.iommu_lock between pieces of VDPASIM_COPY_MAX bytes, and takes
 * it again: what is mapped may change in between.
 *
 * Return: the number of bytes copied, @done included, or -EINVAL or -EPERM if a
 * part of one of the buffers isn't mapped as needed.  That buffer's virtqueue is
 * broken then, the other one isn't.
 */
ssize_t vdpasim_vq_move(struct vdpasim *sim, struct vdpasim_vq *from,
			struct vdpasim_vq *to, size_t done, size_t len)
{
	struct vringh *bad;
	ssize_t ret;

	lockdep_assert_held(&sim->lock);
	lockdep_assert_held(&sim->iommu_lock);

	for (;;) {
		size_t part = min_t(size_t, len - done, VDPASIM_COPY_MAX -
				    done % VDPASIM_COPY_MAX);

		ret = vringh_iov_move_iotlb(&from->vring, &sim->riov,
					    &to->vring, &sim->wiov, part, &bad);
		if (unlikely(ret < 0)) {
			vdpasim_vq_fault(sim, bad == &from->vring ? from : to,
					 ret);
			return ret;
		}

		done += ret;
		if (ret < part || done == len)
			return done;
		vdpasim_vq_relax(sim);
	}
}
EXPORT_SYMBOL_GPL(vdpasim_vq_move);

/**
 * vdpasim_vq_publish - give completed buffers back to the driver
 * @sim: the device; both of its locks are held
 * @vq: the virtqueue
 *
 * For what must not go on unless the driver gets its buffer back.  Otherwise
 * vdpasim_vq_notify() does this for all buffers of a round of work.
 *
 * Return: true, or false if the virtqueue is broken now.  Its position is that
 * of the first of these buffers then.
 */
bool vdpasim_vq_publish(struct vdpasim *sim, struct vdpasim_vq *vq)
{
	unsigned int n = vq->nused;
	int err;

	lockdep_assert_held(&sim->lock);
	lockdep_assert_held(&sim->iommu_lock);

	vq->nused = 0;
	err = vringh_complete_multi_iotlb(&vq->vring, vq->used, n);
	if (unlikely(err)) {
		vringh_abandon_iotlb(&vq->vring, n);
		vdpasim_vq_break(sim, vq, err);
		return false;
	}
	vq->completed |= n > 0;

	return true;
}
EXPORT_SYMBOL_GPL(vdpasim_vq_publish);

/**
 * vdpasim_vq_complete - note that a buffer has been processed
 * @sim: the device; both of its locks are held
 * @vq: the virtqueue that the buffer was got from last
 * @len: number of bytes that have been written to the buffer
 *
 * The driver gets it back at the end of the round of work, or before that if
 * there are many.
 *
 * Return: true, or false if the virtqueue is broken now.
 */
bool vdpasim_vq_complete(struct vdpasim *sim, struct vdpasim_vq *vq, u32 len)
{
	struct vring_used_elem *used = &vq->used[vq->nused++];

	lockdep_assert_held(&sim->lock);
	lockdep_assert_held(&sim->iommu_lock);

	used->id = cpu_to_vdpasim32(sim, vq->head);
	used->len = cpu_to_vdpasim32(sim, len);

	if (vq->nused < min_t(u32, vq->vring.vring.num, VDPASIM_USED_MAX))
		return true;

	return vdpasim_vq_publish(sim, vq);
}
EXPORT_SYMBOL_GPL(vdpasim_vq_complete);

/**
 * vdpasim_vq_notify - give completed buffers back, and notify the driver
 * @sim: the device; its lock is held, iommu_lock isn't
 * @vq: the virtqueue
 *
 * Called once for all buffers that are completed in one round of work.  The
 * driver is notified if it wants that.
 */
void vdpasim_vq_notify(struct vdpasim *sim, struct vdpasim_vq *vq)
{
	int ret = 0;

	lockdep_assert_held(&sim->lock);

	if (!vq->completed && !vq->nused)
		return;

	spin_lock_irq(&sim->iommu_lock);
	if (vq->nused)
		vdpasim_vq_publish(sim, vq);
	if (vq->completed)
		ret = vringh_need_notify_iotlb(&vq->vring);
	spin_unlock_irq(&sim->iommu_lock);
	vq->completed = false;
	if (unlikely(ret < 0)) {
		vdpasim_vq_break(sim, vq, ret);
		return;
	}

	if (ret) {
		vq->callbacks++;
		vdpasim_call(&vq->cb);
	}
}
EXPORT_SYMBOL_GPL(vdpasim_vq_notify);

/* The following functions are documented with struct vdpa_config_ops. */

int vdpasim_set_vq_address(struct vdpa_device *vdpa, u16 idx, u64 desc_area,
			   u64 driver_area, u64 device_area)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vdpasim_vq *vq = &sim->vqs[idx];

	if (!IS_ALIGNED(desc_area, VRING_DESC_ALIGN_SIZE) ||
	    !IS_ALIGNED(driver_area, VRING_AVAIL_ALIGN_SIZE) ||
	    !IS_ALIGNED(device_area, VRING_USED_ALIGN_SIZE))
		return -EINVAL;

	/* vringh keeps them as pointers. */
	if (desc_area > ULONG_MAX || driver_area > ULONG_MAX ||
	    device_area > ULONG_MAX)
		return -EINVAL;

	mutex_lock(&sim->lock);
	vq->desc_addr = desc_area;
	vq->driver_addr = driver_area;
	vq->device_addr = device_area;
	mutex_unlock(&sim->lock);

	return 0;
}

void vdpasim_set_vq_num(struct vdpa_device *vdpa, u16 idx, u32 num)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	mutex_lock(&sim->lock);
	sim->vqs[idx].num = num;
	mutex_unlock(&sim->lock);
}

u32 vdpasim_get_vq_size(struct vdpa_device *vdpa, u16 idx)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	u32 num;

	mutex_lock(&sim->lock);
	num = sim->vqs[idx].num;
	mutex_unlock(&sim->lock);

	return num;
}

void vdpasim_get_vq_info(struct vdpa_device *vdpa, u16 idx,
			 struct vdpa_vq_info *info)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	const struct vdpasim_vq *vq = &sim->vqs[idx];

	mutex_lock(&sim->lock);
	info->avail_index = vq->vring.last_avail_idx;
	info->used_index = vq->vring.last_used_idx + vq->vring.completed;
	info->ready = vq->ready;
	info->broken = vq->broken;
	info->kicks = atomic64_read(&vq->kicks);
	info->callbacks = vq->callbacks;
	mutex_unlock(&sim->lock);
}

void vdpasim_kick_vq(struct vdpa_device *vdpa, u16 idx)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	atomic64_inc(&sim->vqs[idx].kicks);
	/* The buffers are made available before the bit is seen. */
	smp_mb__before_atomic();
	set_bit(idx, &sim->kicks);
	kthread_queue_work(sim->worker, &sim->work);
}

void vdpasim_set_vq_cb(struct vdpa_device *vdpa, u16 idx,
		       struct vdpa_callback *cb)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	mutex_lock(&sim->lock);
	sim->vqs[idx].cb = *cb;
	mutex_unlock(&sim->lock);
}

void vdpasim_set_vq_ready(struct vdpa_device *vdpa, u16 idx, bool ready)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vdpasim_vq *vq = &sim->vqs[idx];

	mutex_lock(&sim->lock);
	if (!ready) {
		vq->ready = false;
	} else if (!vq->ready) {
		vq->ready = !vdpasim_vq_init_ring(sim, vq);
		vdpasim_kick_all(sim);
	}
	mutex_unlock(&sim->lock);
}

bool vdpasim_get_vq_ready(struct vdpa_device *vdpa, u16 idx)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	bool ready;

	mutex_lock(&sim->lock);
	ready = sim->vqs[idx].ready;
	mutex_unlock(&sim->lock);

	return ready;
}

int vdpasim_set_vq_state(struct vdpa_device *vdpa, u16 idx,
			 const struct vdpa_vq_state *state)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vdpasim_vq *vq = &sim->vqs[idx];
	int ret = 0;

	mutex_lock(&sim->lock);
	if (vq->ready && (sim->status & VIRTIO_CONFIG_S_DRIVER_OK) &&
	    !sim->suspended) {
		ret = -EBUSY;
	} else {
		vringh_set_avail(&vq->vring, state->avail_index);
		vq->vring.last_used_idx = state->avail_index;
	}
	mutex_unlock(&sim->lock);

	return ret;
}

int vdpasim_get_vq_state(struct vdpa_device *vdpa, u16 idx,
			 struct vdpa_vq_state *state)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	mutex_lock(&sim->lock);
	state->avail_index = sim->vqs[idx].vring.last_avail_idx;
	mutex_unlock(&sim->lock);

	return 0;
}

struct vdpa_notification_area
vdpasim_get_vq_notification(struct vdpa_device *vdpa, u16 idx)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vdpa_notification_area area = {};

	if (sim->doorbell) {
		area.addr = virt_to_phys(sim->doorbell);
		area.size = PAGE_SIZE;
	}

	return area;
}
