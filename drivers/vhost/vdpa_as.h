/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Address spaces of vhost-vdpa.
 *
 * A device that is open has as many address spaces as its parent says, each
 * with IOVA mappings of its own and named by a number, the ASID.  Mappings come
 * and go with IOTLB messages: UPDATE makes one, INVALIDATE removes those that
 * it touches.  A mapping is a list of maps, one for each contiguous chunk of
 * its memory, and is made and removed as a whole.  Which memory that is, is
 * known to two functions only (vhost_vdpa_pin() and vhost_vdpa_free_maps()):
 * pinned pages of the owner's.
 */
#ifndef _VHOST_VDPA_AS_H
#define _VHOST_VDPA_AS_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/vdpa.h>
#include <linux/vhost_iotlb.h>
#include <linux/vhost_types.h>

struct iommu_domain;
struct mm_struct;

/**
 * struct vhost_vdpa_as - an address space
 * @iotlb: its mappings: what userspace has asked for
 * @stale: maps that were removed, of a parent that takes whole tables
 *	(set_map), and has not yet taken one without them: it may still use
 *	their memory.  Linked by &vhost_iotlb_map.link.
 * @id: its ASID
 */
struct vhost_vdpa_as {
	struct vhost_iotlb iotlb;
	struct list_head stale;
	unsigned int id;
};

/**
 * struct vhost_vdpa_memlock - what a message met RLIMIT_MEMLOCK with
 * @limit: the limit, in pages
 * @pinned: pages that were accounted for already
 * @wanted: pages of the message
 */
struct vhost_vdpa_memlock {
	u64 limit;
	u64 pinned;
	u64 wanted;
};

/**
 * struct vhost_vdpa_spaces - all address spaces of a device
 * @lock: held to use @vdpa, and to look at or change anything else here but
 *	what is said to be protected otherwise.  Nests inside &vhost_dev.mutex,
 *	which keeps messages and ioctls apart and is held while they wait for
 *	userspace's memory.  This one never is, and mmap_lock is not taken under
 *	it: so whoever has to get at the device finds it free.  Parents'
 *	operations are called under it; their locks nest inside.
 * @vdpa: the device, or NULL once it is gone
 * @domain: the domain of the platform's IOMMU, of a parent that doesn't
 *	translate addresses itself, or NULL.  It is all of ASID 0, and there is
 *	no other.
 * @range: addresses that can be mapped; doesn't change while the file is open
 * @as: the address spaces by ASID; NULL for those that no message was for.
 *	They live until the file is closed or the device is gone.
 * @nas: how many there can be; doesn't change while the file is open
 * @batch: the one that a batch is open for, or NULL
 * @mm: whose memory is mapped; NULL while no memory has been.  The reference
 *	is the vhost device's, which keeps it for longer.
 * @nmappings: mappings in all address spaces: UPDATEs that made them
 * @pages: a page of pointers for pin_user_pages(), from the first UPDATE on.
 *	Protected by &vhost_dev.mutex.
 * @memlock: of a message that RLIMIT_MEMLOCK was in the way of, until that is
 *	reported.  Protected by &vhost_dev.mutex.
 */
struct vhost_vdpa_spaces {
	/* @vdpa, and what is known of it */
	struct mutex lock;
	struct vdpa_device *vdpa;
	struct iommu_domain *domain;
	struct vdpa_iova_range range;
	struct vhost_vdpa_as **as;
	unsigned int nas;
	struct vhost_vdpa_as *batch;
	struct mm_struct *mm;
	unsigned int nmappings;
	struct page **pages;
	struct vhost_vdpa_memlock memlock;
};

/* For the time that a file is open */
int vhost_vdpa_spaces_open(struct vhost_vdpa_spaces *spaces);
int vhost_vdpa_spaces_restore(struct vhost_vdpa_spaces *spaces);
void vhost_vdpa_spaces_close(struct vhost_vdpa_spaces *spaces,
			     struct list_head *gone);
void vhost_vdpa_spaces_unpin(struct vhost_vdpa_spaces *spaces,
			     struct list_head *gone);
void vhost_vdpa_spaces_release(struct vhost_vdpa_spaces *spaces);

/* The messages */
int vhost_vdpa_as_map(struct vhost_vdpa_spaces *spaces, u32 asid,
		      struct mm_struct *mm, const struct vhost_iotlb_msg *msg);
int vhost_vdpa_as_unmap(struct vhost_vdpa_spaces *spaces, u32 asid,
			u64 iova, u64 size);
int vhost_vdpa_as_batch_begin(struct vhost_vdpa_spaces *spaces, u32 asid);
int vhost_vdpa_as_batch_end(struct vhost_vdpa_spaces *spaces, u32 asid);

#endif /* _VHOST_VDPA_AS_H */
