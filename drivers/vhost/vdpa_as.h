/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Address spaces of vhost-vdpa.
 *
 * A vDPA device has one or more address spaces, each named by a number, the
 * ASID, and each with IOVA mappings of its own.  IOTLB messages make and remove
 * mappings: UPDATE makes one, INVALIDATE removes all that it overlaps.  A
 * mapping is a list of maps, one for each contiguous chunk of its memory, and is
 * made and removed as a whole.  Its memory is pinned pages of the owner's mm; or,
 * if the parent maps files, the shared files that the owner has mapped.  Only
 * vhost_vdpa_pin(), vhost_vdpa_get_files() and vhost_vdpa_free_map() depend on
 * which of the two it is.
 */
#ifndef _VHOST_VDPA_AS_H
#define _VHOST_VDPA_AS_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/vdpa.h>
#include <linux/vhost_iotlb.h>
#include <linux/vhost_types.h>
#include <linux/workqueue.h>

struct iommu_domain;
struct seq_file;
struct vhost_vdpa;

/**
 * struct vhost_vdpa_as - an address space
 * @iotlb: its mappings, as userspace has asked for them
 * @stale: maps that have been removed from @iotlb, but that a parent with
 *	set_map may still use, because it hasn't been given the table since.
 *	Linked by &vhost_iotlb_map.link.
 * @nmappings: number of mappings in @iotlb
 * @nstale: number of mappings that the maps in @stale belong to
 * @size: bytes of the mappings in @iotlb
 * @stale_size: bytes of the maps in @stale
 * @id: its ASID
 */
struct vhost_vdpa_as {
	struct vhost_iotlb iotlb;
	struct list_head stale;
	unsigned int nmappings;
	unsigned int nstale;
	u64 size;
	u64 stale_size;
	unsigned int id;
};

/**
 * struct vhost_vdpa_memlock - how a message exceeded RLIMIT_MEMLOCK, in pages
 * @limit: the limit
 * @pinned: pages that were already accounted for
 * @wanted: pages of the message
 */
struct vhost_vdpa_memlock {
	u64 limit;
	u64 pinned;
	u64 wanted;
};

/**
 * struct vhost_vdpa_spaces - all address spaces of a device
 * @as: the address spaces by ASID; NULL for those that no message was for
 * @nas: number of entries of @as; doesn't change while the file is open
 * @files: the parent maps files; doesn't change while the file is open
 * @range: addresses that can be mapped; doesn't change while the file is open
 * @domain: domain of the platform IOMMU, if the parent has no DMA operations of
 *	its own, else NULL.  It is ASID 0, and there is no other.
 * @batch: the address space that a batch is open for, or NULL
 * @nmappings: number of mappings in all address spaces, stale ones included
 * @pages: a page of pointers for pin_user_pages(), allocated by the first
 *	UPDATE and kept until the file is closed.  Protected by
 *	&vhost_dev.mutex.
 * @unmapped: maps that vhost_vdpa_spaces_close() has removed, but whose pages
 *	are still pinned.  Owned by @unpin_work when that is queued, afterwards
 *	by vhost_vdpa_spaces_release().
 * @unpin_work: unpins @unmapped after the device has been removed
 *
 * &vhost_vdpa.lock protects all members for which nothing else is said.  All
 * address spaces are freed when the file is closed or the device is removed,
 * whichever is first.
 */
struct vhost_vdpa_spaces {
	struct vhost_vdpa_as **as;
	unsigned int nas;
	bool files;
	struct vdpa_iova_range range;
	struct iommu_domain *domain;
	struct vhost_vdpa_as *batch;
	unsigned int nmappings;
	struct page **pages;
	struct list_head unmapped;
	struct work_struct unpin_work;
};

void vhost_vdpa_spaces_init(struct vhost_vdpa *v);
int vhost_vdpa_spaces_open(struct vhost_vdpa *v);
void vhost_vdpa_spaces_close(struct vhost_vdpa *v);
void vhost_vdpa_spaces_release(struct vhost_vdpa *v);

int vhost_vdpa_as_map(struct vhost_vdpa *v, u32 asid,
		      const struct vhost_iotlb_msg *msg,
		      struct vhost_vdpa_memlock *memlock);
int vhost_vdpa_as_unmap(struct vhost_vdpa *v, u32 asid, u64 iova, u64 size);
int vhost_vdpa_as_batch_begin(struct vhost_vdpa *v, u32 asid);
int vhost_vdpa_as_batch_end(struct vhost_vdpa *v, u32 asid);
void vhost_vdpa_spaces_show(struct vhost_vdpa *v, struct seq_file *seq);

#endif /* _VHOST_VDPA_AS_H */
