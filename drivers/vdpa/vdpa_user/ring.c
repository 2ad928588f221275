// SPDX-License-Identifier: GPL-2.0-only
/*
 * VDUSE: split virtqueues of this kernel's own virtio drivers.
 *
 * The virtio drivers of 5.10 trust the device: they read descriptors back that
 * they have written, and use the length that the device has put into the used
 * ring. So the driver and the daemon have a copy of the ring each. When the
 * driver kicks, new descriptors and entries of the available ring are copied to
 * the daemon's; when the daemon notifies, new entries of the used ring are
 * copied to the driver's, if they are right: a buffer that the driver has made
 * available, and no more bytes than it has room for. Anything else breaks the
 * device.
 *
 * Neither side may suppress a kick or notification: each has to copy something.
 * So the flags in both copies stay 0, and the events are always the next index.
 *
 * The buffers that the daemon has are known, too: when the device is broken, the
 * driver gets them back, with a length of 0.
 */
#include <linux/bitmap.h>
#include <linux/if_vlan.h>
#include <linux/log2.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/virtio_byteorder.h>
#include <linux/virtio_ring.h>
#include <uapi/linux/virtio_config.h>
#include <uapi/linux/virtio_ids.h>
#include <uapi/linux/virtio_net.h>

#include "vduse.h"

/* The largest frame that virtio_net can take, with its header */
#define VDUSE_FRAME_MAX	(sizeof(struct virtio_net_hdr_mrg_rxbuf) + \
			 VLAN_ETH_HLEN + ETH_MAX_MTU)

/**
 * struct vduse_ring - the two copies of a ring
 * @bounce: the bounce pages of the device
 * @le: fields are little-endian; else they are in the CPU's byte order
 * @num: size of the virtqueue, a power of 2
 * @avail: next index of the available ring to copy
 * @used: next index of the used ring to copy
 * @broken: the daemon's copy isn't used any more
 * @len_max: how many bytes the device may write to a buffer
 * @drv: the driver's copy
 * @dmn: the daemon's copy, which can change at any time
 * @busy: buffers that the daemon has, by their heads
 * @len: how many bytes the device can write to them, by their heads
 *
 * &vduse_vq.kick_lock protects all of it.
 */
struct vduse_ring {
	struct vduse_bounce *bounce;
	bool le;
	u16 num;
	u16 avail;
	u16 used;
	bool broken;
	u32 len_max;
	struct vring drv;
	struct vring dmn;
	unsigned long *busy;
	u32 len[];
};

static u16 to_cpu16(const struct vduse_ring *ring, __virtio16 val)
{
	return __virtio16_to_cpu(ring->le, val);
}

static u32 to_cpu32(const struct vduse_ring *ring, __virtio32 val)
{
	return __virtio32_to_cpu(ring->le, val);
}

static __virtio16 to_virtio16(const struct vduse_ring *ring, u16 val)
{
	return __cpu_to_virtio16(ring->le, val);
}

/**
 * vduse_ring_alloc - find the two copies of a ring that the driver has set up
 * @dev: the device
 * @vq: the virtqueue; the caller holds &vduse_dev.vq_lock
 *
 * Return: the ring, or an ERR_PTR(): -EINVAL if the virtqueue isn't in memory that
 * was allocated with the DMA API, or not a valid split one, or has a size that
 * the driver can't do with; -ENOMEM.
 */
struct vduse_ring *vduse_ring_alloc(struct vduse_dev *dev,
				    const struct vduse_vq *vq)
{
	struct vduse_bounce *bounce = dev->bounce;
	struct vduse_ring *ring;

	lockdep_assert_held(&dev->vq_lock);

	if (!is_power_of_2(vq->num) || vq->num > vq->num_max ||
	    !vduse_vq_num_ok(dev, vq->num))
		return ERR_PTR(-EINVAL);

	ring = kvzalloc(struct_size(ring, len, vq->num), GFP_KERNEL);
	if (!ring)
		return ERR_PTR(-ENOMEM);
	ring->busy = bitmap_zalloc(vq->num, GFP_KERNEL);
	if (!ring->busy) {
		kvfree(ring);
		return ERR_PTR(-ENOMEM);
	}

	ring->bounce = bounce;
	ring->le = virtio_legacy_is_little_endian() ||
		   dev->driver_features & BIT_ULL(VIRTIO_F_VERSION_1);
	ring->num = vq->num;
	/* virtio_net has room for more than it can put into a socket buffer */
	ring->len_max = dev->device_id == VIRTIO_ID_NET ? VDUSE_FRAME_MAX : U32_MAX;
	ring->drv.num = vq->num;
	ring->dmn.num = vq->num;
	ring->drv.desc = vduse_bounce_ring(bounce, vq->desc_addr,
					   vq->num * sizeof(struct vring_desc),
					   (void **)&ring->dmn.desc);
	/* With the event index behind the ring */
	ring->drv.avail = vduse_bounce_ring(bounce, vq->driver_addr,
					    struct_size(ring->drv.avail, ring,
							vq->num + 1),
					    (void **)&ring->dmn.avail);
	ring->drv.used = vduse_bounce_ring(bounce, vq->device_addr,
					   struct_size(ring->drv.used, ring,
						       vq->num) + sizeof(u16),
					   (void **)&ring->dmn.used);
	if (!ring->drv.desc || !ring->drv.avail || !ring->drv.used) {
		vduse_ring_free(ring);
		return ERR_PTR(-EINVAL);
	}

	return ring;
}

/**
 * vduse_ring_free - forget a ring
 * @ring: the ring, or NULL
 */
void vduse_ring_free(struct vduse_ring *ring)
{
	if (!ring)
		return;

	bitmap_free(ring->busy);
	kvfree(ring);
}

/* How many bytes a device can write to the buffers of a table */
static u32 vduse_ring_room(const struct vduse_ring *ring,
			   const struct vring_desc *desc, u32 num, u16 i)
{
	u32 room = 0;
	u16 flags;

	/* The driver's tables have no loops; don't depend on it */
	for (; num; num--) {
		flags = to_cpu16(ring, desc[i].flags);
		if (flags & VRING_DESC_F_WRITE)
			room += to_cpu32(ring, desc[i].len);
		if (!(flags & VRING_DESC_F_NEXT))
			break;
		i = to_cpu16(ring, desc[i].next);
	}

	return room;
}

/* Copy the descriptors of a buffer. Returns how many bytes can be written. */
static u32 vduse_ring_copy(struct vduse_ring *ring, u16 head)
{
	const struct vring_desc *desc = ring->drv.desc;
	const struct vring_desc *table;
	u32 n = ring->num;
	size_t size = 0;
	u16 i = head;

	ring->dmn.desc[i] = desc[i];
	if (to_cpu16(ring, desc[i].flags) & VRING_DESC_F_INDIRECT) {
		/* The table is a buffer: it has been copied to bounce pages */
		table = vduse_bounce_orig(ring->bounce,
					  __virtio64_to_cpu(ring->le, desc[i].addr),
					  &size);
		if (!table)
			return 0;
		return vduse_ring_room(ring, table, size / sizeof(*table), 0);
	}

	while (--n && to_cpu16(ring, desc[i].flags) & VRING_DESC_F_NEXT) {
		i = to_cpu16(ring, desc[i].next) & (ring->num - 1);
		ring->dmn.desc[i] = desc[i];
	}

	return vduse_ring_room(ring, desc, ring->num, head);
}

/* Take over what the driver has made available. */
static void vduse_ring_take(struct vduse_ring *ring)
{
	u16 idx, head, slot;

	do {
		idx = to_cpu16(ring, READ_ONCE(ring->drv.avail->idx));
		/* Entries are written before the index */
		smp_rmb();
		for (; ring->avail != idx; ring->avail++) {
			slot = ring->avail & (ring->num - 1);
			head = to_cpu16(ring, ring->drv.avail->ring[slot]) &
			       (ring->num - 1);
			if (!ring->broken) {
				ring->len[head] = min(vduse_ring_copy(ring, head),
						      ring->len_max);
				ring->dmn.avail->ring[slot] =
					to_virtio16(ring, head);
			}
			__set_bit(head, ring->busy);
		}
		/* Kick again when there is another */
		vring_avail_event(&ring->drv) = to_virtio16(ring, idx);
		/* The driver writes the index before it reads the event */
		smp_mb();
	} while (to_cpu16(ring, READ_ONCE(ring->drv.avail->idx)) != idx);
}

/**
 * vduse_ring_kick - give the daemon what the driver has made available
 * @ring: the ring
 */
void vduse_ring_kick(struct vduse_ring *ring)
{
	if (ring->broken)
		return;

	vduse_ring_take(ring);
	/* Entries are written before the index */
	smp_wmb();
	WRITE_ONCE(ring->dmn.avail->idx, to_virtio16(ring, ring->avail));
}

static void vduse_ring_put(struct vduse_ring *ring, u16 slot, u32 head, u32 len)
{
	struct vring_used_elem *elem = &ring->drv.used->ring[slot];

	elem->id = __cpu_to_virtio32(ring->le, head);
	elem->len = __cpu_to_virtio32(ring->le, len);
	__clear_bit(head, ring->busy);
}

/* Give the driver the used buffers up to @idx. */
static bool vduse_ring_use_to(struct vduse_ring *ring, u16 idx)
{
	struct vring_used_elem elem;
	u32 head, len;
	u16 slot;

	if ((u16)(idx - ring->used) > ring->num)
		return false;

	for (; ring->used != idx; ring->used++) {
		slot = ring->used & (ring->num - 1);
		elem.id = READ_ONCE(ring->dmn.used->ring[slot].id);
		elem.len = READ_ONCE(ring->dmn.used->ring[slot].len);
		head = to_cpu32(ring, elem.id);
		len = to_cpu32(ring, elem.len);
		if (head >= ring->num)
			return false;
		head = array_index_nospec(head, ring->num);
		if (!test_bit(head, ring->busy) || len > ring->len[head])
			return false;
		vduse_ring_put(ring, slot, head, len);
	}
	/* Entries are written before the index */
	smp_wmb();
	WRITE_ONCE(ring->drv.used->idx, to_virtio16(ring, ring->used));

	return true;
}

/**
 * vduse_ring_use - give the driver what the daemon has used
 * @ring: the ring
 *
 * Return: false if the daemon has used what it doesn't have, or more than there
 * is room for: the device has to be broken.
 */
bool vduse_ring_use(struct vduse_ring *ring)
{
	unsigned int tries = ring->num;
	u16 idx;

	if (ring->broken)
		return true;

	/* A daemon that goes on using buffers notifies for the others */
	do {
		idx = to_cpu16(ring, READ_ONCE(ring->dmn.used->idx));
		/* Entries are read after the index */
		smp_rmb();
		if (!vduse_ring_use_to(ring, idx))
			return false;
		/* Notify again when there is another */
		WRITE_ONCE(vring_used_event(&ring->dmn), to_virtio16(ring, idx));
		/* The daemon writes the index before it reads the event */
		smp_mb();
	} while (to_cpu16(ring, READ_ONCE(ring->dmn.used->idx)) != idx && --tries);

	return true;
}

/**
 * vduse_ring_stop - don't exchange anything with the daemon any more
 * @ring: the ring
 *
 * What the driver has made available up to now is what vduse_ring_complete()
 * gives back.
 */
void vduse_ring_stop(struct vduse_ring *ring)
{
	ring->broken = true;
	vduse_ring_take(ring);
}

/**
 * vduse_ring_complete - give the driver its buffers back, with length 0
 * @ring: the ring, after vduse_ring_stop()
 */
void vduse_ring_complete(struct vduse_ring *ring)
{
	unsigned int head;

	for_each_set_bit(head, ring->busy, ring->num) {
		vduse_ring_put(ring, ring->used & (ring->num - 1), head, 0);
		ring->used++;
	}
	/* Entries are written before the index */
	smp_wmb();
	WRITE_ONCE(ring->drv.used->idx, to_virtio16(ring, ring->used));
}

/**
 * vduse_ring_busy - find out whether the daemon has buffers
 * @ring: the ring
 *
 * Return: true if it does.
 */
bool vduse_ring_busy(struct vduse_ring *ring)
{
	return !bitmap_empty(ring->busy, ring->num);
}

/**
 * vduse_ring_get_info - tell where a ring is
 * @ring: the ring
 * @info: its positions are filled in: what has been copied to the daemon, and to
 *	the driver
 */
void vduse_ring_get_info(const struct vduse_ring *ring,
			 struct vdpa_vq_info *info)
{
	info->avail_index = ring->avail;
	info->used_index = ring->used;
}
