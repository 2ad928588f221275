// SPDX-License-Identifier: GPL-2.0
/*
 * Address spaces of vhost-vdpa: find or create one, pin memory and map it,
 * unmap it and unpin it, account for it, tear everything down.
 *
 * The one rule of all of this: memory is given back only when the device can't
 * reach it any more, because the parent has said so.
 */

#include <linux/hugetlb.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <trace/events/vhost_vdpa.h>

#include "vdpa_as.h"

/*
 * Each mapping takes kernel memory beyond what RLIMIT_MEMLOCK accounts for.
 * What counts is what userspace asks for, and not how scattered its memory is.
 */
static unsigned int max_mappings = 65536;
module_param(max_mappings, uint, 0644);
MODULE_PARM_DESC(max_mappings,
		 "Maximum number of mappings of an open device. (default: 65536)");

/* Pages that are pinned at a time */
#define VHOST_VDPA_PIN_BATCH (PAGE_SIZE / sizeof(struct page *))

/* Does the parent take whole tables, as against one mapping after the other? */
static bool vhost_vdpa_has_set_map(struct vhost_vdpa_spaces *spaces)
{
	const struct vdpa_config_ops *ops = spaces->vdpa->config;

	return ops->set_map && !ops->dma_map;
}

/*
 * Find an address space, or create it.  A message for another one than the
 * batch that is open is for doesn't get it.
 *
 * Returns it, or an ERR_PTR(): -ENODEV if the device is gone, -EINVAL if it
 * doesn't have that address space, -EBUSY in a batch for another one, -ENOMEM.
 */
static struct vhost_vdpa_as *vhost_vdpa_as_get(struct vhost_vdpa_spaces *spaces,
					       u32 asid)
{
	struct vhost_vdpa_as *as;

	if (!spaces->vdpa)
		return ERR_PTR(-ENODEV);
	if (asid >= spaces->nas)
		return ERR_PTR(-EINVAL);
	asid = array_index_nospec(asid, spaces->nas);

	as = spaces->as[asid];
	if (spaces->batch && spaces->batch != as)
		return ERR_PTR(-EBUSY);
	if (as)
		return as;

	as = kmalloc(sizeof(*as), GFP_KERNEL);
	if (!as)
		return ERR_PTR(-ENOMEM);

	vhost_iotlb_init(&as->iotlb, 0, 0);
	INIT_LIST_HEAD(&as->stale);
	as->id = asid;
	spaces->as[asid] = as;

	return as;
}

/*
 * A mapping can have millions of maps, and a device as many mappings.  For each
 * of them, as cond_resched() alone is dearer than what is done with some.
 */
static inline void vhost_vdpa_resched(void)
{
	if (need_resched())
		cond_resched();
}

/*
 * Unpin and free a map that is in no IOTLB and that no parent uses; returns how
 * many pages it had.
 */
static unsigned long vhost_vdpa_free_map(struct vhost_iotlb_map *map)
{
	unsigned long pfn = PFN_DOWN(map->addr), npages = PFN_DOWN(map->size);
	unsigned long end = pfn + npages;
	struct page *page;

	for (; pfn < end; pfn++) {
		page = pfn_to_page(pfn);
		if (map->perm & VHOST_ACCESS_WO && !PageDirty(page))
			set_page_dirty_lock(page);
		unpin_user_page(page);
	}
	kfree(map);
	vhost_vdpa_resched();

	return npages;
}

/* The same for a list of maps */
static unsigned long vhost_vdpa_free_maps(struct list_head *maps)
{
	struct vhost_iotlb_map *map, *next;
	unsigned long npages = 0;

	list_for_each_entry_safe(map, next, maps, link)
		npages += vhost_vdpa_free_map(map);
	INIT_LIST_HEAD(maps);

	return npages;
}

/*
 * The same for maps that have been accounted for.  Not with spaces->lock: pages
 * are locked to make them dirty, and what a page is of (a file system in
 * userspace, say) may keep it locked.
 */
static void vhost_vdpa_release_maps(struct mm_struct *mm,
				    struct list_head *maps)
{
	if (!list_empty(maps))
		atomic64_sub(vhost_vdpa_free_maps(maps), &mm->pinned_vm);
}

/*
 * Hand the table to a parent with set_map.  Once it has taken it, nothing else
 * is reached any more, and stale maps are @gone.
 */
static int vhost_vdpa_sync(struct vhost_vdpa_spaces *spaces,
			   struct vhost_vdpa_as *as, struct list_head *gone)
{
	int r;

	r = vdpa_set_map(spaces->vdpa, as->id, &as->iotlb);
	if (r)
		return r;

	list_splice_tail_init(&as->stale, gone);

	return 0;
}

static int perm_to_iommu_flags(u32 perm)
{
	int flags = IOMMU_CACHE;

	if (perm & VHOST_ACCESS_RO)
		flags |= IOMMU_READ;
	if (perm & VHOST_ACCESS_WO)
		flags |= IOMMU_WRITE;

	return flags;
}

/*
 * Put maps into the table and hand them to the parent.  Those that are left on
 * @maps after an error are neither here nor there.
 */
static int vhost_vdpa_map(struct vhost_vdpa_spaces *spaces,
			  struct vhost_vdpa_as *as, struct list_head *maps,
			  struct list_head *gone)
{
	struct vdpa_device *vdpa = spaces->vdpa;
	const struct vdpa_config_ops *ops = vdpa->config;
	struct vhost_iotlb_map *map, *next;
	int r = 0;

	list_for_each_entry_safe(map, next, maps, link) {
		if (ops->dma_map)
			r = vdpa_dma_map(vdpa, as->id, map->start, map->size,
					 map->addr, map->perm);
		else if (!ops->set_map)
			r = iommu_map(spaces->domain, map->start, map->addr,
				      map->size, perm_to_iommu_flags(map->perm));
		if (r)
			return r;

		list_del(&map->link);
		vhost_iotlb_map_link(&as->iotlb, map);
		if (map->flags & VHOST_MAP_F_FIRST)
			spaces->nmappings++;
		vhost_vdpa_resched();
	}

	if (vhost_vdpa_has_set_map(spaces) && !spaces->batch)
		r = vhost_vdpa_sync(spaces, as, gone);

	return r;
}

/*
 * Remove the mapping that starts with @first: from the parent, then from the
 * table.  Only then its maps are @gone, or, with set_map, stale.  After an
 * error it is still there.  Sets @last to the last address that it had.
 */
static int vhost_vdpa_remove_mapping(struct vhost_vdpa_spaces *spaces,
				     struct vhost_vdpa_as *as,
				     struct vhost_iotlb_map *first, u64 *last,
				     struct list_head *gone)
{
	const struct vdpa_config_ops *ops = spaces->vdpa->config;
	struct vhost_iotlb_map *map, *next, *end = first;
	struct list_head *head = &as->iotlb.list;
	u64 start = first->start, size;
	int r = 0;

	/* A map without the flag belongs to the same mapping as the one before */
	while (!list_is_last(&end->link, head)) {
		next = list_next_entry(end, link);
		if (next->flags & VHOST_MAP_F_FIRST)
			break;
		end = next;
		vhost_vdpa_resched();
	}
	*last = end->last;
	size = *last - start + 1;

	if (ops->dma_map)
		r = vdpa_dma_unmap(spaces->vdpa, as->id, start, size);
	else if (!ops->set_map &&
		 iommu_unmap(spaces->domain, start, size) != size)
		r = -EIO;
	if (r)
		return r;

	trace_vhost_vdpa_unmap(spaces->vdpa, as->id, start, size);

	if (vhost_vdpa_has_set_map(spaces))
		gone = &as->stale;
	spaces->nmappings--;
	for (next = first, map = NULL; map != end;) {
		map = next;
		next = list_next_entry(map, link);
		vhost_iotlb_map_unlink(&as->iotlb, map);
		list_add_tail(&map->link, gone);
		vhost_vdpa_resched();
	}

	return 0;
}

/*
 * Remove all mappings that have an address from @start to @last: as many
 * look-ups as there are mappings to remove.
 */
static int vhost_vdpa_unmap(struct vhost_vdpa_spaces *spaces,
			    struct vhost_vdpa_as *as, u64 start, u64 last,
			    struct list_head *gone)
{
	struct vhost_iotlb_map *map;
	u64 end;
	int r;

	while ((map = vhost_iotlb_itree_first(&as->iotlb, start, last))) {
		while (!(map->flags & VHOST_MAP_F_FIRST)) {
			map = list_prev_entry(map, link);
			vhost_vdpa_resched();
		}

		r = vhost_vdpa_remove_mapping(spaces, as, map, &end, gone);
		if (r)
			return r;

		/* That was the first of them */
		if (end >= last)
			break;
		start = end + 1;
	}

	if (!list_empty(&as->stale) && !spaces->batch)
		return vhost_vdpa_sync(spaces, as, gone);

	return 0;
}

/*
 * Pin memory that the device will only read.
 *
 * Without a write fault, what is pinned of a private mapping is whatever is
 * shared at the time: the zero page, a page of the file, a page that a fork
 * left.  When the CPU writes, it gets a page of its own and the device reads
 * the old one for ever.  So break copy-on-write first.  Shared mappings have
 * the one page, and nothing in them shall look written that isn't.
 *
 * Called with mmap_lock.  Returns as pin_user_pages(); stops at the end of the
 * mapping.
 */
static long vhost_vdpa_pin_ro(struct mm_struct *mm, unsigned long uaddr,
			      unsigned long npages, struct page **pages)
{
	unsigned int gup_flags = FOLL_LONGTERM;
	struct vm_area_struct *vma;

	vma = find_vma(mm, uaddr);
	if (!vma || vma->vm_start > uaddr || !(vma->vm_flags & VM_READ))
		return -EFAULT;

	npages = min(npages, (vma->vm_end - uaddr) >> PAGE_SHIFT);

	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE) {
		if (vma->vm_flags & VM_WRITE)
			gup_flags |= FOLL_WRITE;
		else if (!is_vm_hugetlb_page(vma))
			gup_flags |= FOLL_WRITE | FOLL_FORCE;
	}

	return pin_user_pages(uaddr, npages, gup_flags, pages, NULL);
}

/*
 * Pin the memory of an UPDATE, which is current's.
 *
 * Called without spaces->lock: this faults in as much memory as the message
 * says, and may wait for others to bring it.
 *
 * Returns 0 with a list of maps, one for each contiguous chunk of memory, that
 * vhost_vdpa_free_maps() undoes, or an error with an empty list.
 */
static int vhost_vdpa_pin(struct vhost_vdpa_spaces *spaces,
			  struct mm_struct *mm,
			  const struct vhost_iotlb_msg *msg,
			  struct list_head *maps)
{
	unsigned long uaddr = msg->uaddr, left = PFN_DOWN(msg->size);
	struct vhost_iotlb_map *map = NULL;
	unsigned long n, pfn, next_pfn = 0;
	u64 iova = msg->iova;
	long npinned, i;
	int r;

	if (!spaces->pages) {
		spaces->pages = (struct page **)__get_free_page(GFP_KERNEL);
		if (!spaces->pages)
			return -ENOMEM;
	}

	while (left) {
		/* Nobody has a use for the rest */
		if (!READ_ONCE(spaces->vdpa)) {
			r = -ENODEV;
			goto err;
		}

		n = min(left, VHOST_VDPA_PIN_BATCH);
		mmap_read_lock(mm);
		if (msg->perm & VHOST_ACCESS_WO)
			npinned = pin_user_pages(uaddr, n,
						 FOLL_LONGTERM | FOLL_WRITE,
						 spaces->pages, NULL);
		else
			npinned = vhost_vdpa_pin_ro(mm, uaddr, n,
						    spaces->pages);
		mmap_read_unlock(mm);
		if (npinned <= 0) {
			r = npinned ? npinned : -EFAULT;
			goto err;
		}

		for (i = 0; i < npinned; i++) {
			pfn = page_to_pfn(spaces->pages[i]);
			if (pfn != next_pfn) {
				map = kmalloc(sizeof(*map), GFP_KERNEL);
				if (!map) {
					unpin_user_pages(spaces->pages + i,
							 npinned - i);
					r = -ENOMEM;
					goto err;
				}
				map->start = iova;
				map->last = iova - 1;
				map->size = 0;
				map->addr = PFN_PHYS(pfn);
				map->perm = msg->perm;
				map->flags = list_empty(maps) ?
					     VHOST_MAP_F_FIRST : 0;
				list_add_tail(&map->link, maps);
			}
			map->size += PAGE_SIZE;
			map->last += PAGE_SIZE;
			iova += PAGE_SIZE;
			next_pfn = pfn + 1;
		}

		uaddr += npinned << PAGE_SHIFT;
		left -= npinned;
	}

	return 0;

err:
	vhost_vdpa_free_maps(maps);
	return r;
}

/*
 * Account for pages before they are pinned.  Others account for pages of this
 * process at the same time: add first, so that the sum that is checked has
 * everyone's.
 */
static int vhost_vdpa_account(struct vhost_vdpa_spaces *spaces,
			      struct mm_struct *mm, unsigned long npages)
{
	u64 limit = PFN_DOWN(rlimit(RLIMIT_MEMLOCK));
	u64 pinned = atomic64_add_return(npages, &mm->pinned_vm);

	if (pinned <= limit)
		return 0;

	atomic64_sub(npages, &mm->pinned_vm);
	spaces->memlock.limit = limit;
	spaces->memlock.pinned = pinned - npages;
	spaces->memlock.wanted = npages;

	return -ENOMEM;
}

/*
 * Can a mapping ever be made as the message says?  Only whole pages are mapped.
 * What this looks at doesn't change while the file is open.
 */
static bool vhost_vdpa_update_ok(struct vhost_vdpa_spaces *spaces, u32 asid,
				 const struct vhost_iotlb_msg *msg)
{
	u64 last = msg->iova + msg->size - 1;

	return asid < spaces->nas &&
	       msg->size && last >= msg->iova &&
	       msg->iova >= spaces->range.first && last <= spaces->range.last &&
	       msg->uaddr <= ULONG_MAX && msg->size - 1 <= ULONG_MAX - msg->uaddr &&
	       !((msg->iova | msg->size | msg->uaddr) & ~PAGE_MASK) &&
	       msg->perm && !(msg->perm & ~VHOST_ACCESS_RW);
}

/**
 * vhost_vdpa_as_map - make a mapping
 * @spaces: the address spaces of a device
 * @asid: the address space, any number: it is userspace's
 * @mm: the owner's mm, which is current's
 * @msg: an UPDATE; anything may be in it
 *
 * Nothing has changed after an error.  With a parent that takes whole tables,
 * in a batch, the device doesn't see the mapping before the end of the batch.
 *
 * Context: with &vhost_dev.mutex, without @spaces->lock.  Sleeps, for as long
 * as it takes to fault the memory in.
 *
 * Return: 0, or
 * -ENODEV if the device is gone,
 * -EINVAL if the device has no such address space, the addresses are beyond
 * what it can map, anything isn't a whole number of pages, or the permission
 * isn't one,
 * -EBUSY in a batch for another address space,
 * -EEXIST if it overlaps with another mapping,
 * -ENOSPC if there are max_mappings already,
 * -ENOMEM if RLIMIT_MEMLOCK is exceeded (@spaces->memlock says how) or memory
 * has run out,
 * -EFAULT or another error of pin_user_pages(), or the parent's.
 */
int vhost_vdpa_as_map(struct vhost_vdpa_spaces *spaces, u32 asid,
		      struct mm_struct *mm, const struct vhost_iotlb_msg *msg)
{
	unsigned long npages = PFN_DOWN(msg->size);
	u64 last = msg->iova + msg->size - 1;
	struct vhost_vdpa_as *as;
	LIST_HEAD(maps);
	LIST_HEAD(gone);
	int r;

	if (!vhost_vdpa_update_ok(spaces, asid, msg))
		return -EINVAL;

	mutex_lock(&spaces->lock);
	as = vhost_vdpa_as_get(spaces, asid);
	if (IS_ERR(as))
		r = PTR_ERR(as);
	else if (vhost_iotlb_itree_first(&as->iotlb, msg->iova, last))
		r = -EEXIST;
	else if (spaces->nmappings >= READ_ONCE(max_mappings))
		r = -ENOSPC;
	else
		r = 0;
	mutex_unlock(&spaces->lock);
	if (r)
		return r;

	r = vhost_vdpa_account(spaces, mm, npages);
	if (r)
		return r;

	r = vhost_vdpa_pin(spaces, mm, msg, &maps);
	if (r)
		goto err_account;

	/* Messages come one at a time, but the device may be gone by now */
	mutex_lock(&spaces->lock);
	if (!spaces->vdpa) {
		r = -ENODEV;
		goto err_unlock;
	}

	spaces->mm = mm;
	r = vhost_vdpa_map(spaces, as, &maps, &gone);
	if (r) {
		vhost_vdpa_unmap(spaces, as, msg->iova, last, &gone);
		goto err_unlock;
	}
	trace_vhost_vdpa_map(spaces->vdpa, as->id, msg->iova, msg->size,
			     msg->uaddr, msg->perm);
	mutex_unlock(&spaces->lock);

	/* A parent with set_map may have taken what it didn't before */
	vhost_vdpa_release_maps(mm, &gone);

	return 0;

err_unlock:
	mutex_unlock(&spaces->lock);
	vhost_vdpa_release_maps(mm, &gone);
	/* What is left is what hasn't been mapped */
	npages = vhost_vdpa_free_maps(&maps);
err_account:
	atomic64_sub(npages, &mm->pinned_vm);
	return r;
}

/**
 * vhost_vdpa_as_unmap - remove mappings
 * @spaces: the address spaces of a device
 * @asid: the address space, any number: it is userspace's
 * @iova: first address
 * @size: in bytes, not 0
 *
 * Removes each mapping that has any of the addresses, as a whole.  That there
 * is none is no error.  When it returns 0, nothing is reached through them any
 * more; with a parent that takes whole tables, in a batch, that is so at the
 * end of the batch.  The pages stay pinned until it is so.
 *
 * Context: with &vhost_dev.mutex, without @spaces->lock.  Sleeps.
 *
 * Return: 0, or
 * -ENODEV if the device is gone,
 * -EINVAL if the device has no such address space or the range wraps around,
 * -EBUSY in a batch for another address space,
 * -ENOMEM,
 * or the parent's error.  Some of the mappings may be gone then.
 */
int vhost_vdpa_as_unmap(struct vhost_vdpa_spaces *spaces, u32 asid,
			u64 iova, u64 size)
{
	u64 last = iova + size - 1;
	struct vhost_vdpa_as *as;
	struct mm_struct *mm;
	LIST_HEAD(gone);
	int r;

	if (last < iova)
		return -EINVAL;

	mutex_lock(&spaces->lock);
	as = vhost_vdpa_as_get(spaces, asid);
	if (IS_ERR(as))
		r = PTR_ERR(as);
	else
		r = vhost_vdpa_unmap(spaces, as, iova, last, &gone);
	mm = spaces->mm;
	mutex_unlock(&spaces->lock);

	vhost_vdpa_release_maps(mm, &gone);

	return r;
}

/**
 * vhost_vdpa_as_batch_begin - begin a batch
 * @spaces: the address spaces of a device
 * @asid: the address space that the batch is for, any number
 *
 * Until the batch ends, messages for other address spaces are refused, and a
 * parent that takes whole tables is left alone.  To begin a batch again for
 * the same address space is no error.
 *
 * Context: with &vhost_dev.mutex, without @spaces->lock.  Sleeps.
 *
 * Return: 0, -ENODEV if the device is gone, -EINVAL if it has no such address
 * space, -EBUSY in a batch for another one, or -ENOMEM.
 */
int vhost_vdpa_as_batch_begin(struct vhost_vdpa_spaces *spaces, u32 asid)
{
	struct vhost_vdpa_as *as;

	mutex_lock(&spaces->lock);
	as = vhost_vdpa_as_get(spaces, asid);
	if (!IS_ERR(as))
		spaces->batch = as;
	mutex_unlock(&spaces->lock);

	return PTR_ERR_OR_ZERO(as);
}

/**
 * vhost_vdpa_as_batch_end - end a batch
 * @spaces: the address spaces of a device
 * @asid: the address space that the batch is for, any number
 *
 * Hands the table to a parent that takes whole ones.  An error says that the
 * parent hasn't taken it; the batch is over, and the table is what the messages
 * have made of it.  To end a batch that hasn't begun is no error.
 *
 * Context: with &vhost_dev.mutex, without @spaces->lock.  Sleeps.
 *
 * Return: 0, -ENODEV if the device is gone, -EINVAL if it has no such address
 * space, -EBUSY in a batch for another one, -ENOMEM, or the parent's error.
 */
int vhost_vdpa_as_batch_end(struct vhost_vdpa_spaces *spaces, u32 asid)
{
	struct vhost_vdpa_as *as;
	struct mm_struct *mm;
	LIST_HEAD(gone);
	int r = 0;

	mutex_lock(&spaces->lock);
	as = vhost_vdpa_as_get(spaces, asid);
	if (IS_ERR(as)) {
		r = PTR_ERR(as);
	} else if (spaces->batch) {
		spaces->batch = NULL;
		if (vhost_vdpa_has_set_map(spaces))
			r = vhost_vdpa_sync(spaces, as, &gone);
	}
	mm = spaces->mm;
	mutex_unlock(&spaces->lock);

	vhost_vdpa_release_maps(mm, &gone);

	return r;
}

static int vhost_vdpa_alloc_domain(struct vhost_vdpa_spaces *spaces)
{
	struct vdpa_device *vdpa = spaces->vdpa;
	const struct vdpa_config_ops *ops = vdpa->config;
	struct device *dma_dev = vdpa_get_dma_dev(vdpa);
	struct bus_type *bus;
	int ret;

	/* Device want to do DMA by itself */
	if (ops->set_map || ops->dma_map)
		return 0;

	bus = dma_dev->bus;
	if (!bus)
		return -EFAULT;

	if (!iommu_capable(bus, IOMMU_CAP_CACHE_COHERENCY))
		return -EOPNOTSUPP;

	spaces->domain = iommu_domain_alloc(bus);
	if (!spaces->domain)
		return -EIO;

	ret = iommu_attach_device(spaces->domain, dma_dev);
	if (ret) {
		iommu_domain_free(spaces->domain);
		spaces->domain = NULL;
	}

	return ret;
}

static void vhost_vdpa_free_domain(struct vhost_vdpa_spaces *spaces)
{
	struct device *dma_dev = vdpa_get_dma_dev(spaces->vdpa);

	if (spaces->domain) {
		iommu_detach_device(spaces->domain, dma_dev);
		iommu_domain_free(spaces->domain);
	}

	spaces->domain = NULL;
}

static void vhost_vdpa_set_iova_range(struct vhost_vdpa_spaces *spaces)
{
	struct vdpa_iova_range *range = &spaces->range;
	struct iommu_domain_geometry geo;
	struct vdpa_device *vdpa = spaces->vdpa;
	const struct vdpa_config_ops *ops = vdpa->config;

	if (ops->get_iova_range) {
		*range = ops->get_iova_range(vdpa);
	} else if (spaces->domain &&
		   !iommu_domain_get_attr(spaces->domain,
					  DOMAIN_ATTR_GEOMETRY, &geo) &&
		   geo.force_aperture) {
		range->first = geo.aperture_start;
		range->last = geo.aperture_end;
	} else {
		range->first = 0;
		range->last = ULLONG_MAX;
	}
}

/**
 * vhost_vdpa_spaces_open - get ready for the messages of a file
 * @spaces: the address spaces of a device; @spaces->vdpa is set
 *
 * Context: with @spaces->lock.  Sleeps.
 *
 * Return: 0, with vhost_vdpa_spaces_close() to undo it; -ENOMEM, or an error of
 * the platform's IOMMU.
 */
int vhost_vdpa_spaces_open(struct vhost_vdpa_spaces *spaces)
{
	int r;

	spaces->nas = spaces->vdpa->nas;
	spaces->as = kvcalloc(spaces->nas, sizeof(*spaces->as), GFP_KERNEL);
	if (!spaces->as)
		return -ENOMEM;

	r = vhost_vdpa_alloc_domain(spaces);
	if (r) {
		kvfree(spaces->as);
		spaces->as = NULL;
		return r;
	}

	vhost_vdpa_set_iova_range(spaces);

	return 0;
}

/**
 * vhost_vdpa_spaces_restore - give mappings back to a device after a reset
 * @spaces: the address spaces of a device, open
 *
 * A reset leaves mappings alone, in our tables and in the device.  Parents that
 * take whole tables may forget them nonetheless, and get them again.
 *
 * Context: with @spaces->lock.  Sleeps.
 *
 * Return: 0, or the parent's error.
 */
int vhost_vdpa_spaces_restore(struct vhost_vdpa_spaces *spaces)
{
	struct vhost_vdpa_as *as;
	unsigned int i;
	int r;

	if (!vhost_vdpa_has_set_map(spaces))
		return 0;

	for (i = 0; i < spaces->nas; i++) {
		as = spaces->as[i];
		/* The end of the batch does it */
		if (!as || as == spaces->batch)
			continue;
		/* What is stale stays so until there is a message */
		if (as->iotlb.nmaps) {
			r = vdpa_set_map(spaces->vdpa, as->id, &as->iotlb);
			if (r)
				return r;
		}
	}

	return 0;
}

/*
 * Remove all of an address space.  Parents keep mappings across a reset: those
 * of one that doesn't let go of them stay pinned for ever, as someone else will
 * open the device.
 */
static void vhost_vdpa_as_destroy(struct vhost_vdpa_spaces *spaces,
				  struct vhost_vdpa_as *as,
				  struct list_head *gone)
{
	struct vhost_iotlb_map *map, *next;
	LIST_HEAD(kept);

	if (vhost_vdpa_unmap(spaces, as, 0, U64_MAX, gone))
		dev_err(&spaces->vdpa->dev,
			"can't be made to unmap address space %u\n", as->id);

	list_splice_init(&as->stale, &kept);
	list_for_each_entry_safe(map, next, &as->iotlb.list, link) {
		vhost_iotlb_map_unlink(&as->iotlb, map);
		list_add_tail(&map->link, &kept);
		vhost_vdpa_resched();
	}

	/* The domain of the platform's IOMMU goes, and takes all with it */
	if (spaces->domain) {
		list_splice_tail(&kept, gone);
	} else {
		list_for_each_entry_safe(map, next, &kept, link)
			kfree(map);
	}

	kfree(as);
}

/**
 * vhost_vdpa_spaces_close - remove all mappings and all address spaces
 * @spaces: the address spaces of a device; nothing is done if they are closed
 * @gone: a list that gets the maps of memory which is still to be unpinned, for
 *	vhost_vdpa_spaces_unpin()
 *
 * Context: with @spaces->lock, after the device has been reset and before it is
 * gone.  Sleeps.
 */
void vhost_vdpa_spaces_close(struct vhost_vdpa_spaces *spaces,
			     struct list_head *gone)
{
	unsigned int i;

	if (!spaces->as)
		return;

	spaces->batch = NULL;
	for (i = 0; i < spaces->nas; i++)
		if (spaces->as[i])
			vhost_vdpa_as_destroy(spaces, spaces->as[i], gone);
	kvfree(spaces->as);
	spaces->as = NULL;
	spaces->nmappings = 0;

	vhost_vdpa_free_domain(spaces);
}

/**
 * vhost_vdpa_spaces_unpin - unpin memory
 * @spaces: the address spaces of a device
 * @gone: maps of memory that the device can't reach any more; empty afterwards
 *
 * Context: without @spaces->lock, while the file is open.  Sleeps, for as long
 * as someone keeps a page locked.
 */
void vhost_vdpa_spaces_unpin(struct vhost_vdpa_spaces *spaces,
			     struct list_head *gone)
{
	vhost_vdpa_release_maps(spaces->mm, gone);
}

/**
 * vhost_vdpa_spaces_release - free what messages have needed
 * @spaces: the address spaces of a device, closed, and all memory unpinned
 *
 * Context: with &vhost_dev.mutex, when the file is closed.
 */
void vhost_vdpa_spaces_release(struct vhost_vdpa_spaces *spaces)
{
	spaces->mm = NULL;
	free_page((unsigned long)spaces->pages);
	spaces->pages = NULL;
}
