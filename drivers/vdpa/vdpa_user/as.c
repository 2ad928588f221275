// SPDX-License-Identifier: GPL-2.0-only
/*
 * VDUSE: address spaces. vhost-vdpa maps parts of files, regions, into them, and
 * the daemon maps the regions.
 *
 * The daemon doesn't get the file itself, which can hold more than the region:
 * it gets a file that stands for the region, begins with it, and can be mapped
 * with the permission of the region. What it has mapped then is an ordinary
 * mapping of the file behind. (libvduse of QEMU maps all that is in front of a
 * region, too, so there must be nothing.)
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "vduse.h"

static struct vduse_region *map_to_region(struct vhost_iotlb_map *map)
{
	return container_of(map, struct vduse_region, map);
}

static void vduse_region_put(struct vduse_region *region)
{
	if (!refcount_dec_and_test(&region->refs))
		return;

	fput(region->map.file);
	kfree(region);
}

/* ---- the file that stands for a region ---- */

static int vduse_region_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vduse_region *region = file->private_data;
	u64 npages = region->map.size >> PAGE_SHIFT;
	struct file *backing = region->map.file;
	int ret;

	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_pgoff > npages || vma_pages(vma) > npages - vma->vm_pgoff)
		return -EINVAL;
	if (READ_ONCE(region->revoked))
		return -ENXIO;

	vma->vm_pgoff += region->map.addr >> PAGE_SHIFT;
	vma->vm_file = get_file(backing);
	ret = call_mmap(backing, vma);
	/* mmap_region() drops the reference of @file after an error */
	fput(ret ? backing : file);

	return ret;
}

/* The file behind may have its own rules, e.g. the size of its pages. */
static unsigned long
vduse_region_get_area(struct file *file, unsigned long addr, unsigned long len,
		      unsigned long pgoff, unsigned long flags)
{
	struct vduse_region *region = file->private_data;
	struct file *backing = region->map.file;

	pgoff += region->map.addr >> PAGE_SHIFT;
	if (backing->f_op->get_unmapped_area)
		return backing->f_op->get_unmapped_area(backing, addr, len,
							pgoff, flags);

	return current->mm->get_unmapped_area(file, addr, len, pgoff, flags);
}

static int vduse_region_release(struct inode *inode, struct file *file)
{
	struct vduse_region *region = file->private_data;

	if (file->f_mode & FMODE_WRITE)
		mapping_unmap_writable(region->map.file->f_mapping);
	vduse_region_put(region);

	return 0;
}

static const struct file_operations vduse_region_fops = {
	.owner = THIS_MODULE,
	.mmap = vduse_region_mmap,
	.get_unmapped_area = vduse_region_get_area,
	.release = vduse_region_release,
	.llseek = noop_llseek,
};

static struct file *vduse_region_get_file(struct vduse_region *region)
{
	struct address_space *mapping = region->map.file->f_mapping;
	bool write = region->map.perm & VHOST_MAP_WO;
	struct file *file;
	int ret;

	/* As a mapping does: then the file can't be sealed against writes */
	if (write) {
		ret = mapping_map_writable(mapping);
		if (ret)
			return ERR_PTR(ret);
	}

	refcount_inc(&region->refs);
	file = anon_inode_getfile("[vduse-region]", &vduse_region_fops, region,
				  write ? O_RDWR : O_RDONLY);
	if (IS_ERR(file)) {
		vduse_region_put(region);
		if (write)
			mapping_unmap_writable(mapping);
	}

	return file;
}

/* ---- address spaces ---- */

/* An unchanged map keeps its region: the daemon may have mapped that. */
static bool vduse_region_is(struct vduse_region *region,
			    struct vhost_iotlb_map *map)
{
	return region->map.start == map->start && region->map.last == map->last &&
	       region->map.file == map->file && region->map.addr == map->addr &&
	       region->map.perm == map->perm;
}

static struct vduse_region *vduse_region_alloc(struct vhost_iotlb_map *map)
{
	struct vduse_region *region;

	region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
	if (!region)
		return NULL;

	refcount_set(&region->refs, 1);
	region->map.start = map->start;
	region->map.last = map->last;
	region->map.size = map->size;
	region->map.addr = map->addr;
	region->map.perm = map->perm;
	region->map.file = get_file(map->file);

	return region;
}

/* What the daemon has to forget: the range from the first change to the last. */
static void vduse_changed(struct vhost_iotlb_map *map, u64 *start, u64 *last)
{
	*start = min(*start, map->start);
	*last = max(*last, map->last);
}

/**
 * vduse_as_set_map - replace the regions of an address space
 * @dev: the device
 * @asid: the address space, less than @dev->nas
 * @iotlb: the new maps; all of files
 *
 * After an error nothing has changed, unless the daemon didn't answer: then the
 * regions are the new ones, and the device is broken.
 *
 * Return: 0, or
 * -EINVAL if a map isn't of a file,
 * -ENOMEM,
 * or an error of the request to the daemon. An empty @iotlb is never refused.
 */
int vduse_as_set_map(struct vduse_dev *dev, unsigned int asid,
		     struct vhost_iotlb *iotlb)
{
	struct vduse_as *as = &dev->as[asid];
	struct vhost_iotlb_map *map, *old, *next;
	u64 start = U64_MAX, last = 0;
	struct vduse_region *region;
	LIST_HEAD(gone);
	LIST_HEAD(new);
	int ret = 0;

	mutex_lock(&as->lock);

	list_for_each_entry(map, &iotlb->list, link) {
		/* An address of memory must not be taken for an offset */
		if (WARN_ON_ONCE(!map->file)) {
			ret = -EINVAL;
			break;
		}
		old = vhost_iotlb_itree_first(&as->regions, map->start,
					      map->last);
		if (old && vduse_region_is(map_to_region(old), map)) {
			old->flags = 1;
			continue;
		}
		region = vduse_region_alloc(map);
		if (!region) {
			ret = -ENOMEM;
			break;
		}
		list_add_tail(&region->map.link, &new);
		vduse_changed(&region->map, &start, &last);
	}

	list_for_each_entry_safe(old, next, &as->regions.list, link) {
		if (!ret && !old->flags) {
			WRITE_ONCE(map_to_region(old)->revoked, true);
			vhost_iotlb_map_unlink(&as->regions, old);
			list_add_tail(&old->link, &gone);
			vduse_changed(old, &start, &last);
		}
		old->flags = 0;
	}

	list_for_each_entry_safe(map, next, &new, link) {
		list_del(&map->link);
		if (ret)
			vduse_region_put(map_to_region(map));
		else
			vhost_iotlb_map_link(&as->regions, map);
	}

	mutex_unlock(&as->lock);

	list_for_each_entry_safe(old, next, &gone, link)
		vduse_region_put(map_to_region(old));
	if (ret || last < start)
		return ret;

	ret = vduse_update_iotlb_msg(dev, asid, start, last);

	return iotlb->nmaps ? ret : 0;
}

/*
 * Find the first region in the range of @entry, and fill in @entry. Returns 0
 * with a file, if @file isn't NULL, or an error.
 */
static int vduse_as_find(struct vduse_as *as, struct vduse_iotlb_entry_v2 *entry,
			 struct file **file)
{
	struct vhost_iotlb_map *map;
	int ret = -EINVAL;

	mutex_lock(&as->lock);
	map = vhost_iotlb_itree_first(&as->regions, entry->start, entry->last);
	if (map) {
		entry->offset = 0;
		entry->start = map->start;
		entry->last = map->last;
		entry->perm = map->perm;
		ret = 0;
		if (file) {
			*file = vduse_region_get_file(map_to_region(map));
			ret = PTR_ERR_OR_ZERO(*file);
		}
	}
	mutex_unlock(&as->lock);

	return ret;
}

/**
 * vduse_as_get_fd - find a region and get a file to map it from
 * @dev: the device; the caller holds @dev->lock
 * @entry: start, last and asid tell where to look, unchecked; filled in
 * @file: set to the file
 *
 * Return: 0, -EINVAL if there is no region, or another error.
 */
int vduse_as_get_fd(struct vduse_dev *dev, struct vduse_iotlb_entry_v2 *entry,
		    struct file **file)
{
	u32 asid = entry->asid;
	int ret;

	lockdep_assert_held(&dev->lock);

	if (entry->start > entry->last || asid >= dev->nas)
		return -EINVAL;
	asid = array_index_nospec(asid, dev->nas);

	/* No memory is reached until a reset has mended the device */
	if (READ_ONCE(dev->broken))
		return -EIO;

	ret = vduse_as_find(&dev->as[asid], entry, file);
	if (ret != -EINVAL)
		return ret;

	/* A virtio driver of this kernel uses the address space 0 */
	if (asid || !dev->bounce || !vduse_bounce_find(dev->bounce, entry))
		return -EINVAL;
	*file = vduse_bounce_get_file(dev->bounce);

	return PTR_ERR_OR_ZERO(*file);
}

/**
 * vduse_as_get_info - find a region and tell what it is
 * @dev: the device; the caller holds @dev->lock
 * @info: start, last and asid tell where to look, unchecked; filled in
 *
 * Return: 0, or -EINVAL if there is no region.
 */
int vduse_as_get_info(struct vduse_dev *dev, struct vduse_iova_info *info)
{
	struct vduse_iotlb_entry_v2 entry = {
		.start = info->start,
		.last = info->last,
	};
	u32 asid = info->asid;

	lockdep_assert_held(&dev->lock);

	if (entry.start > entry.last || asid >= dev->nas)
		return -EINVAL;
	asid = array_index_nospec(asid, dev->nas);

	info->capability = 0;
	if (vduse_as_find(&dev->as[asid], &entry, NULL)) {
		if (asid || !dev->bounce ||
		    !vduse_bounce_find(dev->bounce, &entry))
			return -EINVAL;
		if (!entry.start)
			info->capability = VDUSE_IOVA_CAP_UMEM;
	}
	info->start = entry.start;
	info->last = entry.last;

	return 0;
}

/**
 * vduse_as_init - make the address spaces of a new device
 * @dev: the device
 * @nas: their number
 *
 * Return: 0 or -ENOMEM.
 */
int vduse_as_init(struct vduse_dev *dev, unsigned int nas)
{
	unsigned int i;

	dev->as = kvcalloc(nas, sizeof(*dev->as), GFP_KERNEL_ACCOUNT);
	if (!dev->as)
		return -ENOMEM;

	dev->nas = nas;
	for (i = 0; i < nas; i++) {
		vhost_iotlb_init(&dev->as[i].regions, 0, 0);
		mutex_init(&dev->as[i].lock);
	}

	return 0;
}

/**
 * vduse_as_reset - remove all regions from all address spaces
 * @dev: the device, which isn't on the bus any more
 *
 * Only if vhost-vdpa hasn't removed them are there any.
 */
void vduse_as_reset(struct vduse_dev *dev)
{
	struct vhost_iotlb_map *map, *next;
	unsigned int i;

	for (i = 0; i < dev->nas; i++) {
		mutex_lock(&dev->as[i].lock);
		list_for_each_entry_safe(map, next, &dev->as[i].regions.list,
					 link) {
			WRITE_ONCE(map_to_region(map)->revoked, true);
			vhost_iotlb_map_unlink(&dev->as[i].regions, map);
			vduse_region_put(map_to_region(map));
		}
		mutex_unlock(&dev->as[i].lock);
	}
}

/**
 * vduse_as_free - free the address spaces
 * @dev: the device
 */
void vduse_as_free(struct vduse_dev *dev)
{
	if (!dev->as)
		return;

	vduse_as_reset(dev);
	kvfree(dev->as);
}
