// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vDPA device simulator: the device, its thread, and the operations of a
 * vDPA device that concern all of it.
 *
 * With parts of vdpa_sim.c:
 * Copyright (c) 2020, Red Hat Inc. All rights reserved.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bottom_half.h>
#include <linux/device.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <uapi/linux/vdpa.h>
#include <uapi/linux/vhost_types.h>

#include "sim.h"

/* The most buffers that vringh takes in one descriptor chain. */
#define VDPASIM_CHAIN_MAX (VDPASIM_QUEUE_MAX + VRINGH_TABLE_MAX)

#define VDPASIM_QUEUE_ALIGN PAGE_SIZE
#define VDPASIM_VENDOR_ID 0

static bool batch_mapping;
module_param(batch_mapping, bool, 0444);
MODULE_PARM_DESC(batch_mapping,
		 "Take all mappings of an address space at once instead of one by one (default: N)");

static unsigned int num_as;
module_param(num_as, uint, 0444);
MODULE_PARM_DESC(num_as,
		 "Number of address spaces of a device, 1 to 8 (default: 0, as the class of the device has)");

static bool vq_groups;
module_param(vq_groups, bool, 0444);
MODULE_PARM_DESC(vq_groups,
		 "Put each virtqueue into a group of its own (default: N, groups as the class of the device has)");

static bool doorbell;
module_param(doorbell, bool, 0444);
MODULE_PARM_DESC(doorbell,
		 "Have doorbells that drivers can map. A write to one isn't noticed, so the virtqueues are processed with every tick (default: N)");

/**
 * vdpasim_call - call back the driver
 * @cb: the callback; nothing is done if it isn't set
 *
 * Context: the device's thread, with &vdpasim.lock held.
 */
void vdpasim_call(const struct vdpa_callback *cb)
{
	if (!cb->callback)
		return;

	/* It expects the context of an interrupt. */
	local_bh_disable();
	cb->callback(cb->private);
	local_bh_enable();
}

/**
 * vdpasim_needs_reset - enter an error state that takes a reset to leave
 * @sim: the device
 *
 * The driver is notified at the end of the round of work.
 *
 * Context: the device's thread, with &vdpasim.lock held.
 */
void vdpasim_needs_reset(struct vdpasim *sim)
{
	lockdep_assert_held(&sim->lock);

	sim->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	sim->config_changed = true;
}

static void vdpasim_work(struct kthread_work *work)
{
	struct vdpasim *sim = container_of(work, struct vdpasim, work);
	unsigned long vqs;

	mutex_lock(&sim->lock);
	vqs = xchg(&sim->kicks, 0);
	if ((sim->status & VIRTIO_CONFIG_S_DRIVER_OK) && !sim->suspended)
		vqs = sim->class->work(sim, vqs);
	else
		vqs = 0;
	if (sim->config_changed) {
		sim->config_changed = false;
		vdpasim_call(&sim->config_cb);
	}
	mutex_unlock(&sim->lock);

	/* Continue later: others may be waiting for the lock or the CPU. */
	if (vqs) {
		unsigned int idx;

		for_each_set_bit(idx, &vqs, sim->class->nvqs)
			set_bit(idx, &sim->kicks);
		kthread_queue_work(sim->worker, work);
	}
}

/**
 * vdpasim_kick_all - process all virtqueues, kicked or not
 * @sim: the device
 */
void vdpasim_kick_all(struct vdpasim *sim)
{
	xchg(&sim->kicks, GENMASK(sim->class->nvqs - 1, 0));
	kthread_queue_work(sim->worker, &sim->work);
}

/* Nothing tells when a doorbell is written to. */
static void vdpasim_poll(struct kthread_work *work)
{
	struct vdpasim *sim = container_of(work, struct vdpasim, poll.work);

	mutex_lock(&sim->lock);
	if (sim->status & VIRTIO_CONFIG_S_DRIVER_OK) {
		vdpasim_kick_all(sim);
		kthread_queue_delayed_work(sim->worker, &sim->poll, 1);
	}
	mutex_unlock(&sim->lock);
}

static int vdpasim_reset(struct vdpa_device *vdpa)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	unsigned int i;

	mutex_lock(&sim->lock);
	for (i = 0; i < sim->class->nvqs; i++)
		vdpasim_vq_reset(&sim->vqs[i]);

	vdpasim_iommu_reset(sim);
	if (sim->class->reset)
		sim->class->reset(sim);
	if (sim->doorbell)
		clear_page(sim->doorbell);

	sim->status = 0;
	sim->config_cb = (struct vdpa_callback) {};
	sim->suspended = false;
	sim->features = 0;
	sim->generation++;
	mutex_unlock(&sim->lock);

	return 0;
}

static u32 vdpasim_get_vq_align(struct vdpa_device *vdpa)
{
	return VDPASIM_QUEUE_ALIGN;
}

static u64 vdpasim_get_features(struct vdpa_device *vdpa)
{
	return vdpa_to_sim(vdpa)->device_features;
}

static int vdpasim_set_features(struct vdpa_device *vdpa, u64 features)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	/* DMA mapping must be done by driver */
	if (!(features & BIT_ULL(VIRTIO_F_ACCESS_PLATFORM)))
		return -EINVAL;

	mutex_lock(&sim->lock);
	sim->features = features & sim->device_features;
	mutex_unlock(&sim->lock);

	return 0;
}

static u64 vdpasim_get_driver_features(struct vdpa_device *vdpa)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	u64 features;

	mutex_lock(&sim->lock);
	features = sim->features;
	mutex_unlock(&sim->lock);

	return features;
}

static void vdpasim_set_config_cb(struct vdpa_device *vdpa,
				  struct vdpa_callback *cb)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	mutex_lock(&sim->lock);
	sim->config_cb = *cb;
	mutex_unlock(&sim->lock);
}

static u16 vdpasim_get_vq_num_max(struct vdpa_device *vdpa)
{
	return VDPASIM_QUEUE_MAX;
}

static unsigned int vdpasim_get_vq_stats(struct vdpa_device *vdpa, u16 idx,
					 struct vdpa_vq_stat *stats)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	unsigned int n = 0;

	mutex_lock(&sim->lock);
	if (sim->class->get_vq_stats)
		n = sim->class->get_vq_stats(sim, idx, stats);
	mutex_unlock(&sim->lock);

	return n;
}

static u32 vdpasim_get_device_id(struct vdpa_device *vdpa)
{
	return vdpa_to_sim(vdpa)->class->device_id;
}

static u32 vdpasim_get_vendor_id(struct vdpa_device *vdpa)
{
	return VDPASIM_VENDOR_ID;
}

static u8 vdpasim_get_status(struct vdpa_device *vdpa)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	u8 status;

	mutex_lock(&sim->lock);
	status = sim->status;
	mutex_unlock(&sim->lock);

	return status;
}

static void vdpasim_set_status(struct vdpa_device *vdpa, u8 status)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	mutex_lock(&sim->lock);
	/* Only a reset leaves the error state. */
	sim->status = status | (sim->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* Kicks before DRIVER_OK had no effect. */
	if (status & VIRTIO_CONFIG_S_DRIVER_OK)
		vdpasim_kick_all(sim);
	if (sim->doorbell)
		kthread_queue_delayed_work(sim->worker, &sim->poll, 1);
	mutex_unlock(&sim->lock);
}

static u64 vdpasim_get_backend_features(struct vdpa_device *vdpa)
{
	return 1ULL << VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK;
}

static int vdpasim_suspend(struct vdpa_device *vdpa)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	/* Between two rounds of work, no buffer is being processed. */
	mutex_lock(&sim->lock);
	sim->suspended = true;
	mutex_unlock(&sim->lock);

	return 0;
}

static int vdpasim_resume(struct vdpa_device *vdpa)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	unsigned int i;
	int ret = 0;

	mutex_lock(&sim->lock);
	/* The driver may have moved the rings. */
	for (i = 0; i < sim->class->nvqs && !ret; i++)
		if (sim->vqs[i].ready)
			ret = vdpasim_vq_init_ring(sim, &sim->vqs[i]);
	if (!ret) {
		sim->suspended = false;
		/* Kicks had no effect meanwhile. */
		vdpasim_kick_all(sim);
	}
	mutex_unlock(&sim->lock);

	return ret;
}

static size_t vdpasim_get_config_size(struct vdpa_device *vdpa)
{
	return vdpa_to_sim(vdpa)->class->config_size;
}

static bool vdpasim_in_config(const struct vdpasim *sim, unsigned int offset,
			      unsigned int len)
{
	size_t size = sim->class->config_size;

	return offset <= size && len <= size - offset;
}

static void vdpasim_get_config(struct vdpa_device *vdpa, unsigned int offset,
			       void *buf, unsigned int len)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	if (!vdpasim_in_config(sim, offset, len))
		return;

	mutex_lock(&sim->lock);
	sim->class->get_config(sim, sim->config);
	memcpy(buf, sim->config + offset, len);
	mutex_unlock(&sim->lock);
}

static void vdpasim_set_config(struct vdpa_device *vdpa, unsigned int offset,
			       const void *buf, unsigned int len)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	if (!vdpasim_in_config(sim, offset, len))
		return;

	mutex_lock(&sim->lock);
	if (sim->class->set_config)
		sim->class->set_config(sim, offset, buf, len);
	mutex_unlock(&sim->lock);
}

static void vdpasim_close(struct vdpa_device *vdpa)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	mutex_lock(&sim->lock);
	if (sim->class->close)
		sim->class->close(sim);
	mutex_unlock(&sim->lock);
}

static u32 vdpasim_get_generation(struct vdpa_device *vdpa)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	u32 generation;

	mutex_lock(&sim->lock);
	generation = sim->generation;
	mutex_unlock(&sim->lock);

	return generation;
}

static struct vdpa_iova_range vdpasim_get_iova_range(struct vdpa_device *vdpa)
{
	struct vdpa_iova_range range = {
		.first = 0,
		.last = U64_MAX,
	};

	return range;
}

static void vdpasim_free(struct vdpa_device *vdpa)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	if (sim->worker) {
		/* Both may queue themselves again. */
		kthread_cancel_delayed_work_sync(&sim->poll);
		kthread_cancel_work_sync(&sim->work);
		kthread_destroy_worker(sim->worker);
	}
	if (sim->class->free)
		sim->class->free(sim);
	vdpasim_iommu_free(sim);
	kvfree(sim->kvecs);
	kfree(sim->vqs);
	kfree(sim->config);
	free_page((unsigned long)sim->doorbell);
	mutex_destroy(&sim->lock);
}

static const struct vdpa_config_ops vdpasim_ops = {
	.set_vq_address		= vdpasim_set_vq_address,
	.set_vq_num		= vdpasim_set_vq_num,
	.kick_vq		= vdpasim_kick_vq,
	.set_vq_cb		= vdpasim_set_vq_cb,
	.set_vq_ready		= vdpasim_set_vq_ready,
	.get_vq_ready		= vdpasim_get_vq_ready,
	.set_vq_state		= vdpasim_set_vq_state,
	.get_vq_state		= vdpasim_get_vq_state,
	.get_vq_notification	= vdpasim_get_vq_notification,
	.get_vq_align		= vdpasim_get_vq_align,
	.get_features		= vdpasim_get_features,
	.set_features		= vdpasim_set_features,
	.get_driver_features	= vdpasim_get_driver_features,
	.set_config_cb		= vdpasim_set_config_cb,
	.get_vq_num_max		= vdpasim_get_vq_num_max,
	.get_vq_size		= vdpasim_get_vq_size,
	.get_vq_info		= vdpasim_get_vq_info,
	.get_vq_group		= vdpasim_get_vq_group,
	.get_vq_stats		= vdpasim_get_vq_stats,
	.get_device_id		= vdpasim_get_device_id,
	.get_vendor_id		= vdpasim_get_vendor_id,
	.get_status		= vdpasim_get_status,
	.set_status		= vdpasim_set_status,
	.reset			= vdpasim_reset,
	.suspend		= vdpasim_suspend,
	.resume			= vdpasim_resume,
	.get_backend_features	= vdpasim_get_backend_features,
	.get_config_size	= vdpasim_get_config_size,
	.get_config		= vdpasim_get_config,
	.set_config		= vdpasim_set_config,
	.get_generation		= vdpasim_get_generation,
	.get_iova_range		= vdpasim_get_iova_range,
	.set_group_asid		= vdpasim_set_group_asid,
	.dma_map		= vdpasim_dma_map,
	.dma_unmap		= vdpasim_dma_unmap,
	.close			= vdpasim_close,
	.free			= vdpasim_free,
};

/* The same with set_map instead of dma_map and dma_unmap */
static struct vdpa_config_ops vdpasim_batch_ops __ro_after_init;

/**
 * vdpasim_create - create a device, in a management device's dev_add operation
 * @class: class of the device
 * @mdev: the management device
 * @name: name of the device
 * @config: attributes that the user gave
 * @extack: gets the message for the user if an attribute is refused
 *
 * Return: the device, ready to be registered, or an ERR_PTR():
 * -EINVAL if the features lack VIRTIO_F_ACCESS_PLATFORM, or the error of
 * __vdpa_alloc_device(), of an allocation or of the class's init operation.
 */
struct vdpa_device *vdpasim_create(const struct vdpasim_class *class,
				   struct vdpa_mgmt_dev *mdev, const char *name,
				   const struct vdpa_dev_set_config *config,
				   struct netlink_ext_ack *extack)
{
	u64 features = class->features;
	struct vdpa_device *vdpa;
	struct vdpasim *sim;
	struct device *dev;
	unsigned int i;
	int ret;

	if (config->mask & BIT_ULL(VDPA_ATTR_DEV_FEATURES))
		features = config->device_features;
	if (!(features & BIT_ULL(VIRTIO_F_ACCESS_PLATFORM))) {
		NL_SET_ERR_MSG_MOD(extack,
				   "VIRTIO_F_ACCESS_PLATFORM is needed: the simulator has an IOMMU");
		return ERR_PTR(-EINVAL);
	}

	vdpa = __vdpa_alloc_device(mdev->device, batch_mapping ?
				   &vdpasim_batch_ops : &vdpasim_ops,
				   class->nvqs,
				   vq_groups ? class->nvqs : class->ngroups,
				   num_as ?: class->nas, name, class->size);
	if (IS_ERR(vdpa))
		return vdpa;

	/* From here on, put_device() calls vdpasim_free(). */
	sim = vdpa_to_sim(vdpa);
	sim->class = class;
	sim->device_features = features;
	sim->vq_groups = vq_groups;
	mutex_init(&sim->lock);
	kthread_init_work(&sim->work, vdpasim_work);
	kthread_init_delayed_work(&sim->poll, vdpasim_poll);

	ret = vdpasim_iommu_init(sim);
	if (ret)
		goto err;

	ret = -ENOMEM;
	sim->config = kzalloc(class->config_size, GFP_KERNEL);
	sim->vqs = kcalloc(class->nvqs, sizeof(*sim->vqs), GFP_KERNEL);
	sim->kvecs = kvcalloc(2 * VDPASIM_CHAIN_MAX, sizeof(*sim->kvecs),
			      GFP_KERNEL);
	if (!sim->config || !sim->vqs || !sim->kvecs)
		goto err;
	if (doorbell) {
		sim->doorbell = (void *)get_zeroed_page(GFP_KERNEL);
		if (!sim->doorbell)
			goto err;
	}

	vringh_kiov_init(&sim->riov, sim->kvecs, VDPASIM_CHAIN_MAX);
	vringh_kiov_init(&sim->wiov, sim->kvecs + VDPASIM_CHAIN_MAX,
			 VDPASIM_CHAIN_MAX);
	for (i = 0; i < class->nvqs; i++)
		vdpasim_vq_init(sim, &sim->vqs[i]);

	dev = &vdpa->dev;
	dev->dma_mask = &dev->coherent_dma_mask;
	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
	if (ret)
		goto err;
	set_dma_ops(dev, &vdpasim_dma_ops);
	vdpa->dma_dev = dev;

	ret = class->init(sim, config);
	if (ret)
		goto err;

	sim->worker = kthread_create_worker(0, "%s", name);
	if (IS_ERR(sim->worker)) {
		ret = PTR_ERR(sim->worker);
		sim->worker = NULL;
		goto err;
	}

	return vdpa;

err:
	put_device(&vdpa->dev);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(vdpasim_create);

static int __init vdpasim_init(void)
{
	if (num_as > VDPASIM_AS_MAX) {
		pr_err("num_as can't be more than %u\n", VDPASIM_AS_MAX);
		return -EINVAL;
	}

	vdpasim_batch_ops = vdpasim_ops;
	vdpasim_batch_ops.dma_map = NULL;
	vdpasim_batch_ops.dma_unmap = NULL;
	vdpasim_batch_ops.set_map = vdpasim_set_map;

	return 0;
}
module_init(vdpasim_init);

static void __exit vdpasim_exit(void)
{
}
module_exit(vdpasim_exit);

MODULE_LICENSE("GPL v2");
MODULE_DESCRIPTION("vDPA device simulator core");
