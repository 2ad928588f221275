// SPDX-License-Identifier: GPL-2.0-only
/*
 * VDUSE: memory of this kernel's own virtio drivers, as the DMA API maps it.
 *
 * The daemon never sees memory of the kernel. Buffers are copied to and from
 * bounce pages, at IOVAs from 0. Memory that is allocated for the device, i.e.
 * rings, is at IOVAs above those; the driver and the daemon have a copy each, and
 * ring.c copies between them. All can be mapped from one file, at offsets that
 * are the IOVAs.
 *
 * Every mapping of a buffer begins with a page of its own. A page is cleared
 * before the daemon gets it for the first time. What a device writes to is
 * cleared for each mapping: the daemon need not write all of it, and the rest is
 * copied to the driver's buffer. When the daemon or the driver is gone, pages
 * that aren't in use are freed, so that the next one doesn't see what they hold.
 */
#include <linux/anon_inodes.h>
#include <linux/bitmap.h>
#include <linux/dma-mapping.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "vduse.h"

#define BUFFER_PAGES	(VDUSE_BUFFER_SIZE >> PAGE_SHIFT)
#define RING_PAGES	(VDUSE_RING_SIZE >> PAGE_SHIFT)
#define ALL_PAGES	(BUFFER_PAGES + RING_PAGES)

/* What a driver finds in a buffer of a broken device: no status of success */
#define VDUSE_POISON	0xff

/* So that some fit, even if the IOVAs in use are scattered */
#define VDUSE_MAX_MAPPING (VDUSE_BUFFER_SIZE / 64)

/**
 * struct vduse_slot - what is mapped at a page
 * @orig: first page of a buffer: physical address of the driver's buffer
 * @size: first page of a mapping: its size; else 0
 * @head: first page of the mapping of rings that this page belongs to
 * @dir: first page of a buffer: direction
 * @va: first page of rings: the driver's copy
 * @shadow: first page of rings: the daemon's copy
 */
struct vduse_slot {
	phys_addr_t orig;
	u32 size;
	u32 head;
	enum dma_data_direction dir;
	void *va;
	void *shadow;
};

/**
 * struct vduse_umem_old - memory of a daemon that isn't used any more
 * @work: unpins it
 * @pages: its pages
 * @mm: the mm that it is of
 */
struct vduse_umem_old {
	struct work_struct work;
	struct page **pages;
	struct mm_struct *mm;
};

/**
 * struct vduse_bounce - bounce pages of a device
 * @refs: one of the device, and one of each file that was given to a daemon
 * @mapping: the mappings of all those files
 * @sem: read-held while a page fault inserts a page, write-held while pages are
 *	taken away. Nests in mmap_lock; the locks of @mapping nest in it.
 * @revoked: the daemon gets no page, and buffers hold VDUSE_POISON
 * @lock: protects @used, @slots, @hint and @nrings
 * @hint: where to look for free IOVAs
 * @nrings: number of mappings of rings; if 0, no driver uses the device
 * @used: pages that are mapped
 * @slots: what is mapped, by page
 * @pages: the pages. A page of a buffer is set by the first user that needs it, and
 *	taken away with @sem and @lock held while it isn't in @used.
 * @umem_lock: read-held while a buffer is copied, write-held to change @umem
 * @umem: pages of the daemon, which buffers are copied to and from instead of
 *	@pages; or NULL
 * @umem_old: to let @umem go
 */
struct vduse_bounce {
	struct kref refs;
	struct address_space mapping;
	/* Held while a page is inserted, or pages are taken away */
	struct rw_semaphore sem;
	bool revoked;
	/* Protects @used, @slots, @hint and @nrings */
	spinlock_t lock;
	unsigned int hint;
	unsigned int nrings;
	unsigned long *used;
	struct vduse_slot *slots;
	struct page **pages;
	/* Read-held while a buffer is copied, write-held to change @umem */
	rwlock_t umem_lock;
	struct page **umem;
	struct vduse_umem_old *umem_old;
};

static void vduse_bounce_release(struct kref *refs)
{
	struct vduse_bounce *bounce = container_of(refs, struct vduse_bounce,
						   refs);
	unsigned int i;

	if (bounce->pages)
		for (i = 0; i < ALL_PAGES; i++)
			if (bounce->pages[i])
				put_page(bounce->pages[i]);
	kvfree(bounce->pages);
	kvfree(bounce->slots);
	bitmap_free(bounce->used);
	kfree(bounce);
}

/**
 * vduse_bounce_alloc - make an empty set of bounce pages
 *
 * Return: it, or NULL.
 */
struct vduse_bounce *vduse_bounce_alloc(void)
{
	struct vduse_bounce *bounce;

	bounce = kzalloc(sizeof(*bounce), GFP_KERNEL);
	if (!bounce)
		return NULL;

	kref_init(&bounce->refs);
	address_space_init_once(&bounce->mapping);
	init_rwsem(&bounce->sem);
	spin_lock_init(&bounce->lock);
	rwlock_init(&bounce->umem_lock);
	bounce->used = bitmap_zalloc(ALL_PAGES, GFP_KERNEL);
	bounce->slots = kvcalloc(ALL_PAGES, sizeof(*bounce->slots), GFP_KERNEL);
	bounce->pages = kvcalloc(ALL_PAGES, sizeof(*bounce->pages), GFP_KERNEL);
	if (!bounce->used || !bounce->slots || !bounce->pages) {
		kref_put(&bounce->refs, vduse_bounce_release);
		return NULL;
	}

	return bounce;
}

/**
 * vduse_bounce_revoke - take all memory away from the daemon, or give it back
 * @bounce: the bounce pages
 * @revoke: take it away
 */
void vduse_bounce_revoke(struct vduse_bounce *bounce, bool revoke)
{
	down_write(&bounce->sem);
	bounce->revoked = revoke;
	if (revoke)
		unmap_mapping_range(&bounce->mapping, 0, 0, 1);
	up_write(&bounce->sem);
}

/**
 * vduse_bounce_trim - free the pages that aren't in use
 * @bounce: the bounce pages
 *
 * The next daemon, or driver, doesn't see what they hold.
 */
void vduse_bounce_trim(struct vduse_bounce *bounce)
{
	struct page *page, *next;
	unsigned int i;
	LIST_HEAD(pages);

	down_write(&bounce->sem);
	for (i = 0; i < BUFFER_PAGES; i++) {
		spin_lock_irq(&bounce->lock);
		page = bounce->pages[i];
		if (page && !test_bit(i, bounce->used)) {
			bounce->pages[i] = NULL;
			list_add(&page->lru, &pages);
		}
		spin_unlock_irq(&bounce->lock);
		cond_resched();
	}
	unmap_mapping_range(&bounce->mapping, 0, VDUSE_BUFFER_SIZE, 1);
	up_write(&bounce->sem);

	list_for_each_entry_safe(page, next, &pages, lru) {
		list_del(&page->lru);
		put_page(page);
	}
}

/**
 * vduse_bounce_free - stop using bounce pages
 * @bounce: the bounce pages
 *
 * Files of a daemon can hold them for longer, but map nothing.
 */
void vduse_bounce_free(struct vduse_bounce *bounce)
{
	vduse_bounce_dereg_umem(bounce);
	vduse_bounce_revoke(bounce, true);
	vduse_bounce_trim(bounce);
	kref_put(&bounce->refs, vduse_bounce_release);
}

/* The pages that hold buffers. The caller holds bounce->umem_lock. */
static struct page **vduse_buffers(struct vduse_bounce *bounce)
{
	lockdep_assert_held(&bounce->umem_lock);

	return bounce->umem ?: bounce->pages;
}

/* Copy from or to the driver's buffer. */
static void vduse_copy(struct vduse_bounce *bounce, unsigned int i,
		       phys_addr_t orig, size_t size, bool in)
{
	size_t done = 0, len;
	struct page **pages;
	unsigned long flags;
	void *ours, *theirs;

	read_lock_irqsave(&bounce->umem_lock, flags);
	pages = vduse_buffers(bounce);
	while (done < size) {
		len = min(size - done, PAGE_SIZE - offset_in_page(done));
		len = min_t(size_t, len, PAGE_SIZE - offset_in_page(orig + done));
		ours = kmap_atomic(pages[i + (done >> PAGE_SHIFT)]);
		theirs = kmap_atomic(pfn_to_page(PHYS_PFN(orig + done)));
		if (in)
			memcpy(ours + offset_in_page(done),
			       theirs + offset_in_page(orig + done), len);
		else
			memcpy(theirs + offset_in_page(orig + done),
			       ours + offset_in_page(done), len);
		kunmap_atomic(theirs);
		kunmap_atomic(ours);
		done += len;
	}
	read_unlock_irqrestore(&bounce->umem_lock, flags);
}

static void vduse_fill(struct vduse_bounce *bounce, unsigned int i, size_t size,
		       u8 value)
{
	unsigned long flags;
	size_t len;
	void *va;

	read_lock_irqsave(&bounce->umem_lock, flags);
	for (; size; size -= len, i++) {
		len = min_t(size_t, size, PAGE_SIZE);
		va = kmap_atomic(vduse_buffers(bounce)[i]);
		memset(va, value, len);
		kunmap_atomic(va);
	}
	read_unlock_irqrestore(&bounce->umem_lock, flags);
}

/* ---- memory of the daemon ---- */

/*
 * Copy the buffers that are mapped when the memory changes. Pages of buffers
 * exist in @bounce->pages, too, so there is always a way back.
 */
static void vduse_switch(struct vduse_bounce *bounce, struct page **umem)
{
	struct page **from, **to;
	unsigned long flags;
	unsigned int i;

	write_lock_irqsave(&bounce->umem_lock, flags);
	from = vduse_buffers(bounce);
	to = umem ?: bounce->pages;
	for_each_set_bit(i, bounce->used, BUFFER_PAGES)
		/* A page that is missing is still to be allocated and filled */
		if (from[i] && to[i])
			copy_highpage(to[i], from[i]);
	bounce->umem = umem;
	write_unlock_irqrestore(&bounce->umem_lock, flags);
}

/**
 * vduse_umem_pin - pin memory of the daemon for all buffers
 * @uaddr: address of VDUSE_BUFFER_SIZE bytes of current's memory, page-aligned
 *
 * The memory counts against RLIMIT_MEMLOCK. Called without locks: to fault it in
 * can take any time.
 *
 * Return: the pages, or an ERR_PTR(): -ENOMEM or the error of pin_user_pages().
 */
struct page **vduse_umem_pin(unsigned long uaddr)
{
	struct mm_struct *mm = current->mm;
	struct page **umem;
	long npinned;
	int ret;

	umem = kvmalloc_array(BUFFER_PAGES, sizeof(*umem), GFP_KERNEL_ACCOUNT);
	if (!umem)
		return ERR_PTR(-ENOMEM);

	ret = -ENOMEM;
	if (atomic64_add_return(BUFFER_PAGES, &mm->pinned_vm) >
	    PFN_DOWN(rlimit(RLIMIT_MEMLOCK)))
		goto err;

	mmap_read_lock(mm);
	npinned = pin_user_pages(uaddr, BUFFER_PAGES,
				 FOLL_LONGTERM | FOLL_WRITE, umem, NULL);
	mmap_read_unlock(mm);
	if (npinned == BUFFER_PAGES)
		return umem;

	ret = npinned < 0 ? npinned : -EFAULT;
	if (npinned > 0)
		unpin_user_pages(umem, npinned);
err:
	atomic64_sub(BUFFER_PAGES, &mm->pinned_vm);
	kvfree(umem);
	return ERR_PTR(ret);
}

/**
 * vduse_umem_unpin - undo vduse_umem_pin()
 * @umem: the pages
 * @mm: the mm that they are of
 *
 * Called without locks: a page is locked to make it dirty, and that can take any
 * time.
 */
void vduse_umem_unpin(struct page **umem, struct mm_struct *mm)
{
	unpin_user_pages_dirty_lock(umem, BUFFER_PAGES, true);
	atomic64_sub(BUFFER_PAGES, &mm->pinned_vm);
	kvfree(umem);
}

static void vduse_umem_work(struct work_struct *work)
{
	struct vduse_umem_old *old = container_of(work, struct vduse_umem_old,
						  work);

	vduse_umem_unpin(old->pages, old->mm);
	mmdrop(old->mm);
	kfree(old);
}

/**
 * vduse_bounce_reg_umem - use memory of the daemon for all buffers
 * @bounce: the bounce pages; the caller holds &vduse_dev.lock
 * @umem: pages of vduse_umem_pin(), of current's mm
 *
 * Return: 0, -EEXIST if there is memory already, or -ENOMEM.
 */
int vduse_bounce_reg_umem(struct vduse_bounce *bounce, struct page **umem)
{
	struct vduse_umem_old *old;

	if (bounce->umem)
		return -EEXIST;

	/* What the deregistration needs, so that it can't fail */
	old = kzalloc(sizeof(*old), GFP_KERNEL_ACCOUNT);
	if (!old)
		return -ENOMEM;
	INIT_WORK(&old->work, vduse_umem_work);
	old->pages = umem;
	old->mm = current->mm;
	mmgrab(old->mm);
	bounce->umem_old = old;
	vduse_switch(bounce, umem);

	return 0;
}

/**
 * vduse_bounce_dereg_umem - use bounce pages again
 * @bounce: the bounce pages; the caller holds &vduse_dev.lock
 *
 * The pages are unpinned soon afterwards: don't wait for page locks here.
 *
 * Return: 0, or -ENOENT if no memory of the daemon is used.
 */
int vduse_bounce_dereg_umem(struct vduse_bounce *bounce)
{
	if (!bounce->umem)
		return -ENOENT;

	vduse_switch(bounce, NULL);
	queue_work(vduse_wq, &bounce->umem_old->work);
	bounce->umem_old = NULL;

	return 0;
}

/* ---- for the daemon ---- */

/* Get the page of a buffer, which is made on demand. */
static struct page *vduse_bounce_page(struct vduse_bounce *bounce,
				      unsigned long i, gfp_t gfp)
{
	struct page *page, *old;

	page = READ_ONCE(bounce->pages[i]);
	if (page)
		return page;

	page = alloc_page(gfp | __GFP_ZERO | __GFP_NOWARN);
	if (!page)
		return NULL;
	old = cmpxchg(&bounce->pages[i], NULL, page);
	if (old) {
		put_page(page);
		return old;
	}

	return page;
}

static vm_fault_t vduse_bounce_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct vduse_bounce *bounce = vma->vm_file->private_data;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	unsigned long i = vmf->pgoff;
	struct page *page;
	int err;

	down_read(&bounce->sem);
	if (bounce->revoked || i >= ALL_PAGES)
		goto unlock;

	if (i < BUFFER_PAGES) {
		page = vduse_bounce_page(bounce, i, GFP_KERNEL_ACCOUNT);
		if (!page) {
			ret = VM_FAULT_OOM;
			goto unlock;
		}
	} else {
		/* Freed only with bounce->sem */
		page = bounce->pages[i];
		if (!page)
			goto unlock;
	}

	err = vm_insert_page(vma, vmf->address & PAGE_MASK, page);
	/* EBUSY: another thread has inserted it */
	if (!err || err == -EBUSY)
		ret = VM_FAULT_NOPAGE;
	else if (err == -ENOMEM)
		ret = VM_FAULT_OOM;
unlock:
	up_read(&bounce->sem);
	return ret;
}

static const struct vm_operations_struct vduse_bounce_vm_ops = {
	.fault = vduse_bounce_fault,
};

static int vduse_bounce_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;

	/* Pages can be taken away: don't let a core dump fault them in */
	vma->vm_flags |= VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTDUMP;
	vma->vm_ops = &vduse_bounce_vm_ops;

	return 0;
}

static int vduse_bounce_file_release(struct inode *inode, struct file *file)
{
	struct vduse_bounce *bounce = file->private_data;

	kref_put(&bounce->refs, vduse_bounce_release);

	return 0;
}

static const struct file_operations vduse_bounce_fops = {
	.owner = THIS_MODULE,
	.mmap = vduse_bounce_mmap,
	.release = vduse_bounce_file_release,
	.llseek = noop_llseek,
};

/**
 * vduse_bounce_get_file - make a file to map bounce pages from
 * @bounce: the bounce pages
 *
 * Return: the file, or an ERR_PTR().
 */
struct file *vduse_bounce_get_file(struct vduse_bounce *bounce)
{
	struct file *file;

	kref_get(&bounce->refs);
	file = anon_inode_getfile("[vduse-bounce]", &vduse_bounce_fops, bounce,
				  O_RDWR);
	if (IS_ERR(file)) {
		kref_put(&bounce->refs, vduse_bounce_release);
		return file;
	}

	/* All anonymous inodes share a mapping: have one to unmap from */
	bounce->mapping.host = file_inode(file);
	file->f_mapping = &bounce->mapping;

	return file;
}

/**
 * vduse_bounce_find - find the first region in a range of IOVAs
 * @bounce: the bounce pages
 * @entry: start and last are the range; filled in
 *
 * Return: true if there is one.
 */
bool vduse_bounce_find(struct vduse_bounce *bounce,
		       struct vduse_iotlb_entry_v2 *entry)
{
	unsigned long first = 0, npages = BUFFER_PAGES, i;
	bool found = false;

	spin_lock_irq(&bounce->lock);
	if (!bounce->nrings || entry->start >= VDUSE_BUFFER_SIZE + VDUSE_RING_SIZE)
		goto unlock;

	if (entry->start < VDUSE_BUFFER_SIZE) {
		found = true;
		goto unlock;
	}

	i = find_next_bit(bounce->used, ALL_PAGES, entry->start >> PAGE_SHIFT);
	if (i < ALL_PAGES && (u64)i << PAGE_SHIFT <= entry->last) {
		found = true;
		first = bounce->slots[i].head;
		npages = PFN_UP(bounce->slots[first].size);
	}
unlock:
	spin_unlock_irq(&bounce->lock);
	if (!found)
		return false;

	entry->start = (u64)first << PAGE_SHIFT;
	entry->last = entry->start + ((u64)npages << PAGE_SHIFT) - 1;
	entry->offset = entry->start;
	entry->perm = VDUSE_ACCESS_RW;

	return true;
}

/* ---- for the rings ---- */

/**
 * vduse_bounce_used - find out whether a virtio driver of this kernel uses it
 * @bounce: the bounce pages
 *
 * Return: true if it has allocated a ring.
 */
bool vduse_bounce_used(struct vduse_bounce *bounce)
{
	return READ_ONCE(bounce->nrings);
}

/**
 * vduse_bounce_ring - find the copies of a part of a ring
 * @bounce: the bounce pages
 * @iova: first IOVA
 * @size: size in bytes
 * @shadow: set to the daemon's copy
 *
 * Return: the driver's copy, or NULL if no ring is there.
 */
void *vduse_bounce_ring(struct vduse_bounce *bounce, u64 iova, size_t size,
			void **shadow)
{
	unsigned long i = iova >> PAGE_SHIFT;
	struct vduse_slot *slot;
	void *va = NULL;
	u64 offset;

	if (iova < VDUSE_BUFFER_SIZE ||
	    iova >= VDUSE_BUFFER_SIZE + VDUSE_RING_SIZE)
		return NULL;

	spin_lock_irq(&bounce->lock);
	if (test_bit(i, bounce->used)) {
		slot = &bounce->slots[bounce->slots[i].head];
		offset = iova - ((u64)bounce->slots[i].head << PAGE_SHIFT);
		if (offset + size <= slot->size) {
			va = slot->va + offset;
			*shadow = slot->shadow + offset;
		}
	}
	spin_unlock_irq(&bounce->lock);

	return va;
}

/**
 * vduse_bounce_orig - find the driver's buffer that is mapped at an IOVA
 * @bounce: the bounce pages
 * @iova: the IOVA
 * @size: set to the size of the buffer
 *
 * Return: the buffer, or NULL if there is none or it is in high memory.
 */
void *vduse_bounce_orig(struct vduse_bounce *bounce, u64 iova, size_t *size)
{
	unsigned long i = iova >> PAGE_SHIFT, flags;
	void *va = NULL;

	if (i >= BUFFER_PAGES)
		return NULL;

	spin_lock_irqsave(&bounce->lock, flags);
	*size = bounce->slots[i].size;
	if (*size && !PageHighMem(pfn_to_page(PHYS_PFN(bounce->slots[i].orig))))
		va = phys_to_virt(bounce->slots[i].orig);
	spin_unlock_irqrestore(&bounce->lock, flags);

	return va;
}

/**
 * vduse_bounce_poison - overwrite what a broken device has written
 * @bounce: the bounce pages, which have been revoked
 */
void vduse_bounce_poison(struct vduse_bounce *bounce)
{
	struct vduse_slot slot;
	unsigned int i;

	for (i = 0; i < BUFFER_PAGES; i++) {
		spin_lock_irq(&bounce->lock);
		slot = bounce->slots[i];
		if (slot.size && slot.dir != DMA_TO_DEVICE)
			vduse_fill(bounce, i, slot.size, VDUSE_POISON);
		spin_unlock_irq(&bounce->lock);
		cond_resched();
	}
}

/* ---- the DMA API ---- */

static struct vduse_bounce *dev_to_bounce(struct device *dev)
{
	return vdpa_to_vduse(dev_to_vdpa(dev))->bounce;
}

/* Find free IOVAs and take them. Returns the first page, or @end. */
static unsigned int vduse_take(struct vduse_bounce *bounce, unsigned int from,
			       unsigned int end, unsigned int npages)
{
	unsigned int hint = max(from, bounce->hint), i;

	lockdep_assert_held(&bounce->lock);

	i = bitmap_find_next_zero_area(bounce->used, end, hint, npages, 0);
	if (i >= end)
		i = bitmap_find_next_zero_area(bounce->used, end, from, npages,
					       0);
	if (i >= end)
		return end;

	bitmap_set(bounce->used, i, npages);

	return i;
}

static void vduse_give_back(struct vduse_bounce *bounce, unsigned int i,
			    unsigned int npages)
{
	unsigned long flags;

	spin_lock_irqsave(&bounce->lock, flags);
	bitmap_clear(bounce->used, i, npages);
	spin_unlock_irqrestore(&bounce->lock, flags);
}

static dma_addr_t vduse_map(struct vduse_bounce *bounce, phys_addr_t orig,
			    size_t size, enum dma_data_direction dir)
{
	unsigned int npages = PFN_UP(size), first, i;
	unsigned long flags;

	if (!size || size > VDUSE_MAX_MAPPING)
		return DMA_MAPPING_ERROR;

	spin_lock_irqsave(&bounce->lock, flags);
	first = vduse_take(bounce, 0, BUFFER_PAGES, npages);
	if (first < BUFFER_PAGES)
		bounce->hint = first + npages;
	spin_unlock_irqrestore(&bounce->lock, flags);
	if (first == BUFFER_PAGES)
		return DMA_MAPPING_ERROR;

	for (i = first; i < first + npages; i++) {
		if (!vduse_bounce_page(bounce, i, GFP_ATOMIC)) {
			vduse_give_back(bounce, first, npages);
			return DMA_MAPPING_ERROR;
		}
	}

	if (dir != DMA_FROM_DEVICE)
		vduse_copy(bounce, first, orig, size, true);
	else
		vduse_fill(bounce, first, size,
			   READ_ONCE(bounce->revoked) ? VDUSE_POISON : 0);

	spin_lock_irqsave(&bounce->lock, flags);
	bounce->slots[first].orig = orig;
	bounce->slots[first].size = size;
	bounce->slots[first].dir = dir;
	spin_unlock_irqrestore(&bounce->lock, flags);

	return (dma_addr_t)first << PAGE_SHIFT;
}

/*
 * The address may come from the daemon: a driver may take it from a ring. So
 * nothing but what was recorded is used.
 */
static void vduse_unmap(struct vduse_bounce *bounce, dma_addr_t addr,
			unsigned long attrs)
{
	unsigned long i = addr >> PAGE_SHIFT, flags;
	struct vduse_slot slot;

	if (i >= BUFFER_PAGES)
		return;

	spin_lock_irqsave(&bounce->lock, flags);
	slot = bounce->slots[i];
	bounce->slots[i].size = 0;
	spin_unlock_irqrestore(&bounce->lock, flags);
	if (!slot.size)
		return;

	if (slot.dir != DMA_TO_DEVICE && !(attrs & DMA_ATTR_SKIP_CPU_SYNC))
		vduse_copy(bounce, i, slot.orig, slot.size, false);

	vduse_give_back(bounce, i, PFN_UP(slot.size));
}

static dma_addr_t vduse_map_page(struct device *dev, struct page *page,
				 unsigned long offset, size_t size,
				 enum dma_data_direction dir,
				 unsigned long attrs)
{
	return vduse_map(dev_to_bounce(dev), page_to_phys(page) + offset, size,
			 dir);
}

static void vduse_unmap_page(struct device *dev, dma_addr_t addr, size_t size,
			     enum dma_data_direction dir, unsigned long attrs)
{
	vduse_unmap(dev_to_bounce(dev), addr, attrs);
}

static void vduse_unmap_sg(struct device *dev, struct scatterlist *sgl,
			   int nents, enum dma_data_direction dir,
			   unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, nents, i)
		vduse_unmap(dev_to_bounce(dev), sg_dma_address(sg), attrs);
}

static int vduse_map_sg(struct device *dev, struct scatterlist *sgl, int nents,
			enum dma_data_direction dir, unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, nents, i) {
		sg_dma_address(sg) = vduse_map(dev_to_bounce(dev), sg_phys(sg),
					       sg->length, dir);
		if (sg_dma_address(sg) == DMA_MAPPING_ERROR) {
			vduse_unmap_sg(dev, sgl, i, dir,
				       DMA_ATTR_SKIP_CPU_SYNC);
			return 0;
		}
		sg_dma_len(sg) = sg->length;
	}

	return nents;
}

static void *vduse_alloc(struct device *dev, size_t size, dma_addr_t *addr,
			 gfp_t gfp, unsigned long attrs)
{
	struct vduse_bounce *bounce = dev_to_bounce(dev);
	unsigned int npages = PFN_UP(size), first, i;
	void *va, *shadow;

	if (!size || size > VDUSE_RING_SIZE)
		return NULL;

	gfp = (gfp & ~__GFP_COMP) | __GFP_ZERO;
	va = alloc_pages_exact(size, gfp);
	shadow = alloc_pages_exact(size, gfp);
	if (!va || !shadow)
		goto err;

	spin_lock_irq(&bounce->lock);
	first = vduse_take(bounce, BUFFER_PAGES, ALL_PAGES, npages);
	if (first < ALL_PAGES) {
		for (i = 0; i < npages; i++) {
			bounce->pages[first + i] =
				virt_to_page(shadow + i * PAGE_SIZE);
			bounce->slots[first + i].head = first;
		}
		bounce->slots[first].size = size;
		bounce->slots[first].va = va;
		bounce->slots[first].shadow = shadow;
		bounce->nrings++;
	}
	spin_unlock_irq(&bounce->lock);
	if (first == ALL_PAGES)
		goto err;

	*addr = (dma_addr_t)first << PAGE_SHIFT;

	return va;

err:
	if (shadow)
		free_pages_exact(shadow, size);
	if (va)
		free_pages_exact(va, size);
	return NULL;
}

static void vduse_free(struct device *dev, size_t size, void *va,
		       dma_addr_t addr, unsigned long attrs)
{
	struct vduse_bounce *bounce = dev_to_bounce(dev);
	unsigned int npages = PFN_UP(size), first = addr >> PAGE_SHIFT, i;
	void *shadow = bounce->slots[first].shadow;

	down_write(&bounce->sem);
	spin_lock_irq(&bounce->lock);
	for (i = first; i < first + npages; i++)
		bounce->pages[i] = NULL;
	bounce->slots[first].size = 0;
	bitmap_clear(bounce->used, first, npages);
	bounce->nrings--;
	spin_unlock_irq(&bounce->lock);
	unmap_mapping_range(&bounce->mapping, addr, npages << PAGE_SHIFT, 1);
	up_write(&bounce->sem);

	free_pages_exact(shadow, size);
	free_pages_exact(va, size);
}

static size_t vduse_max_mapping_size(struct device *dev)
{
	return VDUSE_MAX_MAPPING;
}

const struct dma_map_ops vduse_dma_ops = {
	.map_page = vduse_map_page,
	.unmap_page = vduse_unmap_page,
	.map_sg = vduse_map_sg,
	.unmap_sg = vduse_unmap_sg,
	.alloc = vduse_alloc,
	.free = vduse_free,
	.max_mapping_size = vduse_max_mapping_size,
};
