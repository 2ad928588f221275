// SPDX-License-Identifier: GPL-2.0
/*
 * Address spaces of vhost-vdpa: find or create one, pin memory (or find the
 * files that it is mapped from) and map it, unmap it and unpin it, account for
 * it, tear everything down.
 *
 * A page is unpinned only after the parent has confirmed that the device can't
 * reach it any more.
 *
 * Moved from vdpa.c:
 * Copyright (C) 2018-2020 Intel Corporation.
 * Copyright (C) 2020 Red Hat, Inc.
 *
 * Author: Tiwei Bie <tiwei.bie@intel.com>
 *         Jason Wang <jasowang@redhat.com>
 */

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include <trace/events/vhost_vdpa.h>

#include "vdpa.h"

/*
 * A mapping uses kernel memory that RLIMIT_MEMLOCK doesn't account for.  An
 * UPDATE counts once, however scattered its memory is.
 */
static unsigned int max_mappings = 65536;
module_param(max_mappings, uint, 0644);
MODULE_PARM_DESC(max_mappings,
		 "Maximum number of mappings of an open device. (default: 65536)");

/* Number of pages that are pinned at a time */
#define VHOST_VDPA_PIN_BATCH (PAGE_SIZE / sizeof(struct page *))

/* Whether the parent is given whole tables rather than single mappings */
static bool vhost_vdpa_has_set_map(const struct vdpa_device *vdpa)
{
	const struct vdpa_config_ops *ops = vdpa->config;

	return ops->set_map && !ops->dma_map;
}

/*
 * Find an address space, or create it.
 *
 * Returns it, or an ERR_PTR(): -ENODEV if the device has been removed, -EINVAL
 * if it has no such address space, -EBUSY if a batch is open for another one,
 * -ENOMEM.
 */
static struct vhost_vdpa_as *vhost_vdpa_as_get(struct vhost_vdpa *v, u32 asid)
{
	struct vhost_vdpa_spaces *spaces = &v->spaces;
	struct vhost_vdpa_as *as;

	if (!vhost_vdpa_device(v))
		return ERR_PTR(-ENODEV);
	if (asid >= spaces->nas)
		return ERR_PTR(-EINVAL);
	asid = array_index_nospec(asid, spaces->nas);

	as = spaces->as[asid];
	if (spaces->batch && spaces->batch != as)
		return ERR_PTR(-EBUSY);
	if (as)
		return as;

	as = kzalloc(sizeof(*as), GFP_KERNEL);
	if (!as)
		return ERR_PTR(-ENOMEM);

	vhost_iotlb_init(&as->iotlb, 0, 0);
	INIT_LIST_HEAD(&as->stale);
	as->id = asid;
	spaces->as[asid] = as;

	return as;
}

/*
 * To be called for each map: a mapping can have millions.  cond_resched() alone
 * can cost more than the work for a map, so test need_resched() first.
 */
static inline void vhost_vdpa_resched(void)
{
	if (need_resched())
		cond_resched();
}

/*
 * Unpin and free a map that neither an IOTLB nor the parent has.  Returns the
 * number of its pages that were pinned.
 */
static unsigned long vhost_vdpa_free_map(struct vhost_iotlb_map *map)
{
	unsigned long pfn = PFN_DOWN(map->addr), npages = PFN_DOWN(map->size);
	unsigned long end = pfn + npages, n;

	if (map->file) {
		fput(map->file);
		kfree(map);
		return 0;
	}

	for (; pfn < end; pfn += n) {
		n = min(end - pfn, VHOST_VDPA_PIN_BATCH);
		unpin_user_page_range_dirty_lock(pfn_to_page(pfn), n,
						 map->perm & VHOST_ACCESS_WO);
		vhost_vdpa_resched();
	}
	kfree(map);

	return npages;
}

/* The same for a list of maps, which is empty afterwards */
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
 * The same for maps whose pages have been accounted for.  The caller doesn't
 * hold v->lock: a page is locked to make it dirty, and its backing store, e.g.
 * an unresponsive FUSE server, can hold the page lock indefinitely.
 */
static void vhost_vdpa_release_maps(struct vhost_vdpa *v,
				    struct list_head *maps)
{
	if (!list_empty(maps))
		atomic64_sub(vhost_vdpa_free_maps(maps),
			     &v->vdev.mm->pinned_vm);
}

/*
 * Give the table to a parent with set_map.  After that the device doesn't reach
 * what isn't in the table: stale maps move to @unmapped.
 */
static int vhost_vdpa_sync(struct vhost_vdpa *v, struct vhost_vdpa_as *as,
			   struct list_head *unmapped)
{
	int r;

	r = vdpa_set_map(vhost_vdpa_device(v), as->id, &as->iotlb);
	if (r)
		return r;

	list_splice_tail_init(&as->stale, unmapped);
	v->spaces.nmappings -= as->nstale;
	as->nstale = 0;
	as->stale_size = 0;

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
 * Put maps into the table and give them to the parent.  After an error, maps
 * left on @maps are neither in the table nor known to the parent.
 */
static int vhost_vdpa_map(struct vhost_vdpa *v, struct vhost_vdpa_as *as,
			  struct list_head *maps, struct list_head *unmapped)
{
	struct vdpa_device *vdpa = vhost_vdpa_device(v);
	const struct vdpa_config_ops *ops = vdpa->config;
	struct vhost_iotlb_map *map, *next;
	int r = 0;

	list_for_each_entry_safe(map, next, maps, link) {
		if (ops->dma_map)
			r = vdpa_dma_map(vdpa, as->id, map->start, map->size,
					 map->addr, map->perm);
		else if (!ops->set_map)
			r = iommu_map(v->spaces.domain, map->start, map->addr,
				      map->size, perm_to_iommu_flags(map->perm));
		if (r)
			return r;

		list_del(&map->link);
		vhost_iotlb_map_link(&as->iotlb, map);
		as->size += map->size;
		if (map->flags & VHOST_MAP_F_FIRST) {
			as->nmappings++;
			v->spaces.nmappings++;
		}
		vhost_vdpa_resched();
	}

	if (vhost_vdpa_has_set_map(vdpa) && !v->spaces.batch)
		r = vhost_vdpa_sync(v, as, unmapped);

	return r;
}

/* The last map of the mapping that begins with @first */
static struct vhost_iotlb_map *
vhost_vdpa_mapping_end(struct vhost_vdpa_as *as, struct vhost_iotlb_map *first)
{
	struct vhost_iotlb_map *next, *end = first;

	/* A map without the flag belongs to the same mapping as the one before */
	while (!list_is_last(&end->link, &as->iotlb.list)) {
		next = list_next_entry(end, link);
		if (next->flags & VHOST_MAP_F_FIRST)
			break;
		end = next;
		vhost_vdpa_resched();
	}

	return end;
}

/* Move the maps from @first to @end from the table to @list */
static void vhost_vdpa_take_maps(struct vhost_vdpa_as *as,
				 struct vhost_iotlb_map *first,
				 struct vhost_iotlb_map *end,
				 struct list_head *list)
{
	struct vhost_iotlb_map *map, *next = first;

	do {
		map = next;
		next = list_next_entry(map, link);
		vhost_iotlb_map_unlink(&as->iotlb, map);
		list_add_tail(&map->link, list);
		vhost_vdpa_resched();
	} while (map != end);
}

/*
 * Remove the mapping that begins with @first: from the parent, then from the
 * table.  Its maps move to @unmapped, or with set_map to the stale ones.  After
 * an error nothing has changed.  *@last is set to the last address that the
 * mapping has.
 */
static int vhost_vdpa_remove_mapping(struct vhost_vdpa *v,
				     struct vhost_vdpa_as *as,
				     struct vhost_iotlb_map *first, u64 *last,
				     struct list_head *unmapped)
{
	struct vdpa_device *vdpa = vhost_vdpa_device(v);
	const struct vdpa_config_ops *ops = vdpa->config;
	struct vhost_iotlb_map *end = vhost_vdpa_mapping_end(as, first);
	u64 start = first->start, size;
	int r = 0;

	*last = end->last;
	size = *last - start + 1;

	if (ops->dma_map)
		r = vdpa_dma_unmap(vdpa, as->id, start, size);
	else if (!ops->set_map &&
		 iommu_unmap(v->spaces.domain, start, size) != size)
		r = -EIO;
	if (r)
		return r;

	trace_vhost_vdpa_unmap(vdpa, as->id, start, size);

	as->nmappings--;
	as->size -= size;
	if (vhost_vdpa_has_set_map(vdpa)) {
		unmapped = &as->stale;
		as->nstale++;
		as->stale_size += size;
	} else {
		v->spaces.nmappings--;
	}
	vhost_vdpa_take_maps(as, first, end, unmapped);

	return 0;
}

/*
 * Remove all mappings that have an address from @start to @last.  There are as
 * many look-ups as mappings to remove.
 */
static int vhost_vdpa_unmap(struct vhost_vdpa *v, struct vhost_vdpa_as *as,
			    u64 start, u64 last, struct list_head *unmapped)
{
	struct vhost_iotlb_map *map;
	u64 end;
	int r;

	while ((map = vhost_iotlb_itree_first(&as->iotlb, start, last))) {
		while (!(map->flags & VHOST_MAP_F_FIRST)) {
			map = list_prev_entry(map, link);
			vhost_vdpa_resched();
		}

		r = vhost_vdpa_remove_mapping(v, as, map, &end, unmapped);
		if (r)
			return r;

		/* There is none before it that overlaps the range */
		if (end >= last)
			break;
		start = end + 1;
	}

	if (!list_empty(&as->stale) && !v->spaces.batch)
		return vhost_vdpa_sync(v, as, unmapped);

	return 0;
}

/*
 * Pin memory that the device will only read.
 *
 * Without a write fault, a page of a private mapping can be shared: the zero
 * page, a page of the file, a page shared with a forked child.  When the CPU
 * writes to it later, the process gets a copy, but the device keeps reading the
 * old page.  So break copy-on-write first.  Pages of a shared mapping are never
 * copied, and must not become dirty just because they are pinned.
 *
 * Returns as pin_user_pages(); stops at the end of the VMA.
 */
static long vhost_vdpa_pin_ro(unsigned long uaddr, unsigned long npages,
			      struct page **pages)
{
	unsigned int gup_flags = FOLL_LONGTERM;
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	long npinned;

	uaddr = untagged_addr(uaddr);
	mmap_read_lock(mm);
	vma = find_vma(mm, uaddr);
	if (!vma || vma->vm_start > uaddr || !(vma->vm_flags & VM_READ)) {
		mmap_read_unlock(mm);
		return -EFAULT;
	}

	npages = min(npages, (vma->vm_end - uaddr) >> PAGE_SHIFT);

	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE) {
		if (vma->vm_flags & VM_WRITE)
			gup_flags |= FOLL_WRITE;
		else if (!is_vm_hugetlb_page(vma))
			gup_flags |= FOLL_WRITE | FOLL_FORCE;
	}

	/* With FOLL_WRITE it doesn't matter what the VMA was */
	if (gup_flags == (FOLL_LONGTERM | FOLL_WRITE)) {
		mmap_read_unlock(mm);
		return pin_user_pages_fast(uaddr, npages, gup_flags, pages);
	}

	npinned = pin_user_pages(uaddr, npages, gup_flags, pages, NULL);
	mmap_read_unlock(mm);

	return npinned;
}

/*
 * Whether @pfn is the number of the page.  If there is no page of that number,
 * pfn_to_page() may only be used where it doesn't read memory.
 */
static inline bool vhost_vdpa_page_is(struct page *page, unsigned long pfn)
{
	if (IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP) || IS_ENABLED(CONFIG_FLATMEM))
		return page == pfn_to_page(pfn);

	return page_to_pfn(page) == pfn;
}

/* The number of pages, from the first one on, that follow each other in memory */
static unsigned long vhost_vdpa_contiguous(struct page **pages,
					   unsigned long npages)
{
	unsigned long pfn = page_to_pfn(pages[0]), n = 1;

	/* With huge pages, this is most of the time that a mapping takes */
	while (n + 4 <= npages &&
	       vhost_vdpa_page_is(pages[n], pfn + n) &&
	       vhost_vdpa_page_is(pages[n + 1], pfn + n + 1) &&
	       vhost_vdpa_page_is(pages[n + 2], pfn + n + 2) &&
	       vhost_vdpa_page_is(pages[n + 3], pfn + n + 3))
		n += 4;
	while (n < npages && vhost_vdpa_page_is(pages[n], pfn + n))
		n++;

	return n;
}

/*
 * Pin the memory of an UPDATE, which is current's.
 *
 * The caller holds the mutex of the vhost device, but not v->lock: to fault the
 * memory in can take any time.
 *
 * Returns 0 with a list of maps, one for each contiguous chunk of memory, or an
 * error with an empty list.
 */
static int vhost_vdpa_pin(struct vhost_vdpa *v,
			  const struct vhost_iotlb_msg *msg,
			  struct list_head *maps)
{
	unsigned long uaddr = msg->uaddr, left = PFN_DOWN(msg->size);
	/* No page has the number that the first one is compared with */
	unsigned long n, pfn, next_pfn = ULONG_MAX;
	struct page **pages = v->spaces.pages;
	struct vhost_iotlb_map *map = NULL;
	u64 iova = msg->iova;
	long npinned, i;
	int r;

	lockdep_assert_held(&v->vdev.mutex);

	if (!pages) {
		pages = (struct page **)__get_free_page(GFP_KERNEL);
		if (!pages)
			return -ENOMEM;
		v->spaces.pages = pages;
	}

	while (left) {
		/* The rest needn't be pinned any more */
		if (vhost_vdpa_removed(v)) {
			r = -ENODEV;
			goto err;
		}
		/* The fast path of GUP neither reschedules nor looks for signals */
		vhost_vdpa_resched();
		if (fatal_signal_pending(current)) {
			r = -EINTR;
			goto err;
		}

		n = min(left, VHOST_VDPA_PIN_BATCH);
		if (msg->perm & VHOST_ACCESS_WO)
			npinned = pin_user_pages_fast(uaddr, n, FOLL_LONGTERM |
						      FOLL_WRITE, pages);
		else
			npinned = vhost_vdpa_pin_ro(uaddr, n, pages);
		if (npinned <= 0) {
			r = npinned ? npinned : -EFAULT;
			goto err;
		}

		for (i = 0; i < npinned; i += n) {
			pfn = page_to_pfn(pages[i]);
			n = vhost_vdpa_contiguous(pages + i, npinned - i);
			if (pfn != next_pfn) {
				map = kmalloc(sizeof(*map), GFP_KERNEL);
				if (!map) {
					unpin_user_pages(pages + i,
							 npinned - i);
					r = -ENOMEM;
					goto err;
				}
				map->start = iova;
				map->last = iova - 1;
				map->size = 0;
				map->addr = PFN_PHYS(pfn);
				map->file = NULL;
				map->perm = msg->perm;
				map->flags = list_empty(maps) ?
					     VHOST_MAP_F_FIRST : 0;
				list_add_tail(&map->link, maps);
			}
			map->size += n << PAGE_SHIFT;
			map->last += n << PAGE_SHIFT;
			iova += n << PAGE_SHIFT;
			next_pfn = pfn + n;
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
 * Whether the memory of a VMA can be shared with another process, with this
 * permission: the process gets no more than the owner has.
 */
static bool vhost_vdpa_can_share(const struct vm_area_struct *vma, u32 perm)
{
	if (!vma->vm_file || !S_ISREG(file_inode(vma->vm_file)->i_mode) ||
	    !(vma->vm_flags & VM_MAYSHARE) ||
	    vma->vm_flags & (VM_IO | VM_PFNMAP | VM_MIXEDMAP))
		return false;

	if (perm & VHOST_ACCESS_WO)
		return (vma->vm_flags & (VM_SHARED | VM_WRITE)) ==
		       (VM_SHARED | VM_WRITE);

	return vma->vm_flags & VM_READ;
}

/*
 * Find the files that the memory of an UPDATE is mapped from.  The memory is
 * current's.  All of it must be shared: what is written to a private mapping
 * isn't in the file.
 *
 * Returns 0 with a list of maps, one for each contiguous part of a file, or an
 * error with an empty list.
 */
static int vhost_vdpa_get_files(struct vhost_vdpa *v,
				const struct vhost_iotlb_msg *msg,
				struct list_head *maps)
{
	unsigned long uaddr = untagged_addr(msg->uaddr);
	struct mm_struct *mm = v->vdev.mm;
	struct vm_area_struct *vma;
	struct vhost_iotlb_map *map;
	u64 iova = msg->iova, left = msg->size;
	int r = 0;

	mmap_read_lock(mm);
	for (vma = find_vma(mm, uaddr); left; vma = vma->vm_next) {
		if (!vma || vma->vm_start > uaddr ||
		    !vhost_vdpa_can_share(vma, msg->perm)) {
			r = -EFAULT;
			break;
		}

		map = kmalloc(sizeof(*map), GFP_KERNEL);
		if (!map) {
			r = -ENOMEM;
			break;
		}
		map->start = iova;
		map->size = min_t(u64, left, vma->vm_end - uaddr);
		map->last = iova + map->size - 1;
		map->addr = ((u64)vma->vm_pgoff << PAGE_SHIFT) +
			    (uaddr - vma->vm_start);
		map->file = get_file(vma->vm_file);
		map->perm = msg->perm;
		map->flags = list_empty(maps) ? VHOST_MAP_F_FIRST : 0;
		list_add_tail(&map->link, maps);

		iova += map->size;
		uaddr += map->size;
		left -= map->size;
	}
	mmap_read_unlock(mm);

	if (r)
		vhost_vdpa_free_maps(maps);

	return r;
}

/*
 * Account for pages before they are pinned.  Other subsystems may account for
 * pages of the same process concurrently, so add first and then compare the sum
 * with the limit.
 */
static int vhost_vdpa_account(struct mm_struct *mm, unsigned long npages,
			      struct vhost_vdpa_memlock *memlock)
{
	u64 limit = PFN_DOWN(rlimit(RLIMIT_MEMLOCK));
	u64 pinned = atomic64_add_return(npages, &mm->pinned_vm);

	if (pinned <= limit)
		return 0;

	atomic64_sub(npages, &mm->pinned_vm);
	memlock->limit = limit;
	memlock->pinned = pinned - npages;
	memlock->wanted = npages;

	return -ENOMEM;
}

/*
 * Whether an UPDATE can be carried out: only whole pages can be mapped.
 * Doesn't need v->lock: what this depends on is constant while the file is open.
 */
static bool vhost_vdpa_update_ok(const struct vhost_vdpa_spaces *spaces,
				 u32 asid, const struct vhost_iotlb_msg *msg)
{
	u64 last = msg->iova + msg->size - 1;

	return asid < spaces->nas &&
	       msg->size && last >= msg->iova &&
	       msg->iova >= spaces->range.first && last <= spaces->range.last &&
	       msg->uaddr <= ULONG_MAX && msg->size - 1 <= ULONG_MAX - msg->uaddr &&
	       !((msg->iova | msg->size | msg->uaddr) & ~PAGE_MASK) &&
	       msg->perm && !(msg->perm & ~VHOST_ACCESS_RW);
}

/*
 * Check an UPDATE against the other mappings and the limits, and account for its
 * pages.  Returns its address space, or an ERR_PTR().
 */
static struct vhost_vdpa_as *vhost_vdpa_admit(struct vhost_vdpa *v, u32 asid,
					      const struct vhost_iotlb_msg *msg,
					      struct vhost_vdpa_memlock *memlock)
{
	u64 last = msg->iova + msg->size - 1;
	struct vhost_vdpa_as *as;
	int r = 0;

	mutex_lock(&v->lock);
	as = vhost_vdpa_as_get(v, asid);
	if (IS_ERR(as))
		r = PTR_ERR(as);
	else if (vhost_iotlb_overlaps(&as->iotlb, msg->iova, last))
		r = -EEXIST;
	else if (v->spaces.nmappings >= READ_ONCE(max_mappings))
		r = -ENOSPC;
	mutex_unlock(&v->lock);

	if (!r && !v->spaces.files)
		r = vhost_vdpa_account(v->vdev.mm, PFN_DOWN(msg->size),
				       memlock);

	return r ? ERR_PTR(r) : as;
}

/*
 * Give the table to a parent with set_map before the batch ends, so that stale
 * maps can be released.  Returns whether there were any.
 */
static bool vhost_vdpa_release_stale(struct vhost_vdpa *v, u32 asid)
{
	struct vhost_vdpa_as *as;
	LIST_HEAD(unmapped);
	bool released;

	mutex_lock(&v->lock);
	as = vhost_vdpa_as_get(v, asid);
	if (!IS_ERR(as) && !list_empty(&as->stale))
		vhost_vdpa_sync(v, as, &unmapped);
	mutex_unlock(&v->lock);

	released = !list_empty(&unmapped);
	vhost_vdpa_release_maps(v, &unmapped);

	return released;
}

/**
 * vhost_vdpa_as_map - make a mapping
 * @v: the vhost-vdpa device
 * @asid: the address space, not yet checked
 * @msg: an UPDATE, not yet checked, of the owner's memory, which is current's
 * @memlock: zeroed by the caller; set if RLIMIT_MEMLOCK is exceeded
 *
 * Nothing has changed after an error, unless the parent has refused to unmap what
 * it had mapped.  In a batch, a parent with set_map may learn of the mapping at
 * the end of the batch only.
 *
 * Context: with the mutex of the vhost device, without @v->lock.  Sleeps until
 * the memory has been faulted in.
 *
 * Return: 0, or
 * -ENODEV if the device has been removed,
 * -EINVAL if the device has no such address space or can't map the addresses,
 * if an address or the size is not a multiple of the page size, or if the
 * permission is invalid,
 * -EBUSY if a batch is open for another address space,
 * -EEXIST if the range overlaps another mapping,
 * -ENOSPC if there are max_mappings already,
 * -ENOMEM if RLIMIT_MEMLOCK is exceeded or memory has run out,
 * -EINTR if the process is being killed,
 * -EFAULT or another error of pin_user_pages(), or the parent's;
 * -EFAULT if the parent maps files and the memory isn't shared.
 */
int vhost_vdpa_as_map(struct vhost_vdpa *v, u32 asid,
		      const struct vhost_iotlb_msg *msg,
		      struct vhost_vdpa_memlock *memlock)
{
	struct vhost_vdpa_as *as;
	LIST_HEAD(unmapped);
	LIST_HEAD(maps);
	int r;

	lockdep_assert_held(&v->vdev.mutex);

	if (!vhost_vdpa_update_ok(&v->spaces, asid, msg))
		return -EINVAL;

	/* The pages of stale maps count: release them rather than fail */
	while (IS_ERR(as = vhost_vdpa_admit(v, asid, msg, memlock))) {
		r = PTR_ERR(as);
		if ((r != -ENOMEM && r != -ENOSPC) ||
		    !vhost_vdpa_release_stale(v, asid))
			return r;
		memset(memlock, 0, sizeof(*memlock));
	}

	if (v->spaces.files) {
		r = vhost_vdpa_get_files(v, msg, &maps);
	} else {
		r = vhost_vdpa_pin(v, msg, &maps);
		if (r)
			atomic64_sub(PFN_DOWN(msg->size),
				     &v->vdev.mm->pinned_vm);
	}
	if (r)
		return r;

	/* Nothing has changed meanwhile, unless the device has been removed */
	mutex_lock(&v->lock);
	if (!vhost_vdpa_device(v)) {
		r = -ENODEV;
	} else {
		r = vhost_vdpa_map(v, as, &maps, &unmapped);
		if (r)
			vhost_vdpa_unmap(v, as, msg->iova,
					 msg->iova + msg->size - 1, &unmapped);
		else
			trace_vhost_vdpa_map(vhost_vdpa_device(v), as->id,
					     msg->iova, msg->size, msg->uaddr,
					     msg->perm);
	}
	mutex_unlock(&v->lock);

	/* What couldn't be mapped, and what became stale before this message */
	list_splice(&maps, &unmapped);
	vhost_vdpa_release_maps(v, &unmapped);

	return r;
}

/**
 * vhost_vdpa_as_unmap - remove mappings
 * @v: the vhost-vdpa device
 * @asid: the address space, not yet checked
 * @iova: first address
 * @size: in bytes, not 0
 *
 * Removes each mapping that has any of the addresses, as a whole.  There need
 * not be one.  When it returns 0, the device reaches nothing through them, and
 * their pages are unpinned.  In a batch, with a parent that has set_map, that
 * may be so at the end of the batch only.
 *
 * Context: with the mutex of the vhost device, without @v->lock.  Sleeps.
 *
 * Return: 0, or
 * -ENODEV if the device has been removed,
 * -EINVAL if the device has no such address space or the range wraps around,
 * -EBUSY if a batch is open for another address space,
 * -ENOMEM,
 * or the parent's error.  Some of the mappings may have been removed then.
 */
int vhost_vdpa_as_unmap(struct vhost_vdpa *v, u32 asid, u64 iova, u64 size)
{
	u64 last = iova + size - 1;
	struct vhost_vdpa_as *as;
	LIST_HEAD(unmapped);
	int r;

	lockdep_assert_held(&v->vdev.mutex);

	if (last < iova)
		return -EINVAL;

	mutex_lock(&v->lock);
	as = vhost_vdpa_as_get(v, asid);
	if (IS_ERR(as))
		r = PTR_ERR(as);
	else
		r = vhost_vdpa_unmap(v, as, iova, last, &unmapped);
	mutex_unlock(&v->lock);

	vhost_vdpa_release_maps(v, &unmapped);

	return r;
}

/**
 * vhost_vdpa_as_batch_begin - begin a batch
 * @v: the vhost-vdpa device
 * @asid: the address space that the batch is for, not yet checked
 *
 * Until the batch ends, messages for other address spaces are refused, and a
 * parent with set_map is given the table only when a limit would be exceeded
 * otherwise.  A batch for the same address space may be open already.
 *
 * Context: with the mutex of the vhost device, without @v->lock.  Sleeps.
 *
 * Return: 0, -ENODEV if the device has been removed, -EINVAL if it has no such
 * address space, -EBUSY if a batch is open for another one, or -ENOMEM.
 */
int vhost_vdpa_as_batch_begin(struct vhost_vdpa *v, u32 asid)
{
	struct vhost_vdpa_as *as;

	lockdep_assert_held(&v->vdev.mutex);

	mutex_lock(&v->lock);
	as = vhost_vdpa_as_get(v, asid);
	if (!IS_ERR(as))
		v->spaces.batch = as;
	mutex_unlock(&v->lock);

	return PTR_ERR_OR_ZERO(as);
}

/**
 * vhost_vdpa_as_batch_end - end a batch
 * @v: the vhost-vdpa device
 * @asid: the address space that the batch is for, not yet checked
 *
 * Gives the table to a parent with set_map.  If the parent doesn't accept it,
 * its error is returned; the batch is over nevertheless, and the mappings are
 * those that the messages have made.  There need not be an open batch.
 *
 * Context: with the mutex of the vhost device, without @v->lock.  Sleeps.
 *
 * Return: 0, -ENODEV if the device has been removed, -EINVAL if it has no such
 * address space, -EBUSY if the batch is for another one, -ENOMEM, or the
 * parent's error.
 */
int vhost_vdpa_as_batch_end(struct vhost_vdpa *v, u32 asid)
{
	struct vhost_vdpa_as *as;
	LIST_HEAD(unmapped);
	int r = 0;

	lockdep_assert_held(&v->vdev.mutex);

	mutex_lock(&v->lock);
	as = vhost_vdpa_as_get(v, asid);
	if (IS_ERR(as)) {
		r = PTR_ERR(as);
	} else if (v->spaces.batch) {
		v->spaces.batch = NULL;
		if (vhost_vdpa_has_set_map(vhost_vdpa_device(v)))
			r = vhost_vdpa_sync(v, as, &unmapped);
	}
	mutex_unlock(&v->lock);

	vhost_vdpa_release_maps(v, &unmapped);

	return r;
}

static int vhost_vdpa_alloc_domain(struct vhost_vdpa *v)
{
	struct vdpa_device *vdpa = vhost_vdpa_device(v);
	const struct vdpa_config_ops *ops = vdpa->config;
	struct device *dma_dev = vdpa_get_dma_dev(vdpa);
	struct iommu_domain *domain;
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

	domain = iommu_domain_alloc(bus);
	if (!domain)
		return -EIO;

	ret = iommu_attach_device(domain, dma_dev);
	if (ret) {
		iommu_domain_free(domain);
		return ret;
	}

	v->spaces.domain = domain;

	return 0;
}

static void vhost_vdpa_free_domain(struct vhost_vdpa *v)
{
	struct device *dma_dev = vdpa_get_dma_dev(vhost_vdpa_device(v));
	struct vhost_vdpa_spaces *spaces = &v->spaces;

	if (spaces->domain) {
		iommu_detach_device(spaces->domain, dma_dev);
		iommu_domain_free(spaces->domain);
	}

	spaces->domain = NULL;
}

static void vhost_vdpa_set_iova_range(struct vhost_vdpa *v)
{
	struct vdpa_device *vdpa = vhost_vdpa_device(v);
	struct vhost_vdpa_spaces *spaces = &v->spaces;
	struct vdpa_iova_range *range = &spaces->range;
	const struct vdpa_config_ops *ops = vdpa->config;
	struct iommu_domain_geometry geo;

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

static void vhost_vdpa_unpin_work(struct work_struct *work)
{
	struct vhost_vdpa *v = container_of(work, struct vhost_vdpa,
					    spaces.unpin_work);

	vhost_vdpa_release_maps(v, &v->spaces.unmapped);
}

/**
 * vhost_vdpa_spaces_init - initialise the address spaces of a new device
 * @v: the vhost-vdpa device
 */
void vhost_vdpa_spaces_init(struct vhost_vdpa *v)
{
	INIT_LIST_HEAD(&v->spaces.unmapped);
	INIT_WORK(&v->spaces.unpin_work, vhost_vdpa_unpin_work);
}

/**
 * vhost_vdpa_spaces_open - prepare for the messages of a file
 * @v: the vhost-vdpa device; its vDPA device is there
 *
 * Context: with @v->lock.  Sleeps.
 *
 * Return: 0, -ENOMEM, or an error of the platform IOMMU.
 */
int vhost_vdpa_spaces_open(struct vhost_vdpa *v)
{
	struct vhost_vdpa_spaces *spaces = &v->spaces;
	int r;

	lockdep_assert_held(&v->lock);

	spaces->nas = vhost_vdpa_device(v)->nas;
	spaces->files = vhost_vdpa_device(v)->map_files;
	spaces->as = kvcalloc(spaces->nas, sizeof(*spaces->as), GFP_KERNEL);
	if (!spaces->as)
		return -ENOMEM;

	r = vhost_vdpa_alloc_domain(v);
	if (r) {
		kvfree(spaces->as);
		spaces->as = NULL;
		return r;
	}

	vhost_vdpa_set_iova_range(v);

	return 0;
}

/*
 * Remove all mappings of an address space, and free it.  If the parent refuses
 * to remove a mapping, its pages stay pinned for ever: the parent keeps mappings
 * across a reset, so the next user of the device could reach the pages.
 */
static void vhost_vdpa_as_destroy(struct vhost_vdpa *v,
				  struct vhost_vdpa_as *as)
{
	struct list_head *unmapped = &v->spaces.unmapped;
	struct vhost_iotlb_map *map, *next;
	LIST_HEAD(kept);
	u64 last;

	while (!list_empty(&as->iotlb.list)) {
		map = list_first_entry(&as->iotlb.list, struct vhost_iotlb_map,
				       link);
		if (vhost_vdpa_remove_mapping(v, as, map, &last, unmapped))
			vhost_vdpa_take_maps(as, map,
					     vhost_vdpa_mapping_end(as, map),
					     &kept);
	}
	if (!list_empty(&as->stale) && vhost_vdpa_sync(v, as, unmapped))
		list_splice_init(&as->stale, &kept);

	/* The domain of the platform IOMMU is freed with all its mappings */
	if (v->spaces.domain)
		list_splice_tail_init(&kept, unmapped);

	if (!list_empty(&kept))
		dev_err(&vhost_vdpa_device(v)->dev,
			"can't unmap all of address space %u\n", as->id);
	list_for_each_entry_safe(map, next, &kept, link)
		kfree(map);

	kfree(as);
}

/**
 * vhost_vdpa_spaces_close - remove all mappings and all address spaces
 * @v: the vhost-vdpa device; its vDPA device is there, and has been reset
 *
 * Leaves the pages pinned: their maps are in @v->spaces.unmapped afterwards.
 * The work @v->spaces.unpin_work or vhost_vdpa_spaces_release() unpins them.
 * Does nothing if no file is open.
 *
 * Context: with @v->lock.  Sleeps.
 */
void vhost_vdpa_spaces_close(struct vhost_vdpa *v)
{
	struct vhost_vdpa_spaces *spaces = &v->spaces;
	unsigned int i;

	lockdep_assert_held(&v->lock);

	if (!spaces->as)
		return;

	spaces->batch = NULL;
	for (i = 0; i < spaces->nas; i++)
		if (spaces->as[i])
			vhost_vdpa_as_destroy(v, spaces->as[i]);
	kvfree(spaces->as);
	spaces->as = NULL;
	spaces->nmappings = 0;

	vhost_vdpa_free_domain(v);
}

/**
 * vhost_vdpa_spaces_show - print a line for each address space
 * @v: the vhost-vdpa device
 * @seq: where to print: ASID, mappings, bytes of these, pages that are pinned.
 *	Pages stay pinned until the parent doesn't use them any more.
 *
 * Context: with @v->lock.
 */
void vhost_vdpa_spaces_show(struct vhost_vdpa *v, struct seq_file *seq)
{
	const struct vhost_vdpa_as *as;
	unsigned int i;

	lockdep_assert_held(&v->lock);

	for (i = 0; v->spaces.as && i < v->spaces.nas; i++) {
		as = v->spaces.as[i];
		if (as)
			seq_printf(seq, "%u %u %llu %llu\n", i, as->nmappings,
				   as->size,
				   (as->size + as->stale_size) >> PAGE_SHIFT);
		else
			seq_printf(seq, "%u 0 0 0\n", i);
	}
}

/**
 * vhost_vdpa_spaces_release - unpin and free what the address spaces have left
 * @v: the vhost-vdpa device, after vhost_vdpa_spaces_close()
 *
 * Context: when the file is closed, with the mutex of the vhost device, without
 * @v->lock.  Sleeps until the last page has been unpinned.
 */
void vhost_vdpa_spaces_release(struct vhost_vdpa *v)
{
	lockdep_assert_held(&v->vdev.mutex);

	/* Queued if the device has been removed */
	flush_work(&v->spaces.unpin_work);
	vhost_vdpa_release_maps(v, &v->spaces.unmapped);

	free_page((unsigned long)v->spaces.pages);
	v->spaces.pages = NULL;
}
