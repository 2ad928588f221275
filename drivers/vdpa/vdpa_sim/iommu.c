// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vDPA device simulator: its IOMMU.  Mappings are made by vhost-vdpa, with
 * the operations of a vDPA device, or by a virtio driver of this kernel, with
 * the DMA API.  There are several address spaces; each virtqueue group is bound
 * to one of them.
 *
 * With parts of vdpa_sim.c:
 * Copyright (c) 2020, Red Hat Inc. All rights reserved.
 */
#include <linux/error-injection.h>
#include <linux/gfp.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "sim.h"

/* Mappings that are removed with iommu_lock held. */
#define VDPASIM_UNMAP_BATCH 128

/**
 * vdpasim_iommu_init - set up the IOMMU of a new device, with nothing mapped
 * @sim: the device
 *
 * Return: 0 or -ENOMEM.
 */
int vdpasim_iommu_init(struct vdpasim *sim)
{
	unsigned int i;

	spin_lock_init(&sim->iommu_lock);

	sim->group_asid = kcalloc(sim->vdpa.ngroups, sizeof(*sim->group_asid),
				  GFP_KERNEL);
	if (!sim->group_asid)
		return -ENOMEM;

	for (i = 0; i < sim->vdpa.nas; i++) {
		sim->as[i] = vhost_iotlb_alloc(0, 0);
		if (!sim->as[i])
			return -ENOMEM;
	}

	return 0;
}

/* There may be millions of mappings, hence cond_resched(). */
static void vdpasim_iotlb_free(struct vhost_iotlb *iotlb)
{
	struct vhost_iotlb_map *map, *next;

	if (!iotlb)
		return;

	list_for_each_entry_safe(map, next, &iotlb->list, link) {
		vhost_iotlb_map_free(iotlb, map);
		cond_resched();
	}
	vhost_iotlb_free(iotlb);
}

/**
 * vdpasim_iommu_free - free what vdpasim_iommu_init() set up
 * @sim: the device, which isn't in use any more
 */
void vdpasim_iommu_free(struct vdpasim *sim)
{
	unsigned int i;

	for (i = 0; i < VDPASIM_AS_MAX; i++)
		vdpasim_iotlb_free(sim->as[i]);
	kfree(sim->group_asid);
}

static void vdpasim_iommu_unmap(struct vdpasim *sim, unsigned int asid,
				u64 start, u64 last)
{
	struct vhost_iotlb_map *map;
	unsigned int n;
	bool all;

	do {
		all = false;
		spin_lock_irq(&sim->iommu_lock);
		for (n = 0; !all && n < VDPASIM_UNMAP_BATCH; n++) {
			map = vhost_iotlb_itree_first(sim->as[asid], start,
						      last);
			/* vhost-vdpa's mappings don't overlap. */
			all = !map || (map->start <= start &&
				       map->last >= last);
			if (map)
				vhost_iotlb_map_free(sim->as[asid], map);
		}
		spin_unlock_irq(&sim->iommu_lock);
		if (!all)
			cond_resched();
	} while (!all);
}

/* Point each virtqueue to the address space that its group is bound to. */
static void vdpasim_iommu_switch(struct vdpasim *sim)
{
	unsigned int i;

	lockdep_assert_held(&sim->iommu_lock);

	for (i = 0; i < sim->class->nvqs; i++) {
		u32 group = vdpasim_get_vq_group(&sim->vdpa, i);
		struct vhost_iotlb *iotlb = sim->as[sim->group_asid[group]];
		struct vringh *vring = &sim->vqs[i].vring;

		if (vring->iotlb != iotlb)
			vringh_set_iotlb(vring, iotlb);
	}
}

/**
 * vdpasim_iommu_reset - bind all groups to ASID 0
 * @sim: the device
 *
 * A reset doesn't remove mappings.
 */
void vdpasim_iommu_reset(struct vdpasim *sim)
{
	unsigned int i;

	spin_lock_irq(&sim->iommu_lock);
	for (i = 0; i < sim->vdpa.ngroups; i++)
		sim->group_asid[i] = 0;
	vdpasim_iommu_switch(sim);
	spin_unlock_irq(&sim->iommu_lock);
}

/* The functions down to the DMA API are documented with struct vdpa_config_ops. */

u32 vdpasim_get_vq_group(struct vdpa_device *vdpa, u16 idx)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	if (sim->vq_groups)
		return idx;

	return sim->class->get_vq_group ?
		sim->class->get_vq_group(sim, idx) : 0;
}

int vdpasim_set_group_asid(struct vdpa_device *vdpa, unsigned int group,
			   unsigned int asid)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	spin_lock_irq(&sim->iommu_lock);
	sim->group_asid[group] = asid;
	vdpasim_iommu_switch(sim);
	spin_unlock_irq(&sim->iommu_lock);

	return 0;
}

/* Allocate a mapping that isn't in an IOTLB yet. */
static struct vhost_iotlb_map *vdpasim_alloc_map(u64 start, u64 last, u64 addr,
						 u32 perm)
{
	struct vhost_iotlb_map *map;

	map = kmalloc(sizeof(*map), GFP_KERNEL);
	if (!map)
		return NULL;

	map->start = start;
	map->last = last;
	map->size = last - start + 1;
	map->addr = addr;
	map->file = NULL;
	map->perm = perm;
	map->flags = 0;

	return map;
}

int vdpasim_set_map(struct vdpa_device *vdpa, unsigned int asid,
		    struct vhost_iotlb *iotlb)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vhost_iotlb_map *map, *copy;
	struct vhost_iotlb *new;

	/* Removal of all mappings must not fail. */
	if (!iotlb->nmaps) {
		vdpasim_iommu_unmap(sim, asid, 0, U64_MAX);
		return 0;
	}

	/* If this fails, the old mappings stay. */
	new = vhost_iotlb_alloc(0, 0);
	if (!new)
		return -ENOMEM;

	for (map = vhost_iotlb_itree_first(iotlb, 0, U64_MAX); map;
	     map = vhost_iotlb_itree_next(map, 0, U64_MAX)) {
		copy = vdpasim_alloc_map(map->start, map->last, map->addr,
					 map->perm);
		if (!copy) {
			vdpasim_iotlb_free(new);
			return -ENOMEM;
		}
		vhost_iotlb_map_link(new, copy);
		cond_resched();
	}

	spin_lock_irq(&sim->iommu_lock);
	swap(sim->as[asid], new);
	vdpasim_iommu_switch(sim);
	spin_unlock_irq(&sim->iommu_lock);

	vdpasim_iotlb_free(new);

	return 0;
}

int vdpasim_dma_map(struct vdpa_device *vdpa, unsigned int asid, u64 iova,
		    u64 size, u64 pa, u32 perm)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vhost_iotlb_map *map;

	if (!size || iova > U64_MAX - (size - 1))
		return -EINVAL;

	map = vdpasim_alloc_map(iova, iova + size - 1, pa, perm);
	if (!map)
		return -ENOMEM;

	spin_lock_irq(&sim->iommu_lock);
	vhost_iotlb_map_link(sim->as[asid], map);
	spin_unlock_irq(&sim->iommu_lock);

	return 0;
}

int vdpasim_dma_unmap(struct vdpa_device *vdpa, unsigned int asid, u64 iova,
		      u64 size)
{
	if (!size || iova > U64_MAX - (size - 1))
		return -EINVAL;

	vdpasim_iommu_unmap(vdpa_to_sim(vdpa), asid, iova, iova + size - 1);

	return 0;
}

ALLOW_ERROR_INJECTION(vdpasim_dma_unmap, ERRNO);

/*
 * The DMA API uses the address space with ASID 0.  There is no allocator of
 * IOVAs: they are the physical addresses.  So mappings of the same memory
 * overlap, or are equal.
 */
static struct vdpasim *dev_to_sim(struct device *dev)
{
	return vdpa_to_sim(dev_to_vdpa(dev));
}

static int dir_to_perm(enum dma_data_direction dir)
{
	switch (dir) {
	case DMA_FROM_DEVICE:
		return VHOST_MAP_WO;
	case DMA_TO_DEVICE:
		return VHOST_MAP_RO;
	case DMA_BIDIRECTIONAL:
		return VHOST_MAP_RW;
	default:
		return -EINVAL;
	}
}

/* Called in any context. */
static int vdpasim_dma_map_one(struct vdpasim *sim, u64 pa, size_t size,
			       u32 perm)
{
	unsigned long flags;
	int ret;

	spin_lock_irqsave(&sim->iommu_lock, flags);
	ret = vhost_iotlb_add_range(sim->as[0], pa, pa + size - 1, pa, perm);
	spin_unlock_irqrestore(&sim->iommu_lock, flags);

	return ret;
}

/* Remove one mapping, and not another one that overlaps it. */
static void vdpasim_dma_unmap_one(struct vdpasim *sim, u64 iova, size_t size,
				  u32 perm)
{
	u64 last = iova + size - 1;
	struct vhost_iotlb_map *map;
	unsigned long flags;

	spin_lock_irqsave(&sim->iommu_lock, flags);
	for (map = vhost_iotlb_itree_first(sim->as[0], iova, last); map;
	     map = vhost_iotlb_itree_next(map, iova, last)) {
		if (map->start == iova && map->last == last &&
		    map->perm == perm) {
			vhost_iotlb_map_free(sim->as[0], map);
			break;
		}
	}
	spin_unlock_irqrestore(&sim->iommu_lock, flags);
}

static dma_addr_t vdpasim_map_page(struct device *dev, struct page *page,
				   unsigned long offset, size_t size,
				   enum dma_data_direction dir,
				   unsigned long attrs)
{
	u64 pa = (u64)page_to_phys(page) + offset;
	int perm = dir_to_perm(dir);

	if (perm < 0 || vdpasim_dma_map_one(dev_to_sim(dev), pa, size, perm))
		return DMA_MAPPING_ERROR;

	return pa;
}

static void vdpasim_unmap_page(struct device *dev, dma_addr_t dma_addr,
			       size_t size, enum dma_data_direction dir,
			       unsigned long attrs)
{
	vdpasim_dma_unmap_one(dev_to_sim(dev), dma_addr, size,
			      dir_to_perm(dir));
}

static void vdpasim_unmap_sg(struct device *dev, struct scatterlist *sgl,
			     int nents, enum dma_data_direction dir,
			     unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, nents, i)
		vdpasim_unmap_page(dev, sg_dma_address(sg), sg_dma_len(sg),
				   dir, attrs);
}

static int vdpasim_map_sg(struct device *dev, struct scatterlist *sgl,
			  int nents, enum dma_data_direction dir,
			  unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, nents, i) {
		sg_dma_address(sg) = vdpasim_map_page(dev, sg_page(sg),
						      sg->offset, sg->length,
						      dir, attrs);
		if (sg_dma_address(sg) == DMA_MAPPING_ERROR) {
			vdpasim_unmap_sg(dev, sgl, i, dir, attrs);
			return 0;
		}
		sg_dma_len(sg) = sg->length;
	}

	return nents;
}

static void *vdpasim_alloc_coherent(struct device *dev, size_t size,
				    dma_addr_t *dma_addr, gfp_t gfp,
				    unsigned long attrs)
{
	void *addr;
	u64 pa;

	addr = alloc_pages_exact(size, (gfp & ~__GFP_COMP) | __GFP_ZERO);
	if (!addr)
		return NULL;

	pa = virt_to_phys(addr);
	if (vdpasim_dma_map_one(dev_to_sim(dev), pa, size, VHOST_MAP_RW)) {
		free_pages_exact(addr, size);
		return NULL;
	}
	*dma_addr = pa;

	return addr;
}

static void vdpasim_free_coherent(struct device *dev, size_t size, void *vaddr,
				  dma_addr_t dma_addr, unsigned long attrs)
{
	vdpasim_dma_unmap_one(dev_to_sim(dev), dma_addr, size, VHOST_MAP_RW);
	free_pages_exact(vaddr, size);
}

const struct dma_map_ops vdpasim_dma_ops = {
	.map_page = vdpasim_map_page,
	.unmap_page = vdpasim_unmap_page,
	.map_sg = vdpasim_map_sg,
	.unmap_sg = vdpasim_unmap_sg,
	.alloc = vdpasim_alloc_coherent,
	.free = vdpasim_free_coherent,
};
