// SPDX-License-Identifier: GPL-2.0
/*
 * Shared by the vDPA tests: a driver for a block device, written from the virtio specification.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vdpa_util.h"

int blk_start(struct blk *b, uint64_t features)
{
	int rc;
	unsigned int i;

	b->features = features;
	rc = dev_negotiate(b->fd, &b->features);
	b->queues = b->features & VF(VIRTIO_BLK_F_MQ) ? vdev.vqs : 1;
	if (b->queues > BLK_QUEUES)
		b->queues = BLK_QUEUES;
	if (!rc && !b->mem.va) {
		rc = area_alloc(&b->mem, DATA_IOVA, BLK_SIZE);
		if (!rc)
			rc = map(b->fd, ASID0, b->mem.iova, b->mem.size, b->mem.va,
				 VHOST_ACCESS_RW);
	}
	for (i = 0; !rc && i < b->queues; i++) {
		ring_free(&b->q[i]);
		rc = ring_init(&b->q[i], b->fd, i, 256, &b->mem, i * RING_SIZE);
		if (!rc)
			rc = ring_enable(&b->q[i], true);
	}
	if (rc)
		return rc;

	return set_status(b->fd, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

int blk_restart(struct blk *b)
{
	int rc = set_status(b->fd, 0);

	return rc ? rc : blk_start(b, b->features);
}

void blk_stop(struct blk *b)
{
	int i;

	set_status(b->fd, 0);
	for (i = 0; i < BLK_QUEUES; i++)
		ring_free(&b->q[i]);
	close(b->fd);
	b->fd = -1;
	area_free(&b->mem);
}

uint8_t *blk_mem(const struct blk *b, size_t offset)
{
	return (uint8_t *)b->mem.va + offset;
}

static bool is_input(uint32_t type)
{
	return type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
}

int blk_layout(struct blk *b, int n, uint32_t type, uint64_t sector, size_t offset, uint32_t len,
	       struct seg *seg)
{
	struct virtio_blk_outhdr *hdr = (void *)blk_mem(b, BLK_HDR(n));
	int i = 0;

	*hdr = (struct virtio_blk_outhdr) { .type = type, .sector = sector };
	*blk_mem(b, BLK_STATUS(n)) = 0x5a;
	seg[i++] = (struct seg) { b->mem.iova + BLK_HDR(n), sizeof(*hdr), false };
	if (len)
		seg[i++] = (struct seg) { b->mem.iova + offset, len, is_input(type) };
	seg[i++] = (struct seg) { b->mem.iova + BLK_STATUS(n), 1, true };

	return i;
}

int blk_req(struct blk *b, int queue, uint32_t type, uint64_t sector, size_t offset, uint32_t len)
{
	struct ring *r = &b->q[queue];
	uint32_t id, used, want = 1;
	uint16_t head;
	struct seg seg[3];
	int rc;

	head = ring_add(r, seg, blk_layout(b, queue, type, sector, offset, len, seg));
	ring_kick(r);
	rc = ring_wait(r, WAIT_MS, &id, &used);
	if (rc)
		return rc;
	rc = *blk_mem(b, BLK_STATUS(queue));
	if (is_input(type) && rc == VIRTIO_BLK_S_OK)
		want += type == VIRTIO_BLK_T_GET_ID && len > VIRTIO_BLK_ID_BYTES ?
			VIRTIO_BLK_ID_BYTES : len;

	/* The length says what has been written, and nothing else is. */
	return id == head && used == want ? rc : -EPROTO;
}

int blk_read(struct blk *b, uint64_t sector, size_t offset, uint32_t len)
{
	return blk_req(b, 0, VIRTIO_BLK_T_IN, sector, offset, len);
}

int blk_write(struct blk *b, uint64_t sector, size_t offset, uint32_t len)
{
	return blk_req(b, 0, VIRTIO_BLK_T_OUT, sector, offset, len);
}

int blk_range(struct blk *b, uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes *range = (void *)blk_mem(b, BLK_DATA - 0x1000);

	*range = (struct virtio_blk_discard_write_zeroes) { sector, sectors, flags };

	return blk_req(b, 0, type, 0, BLK_DATA - 0x1000, sizeof(*range));
}

static uint32_t pattern(uint32_t seed, size_t i)
{
	return (seed + i) * 2654435761U;
}

void blk_fill(void *va, size_t len, uint32_t seed)
{
	uint32_t *p = va;
	size_t i;

	for (i = 0; i < len / sizeof(*p); i++)
		p[i] = pattern(seed, i);
}

bool blk_filled(const void *va, size_t len, uint32_t seed)
{
	const uint32_t *p = va;
	size_t i;

	for (i = 0; i < len / sizeof(*p) && p[i] == pattern(seed, i); i++)
		;

	return i == len / sizeof(*p);
}
