// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vDPA device simulator: a block device.  Its disk is in memory; pages are
 * allocated when they are first written to, and freed when they are discarded.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/blkdev.h>
#include <linux/device.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/xarray.h>
#include <uapi/linux/vdpa.h>
#include <uapi/linux/virtio_blk.h>
#include <uapi/linux/virtio_ids.h>

#include "sim.h"

#define VDPASIM_BLK_FEATURES	(BIT_ULL(VIRTIO_F_ANY_LAYOUT) |	\
				 BIT_ULL(VIRTIO_F_VERSION_1) |		\
				 BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) |	\
				 BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) |	\
				 BIT_ULL(VIRTIO_BLK_F_SIZE_MAX) |	\
				 BIT_ULL(VIRTIO_BLK_F_SEG_MAX) |	\
				 BIT_ULL(VIRTIO_BLK_F_BLK_SIZE) |	\
				 BIT_ULL(VIRTIO_BLK_F_FLUSH) |		\
				 BIT_ULL(VIRTIO_BLK_F_TOPOLOGY) |	\
				 BIT_ULL(VIRTIO_BLK_F_MQ) |		\
				 BIT_ULL(VIRTIO_BLK_F_DISCARD) |	\
				 BIT_ULL(VIRTIO_BLK_F_WRITE_ZEROES))

/* Only offered when asked for at "vdpa dev add". */
#define VDPASIM_BLK_MORE_FEATURES	BIT_ULL(VIRTIO_BLK_F_RO)

/* A request without an indirect table has to fit in the ring. */
#define VDPASIM_BLK_SEG_MAX	(VDPASIM_QUEUE_MAX - 2)
#define VDPASIM_BLK_SIZE_MAX	SZ_64K

/* The most data of one request. */
#define VDPASIM_BLK_DATA_MAX	(VDPASIM_BLK_SEG_MAX * VDPASIM_BLK_SIZE_MAX)

/* Of VIRTIO_BLK_T_DISCARD and VIRTIO_BLK_T_WRITE_ZEROES. */
#define VDPASIM_BLK_RANGES_MAX	16
#define VDPASIM_BLK_RANGE_MAX	(SZ_4M >> SECTOR_SHIFT)

/* Bytes of the disk that one round of work is about, plus one request. */
#define VDPASIM_BLK_BUDGET	SZ_1M

/* What a request costs of that, in addition to its data. */
#define VDPASIM_BLK_REQUEST_COST	SZ_4K

#define VDPASIM_BLK_QUEUES_MAX		16
#define VDPASIM_BLK_CAPACITY_MAX	SZ_1M	/* MiB */

static unsigned int capacity = 128;
module_param(capacity, uint, 0444);
MODULE_PARM_DESC(capacity,
		 "Size of a device's disk in MiB, 1 to 1048576 (default: 128). It takes up memory as it is written to");

static unsigned int queues = 4;
module_param(queues, uint, 0444);
MODULE_PARM_DESC(queues, "Number of virtqueues of a device, 1 to 16 (default: 4)");

/**
 * struct vdpasim_blk_stats - what a virtqueue has done since the device was added
 * @requests: requests that the driver has made, failed ones included
 * @bytes_read: bytes of the disk that the driver has read
 * @bytes_written: bytes that it has written to the disk
 * @errors: requests that failed, that have no room for a status, or whose
 *          buffers aren't mapped
 */
struct vdpasim_blk_stats {
	u64 requests;
	u64 bytes_read;
	u64 bytes_written;
	u64 errors;
};

/**
 * struct vdpasim_blk - a simulated block device
 * @sim: the device
 * @pages: the disk, by page; what isn't there is zero
 * @stats: statistics, by virtqueue
 * @next: the virtqueue whose turn it is
 * @ranges: of the request that is being processed
 */
struct vdpasim_blk {
	struct vdpasim sim;
	struct xarray pages;
	struct vdpasim_blk_stats stats[VDPASIM_BLK_QUEUES_MAX];
	unsigned int next;
	struct virtio_blk_discard_write_zeroes ranges[VDPASIM_BLK_RANGES_MAX];
};

/**
 * struct vdpasim_blk_req - a request that is being processed
 * @vq: its virtqueue
 * @type: VIRTIO_BLK_T_XX
 * @sector: where it begins on the disk
 * @out: number of bytes of data from the driver
 * @in: number of bytes of data that the driver has room for
 * @written: number of bytes of them that have been written
 * @cost: see VDPASIM_BLK_BUDGET
 */
struct vdpasim_blk_req {
	struct vdpasim_vq *vq;
	u32 type;
	u64 sector;
	u64 out;
	u64 in;
	u32 written;
	size_t cost;
};

static struct vdpasim_blk *sim_to_blk(struct vdpasim *sim)
{
	return container_of(sim, struct vdpasim_blk, sim);
}

static u64 vdpasim_blk_sectors(void)
{
	return (u64)capacity << (20 - SECTOR_SHIFT);
}

static bool vdpasim_blk_on_disk(u64 sector, u64 sectors)
{
	return sector <= vdpasim_blk_sectors() &&
		sectors <= vdpasim_blk_sectors() - sector;
}

static bool vdpasim_blk_read_only(const struct vdpasim *sim)
{
	return sim->device_features & BIT_ULL(VIRTIO_BLK_F_RO);
}

/* Number of bytes between @pos and the end of the page, @len at most. */
static size_t vdpasim_blk_part(u64 pos, u64 len)
{
	return min_t(u64, len, PAGE_SIZE - offset_in_page(pos));
}

/* Get a page of the disk to write to.  Returns NULL if there is no memory. */
static struct page *vdpasim_blk_get_page(struct vdpasim_blk *blk,
					 unsigned long index)
{
	/*
	 * Memory must not be reclaimed by writing to this disk, and a full
	 * disk must not get processes killed.
	 */
	const gfp_t gfp = GFP_NOIO | __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
	struct page *page = xa_load(&blk->pages, index);

	if (page)
		return page;

	page = alloc_page(gfp | __GFP_ZERO);
	if (page && xa_err(xa_store(&blk->pages, index, page, gfp))) {
		__free_page(page);
		page = NULL;
	}

	return page;
}

/*
 * The functions that execute requests return the status for the driver, or a
 * negative error if the virtqueue is broken.  They are called with the device's
 * lock held, see vdpasim_blk_execute(), but not iommu_lock.
 */

static int vdpasim_blk_read(struct vdpasim_blk *blk,
			    struct vdpasim_blk_req *req)
{
	struct vdpasim *sim = &blk->sim;
	u64 pos = req->sector << SECTOR_SHIFT;

	while (req->written < req->in) {
		size_t len = vdpasim_blk_part(pos, req->in - req->written);
		struct page *page = xa_load(&blk->pages, pos >> PAGE_SHIFT);
		ssize_t ret;

		spin_lock_irq(&sim->iommu_lock);
		ret = vdpasim_vq_push(sim, req->vq,
				      page_address(page ?: ZERO_PAGE(0)) +
				      offset_in_page(pos), len);
		spin_unlock_irq(&sim->iommu_lock);
		if (unlikely(ret < 0))
			return ret;

		pos += len;
		req->written += len;
		cond_resched();
	}

	return VIRTIO_BLK_S_OK;
}

static int vdpasim_blk_write(struct vdpasim_blk *blk,
			     struct vdpasim_blk_req *req)
{
	struct vdpasim *sim = &blk->sim;
	u64 pos = req->sector << SECTOR_SHIFT;
	u64 end = pos + req->out;

	while (pos < end) {
		size_t len = vdpasim_blk_part(pos, end - pos);
		struct page *page;
		ssize_t ret;

		page = vdpasim_blk_get_page(blk, pos >> PAGE_SHIFT);
		if (unlikely(!page))
			return VIRTIO_BLK_S_IOERR;

		spin_lock_irq(&sim->iommu_lock);
		ret = vdpasim_vq_pull(sim, req->vq, page_address(page) +
				      offset_in_page(pos), len);
		spin_unlock_irq(&sim->iommu_lock);
		if (unlikely(ret < 0))
			return ret;

		pos += len;
		cond_resched();
	}

	return VIRTIO_BLK_S_OK;
}

/* Fill a range of the disk with zeroes.  Free pages, if @unmap is set. */
static void vdpasim_blk_zero(struct vdpasim_blk *blk, u64 sector, u32 sectors,
			     bool unmap)
{
	u64 pos = sector << SECTOR_SHIFT;
	u64 end = pos + ((u64)sectors << SECTOR_SHIFT);

	while (pos < end) {
		size_t len = vdpasim_blk_part(pos, end - pos);
		struct page *page = xa_load(&blk->pages, pos >> PAGE_SHIFT);

		if (page && unmap && len == PAGE_SIZE) {
			xa_erase(&blk->pages, pos >> PAGE_SHIFT);
			__free_page(page);
		} else if (page) {
			memset(page_address(page) + offset_in_page(pos), 0,
			       len);
		}
		pos += len;
		cond_resched();
	}
}

static int vdpasim_blk_check_range(const struct virtio_blk_discard_write_zeroes
				   *range, u32 flags)
{
	u32 sectors = le32_to_cpu(range->num_sectors);

	if (le32_to_cpu(range->flags) & ~flags)
		return VIRTIO_BLK_S_UNSUPP;
	if (sectors > VDPASIM_BLK_RANGE_MAX ||
	    !vdpasim_blk_on_disk(le64_to_cpu(range->sector), sectors))
		return VIRTIO_BLK_S_IOERR;

	return VIRTIO_BLK_S_OK;
}

/*
 * Execute VIRTIO_BLK_T_DISCARD or VIRTIO_BLK_T_WRITE_ZEROES.  After the former,
 * too, the range reads as zeroes.
 */
static int vdpasim_blk_ranges(struct vdpasim_blk *blk,
			      struct vdpasim_blk_req *req, bool discard)
{
	const u32 flags = discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	struct vdpasim *sim = &blk->sim;
	size_t i, n = req->out / sizeof(blk->ranges[0]);
	ssize_t ret;

	if (!n || req->out % sizeof(blk->ranges[0]) ||
	    req->out > sizeof(blk->ranges))
		return VIRTIO_BLK_S_IOERR;

	spin_lock_irq(&sim->iommu_lock);
	ret = vdpasim_vq_pull(sim, req->vq, blk->ranges, req->out);
	spin_unlock_irq(&sim->iommu_lock);
	if (unlikely(ret < 0))
		return ret;

	for (i = 0; i < n; i++) {
		ret = vdpasim_blk_check_range(&blk->ranges[i], flags);
		if (ret)
			return ret;
	}

	for (i = 0; i < n; i++) {
		u32 sectors = le32_to_cpu(blk->ranges[i].num_sectors);

		vdpasim_blk_zero(blk, le64_to_cpu(blk->ranges[i].sector),
				 sectors, discard || blk->ranges[i].flags);
		req->cost += (size_t)sectors << SECTOR_SHIFT;
	}

	return VIRTIO_BLK_S_OK;
}

static int vdpasim_blk_get_id(struct vdpasim_blk *blk,
			      struct vdpasim_blk_req *req)
{
	struct vdpasim *sim = &blk->sim;
	const char *name = dev_name(&sim->vdpa.dev);
	char id[VIRTIO_BLK_ID_BYTES] = {};
	ssize_t ret;

	memcpy(id, name, min(strlen(name), sizeof(id)));

	spin_lock_irq(&sim->iommu_lock);
	ret = vdpasim_vq_push(sim, req->vq, id, min_t(u64, req->in, sizeof(id)));
	spin_unlock_irq(&sim->iommu_lock);
	if (unlikely(ret < 0))
		return ret;
	req->written = ret;

	return VIRTIO_BLK_S_OK;
}

/* Check the data of a VIRTIO_BLK_T_IN or VIRTIO_BLK_T_OUT. */
static bool vdpasim_blk_check_data(struct vdpasim_blk_req *req, u64 len)
{
	if (len > VDPASIM_BLK_DATA_MAX || len % SECTOR_SIZE ||
	    !vdpasim_blk_on_disk(req->sector, len >> SECTOR_SHIFT))
		return false;
	req->cost += len;

	return true;
}

static int vdpasim_blk_execute(struct vdpasim_blk *blk,
			       struct vdpasim_blk_req *req)
{
	struct vdpasim *sim = &blk->sim;

	lockdep_assert_held(&sim->lock);

	switch (req->type) {
	case VIRTIO_BLK_T_IN:
		if (!vdpasim_blk_check_data(req, req->in))
			return VIRTIO_BLK_S_IOERR;
		return vdpasim_blk_read(blk, req);

	case VIRTIO_BLK_T_OUT:
		if (vdpasim_blk_read_only(sim) ||
		    !vdpasim_blk_check_data(req, req->out))
			return VIRTIO_BLK_S_IOERR;
		return vdpasim_blk_write(blk, req);

	case VIRTIO_BLK_T_FLUSH:
		if (!(sim->features & BIT_ULL(VIRTIO_BLK_F_FLUSH)))
			return VIRTIO_BLK_S_UNSUPP;
		/* What has been written is on the disk. */
		return VIRTIO_BLK_S_OK;

	case VIRTIO_BLK_T_GET_ID:
		return vdpasim_blk_get_id(blk, req);

	case VIRTIO_BLK_T_DISCARD:
		if (!(sim->features & BIT_ULL(VIRTIO_BLK_F_DISCARD)))
			return VIRTIO_BLK_S_UNSUPP;
		if (vdpasim_blk_read_only(sim))
			return VIRTIO_BLK_S_IOERR;
		return vdpasim_blk_ranges(blk, req, true);

	case VIRTIO_BLK_T_WRITE_ZEROES:
		if (!(sim->features & BIT_ULL(VIRTIO_BLK_F_WRITE_ZEROES)))
			return VIRTIO_BLK_S_UNSUPP;
		if (vdpasim_blk_read_only(sim))
			return VIRTIO_BLK_S_IOERR;
		return vdpasim_blk_ranges(blk, req, false);

	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/*
 * The status is the last byte of the device-writable part, which isn't empty.
 * Leave out what is before it.
 */
static void vdpasim_blk_seek_status(struct vringh_kiov *wiov)
{
	struct kvec *last;

	vringh_kiov_reset(wiov);
	while (!wiov->iov[wiov->used - 1].iov_len)
		wiov->used--;

	wiov->i = wiov->used - 1;
	last = &wiov->iov[wiov->i];
	wiov->consumed = last->iov_len - 1;
	last->iov_base += wiov->consumed;
	last->iov_len = 1;
}

/*
 * Get a request's header, and how much data it has.  Returns its status so far,
 * -ENOENT if there is no request, or another error if its header isn't mapped.
 */
static int vdpasim_blk_get(struct vdpasim_blk *blk, struct vdpasim_vq *vq,
			   struct vdpasim_blk_req *req)
{
	struct virtio_blk_outhdr hdr = {};
	struct vdpasim *sim = &blk->sim;
	ssize_t len = -ENOENT;

	spin_lock_irq(&sim->iommu_lock);
	if (vdpasim_vq_get(sim, vq, &sim->riov, &sim->wiov))
		len = vdpasim_vq_pull(sim, vq, &hdr, sizeof(hdr));
	spin_unlock_irq(&sim->iommu_lock);
	if (len < 0)
		return len;

	*req = (struct vdpasim_blk_req) {
		.vq = vq,
		.type = vdpasim32_to_cpu(sim, hdr.type),
		.sector = vdpasim64_to_cpu(sim, hdr.sector),
		.out = vdpasim_left(&sim->riov),
		.in = vdpasim_left(&sim->wiov),
		.cost = VDPASIM_BLK_REQUEST_COST,
	};

	return len == sizeof(hdr) ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
}

/*
 * Process a request whose status so far is given.  Returns its final status, or
 * a negative error if the virtqueue is broken now.
 */
static int vdpasim_blk_process(struct vdpasim_blk *blk,
			       struct vdpasim_blk_req *req, int status)
{
	struct vdpasim *sim = &blk->sim;
	ssize_t len;
	u8 byte;

	/* Without room for a status, there is no way to say what was done. */
	if (!req->in) {
		spin_lock_irq(&sim->iommu_lock);
		vdpasim_vq_complete(sim, req->vq, 0);
		spin_unlock_irq(&sim->iommu_lock);
		return VIRTIO_BLK_S_IOERR;
	}
	req->in--;

	if (status == VIRTIO_BLK_S_OK)
		status = vdpasim_blk_execute(blk, req);
	if (status < 0)
		return status;

	byte = status;
	spin_lock_irq(&sim->iommu_lock);
	vdpasim_blk_seek_status(&sim->wiov);
	len = vdpasim_vq_push(sim, req->vq, &byte, sizeof(byte));
	if (len >= 0 && !vdpasim_vq_complete(sim, req->vq, req->written + len))
		len = -EINVAL;
	spin_unlock_irq(&sim->iommu_lock);

	return len < 0 ? len : status;
}

/* Count a request, with its status or a negative error. */
static void vdpasim_blk_count(struct vdpasim_blk_stats *stats,
			      const struct vdpasim_blk_req *req, int status)
{
	stats->requests++;
	if (status != VIRTIO_BLK_S_OK)
		stats->errors++;
	else if (req->type == VIRTIO_BLK_T_IN)
		stats->bytes_read += req->in;
	else if (req->type == VIRTIO_BLK_T_OUT)
		stats->bytes_written += req->out;
}

/* Handle the next request.  Returns what it costs, or 0 if there is none. */
static size_t vdpasim_blk_request(struct vdpasim_blk *blk,
				  struct vdpasim_vq *vq)
{
	struct vdpasim_blk_req req;
	int status;

	status = vdpasim_blk_get(blk, vq, &req);
	if (status == -ENOENT)
		return 0;
	if (status >= 0)
		status = vdpasim_blk_process(blk, &req, status);
	vdpasim_blk_count(&blk->stats[vq - blk->sim.vqs], &req, status);

	return status < 0 ? 0 : req.cost;
}

/* Process requests of the virtqueues by turns. */
static unsigned long vdpasim_blk_work(struct vdpasim *sim, unsigned long vqs)
{
	struct vdpasim_blk *blk = sim_to_blk(sim);
	const unsigned int nvqs = sim->class->nvqs;
	unsigned long more = vqs;
	size_t cost, total = 0;
	unsigned int i;

	while (more && total < VDPASIM_BLK_BUDGET) {
		i = find_next_bit(&more, nvqs, blk->next);
		blk->next = i < nvqs ? i + 1 : 0;
		if (i == nvqs)
			continue;

		cost = 0;
		if (vdpasim_vq_active(&sim->vqs[i]))
			cost = vdpasim_blk_request(blk, &sim->vqs[i]);
		if (!cost)
			__clear_bit(i, &more);
		total += cost;
	}

	for_each_set_bit(i, &vqs, nvqs)
		vdpasim_vq_notify(sim, &sim->vqs[i]);

	return more;
}

static unsigned int vdpasim_blk_get_vq_stats(const struct vdpasim *sim, u16 idx,
					     struct vdpa_vq_stat *stats)
{
	const struct vdpasim_blk *blk =
		container_of(sim, struct vdpasim_blk, sim);
	const struct vdpasim_blk_stats *s = &blk->stats[idx];
	unsigned int n = 0;

	stats[n++] = (struct vdpa_vq_stat){ "requests", s->requests };
	stats[n++] = (struct vdpa_vq_stat){ "bytes_read", s->bytes_read };
	stats[n++] = (struct vdpa_vq_stat){ "bytes_written", s->bytes_written };
	stats[n++] = (struct vdpa_vq_stat){ "errors", s->errors };

	return n;
}

static void vdpasim_blk_get_config(struct vdpasim *sim, void *config)
{
	struct virtio_blk_config *c = config;

	c->capacity = cpu_to_vdpasim64(sim, vdpasim_blk_sectors());
	c->size_max = cpu_to_vdpasim32(sim, VDPASIM_BLK_SIZE_MAX);
	c->seg_max = cpu_to_vdpasim32(sim, VDPASIM_BLK_SEG_MAX);
	c->blk_size = cpu_to_vdpasim32(sim, SECTOR_SIZE);
	c->physical_block_exp = PAGE_SHIFT - SECTOR_SHIFT;
	c->min_io_size = cpu_to_vdpasim16(sim, PAGE_SIZE >> SECTOR_SHIFT);
	c->opt_io_size = cpu_to_vdpasim32(sim, PAGE_SIZE >> SECTOR_SHIFT);
	c->num_queues = cpu_to_vdpasim16(sim, sim->class->nvqs);
	c->max_discard_sectors = cpu_to_vdpasim32(sim, VDPASIM_BLK_RANGE_MAX);
	c->max_discard_seg = cpu_to_vdpasim32(sim, VDPASIM_BLK_RANGES_MAX);
	c->discard_sector_alignment = cpu_to_vdpasim32(sim, PAGE_SIZE >>
						       SECTOR_SHIFT);
	c->max_write_zeroes_sectors = cpu_to_vdpasim32(sim,
						       VDPASIM_BLK_RANGE_MAX);
	c->max_write_zeroes_seg = cpu_to_vdpasim32(sim, VDPASIM_BLK_RANGES_MAX);
	c->write_zeroes_may_unmap = 1;
}

static int vdpasim_blk_init(struct vdpasim *sim,
			    const struct vdpa_dev_set_config *config)
{
	xa_init(&sim_to_blk(sim)->pages);

	return 0;
}

static void vdpasim_blk_free(struct vdpasim *sim)
{
	struct vdpasim_blk *blk = sim_to_blk(sim);
	struct page *page;
	unsigned long i;

	/* Maybe vdpasim_blk_init() wasn't called. */
	if (xa_empty(&blk->pages))
		return;

	xa_for_each(&blk->pages, i, page) {
		__free_page(page);
		cond_resched();
	}
	xa_destroy(&blk->pages);
}

static struct vdpasim_class vdpasim_blk_class __ro_after_init = {
	.device_id	= VIRTIO_ID_BLOCK,
	.features	= VDPASIM_BLK_FEATURES,
	.config_size	= sizeof(struct virtio_blk_config),
	.ngroups	= 1,
	.nas		= 1,
	.size		= sizeof(struct vdpasim_blk),
	.init		= vdpasim_blk_init,
	.free		= vdpasim_blk_free,
	.work		= vdpasim_blk_work,
	.get_vq_stats	= vdpasim_blk_get_vq_stats,
	.get_config	= vdpasim_blk_get_config,
};

static struct vdpa_device *
vdpasim_blk_dev_add(struct vdpa_mgmt_dev *mdev, const char *name,
		    const struct vdpa_dev_set_config *config,
		    struct netlink_ext_ack *extack)
{
	return vdpasim_create(&vdpasim_blk_class, mdev, name, config, extack);
}

static const struct vdpa_mgmtdev_ops vdpasim_blk_mgmtdev_ops = {
	.dev_add	= vdpasim_blk_dev_add,
};

static const struct virtio_device_id vdpasim_blk_id_table[] = {
	{ VIRTIO_ID_BLOCK, VIRTIO_DEV_ANY_ID },
	{ 0 },
};

static struct vdpa_mgmt_dev vdpasim_blk_mgmtdev = {
	.ops			= &vdpasim_blk_mgmtdev_ops,
	.id_table		= vdpasim_blk_id_table,
	.config_attr_mask	= BIT_ULL(VDPA_ATTR_DEV_FEATURES),
	.supported_features	= VDPASIM_BLK_FEATURES |
				  VDPASIM_BLK_MORE_FEATURES,
};

static int __init vdpasim_blk_module_init(void)
{
	struct device *dev;
	int ret;

	if (!capacity || capacity > VDPASIM_BLK_CAPACITY_MAX) {
		pr_err("capacity has to be 1 to %u\n",
		       VDPASIM_BLK_CAPACITY_MAX);
		return -EINVAL;
	}
	if (!queues || queues > VDPASIM_BLK_QUEUES_MAX) {
		pr_err("queues has to be 1 to %u\n", VDPASIM_BLK_QUEUES_MAX);
		return -EINVAL;
	}
	vdpasim_blk_class.nvqs = queues;
	vdpasim_blk_mgmtdev.max_supported_vqs = queues;

	dev = root_device_register("vdpasim_blk");
	if (IS_ERR(dev))
		return PTR_ERR(dev);

	vdpasim_blk_mgmtdev.device = dev;
	ret = vdpa_mgmtdev_register(&vdpasim_blk_mgmtdev);
	if (ret)
		root_device_unregister(dev);

	return ret;
}
module_init(vdpasim_blk_module_init);

static void __exit vdpasim_blk_module_exit(void)
{
	/* This also removes the devices. */
	vdpa_mgmtdev_unregister(&vdpasim_blk_mgmtdev);
	root_device_unregister(vdpasim_blk_mgmtdev.device);
}
module_exit(vdpasim_blk_module_exit);

MODULE_LICENSE("GPL v2");
MODULE_DESCRIPTION("vDPA block device simulator");
