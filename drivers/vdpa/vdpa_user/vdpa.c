// SPDX-License-Identifier: GPL-2.0-only
/*
 * VDUSE: the operations of a vDPA device. See struct vdpa_config_ops for what
 * they do.
 */
#include <linux/bottom_half.h>
#include <linux/dma-mapping.h>
#include <linux/eventfd.h>
#include <linux/workqueue.h>
#include <uapi/linux/vhost_types.h>
#include <uapi/linux/virtio_config.h>
#include <uapi/linux/virtio_ids.h>
#include <uapi/linux/virtio_net.h>

#include "vduse.h"

/**
 * vduse_vq_call - notify the driver that buffers of a virtqueue have been used
 * @dev: the device
 * @vq: the virtqueue
 */
void vduse_vq_call(struct vduse_dev *dev, struct vduse_vq *vq)
{
	bool ready, ok = true;

	/* The callback expects the context of an interrupt */
	spin_lock_bh(&vq->irq_lock);
	spin_lock_irq(&vq->kick_lock);
	ready = vq->ready && !READ_ONCE(dev->suspended);
	if (ready && vq->ring)
		ok = vduse_ring_use(vq->ring);
	spin_unlock_irq(&vq->kick_lock);
	if (ready && vq->cb.callback) {
		vq->cb.callback(vq->cb.private);
		vq->callbacks++;
	}
	/* With the lock, for which vduse_vdpa_free() waits: the device is on the bus */
	if (!ok)
		vduse_break(dev);
	spin_unlock_bh(&vq->irq_lock);

	WRITE_ONCE(dev->progress, dev->progress + 1);
	if (!ok)
		dev_warn(dev->dev, "the daemon corrupts virtqueue %td\n",
			 vq - dev->vqs);
}

/**
 * vduse_config_call - notify the driver that the configuration has changed
 * @dev: the device
 */
void vduse_config_call(struct vduse_dev *dev)
{
	spin_lock_bh(&dev->config_irq_lock);
	if (dev->config_cb.callback)
		dev->config_cb.callback(dev->config_cb.private);
	spin_unlock_bh(&dev->config_irq_lock);
}

/* Stop the rings of a virtio driver, or give it the buffers back. */
static void vduse_for_rings(struct vduse_dev *dev,
			    void (*fn)(struct vduse_ring *ring))
{
	unsigned int i;

	for (i = 0; i < dev->nvqs; i++) {
		spin_lock_irq(&dev->vqs[i].kick_lock);
		if (dev->vqs[i].ring)
			fn(dev->vqs[i].ring);
		spin_unlock_irq(&dev->vqs[i].kick_lock);
	}
}

/*
 * The device is broken, or a driver has kicked a broken device. A virtio driver
 * of this kernel waits for its buffers without a time limit, so it gets them
 * back. The order matters: no buffer that it gets back can look like a success.
 */
static void vduse_broken_work(struct work_struct *work)
{
	struct vduse_dev *dev = container_of(work, struct vduse_dev,
					     broken_work);
	unsigned int i;

	/* The device is on the bus: vduse_vdpa_free() waits for this */
	vduse_bounce_revoke(dev->bounce, true);
	mutex_lock(&dev->lock);
	vduse_bounce_dereg_umem(dev->bounce);
	mutex_unlock(&dev->lock);
	vduse_for_rings(dev, vduse_ring_stop);
	vduse_bounce_poison(dev->bounce);
	vduse_for_rings(dev, vduse_ring_complete);

	for (i = 0; i < dev->nvqs; i++)
		if (READ_ONCE(dev->vqs[i].ring))
			vduse_vq_call(dev, &dev->vqs[i]);
	vduse_config_call(dev);
}

/*
 * A driver that is being removed waits for its buffers, and a daemon that is
 * stopped doesn't return them. Give up when nothing happens for some time.
 */
static void vduse_dying_work(struct work_struct *work)
{
	struct vduse_dev *dev = container_of(work, struct vduse_dev,
					     dying_work.work);
	unsigned long progress = READ_ONCE(dev->progress);
	bool busy = false;
	unsigned int i;

	for (i = 0; i < dev->nvqs && !busy; i++) {
		spin_lock_irq(&dev->vqs[i].kick_lock);
		if (dev->vqs[i].ring)
			busy = vduse_ring_busy(dev->vqs[i].ring);
		spin_unlock_irq(&dev->vqs[i].kick_lock);
	}

	if (busy && progress == dev->last_progress)
		vduse_break(dev);
	dev->last_progress = progress;
	queue_delayed_work(system_unbound_wq, &dev->dying_work,
			   VDUSE_DYING_TIMEOUT);
}

static void vduse_set_vq_cb(struct vdpa_device *vdpa, u16 idx,
			    struct vdpa_callback *cb)
{
	struct vduse_vq *vq = &vdpa_to_vduse(vdpa)->vqs[idx];

	spin_lock_bh(&vq->irq_lock);
	vq->cb = *cb;
	spin_unlock_bh(&vq->irq_lock);
}

static void vduse_set_config_cb(struct vdpa_device *vdpa,
				struct vdpa_callback *cb)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);

	spin_lock_bh(&dev->config_irq_lock);
	dev->config_cb = *cb;
	spin_unlock_bh(&dev->config_irq_lock);
}

static void vduse_signal_kick(struct vduse_dev *dev, struct vduse_vq *vq)
{
	unsigned long flags;

	spin_lock_irqsave(&vq->kick_lock, flags);
	if (vq->ready && !READ_ONCE(dev->suspended)) {
		if (vq->ring)
			vduse_ring_kick(vq->ring);
		if (vq->ring && READ_ONCE(dev->broken))
			queue_work(system_unbound_wq, &dev->broken_work);
		else if (vq->kickfd)
			eventfd_signal(vq->kickfd, 1);
		else
			vq->kicked = true;
	}
	spin_unlock_irqrestore(&vq->kick_lock, flags);
}

/**
 * vduse_kick_work - signal a kick of vhost-vdpa
 * @work: &vduse_vq.kick_work
 */
void vduse_kick_work(struct work_struct *work)
{
	struct vduse_vq *vq = container_of(work, struct vduse_vq, kick_work);

	vduse_signal_kick(vq->dev, vq);
}

/*
 * vhost-vdpa kicks while an eventfd wakes it, with the lock of that eventfd.  The
 * daemon's eventfd can be the same one.  Only a virtio driver has a ring here.
 */
static void vduse_kick_vq(struct vdpa_device *vdpa, u16 idx)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);
	struct vduse_vq *vq = &dev->vqs[idx];

	atomic64_inc(&vq->kicks);
	if (READ_ONCE(vq->ring))
		vduse_signal_kick(dev, vq);
	else
		queue_work(system_unbound_wq, &vq->kick_work);
}

static void vduse_vq_set_ready(struct vduse_vq *vq, bool ready)
{
	struct vduse_ring *ring = NULL;

	spin_lock_irq(&vq->kick_lock);
	WRITE_ONCE(vq->ready, ready);
	if (!ready) {
		vq->kicked = false;
		swap(vq->ring, ring);
	}
	spin_unlock_irq(&vq->kick_lock);
	vduse_ring_free(ring);
}

static void vduse_set_vq_ready(struct vdpa_device *vdpa, u16 idx, bool ready)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);
	struct vduse_vq *vq = &dev->vqs[idx];
	int ret = 0;

	/* Before the daemon may use it, and notifies; or after it may no more */
	vduse_vq_set_ready(vq, ready);
	if (dev->requests & BIT_ULL(VDUSE_F_QUEUE_READY))
		ret = vduse_set_vq_ready_msg(dev, idx, ready);
	/* The driver would wait for its first buffer for ever */
	if (ret && ready)
		vduse_break(dev);
}

static bool vduse_get_vq_ready(struct vdpa_device *vdpa, u16 idx)
{
	return READ_ONCE(vdpa_to_vduse(vdpa)->vqs[idx].ready);
}

static void vduse_set_vq_num(struct vdpa_device *vdpa, u16 idx, u32 num)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);

	mutex_lock(&dev->vq_lock);
	dev->vqs[idx].num = num;
	mutex_unlock(&dev->vq_lock);
}

static int vduse_set_vq_address(struct vdpa_device *vdpa, u16 idx,
				u64 desc_area, u64 driver_area,
				u64 device_area)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);
	struct vduse_vq *vq = &dev->vqs[idx];
	struct vduse_ring *ring = NULL;
	int ret = 0;

	mutex_lock(&dev->vq_lock);
	vq->desc_addr = desc_area;
	vq->driver_addr = driver_area;
	vq->device_addr = device_area;
	if (vduse_bounce_used(dev->bounce)) {
		ring = vduse_ring_alloc(dev, vq);
		if (IS_ERR(ring)) {
			ret = PTR_ERR(ring);
			ring = NULL;
		}
	}
	spin_lock_irq(&vq->kick_lock);
	swap(vq->ring, ring);
	spin_unlock_irq(&vq->kick_lock);
	mutex_unlock(&dev->vq_lock);
	vduse_ring_free(ring);

	return ret;
}

static int vduse_set_vq_state(struct vdpa_device *vdpa, u16 idx,
			      const struct vdpa_vq_state *state)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);

	mutex_lock(&dev->vq_lock);
	dev->vqs[idx].state = *state;
	mutex_unlock(&dev->vq_lock);

	return 0;
}

static int vduse_get_vq_state(struct vdpa_device *vdpa, u16 idx,
			      struct vdpa_vq_state *state)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);

	if (READ_ONCE(dev->status) & VIRTIO_CONFIG_S_DRIVER_OK)
		return vduse_get_vq_state_msg(dev, idx, state);

	/* The daemon hasn't begun */
	mutex_lock(&dev->vq_lock);
	*state = dev->vqs[idx].state;
	mutex_unlock(&dev->vq_lock);

	return 0;
}

static u32 vduse_get_vq_align(struct vdpa_device *vdpa)
{
	return vdpa_to_vduse(vdpa)->vq_align;
}

static u16 vduse_get_vq_num_max(struct vdpa_device *vdpa)
{
	return vdpa_to_vduse(vdpa)->num_max;
}

static u32 vduse_get_vq_size(struct vdpa_device *vdpa, u16 idx)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);
	u32 num;

	mutex_lock(&dev->vq_lock);
	num = dev->vqs[idx].num;
	mutex_unlock(&dev->vq_lock);

	/* No driver can set more than the smallest maximum */
	return num ? num : dev->num_max;
}

/*
 * The daemon isn't asked: it may be busy.  So without a ring of a virtio driver of
 * this kernel, the positions aren't known; and only the daemon knows whether it
 * has found an error of the driver.
 */
static void vduse_get_vq_info(struct vdpa_device *vdpa, u16 idx,
			      struct vdpa_vq_info *info)
{
	struct vduse_vq *vq = &vdpa_to_vduse(vdpa)->vqs[idx];

	info->kicks = atomic64_read(&vq->kicks);
	spin_lock_bh(&vq->irq_lock);
	info->callbacks = vq->callbacks;
	spin_lock_irq(&vq->kick_lock);
	info->ready = vq->ready;
	if (vq->ring)
		vduse_ring_get_info(vq->ring, info);
	spin_unlock_irq(&vq->kick_lock);
	spin_unlock_bh(&vq->irq_lock);
}

static u32 vduse_get_vq_group(struct vdpa_device *vdpa, u16 idx)
{
	return vdpa_to_vduse(vdpa)->vqs[idx].group;
}

static u64 vduse_get_features(struct vdpa_device *vdpa)
{
	return vdpa_to_vduse(vdpa)->features;
}

/* Where a virtqueue starts, unless the driver says something else */
static void vduse_init_vq_states(struct vduse_dev *dev, u64 features)
{
	struct vdpa_vq_state state = {};
	unsigned int i;

	if (features & BIT_ULL(VIRTIO_F_RING_PACKED)) {
		state.avail_index = 0x8000;
		state.used_index = 0x8000;
	}

	mutex_lock(&dev->vq_lock);
	for (i = 0; i < dev->nvqs; i++)
		dev->vqs[i].state = state;
	mutex_unlock(&dev->vq_lock);
}

static int vduse_set_features(struct vdpa_device *vdpa, u64 features)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);

	/* The daemon reaches no physical address */
	if (!(features & BIT_ULL(VIRTIO_F_ACCESS_PLATFORM)))
		return -EINVAL;
	if (features & ~dev->features)
		return -EINVAL;

	WRITE_ONCE(dev->driver_features, features);
	vduse_init_vq_states(dev, features);

	return 0;
}

static u64 vduse_get_driver_features(struct vdpa_device *vdpa)
{
	return READ_ONCE(vdpa_to_vduse(vdpa)->driver_features);
}

static u32 vduse_get_device_id(struct vdpa_device *vdpa)
{
	return vdpa_to_vduse(vdpa)->device_id;
}

static u32 vduse_get_vendor_id(struct vdpa_device *vdpa)
{
	return vdpa_to_vduse(vdpa)->vendor_id;
}

static u8 vduse_get_status(struct vdpa_device *vdpa)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);
	u8 status = READ_ONCE(dev->status);

	/*
	 * Not for a virtio driver of this kernel: virtio-vdpa would break its
	 * virtqueues, and it couldn't take the buffers that it gets back.
	 */
	if (READ_ONCE(dev->needs_reset) && !vduse_bounce_used(dev->bounce))
		status |= VIRTIO_CONFIG_S_NEEDS_RESET;

	return status;
}

static void vduse_set_status(struct vdpa_device *vdpa, u8 status)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);

	if (!vduse_set_status_msg(dev, status))
		WRITE_ONCE(dev->status, status);
	else if (status & VIRTIO_CONFIG_S_DRIVER_OK)
		/* The driver would wait for its first buffer for ever */
		vduse_break(dev);
}

/* What a reset does, but for the daemon's part. */
static void vduse_reset_state(struct vduse_dev *dev)
{
	struct vdpa_callback cb = {};
	struct vduse_vq *vq;
	unsigned int i;

	WRITE_ONCE(dev->status, 0);
	WRITE_ONCE(dev->driver_features, 0);
	dev->suspended = false;
	for (i = 0; i < dev->nvqs; i++) {
		vq = &dev->vqs[i];
		vduse_vq_set_ready(vq, false);
		vduse_set_vq_cb(&dev->vdev->vdpa, i, &cb);
		mutex_lock(&dev->vq_lock);
		vq->num = 0;
		vq->desc_addr = 0;
		vq->driver_addr = 0;
		vq->device_addr = 0;
		mutex_unlock(&dev->vq_lock);
	}
	vduse_set_config_cb(&dev->vdev->vdpa, &cb);
	vduse_init_vq_states(dev, 0);
}

static int vduse_reset(struct vdpa_device *vdpa)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);
	int ret;

	vduse_reset_state(dev);
	if (vduse_mend(dev))
		vduse_bounce_revoke(dev->bounce, false);

	ret = vduse_set_status_msg(dev, 0);
	/* A driver expects 0 after a reset, and it can't fail for virtio */
	WRITE_ONCE(dev->needs_reset, false);

	return ret;
}

static size_t vduse_get_config_size(struct vdpa_device *vdpa)
{
	return vdpa_to_vduse(vdpa)->config_size;
}

/*
 * Status bits of a network device that the driver hasn't negotiated.  virtio_net
 * acknowledges an announcement, although it has no control virtqueue to do so.
 * Byte by byte, as the byte order depends on the driver.
 */
static void vduse_hide_announce(const struct vduse_dev *dev, unsigned int offset,
				u8 *buf, unsigned int len)
{
	const unsigned int status = offsetof(struct virtio_net_config, status);
	unsigned int i;

	if (dev->device_id != VIRTIO_ID_NET ||
	    READ_ONCE(dev->driver_features) & BIT_ULL(VIRTIO_NET_F_GUEST_ANNOUNCE))
		return;

	for (i = status; i < status + sizeof(__virtio16); i++)
		if (i >= offset && i - offset < len)
			buf[i - offset] &= VIRTIO_NET_S_LINK_UP;
}

static void vduse_get_config(struct vdpa_device *vdpa, unsigned int offset,
			     void *buf, unsigned int len)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);

	/* What isn't there reads as 0, also a part of a field: see vduse_config_ok() */
	memset(buf, 0, len);
	if (offset >= dev->config_size)
		return;

	mutex_lock(&dev->space_lock);
	memcpy(buf, dev->config + offset,
	       min(len, dev->config_size - offset));
	mutex_unlock(&dev->space_lock);
	vduse_hide_announce(dev, offset, buf, len);
}

/* There is no request for it: the configuration space is the daemon's. */
static void vduse_set_config(struct vdpa_device *vdpa, unsigned int offset,
			     const void *buf, unsigned int len)
{
}

static u32 vduse_get_generation(struct vdpa_device *vdpa)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);
	u32 generation;

	mutex_lock(&dev->space_lock);
	generation = dev->generation;
	mutex_unlock(&dev->space_lock);

	return generation;
}

static int vduse_set_group_asid(struct vdpa_device *vdpa, unsigned int group,
				unsigned int asid)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);

	/* Version 0 has no such request, and one address space: no change */
	if (!dev->api_version)
		return 0;

	return vduse_set_group_asid_msg(dev, group, asid);
}

static int vduse_suspend(struct vdpa_device *vdpa)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);
	unsigned int i;
	int ret;

	if (dev->suspended)
		return 0;

	ret = vduse_suspend_msg(dev);
	if (ret)
		return ret;

	WRITE_ONCE(dev->suspended, true);
	/* No kick and no callback is under way when this has returned */
	for (i = 0; i < dev->nvqs; i++) {
		spin_lock_bh(&dev->vqs[i].irq_lock);
		spin_unlock_bh(&dev->vqs[i].irq_lock);
		spin_lock_irq(&dev->vqs[i].kick_lock);
		spin_unlock_irq(&dev->vqs[i].kick_lock);
	}

	return 0;
}

static u64 vduse_get_backend_features(struct vdpa_device *vdpa)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);

	/* Otherwise the daemon isn't told */
	if (dev->requests & BIT_ULL(VDUSE_F_QUEUE_READY))
		return BIT_ULL(VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK);

	return 0;
}

static int vduse_set_map(struct vdpa_device *vdpa, unsigned int asid,
			 struct vhost_iotlb *iotlb)
{
	return vduse_as_set_map(vdpa_to_vduse(vdpa), asid, iotlb);
}

static void vduse_close(struct vdpa_device *vdpa)
{
	vduse_bounce_trim(vdpa_to_vduse(vdpa)->bounce);
}

static void vduse_vdpa_dying(struct vdpa_device *vdpa)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);

	vduse_dying(dev);
	queue_delayed_work(system_unbound_wq, &dev->dying_work,
			   VDUSE_DYING_TIMEOUT);
}

static void vduse_vdpa_free(struct vdpa_device *vdpa)
{
	struct vduse_dev *dev = vdpa_to_vduse(vdpa);

	cancel_delayed_work_sync(&dev->dying_work);
	/* Nothing breaks the device any more once its virtqueues are reset */
	vduse_reset_state(dev);
	cancel_work_sync(&dev->broken_work);
	vduse_as_reset(dev);

	/* Nobody sends a request until it is on the bus again */
	spin_lock(&dev->msg_lock);
	dev->broken = false;
	dev->needs_reset = false;
	dev->dying = false;
	spin_unlock(&dev->msg_lock);

	mutex_lock(&dev->lock);
	vduse_bounce_free(dev->bounce);
	dev->bounce = NULL;
	dev->vdev = NULL;
	mutex_unlock(&dev->lock);
}

static const struct vdpa_config_ops vduse_vdpa_ops = {
	.set_vq_address		= vduse_set_vq_address,
	.set_vq_num		= vduse_set_vq_num,
	.kick_vq		= vduse_kick_vq,
	.set_vq_cb		= vduse_set_vq_cb,
	.set_vq_ready		= vduse_set_vq_ready,
	.get_vq_ready		= vduse_get_vq_ready,
	.set_vq_state		= vduse_set_vq_state,
	.get_vq_state		= vduse_get_vq_state,
	.get_vq_align		= vduse_get_vq_align,
	.get_features		= vduse_get_features,
	.set_features		= vduse_set_features,
	.get_driver_features	= vduse_get_driver_features,
	.set_config_cb		= vduse_set_config_cb,
	.get_vq_num_max		= vduse_get_vq_num_max,
	.get_vq_size		= vduse_get_vq_size,
	.get_vq_info		= vduse_get_vq_info,
	.get_vq_group		= vduse_get_vq_group,
	.get_device_id		= vduse_get_device_id,
	.get_vendor_id		= vduse_get_vendor_id,
	.get_status		= vduse_get_status,
	.set_status		= vduse_set_status,
	.reset			= vduse_reset,
	.get_backend_features	= vduse_get_backend_features,
	.get_config_size	= vduse_get_config_size,
	.get_config		= vduse_get_config,
	.set_config		= vduse_set_config,
	.get_generation		= vduse_get_generation,
	.set_group_asid		= vduse_set_group_asid,
	.set_map		= vduse_set_map,
	.close			= vduse_close,
	.dying			= vduse_vdpa_dying,
	.free			= vduse_vdpa_free,
};

/* The same with suspend; vhost-vdpa offers that if the operation exists */
static struct vdpa_config_ops vduse_vdpa_suspend_ops __ro_after_init;

/**
 * vduse_vdpa_init - set up the operations
 */
void __init vduse_vdpa_init(void)
{
	vduse_vdpa_suspend_ops = vduse_vdpa_ops;
	vduse_vdpa_suspend_ops.suspend = vduse_suspend;
}

/*
 * Features that a virtio driver of this kernel isn't offered. ring.c knows split
 * virtqueues only. virtio_net waits for the answer to a control command without a
 * time limit, with the lock that all network interfaces share, and the virtio_net
 * of 5.10 keeps the CPU, which the daemon may need. So large receive offload
 * can't be switched off, but the kernel warns if it can't be. A standby device
 * takes over the network card that has its MAC address.
 */
static u64 vduse_user_features(const struct vduse_dev *dev)
{
	u64 features = BIT_ULL(VIRTIO_F_RING_PACKED);

	if (dev->device_id == VIRTIO_ID_NET)
		features |= BIT_ULL(VIRTIO_NET_F_GUEST_TSO4) |
			    BIT_ULL(VIRTIO_NET_F_GUEST_TSO6) |
			    BIT_ULL(VIRTIO_NET_F_GUEST_ECN) |
			    BIT_ULL(VIRTIO_NET_F_GUEST_UFO) |
			    BIT_ULL(VIRTIO_NET_F_STANDBY) |
			    BIT_ULL(VIRTIO_NET_F_CTRL_VQ) |
			    BIT_ULL(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) |
			    BIT_ULL(VIRTIO_NET_F_CTRL_RX) |
			    BIT_ULL(VIRTIO_NET_F_CTRL_VLAN) |
			    BIT_ULL(VIRTIO_NET_F_CTRL_RX_EXTRA) |
			    BIT_ULL(VIRTIO_NET_F_GUEST_ANNOUNCE) |
			    BIT_ULL(VIRTIO_NET_F_MQ) |
			    BIT_ULL(VIRTIO_NET_F_CTRL_MAC_ADDR);

	return features;
}

/**
 * vduse_vdpa_alloc - make the device on the vDPA bus
 * @dev: the device, which has none; the caller holds @dev->lock
 * @parent: its parent
 * @name: its name
 *
 * Return: the vDPA device, ready to be registered, or an ERR_PTR().
 */
struct vdpa_device *vduse_vdpa_alloc(struct vduse_dev *dev,
				     struct device *parent, const char *name)
{
	struct vduse_bounce *bounce;
	struct vduse_vdpa *vdev;
	struct device *vdpa_dev;
	unsigned int i;

	lockdep_assert_held(&dev->lock);

	bounce = vduse_bounce_alloc();
	if (!bounce)
		return ERR_PTR(-ENOMEM);

	vdev = vdpa_alloc_device(struct vduse_vdpa, vdpa, parent,
				 dev->requests & BIT_ULL(VDUSE_F_SUSPEND) ?
				 &vduse_vdpa_suspend_ops : &vduse_vdpa_ops,
				 dev->nvqs, dev->ngroups, dev->nas, name);
	if (IS_ERR(vdev)) {
		vduse_bounce_free(bounce);
		return ERR_CAST(vdev);
	}

	INIT_WORK(&dev->broken_work, vduse_broken_work);
	INIT_DELAYED_WORK(&dev->dying_work, vduse_dying_work);
	for (i = 0; i < dev->nvqs; i++) {
		atomic64_set(&dev->vqs[i].kicks, 0);
		dev->vqs[i].callbacks = 0;
	}
	dev->bounce = bounce;
	dev->vdev = vdev;
	vdev->dev = dev;
	vdev->vdpa.map_files = true;
	vdev->vdpa.user_features = vduse_user_features(dev);
	vdpa_dev = &vdev->vdpa.dev;
	vdev->vdpa.dma_dev = vdpa_dev;
	vdpa_dev->dma_mask = &vdpa_dev->coherent_dma_mask;
	vdpa_dev->coherent_dma_mask = DMA_BIT_MASK(64);
	set_dma_ops(vdpa_dev, &vduse_dma_ops);

	return &vdev->vdpa;
}
