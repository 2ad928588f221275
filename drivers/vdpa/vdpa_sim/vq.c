// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vDPA device simulator: virtqueues.  How the driver sets them up, and how
 * a class of devices takes buffers from them.
 */
#include <linux/bottom_half.h>

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
 * vdpasim_vq_reset - forget what the driver said about a virtqueue
 * @vq: the virtqueue, of a device whose lock is held
 */
void vdpasim_vq_reset(struct vdpasim_vq *vq)
{
	vq->ready = false;
	vq->broken = false;
	vq->completed = false;
	vq->desc_addr = 0;
	vq->driver_addr = 0;
	vq->device_addr = 0;
	vq->num = VDPASIM_QUEUE_MAX;
	vq->cb = NULL;
	vq->private = NULL;
	vq->vring.last_avail_idx = 0;
}

/**
 * vdpasim_vq_break - stop a virtqueue that makes no sense
 * @sim: the device
 * @vq: the virtqueue; its position is that of the buffer in question
 * @err: what was wrong with it
 *
 * It stays like that until the driver enables it again.
 */
void vdpasim_vq_break(struct vdpasim *sim, struct vdpasim_vq *vq, int err)
{
	dev_warn_ratelimited(&sim->vdpa.dev,
			     "virtqueue %td stopped at %u: error %d\n",
			     vq - sim->vqs, vq->vring.last_avail_idx, err);
	vq->broken = true;
}
EXPORT_SYMBOL_GPL(vdpasim_vq_break);

/**
 * vdpasim_vq_get - take the next available buffer
 * @sim: the device; both of its locks are held
 * @vq: the virtqueue
 * @riov: put here what the driver has written, or NULL if it may not
 * @wiov: put here what the driver wants written, or NULL if it may not
 *
 * Return: true if there was one, false if there wasn't or if the virtqueue is
 * broken now.
 */
bool vdpasim_vq_get(struct vdpasim *sim, struct vdpasim_vq *vq,
		    struct vringh_kiov *riov, struct vringh_kiov *wiov)
{
	int ret;

	ret = vringh_getdesc_iotlb(&vq->vring, riov, wiov, &vq->head,
				   GFP_ATOMIC);
	if (unlikely(ret < 0)) {
		/* Unless the ring itself is bad, it has moved on. */
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
 * @vq: the virtqueue whose buffer was got last
 */
void vdpasim_vq_unget(struct vdpasim_vq *vq)
{
	vringh_abandon_iotlb(&vq->vring, 1);
}
EXPORT_SYMBOL_GPL(vdpasim_vq_unget);

/**
 * vdpasim_vq_complete - give a buffer back to the driver
 * @sim: the device; both of its locks are held
 * @vq: the virtqueue whose buffer was got last
 * @len: how many bytes have been written to it
 *
 * The driver isn't told before vdpasim_vq_notify().
 *
 * Return: false if the virtqueue is broken now.
 */
bool vdpasim_vq_complete(struct vdpasim *sim, struct vdpasim_vq *vq, u32 len)
{
	int err;

	err = vringh_complete_iotlb(&vq->vring, vq->head, len);
	if (unlikely(err)) {
		vdpasim_vq_unget(vq);
		vdpasim_vq_break(sim, vq, err);
		return false;
	}
	vq->completed = true;

	return true;
}
EXPORT_SYMBOL_GPL(vdpasim_vq_complete);

/**
 * vdpasim_vq_notify - tell the driver about completed buffers
 * @sim: the device; its lock is held
 * @vq: the virtqueue
 *
 * Call it once for as many buffers as there are in one go.
 */
void vdpasim_vq_notify(struct vdpasim *sim, struct vdpasim_vq *vq)
{
	int ret;

	if (!vq->completed)
		return;
	vq->completed = false;

	spin_lock_irq(&sim->iommu_lock);
	ret = vringh_need_notify_iotlb(&vq->vring);
	spin_unlock_irq(&sim->iommu_lock);
	if (unlikely(ret < 0)) {
		vdpasim_vq_break(sim, vq, ret);
		return;
	}

	if (ret && vq->cb) {
		/* It expects to be called by an interrupt */
		local_bh_disable();
		vq->cb(vq->private);
		local_bh_enable();
	}
}
EXPORT_SYMBOL_GPL(vdpasim_vq_notify);

/* What follows is described with struct vdpa_config_ops. */

int vdpasim_set_vq_address(struct vdpa_device *vdpa, u16 idx, u64 desc_area,
			   u64 driver_area, u64 device_area)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vdpasim_vq *vq = &sim->vqs[idx];

	if (!IS_ALIGNED(desc_area, VRING_DESC_ALIGN_SIZE) ||
	    !IS_ALIGNED(driver_area, VRING_AVAIL_ALIGN_SIZE) ||
	    !IS_ALIGNED(device_area, VRING_USED_ALIGN_SIZE))
		return -EINVAL;

	/* vringh has pointers for them */
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

void vdpasim_kick_vq(struct vdpa_device *vdpa, u16 idx)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	/* What was put into the ring comes before the kick. */
	smp_mb__before_atomic();
	set_bit(idx, &sim->kicks);
	kthread_queue_work(sim->worker, &sim->work);
}

void vdpasim_set_vq_cb(struct vdpa_device *vdpa, u16 idx,
		       struct vdpa_callback *cb)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vdpasim_vq *vq = &sim->vqs[idx];

	mutex_lock(&sim->lock);
	vq->cb = cb->callback;
	vq->private = cb->private;
	mutex_unlock(&sim->lock);
}

/* The driver has told everything about the virtqueue by now. */
static bool vdpasim_vq_enable(struct vdpasim *sim, struct vdpasim_vq *vq)
{
	u16 pos = vq->vring.last_avail_idx;

	if (vq->num > VDPASIM_QUEUE_MAX)
		return false;

	if (vringh_init_iotlb(&vq->vring, sim->features, vq->num, true,
			      (struct vring_desc *)(uintptr_t)vq->desc_addr,
			      (struct vring_avail *)(uintptr_t)vq->driver_addr,
			      (struct vring_used *)(uintptr_t)vq->device_addr))
		return false;

	/* Buffers are completed in order, and none is left when it stops. */
	vq->vring.last_avail_idx = pos;
	vq->vring.last_used_idx = pos;
	vq->broken = false;
	vq->completed = false;

	return true;
}

void vdpasim_set_vq_ready(struct vdpa_device *vdpa, u16 idx, bool ready)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vdpasim_vq *vq = &sim->vqs[idx];

	mutex_lock(&sim->lock);
	if (!ready) {
		vq->ready = false;
	} else if (!vq->ready) {
		vq->ready = vdpasim_vq_enable(sim, vq);
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
	if (vq->ready && (sim->status & VIRTIO_CONFIG_S_DRIVER_OK)) {
		ret = -EBUSY;
	} else {
		vq->vring.last_avail_idx = state->avail_index;
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
