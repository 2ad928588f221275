// SPDX-License-Identifier: GPL-2.0
/*
 * A block device: requests in every layout, refused ones, several virtqueues, and malformed rings.
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "vdpa_util.h"
#include "harness.h"

/* A second place for data, behind a MiB. */
#define BLK_OTHER	(BLK_DATA + 0x110000)
#define MIB		0x100000

/* The machine's header may have more fields than the device. */
static int get_config(int fd, struct virtio_blk_config *config)
{
	struct {
		uint32_t off, len;
		struct virtio_blk_config config;
	} c = { 0 };
	uint32_t size = 0;
	int rc = io(fd, GET_CONFIG_SIZE, &size);

	c.len = size < sizeof(c.config) ? size : sizeof(c.config);
	if (!rc)
		rc = io(fd, VHOST_VDPA_GET_CONFIG, &c);

	*config = c.config;

	return rc;
}

FIXTURE(blk) {
	struct blk b;
	struct virtio_blk_config config;
};

FIXTURE_VARIANT(blk) {
	bool batch_mapping;
};

FIXTURE_VARIANT_ADD(blk, incremental) {
	.batch_mapping = false,
};

FIXTURE_VARIANT_ADD(blk, whole_table) {
	.batch_mapping = true,
};

FIXTURE_SETUP(blk) {
	self->b.fd = GET_DEV(.batch_mapping = variant->batch_mapping, .blk = true,
			     .features = BLK_FEATURES);
	ASSERT_LE(0, self->b.fd);
	ASSERT_EQ(0, blk_start(&self->b, BLK_FEATURES));
	ASSERT_EQ(0, get_config(self->b.fd, &self->config));
}

FIXTURE_TEARDOWN(blk) {
	blk_stop(&self->b);
	sim_del(TEST_DEV);
}

/* Fills memory and writes it to the disk; reads it back: 1 if it is the same. */
static int put(struct blk *b, uint64_t sector, uint32_t len, uint32_t seed)
{
	blk_fill(blk_mem(b, BLK_DATA), len, seed);

	return blk_write(b, sector, BLK_DATA, len);
}

static int has(struct blk *b, uint64_t sector, uint32_t len, uint32_t seed)
{
	int rc;

	memset(blk_mem(b, BLK_OTHER), 0xee, len + 1);
	rc = blk_read(b, sector, BLK_OTHER, len);

	return rc ? -rc : blk_filled(blk_mem(b, BLK_OTHER), len, seed) &&
			  blk_mem(b, BLK_OTHER)[len] == 0xee;
}

static int has_zeroes(struct blk *b, uint64_t sector, uint32_t len)
{
	uint32_t i;
	int rc;

	memset(blk_mem(b, BLK_OTHER), 0xee, len);
	rc = blk_read(b, sector, BLK_OTHER, len);
	for (i = 0; !rc && i < len && !blk_mem(b, BLK_OTHER)[i]; i++)
		;

	return rc ? -rc : i == len;
}

TEST_F(blk, config)
{
	static const struct virtio_blk_config want = {
		.capacity = 128 << 11, .size_max = 0x10000, .seg_max = 254, .blk_size = 512,
		.physical_block_exp = 3, .min_io_size = 8, .opt_io_size = 8, .num_queues = 4,
		.max_discard_sectors = 8192, .max_discard_seg = 16, .discard_sector_alignment = 8,
		.max_write_zeroes_sectors = 8192, .max_write_zeroes_seg = 16,
		.write_zeroes_may_unmap = 1,
	};
	uint32_t id = 0, size = 0;

	EXPECT_EQ(0, io(self->b.fd, VHOST_VDPA_GET_DEVICE_ID, &id));
	EXPECT_EQ(VIRTIO_ID_BLOCK, id);
	ONLY_FOR(sim_is_default(), "each device has its own answer");
	EXPECT_EQ(0, io(self->b.fd, GET_CONFIG_SIZE, &size));
	EXPECT_EQ(60, size);
	EXPECT_EQ(0, memcmp(&want, &self->config, sizeof(want)));
	EXPECT_EQ(4, vdev.vqs);
	EXPECT_EQ(1, vdev.groups);
	EXPECT_EQ(1, vdev.as);
}

/* What "vdpa dev config show" is told. */
TEST_F(blk, shown)
{
	static const struct attr name = { ATTR_DEV_NAME, TEST_DEV, sizeof(TEST_DEV) };
	static const struct {
		int type, size;
		uint64_t value;
	} want[] = {
		{ ATTR_BLK_CAPACITY, 8, 128 << 11 }, { ATTR_BLK_SIZE_MAX, 4, 0x10000 },
		{ ATTR_BLK_BLK_SIZE, 4, 512 }, { ATTR_BLK_SEG_MAX, 4, 254 },
		{ ATTR_BLK_NUM_QUEUES, 2, 4 }, { ATTR_BLK_PHY_BLK_EXP, 1, 3 },
		{ ATTR_BLK_ALIGN_OFFSET, 1, 0 }, { ATTR_BLK_MIN_IO_SIZE, 2, 8 },
		{ ATTR_BLK_OPT_IO_SIZE, 4, 8 }, { ATTR_BLK_MAX_DISCARD_SEC, 4, 8192 },
		{ ATTR_BLK_MAX_DISCARD_SEG, 4, 16 }, { ATTR_BLK_DISCARD_SEC_ALIGN, 4, 8 },
		{ ATTR_BLK_MAX_WRITE_ZEROES_SEC, 4, 8192 },
		{ ATTR_BLK_MAX_WRITE_ZEROES_SEG, 4, 16 }, { ATTR_BLK_READ_ONLY, 1, 0 },
		{ ATTR_BLK_FLUSH, 1, 1 },
	};
	uint16_t mtu;
	size_t i;

	ONLY_FOR(sim_is_default(), "each device has its own answer");
	for (i = 0; i < ARRAY_LEN(want); i++) {
		uint64_t value = 0;

		EXPECT_EQ(0, vdpa_ask(CMD_DEV_CONFIG_GET, &name, 1, want[i].type, &value,
				      want[i].size))
			TH_LOG("attribute %d", want[i].type);
		EXPECT_EQ(want[i].value, value)
			TH_LOG("attribute %d", want[i].type);
	}
	EXPECT_EQ(-ENOENT, vdpa_ask(CMD_DEV_CONFIG_GET, &name, 1, ATTR_NET_MTU, &mtu, sizeof(mtu)));
}

TEST_F(blk, sizes)
{
	static const uint32_t sizes[] = { 512, 1024, 3584, 4096, 4608, 65536, 0x1f200, MIB };
	const uint64_t end = self->config.capacity;
	size_t i, k;

	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		const uint32_t n = sizes[i] / SECTOR;
		const uint64_t at[] = { 0, 1, 7, 8, 12345, end - n };

		for (k = 0; k < ARRAY_LEN(at); k++) {
			ASSERT_EQ(0, put(&self->b, at[k], sizes[i], i + k))
				TH_LOG("%u bytes at %llu", sizes[i], (unsigned long long)at[k]);
			ASSERT_EQ(1, has(&self->b, at[k], sizes[i], i + k))
				TH_LOG("%u bytes at %llu", sizes[i], (unsigned long long)at[k]);
		}
	}
	EXPECT_EQ(0, blk_req(&self->b, 0, VIRTIO_BLK_T_FLUSH, 0, 0, 0));
	EXPECT_EQ(0, blk_write(&self->b, 0, 0, 0));
	EXPECT_EQ(0, blk_read(&self->b, end, 0, 0));
}

/* The sectors before and after what is written stay as they are. */
TEST_F(blk, neighbours)
{
	int n, at;

	for (at = 0; at < 20; at++) {
		for (n = 1; n < 20; n += 6) {
			ASSERT_EQ(0, put(&self->b, 0, 64 * SECTOR, 1));
			blk_fill(blk_mem(&self->b, BLK_DATA), n * SECTOR, 2);
			ASSERT_EQ(0, blk_write(&self->b, 10 + at, BLK_DATA, n * SECTOR));
			ASSERT_EQ(1, has(&self->b, 0, (10 + at) * SECTOR, 1));
			ASSERT_EQ(1, has(&self->b, 10 + at, n * SECTOR, 2));
			ASSERT_EQ(1, has(&self->b, 10 + at + n, (54 - at - n) * SECTOR,
					 1 + (10 + at + n) * SECTOR / 4));
		}
	}
}

/* Appends @len bytes at @offset in pieces. */
static int pieces(const struct blk *b, struct seg *seg, size_t offset, size_t len, size_t piece,
		  bool write)
{
	size_t done;
	int n = 0;

	for (done = 0; done < len; done += seg[n++].len)
		seg[n] = (struct seg) {
			b->mem.iova + offset + done, len - done < piece ? len - done : piece, write
		};

	return n;
}

/*
 * A request of 4 KiB with the header in front of the data and the status behind it, cut into
 * pieces anyhow: the status, or a negative errno.
 */
static int in_pieces(struct blk *b, uint32_t type, size_t header, size_t data)
{
	struct virtio_blk_outhdr *hdr = (void *)blk_mem(b, BLK_DATA);
	size_t at = BLK_DATA + sizeof(*hdr);
	bool in = type == VIRTIO_BLK_T_IN;
	struct seg seg[256];
	uint32_t used = 0;
	int n, rc;

	*hdr = (struct virtio_blk_outhdr) { .type = type, .sector = 3 };
	*blk_mem(b, at + 4096) = 0x5a;
	if (in) {
		n = pieces(b, seg, BLK_DATA, sizeof(*hdr), header, false);
		n += pieces(b, seg + n, at, 4096 + 1, data, true);
	} else {
		/* The first data is in a descriptor with the last of the header. */
		n = pieces(b, seg, BLK_DATA, sizeof(*hdr) + 4096, data, false);
		n += pieces(b, seg + n, at + 4096, 1, 1, true);
	}
	ring_add(&b->q[0], seg, n);
	ring_kick(&b->q[0]);
	rc = ring_wait(&b->q[0], WAIT_MS, NULL, &used);
	if (rc)
		return rc;

	return used == (in ? 4097 : 1) ? *blk_mem(b, at + 4096) : -EPROTO;
}

TEST_F(blk, layouts)
{
	static const size_t header[] = { 16, 15, 8, 5, 1 };
	static const size_t data[] = { 8192, 4096, 4095, 512, 100, 33, 18 };
	uint8_t *at = blk_mem(&self->b, BLK_DATA + sizeof(struct virtio_blk_outhdr));
	size_t i, k;

	for (k = 0; k < ARRAY_LEN(data); k++) {
		blk_fill(at, 4096, k);
		ASSERT_EQ(0, in_pieces(&self->b, VIRTIO_BLK_T_OUT, 16, data[k]))
			TH_LOG("data in %zu", data[k]);
		ASSERT_EQ(1, has(&self->b, 3, 4096, k));
		for (i = 0; i < ARRAY_LEN(header); i++) {
			memset(at, 0, 4096);
			ASSERT_EQ(0, in_pieces(&self->b, VIRTIO_BLK_T_IN, header[i], data[k]))
				TH_LOG("header in %zu, data in %zu", header[i], data[k]);
			ASSERT_TRUE(blk_filled(at, 4096, k));
		}
	}
}

/* Descriptors without bytes mean nothing, wherever they are. */
TEST_F(blk, empty_descriptors)
{
	struct seg seg[9], part[3];
	struct blk *b = &self->b;
	uint32_t used = 0;
	int i, k, n;

	ASSERT_EQ(0, put(b, 0, 4096, 7));
	n = blk_layout(b, 0, VIRTIO_BLK_T_IN, 0, BLK_OTHER, 4096, part);
	for (i = 0, k = 0; i < n; i++) {
		seg[k++] = (struct seg) { part[i].iova, 0, part[i].write };
		seg[k++] = part[i];
		seg[k++] = (struct seg) { 0, 0, part[i].write };
	}
	memset(blk_mem(b, BLK_OTHER), 0, 4096);
	ring_add(&b->q[0], seg, k);
	ring_kick(&b->q[0]);
	ASSERT_EQ(0, ring_wait(&b->q[0], WAIT_MS, NULL, &used));
	EXPECT_EQ(4097, used);
	EXPECT_EQ(0, *blk_mem(b, BLK_STATUS(0)));
	EXPECT_TRUE(blk_filled(blk_mem(b, BLK_OTHER), 4096, 7));
}

/* As many segments, each as large, as the device says. One sector more is too much. */
TEST_F(blk, largest)
{
	const uint32_t size = self->config.size_max, n = self->config.seg_max;
	struct blk *b = &self->b;
	struct seg seg[256];
	struct area a;
	uint32_t i;
	int type;

	ASSERT_EQ(0x10000, size);
	ASSERT_EQ(254, n);
	ASSERT_EQ(0, area_alloc(&a, 0x70000000, (size_t)(n + 1) * size));
	ASSERT_EQ(0, map(b->fd, ASID0, a.iova, a.size, a.va, VHOST_ACCESS_RW));
	for (type = VIRTIO_BLK_T_OUT; type >= VIRTIO_BLK_T_IN; type--) {
		if (type == VIRTIO_BLK_T_OUT)
			blk_fill(a.va, a.size, 9);
		else
			memset(a.va, 0, a.size);
		blk_layout(b, 0, type, 1, 0, 512, seg);
		seg[n + 1] = seg[2];
		for (i = 0; i < n; i++)
			seg[i + 1] = (struct seg) {
				a.iova + i * size, size, type == VIRTIO_BLK_T_IN
			};
		ring_add(&b->q[0], seg, n + 2);
		ring_kick(&b->q[0]);
		ASSERT_EQ(0, ring_wait(&b->q[0], WAIT_MS, NULL, NULL));
		EXPECT_EQ(0, *blk_mem(b, BLK_STATUS(0)));
		EXPECT_TRUE(blk_filled(a.va, (size_t)n * size, 9));

		/* This one would change what was written. */
		memset(a.va, 0xee, a.size);
		*blk_mem(b, BLK_STATUS(0)) = 0x5a;
		seg[n].len += SECTOR;
		ring_add(&b->q[0], seg, n + 2);
		ring_kick(&b->q[0]);
		ASSERT_EQ(0, ring_wait(&b->q[0], WAIT_MS, NULL, NULL));
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, *blk_mem(b, BLK_STATUS(0)));
		EXPECT_EQ(0xee, ((uint8_t *)a.va)[0]);
	}
	area_free(&a);
}

TEST_F(blk, indirect_tables)
{
	static const int entries[] = { 3, 200, 256, 257, 1024 };
	struct blk *b = &self->b;
	struct vring_desc *table = (void *)blk_mem(b, BLK_OTHER);
	struct ring *r = &b->q[0];
	struct seg seg[3];
	int i, n, type;
	size_t k;

	NEED(vdev.features & VF(VIRTIO_RING_F_INDIRECT_DESC), "the device has no indirect tables");
	ASSERT_EQ(0, set_status(b->fd, 0));
	ASSERT_EQ(0, blk_start(b, BLK_FEATURES | VF(VIRTIO_RING_F_INDIRECT_DESC)));
	for (k = 0; k < ARRAY_LEN(entries); k++) {
		n = entries[k];
		for (type = VIRTIO_BLK_T_OUT; type >= VIRTIO_BLK_T_IN; type--) {
			blk_layout(b, 0, type, 17, BLK_DATA, 512, seg);
			for (i = 0; i < n; i++) {
				struct seg *s = &seg[i == 0 ? 0 : i == n - 1 ? 2 : 1];

				table[i] = (struct vring_desc) {
					s->iova, s->len, (s->write ? VRING_DESC_F_WRITE : 0) |
					(i < n - 1 ? VRING_DESC_F_NEXT : 0), i + 1
				};
				if (s == &seg[1])
					s->iova += SECTOR;
			}
			if (type == VIRTIO_BLK_T_OUT)
				blk_fill(blk_mem(b, BLK_DATA), (n - 2) * SECTOR, k);
			else
				memset(blk_mem(b, BLK_DATA), 0, (n - 2) * SECTOR);
			r->desc[0] = (struct vring_desc) {
				b->mem.iova + BLK_OTHER, n * sizeof(*table),
				VRING_DESC_F_INDIRECT, 0
			};
			ring_post(r, 0);
			ring_kick(r);
			ASSERT_EQ(0, ring_wait(r, WAIT_MS, NULL, NULL))
				TH_LOG("%d entries", n);
			EXPECT_EQ(0, *blk_mem(b, BLK_STATUS(0)));
		}
		EXPECT_TRUE(blk_filled(blk_mem(b, BLK_DATA), (n - 2) * SECTOR, k));
	}
}

/* What is changed if one of the requests isn't refused. */
#define KEPT	0x20000

static void keep(struct __test_metadata *_metadata, struct blk *b, uint64_t end)
{
	ASSERT_EQ(0, put(b, 0, KEPT, 1));
	ASSERT_EQ(0, put(b, end - KEPT / SECTOR, KEPT, 2));
	memset(blk_mem(b, BLK_DATA), 0xee, MIB);
}

static void kept(struct __test_metadata *_metadata, struct blk *b, uint64_t end)
{
	EXPECT_EQ(1, has(b, 0, KEPT, 1));
	EXPECT_EQ(1, has(b, end - KEPT / SECTOR, KEPT, 2));
	EXPECT_EQ(15, get_status(b->fd));
}

TEST_F(blk, out_of_range)
{
	const uint64_t end = self->config.capacity;
	const struct {
		uint64_t sector;
		uint32_t len;
	} bad[] = {
		{ end, 512 }, { end - 1, 1024 }, { end - 255, MIB }, { end + 1, 512 },
		{ ~0ULL, 512 }, { ~0ULL, 1024 }, { 1ULL << 55, 512 }, { 1ULL << 63, 512 },
		{ (1ULL << 55) + 1, 4096 }, { ~0ULL - 7, 8192 }, { ~0ULL >> 9, 1024 },
		{ 0, 1 }, { 0, 511 }, { 0, 513 }, { 0, 4095 }, { end, 1 },
	};
	size_t i, k;

	keep(_metadata, &self->b, end);
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(VIRTIO_BLK_S_IOERR,
			  blk_write(&self->b, bad[i].sector, BLK_DATA, bad[i].len))
			TH_LOG("%u bytes at %#llx", bad[i].len, (unsigned long long)bad[i].sector);
		EXPECT_EQ(VIRTIO_BLK_S_IOERR,
			  blk_read(&self->b, bad[i].sector, BLK_DATA, bad[i].len));
		for (k = 0; k < bad[i].len && blk_mem(&self->b, BLK_DATA)[k] == 0xee; k++)
			;
		EXPECT_EQ(bad[i].len, k);
		/* The number of sectors fits even if they don't. */
		if (bad[i].len % SECTOR == 0) {
			EXPECT_EQ(VIRTIO_BLK_S_IOERR,
				  blk_range(&self->b, VIRTIO_BLK_T_DISCARD, bad[i].sector,
					    bad[i].len / SECTOR, 0));
			EXPECT_EQ(VIRTIO_BLK_S_IOERR,
				  blk_range(&self->b, VIRTIO_BLK_T_WRITE_ZEROES, bad[i].sector,
					    bad[i].len / SECTOR, 0));
		}
	}
	kept(_metadata, &self->b, end);
}

TEST_F(blk, unknown_types)
{
	static const uint32_t types[] = {
		2, 3, 5, 6, 7, 9, 10, 12, 14, 15, 16, 0x100, 0x10000, 0x80000000, 0x80000001,
		0xffffffff,
	};
	size_t i;

	keep(_metadata, &self->b, self->config.capacity);
	for (i = 0; i < ARRAY_LEN(types); i++) {
		EXPECT_EQ(VIRTIO_BLK_S_UNSUPP,
			  blk_req(&self->b, 0, types[i], 0, BLK_DATA, 4096))
			TH_LOG("type %#x", types[i]);
	}
	kept(_metadata, &self->b, self->config.capacity);
}

TEST_F(blk, not_negotiated)
{
	struct blk *b = &self->b;
	const uint64_t end = self->config.capacity;

	ASSERT_EQ(0, set_status(b->fd, 0));
	ASSERT_EQ(0, blk_start(b, VF(VIRTIO_F_VERSION_1) | VF(VIRTIO_F_ACCESS_PLATFORM)));
	keep(_metadata, b, end);
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, blk_req(b, 0, VIRTIO_BLK_T_FLUSH, 0, 0, 0));
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, blk_range(b, VIRTIO_BLK_T_DISCARD, 0, 8, 0));
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, blk_range(b, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0));
	kept(_metadata, b, end);
}

TEST_F(blk, bad_ranges)
{
	const uint32_t max = self->config.max_discard_sectors;
	const uint32_t n = self->config.max_discard_seg, one = 16;
	static const uint32_t types[] = { VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };
	struct virtio_blk_discard_write_zeroes *r = (void *)blk_mem(&self->b, BLK_DATA);
	const uint64_t end = self->config.capacity;
	struct blk *b = &self->b;
	const uint32_t lens[] = { 0, 1, one - 1, one + 1, 2 * one - 1, (n + 1) * one, MIB };
	size_t i, k;
	uint32_t j;

	keep(_metadata, b, end);
	for (k = 0; k < ARRAY_LEN(types); k++) {
		for (i = 0; i <= n; i++)
			r[i] = (struct virtio_blk_discard_write_zeroes) { 0, 8, 0 };
		for (i = 0; i < ARRAY_LEN(lens); i++) {
			EXPECT_EQ(VIRTIO_BLK_S_IOERR,
				  blk_req(b, 0, types[k], 0, BLK_DATA, lens[i]))
				TH_LOG("%u bytes", lens[i]);
		}
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, blk_range(b, types[k], 0, max + 1, 0));
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, blk_range(b, types[k], 0, ~0U, 0));
		for (j = types[k] == VIRTIO_BLK_T_DISCARD ? 1 : 2; j; j <<= 1) {
			EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, blk_range(b, types[k], 0, 8, j))
				TH_LOG("flags %#x", j);
		}
		/* None of several is done if one can't be. */
		r[n - 1].sector = end;
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, blk_req(b, 0, types[k], 0, BLK_DATA, n * one));
		r[n - 1] = (struct virtio_blk_discard_write_zeroes) { 0, 8, 0x10 };
		EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, blk_req(b, 0, types[k], 0, BLK_DATA, n * one));
	}
	kept(_metadata, b, end);
}

TEST_F(blk, short_headers)
{
	struct blk *b = &self->b;
	struct seg seg[3];
	uint32_t len, used;
	int n, from;

	keep(_metadata, b, self->config.capacity);
	for (len = 0; len < 16; len++) {
		/* Also with no device-readable part at all. */
		for (from = 0; from < 2; from++) {
			n = blk_layout(b, 0, VIRTIO_BLK_T_IN, 0, BLK_DATA, 4096, seg);
			seg[0].len = len;
			ring_add(&b->q[0], seg + from, n - from);
			ring_kick(&b->q[0]);
			ASSERT_EQ(0, ring_wait(&b->q[0], WAIT_MS, NULL, &used));
			EXPECT_EQ(VIRTIO_BLK_S_IOERR, *blk_mem(b, BLK_STATUS(0)));
			EXPECT_EQ(1, used);
		}
	}
	kept(_metadata, b, self->config.capacity);
}

/* There is no answer then; but the buffer comes back, and nothing has been done. */
TEST_F(blk, no_room_for_the_status)
{
	struct blk *b = &self->b;
	uint32_t used = 1;
	struct seg seg[3];
	int empty;

	keep(_metadata, b, self->config.capacity);
	for (empty = 0; empty < 2; empty++) {
		blk_layout(b, 0, VIRTIO_BLK_T_OUT, 0, BLK_DATA, 4096, seg);
		seg[2].len = 0;
		ring_add(&b->q[0], seg, 2 + empty);
		ring_kick(&b->q[0]);
		ASSERT_EQ(0, ring_wait(&b->q[0], WAIT_MS, NULL, &used));
		EXPECT_EQ(0, used);
	}
	kept(_metadata, b, self->config.capacity);
}

TEST_F(blk, id)
{
	char *at = (char *)blk_mem(&self->b, BLK_DATA);
	uint32_t len;

	for (len = 1; len < 100; len += 3) {
		memset(at, 0xee, 100);
		ASSERT_EQ(0, blk_req(&self->b, 0, VIRTIO_BLK_T_GET_ID, 0, BLK_DATA, len));
		EXPECT_EQ((char)0xee, at[len < 20 ? len : 20]);
		if (sim_is_default() && len > 20)
			EXPECT_EQ(0, memcmp(at, TEST_DEV "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20));
	}
	EXPECT_EQ(0, blk_req(&self->b, 0, VIRTIO_BLK_T_GET_ID, 0, BLK_DATA, 0));
}

TEST_F(blk, discard_and_zeroes)
{
	static const struct {
		uint32_t type, flags;
	} how[] = {
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0 },
		{ VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP },
		{ VIRTIO_BLK_T_DISCARD, 0 },
	};
	static const struct {
		uint32_t sector, sectors;
	} what[] = {
		{ 8, 8 }, { 8, 1 }, { 15, 1 }, { 15, 2 }, { 9, 6 }, { 8, 16 }, { 7, 18 }, { 1, 62 },
		{ 16, 0 },
	};
	struct blk *b = &self->b;
	size_t i, k;

	for (i = 0; i < ARRAY_LEN(how); i++) {
		/* Others' disks may keep what is discarded. */
		bool zero = how[i].type == VIRTIO_BLK_T_WRITE_ZEROES || sim_is_used();

		for (k = 0; k < ARRAY_LEN(what); k++) {
			const uint32_t at = what[k].sector, n = what[k].sectors;

			ASSERT_EQ(0, put(b, 0, 64 * SECTOR, 3));
			ASSERT_EQ(0, blk_range(b, how[i].type, at, n, how[i].flags));
			EXPECT_EQ(1, has(b, 0, at * SECTOR, 3))
				TH_LOG("case %zu, %zu", i, k);
			EXPECT_EQ(1, has(b, at + n, (64 - at - n) * SECTOR,
					 3 + (at + n) * SECTOR / 4))
				TH_LOG("case %zu, %zu", i, k);
			if (zero) {
				EXPECT_EQ(1, has_zeroes(b, at, n * SECTOR))
					TH_LOG("case %zu, %zu", i, k);
			}
		}
	}
}

static long free_pages(void)
{
	static char text[16384];
	const char *p;

	if (read_file("/proc/vmstat", text, sizeof(text)) < 0)
		return -1;
	p = strstr(text, "nr_free_pages ");

	return p ? atol(p + 14) : -1;
}

/* A disk takes memory for what is written to it, and gives it back when that is discarded. */
TEST_F(blk, memory)
{
	const int mib = 64, pages = mib * MIB / 4096;
	const uint32_t max = self->config.max_discard_sectors;
	long empty, full;
	uint32_t i;

	ONLY_FOR(sim_is_used(), "needs module parameters of the simulator");
	empty = free_pages();
	ASSERT_LT(0, empty);
	for (i = 0; i < mib; i++)
		ASSERT_EQ(0, blk_read(&self->b, i * MIB / SECTOR, BLK_DATA, MIB));
	EXPECT_GT(pages / 4, empty - free_pages());
	for (i = 0; i < mib; i++)
		ASSERT_EQ(0, put(&self->b, i * MIB / SECTOR, MIB, i));
	full = free_pages();
	EXPECT_LT(pages * 3 / 4, empty - full);
	for (i = 0; i < mib; i += 8)
		ASSERT_EQ(1, has(&self->b, i * MIB / SECTOR, MIB, i));
	for (i = 0; i < mib * (MIB / SECTOR); i += max)
		ASSERT_EQ(0, blk_range(&self->b, VIRTIO_BLK_T_DISCARD, i, max, 0));
	EXPECT_LT(pages * 3 / 4, free_pages() - full);
	EXPECT_EQ(1, has_zeroes(&self->b, 0, MIB));
}

/* The disk is the device's: it stays over a reset and another user, and no other device has it. */
TEST_F(blk, keeps_its_data)
{
	struct blk *b = &self->b, other = { 0 };

	ASSERT_EQ(0, put(b, 5, 65536, 4));
	ASSERT_EQ(0, blk_restart(b));
	EXPECT_EQ(1, has(b, 5, 65536, 4));
	blk_stop(b);
	b->fd = vdpa_open(TEST_DEV);
	ASSERT_LE(0, b->fd);
	ASSERT_EQ(0, blk_start(b, BLK_FEATURES));
	EXPECT_EQ(1, has(b, 5, 65536, 4));

	ONLY_FOR(!given_dev(), "needs a device that may be deleted");
	ASSERT_EQ(0, sim_add("ksft1", NULL, 0));
	other.fd = vdpa_open("ksft1");
	EXPECT_EQ(0, blk_start(&other, BLK_FEATURES));
	EXPECT_EQ(1, has_zeroes(&other, 5, 65536));
	EXPECT_EQ(0, put(&other, 5, 65536, 6));
	EXPECT_EQ(1, has(b, 5, 65536, 4));
	blk_stop(&other);
	EXPECT_EQ(0, sim_del("ksft1"));
}

/* Many requests on all queues at once. */
TEST_F(blk, queues)
{
	struct blk *b = &self->b;
	struct seg seg[3];
	unsigned int q;
	int i, round, type;

	NEED(b->queues >= 2, "the device has one virtqueue");
	for (round = 0; round < 10; round++) {
		for (type = VIRTIO_BLK_T_OUT; type >= VIRTIO_BLK_T_IN; type--) {
			for (i = 0; i < 32; i++) {
				for (q = 0; q < b->queues; q++) {
					int n = q * 32 + i;
					size_t at = BLK_DATA + n * 4096;

					if (type == VIRTIO_BLK_T_OUT)
						blk_fill(blk_mem(b, at), 4096, n + round);
					else
						memset(blk_mem(b, at), 0, 4096);
					ring_add(&b->q[q], seg,
						 blk_layout(b, n, type, n * 8, at, 4096, seg));
				}
			}
			for (q = 0; q < b->queues; q++)
				ring_kick(&b->q[q]);
			for (q = 0; q < b->queues; q++)
				for (i = 0; i < 32; i++)
					ASSERT_EQ(0, ring_wait(&b->q[q], WAIT_MS, NULL, NULL));
		}
		for (i = 0; i < 32 * (int)b->queues; i++) {
			ASSERT_EQ(0, *blk_mem(b, BLK_STATUS(i)));
			ASSERT_TRUE(blk_filled(blk_mem(b, BLK_DATA + i * 4096), 4096, i + round))
				TH_LOG("round %d, request %d", round, i);
		}
	}
}

/* A thread that keeps a queue filled with one request. */
struct feeder {
	struct blk *b;
	int queue;
	pthread_t thread;
	bool stop;
};

static void *feed(void *arg)
{
	struct feeder *f = arg;
	struct ring *r = &f->b->q[f->queue];

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		r->avail_idx = __atomic_load_n(&r->used->idx, __ATOMIC_SEQ_CST) + 200;
		__atomic_store_n(&r->avail->idx, r->avail_idx, __ATOMIC_SEQ_CST);
		ring_kick(r);
	}

	return NULL;
}

/* Sixteen data segments of @len bytes at @iova, all at the same place. */
static int feeder_start(struct feeder *f, struct blk *b, int queue, uint32_t type, uint64_t iova,
			uint32_t len)
{
	struct seg seg[18];
	int i;

	*f = (struct feeder) { .b = b, .queue = queue };
	blk_layout(b, 200, type, 0, BLK_DATA, len, seg);
	seg[17] = seg[2];
	for (i = 1; i < 17; i++)
		seg[i] = (struct seg) { iova, len, type == VIRTIO_BLK_T_IN };
	b->q[queue].next = 0;
	ring_add(&b->q[queue], seg, 18);
	for (i = 0; i < 256; i++)
		b->q[queue].avail->ring[i] = 0;

	return pthread_create(&f->thread, NULL, feed, f);
}

static void feeder_stop(struct feeder *f)
{
	__atomic_store_n(&f->stop, true, __ATOMIC_RELAXED);
	pthread_join(f->thread, NULL);
}

/* Large requests without end on one queue: the others go on, and the device can be stopped. */
TEST_F(blk, busy_queue_starves_nobody)
{
	struct blk *b = &self->b;
	struct feeder f;
	int i, type;

	NEED(b->queues >= 2, "the device has one virtqueue");
	NEED_SUSPEND();
	for (type = VIRTIO_BLK_T_IN; type <= VIRTIO_BLK_T_OUT; type++) {
		ASSERT_EQ(0, feeder_start(&f, b, 0, type, b->mem.iova + BLK_DATA, 65536));
		for (i = 0; i < 30; i++)
			ASSERT_EQ(0, blk_req(b, 1, VIRTIO_BLK_T_IN, 0, BLK_OTHER, 4096));
		EXPECT_EQ(0, ring_moves(&b->q[0]));
		EXPECT_EQ(0, io(b->fd, SUSPEND, NULL));
		EXPECT_EQ(0, set_status(b->fd, 0));
		feeder_stop(&f);
		ASSERT_EQ(0, blk_start(b, BLK_FEATURES));
	}
}

/* When SUSPEND has returned nothing is written any more, and the state is where the ring is. */
TEST_F(blk, suspend_when_busy)
{
	struct blk *b = &self->b;
	struct feeder f;
	int round, used;
	size_t k;

	NEED_SUSPEND();
	for (round = 0; round < 10; round++) {
		ASSERT_EQ(0, put(b, 0, MIB, round));
		ASSERT_EQ(0, feeder_start(&f, b, 0, VIRTIO_BLK_T_IN, b->mem.iova + BLK_DATA,
					  65536));
		usleep(round * 1000);
		ASSERT_EQ(0, io(b->fd, SUSPEND, NULL));
		used = __atomic_load_n(&b->q[0].used->idx, __ATOMIC_SEQ_CST);
		EXPECT_EQ(used, vring_state(b->fd, VHOST_GET_VRING_BASE, 0, 0));
		memset(blk_mem(b, BLK_DATA), 0xee, 65536);
		usleep(5000);
		for (k = 0; k < 65536 && blk_mem(b, BLK_DATA)[k] == 0xee; k++)
			;
		EXPECT_EQ(65536, k);
		EXPECT_EQ(used, __atomic_load_n(&b->q[0].used->idx, __ATOMIC_SEQ_CST));
		feeder_stop(&f);
		ASSERT_EQ(0, blk_restart(b));
	}
}

/*
 * Queues request @n of resume_when_busy, which takes the device long: 512 KiB go to one place, and
 * then 4 KiB to a place of its own. Returns its head.
 */
static uint16_t queue_long(struct blk *b, int queue, int n)
{
	struct seg part[3], seg[11];
	int i;

	blk_layout(b, n, VIRTIO_BLK_T_IN, n * 8, BLK_DATA + n * 4096, 4096, part);
	seg[0] = part[0];
	for (i = 1; i < 9; i++)
		seg[i] = (struct seg) { b->mem.iova + BLK_OTHER, 65536, true };
	seg[9] = part[1];
	seg[10] = part[2];

	return ring_add(&b->q[queue], seg, 11);
}

/* Whether nobody has written into this memory since it was filled with @byte. */
static bool untouched(const uint8_t *at, uint8_t byte, size_t len)
{
	size_t i;

	for (i = 0; i < len && at[i] == byte; i++)
		;

	return i == len;
}

/*
 * The device is suspended amid many requests on all queues. Kicks have no effect then, whether or
 * not there is something new. Resumed, it goes on where it was without another kick: each request
 * is answered once, and has the right data.
 */
TEST_F(blk, resume_when_busy)
{
	enum { LONG = 20, ROUNDS = 10 };
	struct blk *b = &self->b;
	struct seg seg[3];
	unsigned int q;
	int i, k, round, held = 0;

	NEED(b->queues >= 2, "the device has one virtqueue");
	NEED_SUSPEND();
	NEED_RESUME();
	for (round = 0; round < ROUNDS; round++) {
		uint16_t used[BLK_QUEUES], start[BLK_QUEUES];
		uint8_t wanted[BLK_QUEUES][256] = { { 0 } };
		bool early[BLK_QUEUES * LONG];
		double end;

		ASSERT_EQ(0, put(b, 0, MIB, round));
		memset(blk_mem(b, BLK_DATA), 0, MIB);
		for (q = 0; q < b->queues; q++) {
			start[q] = b->q[q].last_used;
			for (i = 0; i < LONG; i++)
				wanted[q][queue_long(b, q, q * LONG + i)]++;
		}
		for (q = 0; q < b->queues; q++)
			ring_kick(&b->q[q]);
		/* At once, or when some have been answered. */
		end = now() + (round % 2 ? WAIT_MS / 1000 : 0);
		q = round % b->queues;
		while (now() < end &&
		       __atomic_load_n(&b->q[q].used->idx, __ATOMIC_SEQ_CST) == start[q])
			;

		ASSERT_EQ(0, io(b->fd, SUSPEND, NULL));
		memset(blk_mem(b, BLK_OTHER), 0xee, 65536);
		/* A request that has been answered isn't carried out once more. */
		for (i = 0; i < (int)b->queues * LONG; i++) {
			early[i] = *blk_mem(b, BLK_STATUS(i)) != 0x5a;
			if (early[i])
				*blk_mem(b, BLK_STATUS(i)) = 0x77;
		}
		for (q = 0; q < b->queues; q++) {
			used[q] = __atomic_load_n(&b->q[q].used->idx, __ATOMIC_SEQ_CST);
			held += used[q] != b->q[q].avail_idx;
			EXPECT_EQ(used[q], vring_state(b->fd, VHOST_GET_VRING_BASE, q, 0));
			/* What comes meanwhile is a write. */
			blk_fill(blk_mem(b, BLK_DATA + (100 + q) * 4096), 4096, round + q);
			wanted[q][ring_add(&b->q[q], seg,
					   blk_layout(b, 100 + q, VIRTIO_BLK_T_OUT, 4096 + q * 8,
						      BLK_DATA + (100 + q) * 4096, 4096, seg))]++;
		}
		for (i = 0; i < 20; i++) {
			for (q = 0; q < b->queues; q++)
				ring_kick(&b->q[q]);
			usleep(1000);
		}
		EXPECT_TRUE(untouched(blk_mem(b, BLK_OTHER), 0xee, 65536));
		for (q = 0; q < b->queues; q++) {
			const int done = (uint16_t)(used[q] - start[q]);

			EXPECT_EQ(used[q], __atomic_load_n(&b->q[q].used->idx, __ATOMIC_SEQ_CST))
				TH_LOG("round %d, queue %u", round, q);
			EXPECT_EQ(used[q], vring_state(b->fd, VHOST_GET_VRING_BASE, q, 0));
			EXPECT_EQ(0x5a, *blk_mem(b, BLK_STATUS(100 + q)));
			for (k = 0, i = 0; i < LONG; i++)
				k += *blk_mem(b, BLK_STATUS(q * LONG + i)) == 0x5a;
			EXPECT_EQ(LONG - done, k);
		}

		ASSERT_EQ(0, io(b->fd, RESUME, NULL));
		for (q = 0; q < b->queues; q++) {
			for (i = 0; i < LONG + 1; i++) {
				uint32_t id = 0;

				ASSERT_EQ(0, ring_wait(&b->q[q], WAIT_MS, &id, NULL))
					TH_LOG("round %d, queue %u, request %d", round, q, i);
				ASSERT_LT(id, 256);
				ASSERT_EQ(1, wanted[q][id])
					TH_LOG("round %d, queue %u, head %u", round, q, id);
				wanted[q][id] = 0;
			}
			EXPECT_EQ(0, *blk_mem(b, BLK_STATUS(100 + q)));
			for (i = q * LONG; i < (int)(q + 1) * LONG; i++) {
				EXPECT_EQ(early[i] ? 0x77 : 0, *blk_mem(b, BLK_STATUS(i)));
				EXPECT_TRUE(blk_filled(blk_mem(b, BLK_DATA + i * 4096), 4096,
						       round + (i * 8 + 1024) * SECTOR / 4))
					TH_LOG("round %d, request %d", round, i);
			}
		}
		for (q = 0; q < b->queues; q++) {
			EXPECT_EQ(b->q[q].avail_idx, b->q[q].used->idx);
			EXPECT_EQ(1, has(b, 4096 + q * 8, 4096, round + q));
		}
	}
	/* It was amid them. */
	if (sim_is_used())
		EXPECT_LT(0, held);
}

/*
 * A mapping goes while a large request is copied through it. When it is gone nothing is written any
 * more, the queue has failed, and the others work.
 */
TEST_F(blk, unmapped_when_busy)
{
	struct blk *b = &self->b;
	struct feeder f;
	struct area a;
	size_t k;
	int i;

	NEED(b->queues >= 2, "the device has one virtqueue");
	ASSERT_EQ(0, area_alloc(&a, 0x70000000, 0x10000));
	ASSERT_EQ(0, put(b, 0, MIB, 1));
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, blk_restart(b));
		ASSERT_EQ(0, map(b->fd, 0, a.iova, a.size, a.va, VHOST_ACCESS_RW));
		ASSERT_EQ(0, feeder_start(&f, b, 0, VIRTIO_BLK_T_IN, a.iova, a.size));
		while (!__atomic_load_n(&b->q[0].used->idx, __ATOMIC_SEQ_CST))
			usleep(100);
		usleep(i * 10);
		ASSERT_EQ(0, unmap(b->fd, 0, a.iova, a.size));
		memset(a.va, 0xee, a.size);
		usleep(2000);
		for (k = 0; k < a.size && ((uint8_t *)a.va)[k] == 0xee; k++)
			;
		EXPECT_EQ(a.size, k);
		/* The next request on this virtqueue breaks it. */
		for (k = 0; k < WAIT_MS && get_status(b->fd) == 15; k++)
			usleep(1000);
		feeder_stop(&f);
		EXPECT_EQ(0, blk_req(b, 1, VIRTIO_BLK_T_IN, 0, BLK_OTHER, 4096));
		EXPECT_EQ(0, blk_req(b, 1, VIRTIO_BLK_T_IN, 0, BLK_OTHER, 4096));
		EXPECT_EQ(15 | VIRTIO_CONFIG_S_NEEDS_RESET, get_status(b->fd));
	}
	ASSERT_EQ(0, blk_restart(b));
	EXPECT_EQ(1, has(b, 0, MIB, 1));
	area_free(&a);
}

TEST_F(blk, resets_when_busy)
{
	struct feeder f;
	int i;

	for (i = 0; i < 30; i++) {
		ASSERT_EQ(0, feeder_start(&f, &self->b, 0, i & 1, self->b.mem.iova + BLK_DATA,
					  65536));
		usleep(i * 100);
		ASSERT_EQ(0, set_status(self->b.fd, 0));
		feeder_stop(&f);
		ASSERT_EQ(0, blk_restart(&self->b));
	}
	ASSERT_EQ(0, put(&self->b, 0, MIB, i));
	EXPECT_EQ(1, has(&self->b, 0, MIB, i));
}

/* A request that overwrites its own status or header, or the ring: nobody else is hurt. */
TEST_F(blk, overlaps)
{
	static const size_t into[] = { 0, RING_AVAIL, RING_USED };
	uint8_t *at = blk_mem(&self->b, BLK_OTHER);
	struct blk *b = &self->b;
	struct seg seg[3];
	size_t i;
	int n;

	ASSERT_EQ(0, put(b, 0, 4096, 1));
	n = blk_layout(b, 0, VIRTIO_BLK_T_IN, 0, BLK_OTHER, 4096, seg);
	seg[2].iova = b->mem.iova + BLK_OTHER + 100;
	memset(at, 0xee, 4096);
	ring_add(&b->q[0], seg, n);
	ring_kick(&b->q[0]);
	ASSERT_EQ(0, ring_wait(&b->q[0], WAIT_MS, NULL, NULL));
	EXPECT_EQ(VIRTIO_BLK_S_OK, at[100]);
	EXPECT_TRUE(blk_filled(at, 100, 1));
	EXPECT_TRUE(blk_filled(at + 104, 4096 - 104, 1 + 26));

	ASSERT_EQ(0, blk_read(b, 0, BLK_HDR(0), 512));

	NEED(b->queues >= 2, "the device has one virtqueue");
	for (i = 0; i < ARRAY_LEN(into); i++) {
		n = blk_layout(b, 0, VIRTIO_BLK_T_IN, 0, into[i], 4096, seg);
		ring_add(&b->q[0], seg, n);
		ring_kick(&b->q[0]);
		ring_wait(&b->q[0], SOON_MS, NULL, NULL);
		EXPECT_EQ(0, blk_req(b, 1, VIRTIO_BLK_T_IN, 0, BLK_OTHER, 4096));
		ASSERT_EQ(0, blk_restart(b));
		EXPECT_EQ(1, has(b, 0, 4096, 1));
	}
}

/* A VMM enables all queues of the device; the driver in the guest has set up one of them. */
TEST_F(blk, enabled_without_a_ring)
{
	struct blk *b = &self->b;
	struct vhost_vring_addr addr = { 0 };
	struct area a;
	unsigned int q;

	NEED(b->queues >= 2, "the device has one virtqueue");
	ASSERT_EQ(0, area_alloc(&a, 0, 0x10000));
	memset(a.va, 0x5a, a.size);
	ASSERT_EQ(0, map(b->fd, ASID0, a.iova, a.size, a.va, VHOST_ACCESS_RW));
	for (q = 1; q < b->queues; q++) {
		ASSERT_EQ(0, ring_enable(&b->q[q], false));
		addr.index = q;
		ASSERT_EQ(0, io(b->fd, VHOST_SET_VRING_ADDR, &addr));
		ASSERT_EQ(0, ring_enable(&b->q[q], true));
		ring_kick(&b->q[q]);
	}
	EXPECT_EQ(0, put(b, 0, MIB, 1));
	EXPECT_EQ(1, has(b, 0, MIB, 1));
	EXPECT_EQ(15, get_status(b->fd));
	for (q = 0; q < a.size; q++)
		ASSERT_EQ(0x5a, ((uint8_t *)a.va)[q]);
	area_free(&a);
}

/* Malformed rings: the queue stops, the others go on, and a reset helps. */
FIXTURE(hostile_blk) {
	struct blk b;
	struct ring *r;
	int other;
};

FIXTURE_VARIANT(hostile_blk) {
	int queue;
};

FIXTURE_VARIANT_ADD(hostile_blk, first) {
	.queue = 0,
};

FIXTURE_VARIANT_ADD(hostile_blk, last) {
	.queue = BLK_QUEUES - 1,
};

FIXTURE_SETUP(hostile_blk) {
	self->b.fd = GET_DEV(.blk = true, .features = BLK_FEATURES);
	ASSERT_LE(0, self->b.fd);
	ASSERT_EQ(0, blk_start(&self->b, BLK_FEATURES));
	if (self->b.queues < BLK_QUEUES)
		SKIP(_exit(255), "the device has too few virtqueues");
	self->r = &self->b.q[variant->queue];
	self->other = (variant->queue + 1) % BLK_QUEUES;
	ASSERT_EQ(0, put(&self->b, 0, MIB, 1));
}

FIXTURE_TEARDOWN(hostile_blk) {
	EXPECT_EQ(0, blk_restart(&self->b));
	EXPECT_EQ(1, has(&self->b, 0, MIB, 1));
	blk_stop(&self->b);
	sim_del(TEST_DEV);
}

/* Makes the device look at the ring: 1 if it stopped there, and the other queue works. */
static int stops(struct _test_data_hostile_blk *self)
{
	struct blk *b = &self->b;
	uint16_t used = self->r->used->idx;
	int i, ok = 1;

	for (i = 0; i < 2; i++) {
		ring_kick(self->r);
		ok &= !blk_req(b, self->other, VIRTIO_BLK_T_IN, 0, BLK_DATA, 512);
	}
	for (i = 0; i < WAIT_MS && get_status(b->fd) == 15; i++)
		usleep(1000);
	ok &= get_status(b->fd) == (15 | VIRTIO_CONFIG_S_NEEDS_RESET);
	ok &= !blk_req(b, self->other, VIRTIO_BLK_T_IN, 0, BLK_DATA, 512);

	return ok && self->r->used->idx == used;
}

/* A request that would change the disk, were it carried out; without its first descriptor. */
static void tempt(struct _test_data_hostile_blk *self, struct vring_desc *first)
{
	struct seg seg[3];
	int i;

	memset(blk_mem(&self->b, BLK_DATA), 0xee, 4096);
	blk_layout(&self->b, 9, VIRTIO_BLK_T_OUT, 0, BLK_DATA, 4096, seg);
	for (i = 0; i < 3; i++)
		self->r->desc[i] = (struct vring_desc) {
			seg[i].iova, seg[i].len, (seg[i].write ? VRING_DESC_F_WRITE : 0) |
			(i < 2 ? VRING_DESC_F_NEXT : 0), i + 1
		};
	if (first)
		self->r->desc[0] = *first;
}

TEST_F(hostile_blk, ring)
{
	static const uint16_t heads[] = { 256, 257, 0x8000, 0xffff };
	static const uint16_t counts[] = { 257, 0x8001, 0xffff };
	size_t i;

	for (i = 0; i < ARRAY_LEN(heads); i++) {
		tempt(self, NULL);
		ring_post(self->r, heads[i]);
		EXPECT_EQ(1, stops(self))
			TH_LOG("head %u", heads[i]);
		ASSERT_EQ(0, blk_restart(&self->b));
	}
	for (i = 0; i < ARRAY_LEN(counts); i++) {
		tempt(self, NULL);
		self->r->avail_idx = counts[i] - 1;
		ring_post(self->r, 0);
		EXPECT_EQ(1, stops(self))
			TH_LOG("%u available", counts[i]);
		ASSERT_EQ(0, blk_restart(&self->b));
	}
}

TEST_F(hostile_blk, chains)
{
	const uint64_t hdr = self->b.mem.iova + BLK_HDR(9);
	struct vring_desc bad[] = {
		/* Out of range, and round in circles. */
		{ hdr, 16, VRING_DESC_F_NEXT, 256 }, { hdr, 16, VRING_DESC_F_NEXT, 0xffff },
		{ hdr, 16, VRING_DESC_F_NEXT, 0 },
		/* Written before read; a table that isn't negotiated. */
		{ hdr, 16, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1 },
		{ hdr, 16, VRING_DESC_F_INDIRECT, 1 },
		/* Memory that the device can't reach. */
		{ 0x1000, 16, VRING_DESC_F_NEXT, 1 }, { ~0ULL - 15, 16, VRING_DESC_F_NEXT, 1 },
		{ ~0ULL, 16, VRING_DESC_F_NEXT, 1 },
		{ self->b.mem.iova + BLK_SIZE - 8, 16, VRING_DESC_F_NEXT, 1 },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		tempt(self, &bad[i]);
		ring_post(self->r, 0);
		EXPECT_EQ(1, stops(self))
			TH_LOG("case %zu", i);
		ASSERT_EQ(0, blk_restart(&self->b));
	}
}

/* Data and status that the device can't reach, or not in that direction. */
TEST_F(hostile_blk, memory)
{
	struct area ro, wo;
	const struct {
		int desc;
		uint32_t type;
		uint64_t addr;
	} bad[] = {
		{ 1, VIRTIO_BLK_T_IN, 0x1000 }, { 1, VIRTIO_BLK_T_IN, ~0ULL - 4095 },
		{ 1, VIRTIO_BLK_T_IN, DATA_IOVA + BLK_SIZE - 100 },
		{ 1, VIRTIO_BLK_T_IN, 0x60000000 }, { 1, VIRTIO_BLK_T_OUT, 0x61000000 },
		{ 2, VIRTIO_BLK_T_IN, 0x1000 }, { 2, VIRTIO_BLK_T_IN, ~0ULL },
		{ 2, VIRTIO_BLK_T_IN, 0x60000000 }, { 2, VIRTIO_BLK_T_FLUSH, 0x60000000 },
	};
	size_t i;

	ASSERT_EQ(0, area_alloc(&ro, 0x60000000, 0x10000));
	ASSERT_EQ(0, area_alloc(&wo, 0x61000000, 0x10000));
	ASSERT_EQ(0, map(self->b.fd, ASID0, ro.iova, ro.size, ro.va, VHOST_ACCESS_RO));
	ASSERT_EQ(0, map(self->b.fd, ASID0, wo.iova, wo.size, wo.va, VHOST_ACCESS_WO));
	memset(ro.va, 0x5a, ro.size);
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		tempt(self, NULL);
		blk_layout(&self->b, 9, bad[i].type, 0, BLK_DATA, 4096, (struct seg[3]) {});
		if (bad[i].type == VIRTIO_BLK_T_IN)
			self->r->desc[1].flags |= VRING_DESC_F_WRITE;
		self->r->desc[bad[i].desc].addr = bad[i].addr;
		ring_post(self->r, 0);
		EXPECT_EQ(1, stops(self))
			TH_LOG("case %zu", i);
		ASSERT_EQ(0, blk_restart(&self->b));
	}
	for (i = 0; i < ro.size; i++)
		ASSERT_EQ(0x5a, ((uint8_t *)ro.va)[i]);
	area_free(&ro);
	area_free(&wo);
}

/* Changes rings, headers and tables while the device reads them. */
static void *scribble(void *arg)
{
	struct feeder *f = arg;
	struct blk *b = f->b;
	unsigned int seed = 1;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		struct ring *r = &b->q[rand_r(&seed) % b->queues];
		struct vring_desc *d = &r->desc[rand_r(&seed) % 256];
		struct virtio_blk_outhdr *hdr = (void *)blk_mem(b, BLK_HDR(rand_r(&seed) % 64));

		hdr->type = rand_r(&seed) % 16;
		hdr->sector = rand_r(&seed) & 3 ? rand_r(&seed) % 4096 : rand_r(&seed);
		d->addr = rand_r(&seed) & 7 ? b->mem.iova + BLK_HDR(rand_r(&seed) % 64) :
					      rand_r(&seed);
		d->len = rand_r(&seed) & 1 ? 16 : rand_r(&seed) % 70000;
		d->flags = rand_r(&seed) % 8;
		d->next = rand_r(&seed) % 260;
		r->avail->ring[rand_r(&seed) % 256] = rand_r(&seed) % 260;
		r->avail->idx += rand_r(&seed) % 3;
		ring_kick(r);
	}

	return NULL;
}

TEST(scribbled_requests)
{
	struct blk b = { 0 };
	struct feeder f = { .b = &b };
	int i;

	b.fd = GET_DEV(.blk = true, .features = BLK_FEATURES);
	ASSERT_LE(0, b.fd);
	for (i = 0; i < 40; i++) {
		ASSERT_EQ(0, blk_start(&b, BLK_FEATURES | VF(VIRTIO_RING_F_INDIRECT_DESC)));
		f.stop = false;
		ASSERT_EQ(0, pthread_create(&f.thread, NULL, scribble, &f));
		usleep(20000);
		feeder_stop(&f);
		ASSERT_EQ(0, set_status(b.fd, 0));
	}
	ASSERT_EQ(0, blk_start(&b, BLK_FEATURES));
	EXPECT_EQ(0, put(&b, 0, MIB, 1));
	EXPECT_EQ(1, has(&b, 0, MIB, 1));
	blk_stop(&b);
	EXPECT_EQ(0, sim_del(TEST_DEV));
}

/* A device that is added with other features. */
static int add_with(uint64_t features)
{
	const struct attr attrs[] = {
		{ ATTR_MGMTDEV_DEV_NAME, mgmtdev_name(), strlen(mgmtdev_name()) + 1 },
		{ ATTR_DEV_NAME, TEST_DEV, sizeof(TEST_DEV) },
		{ ATTR_DEV_FEATURES, &features, sizeof(features) },
	};

	return vdpa_request(CMD_DEV_NEW, 0, attrs, ARRAY_LEN(attrs), NULL, 0);
}

TEST(parameters)
{
	struct virtio_blk_config config = { 0 };
	uint32_t vqs = 0;
	struct blk b;

	test_dev_end(GET_DEV(.own = true, .sim = true, .blk = true));
	ASSERT_EQ(0, sim_unload_class());
	ASSERT_EQ(0, run("modprobe vdpa_sim_blk capacity=3000 queues=16"));
	ASSERT_EQ(0, sim_add(TEST_DEV, NULL, 0));
	b = (struct blk) { .fd = vdpa_open(TEST_DEV) };
	ASSERT_LE(0, b.fd);
	EXPECT_EQ(0, get_config(b.fd, &config));
	EXPECT_EQ(3000 << 11, config.capacity);
	EXPECT_EQ(16, config.num_queues);
	EXPECT_EQ(0, io(b.fd, GET_VQS_COUNT, &vqs));
	EXPECT_EQ(16, vqs);
	EXPECT_EQ(0, blk_start(&b, BLK_FEATURES));
	EXPECT_EQ(0, put(&b, config.capacity - 8, 4096, 1));
	EXPECT_EQ(1, has(&b, config.capacity - 8, 4096, 1));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, put(&b, config.capacity - 7, 4096, 1));
	blk_stop(&b);
	EXPECT_EQ(0, sim_del(TEST_DEV));
	/* With the default parameters for the next test. */
	EXPECT_EQ(0, sim_unload_class());
}

TEST(read_only)
{
	static const struct attr name = { ATTR_DEV_NAME, TEST_DEV, sizeof(TEST_DEV) };
	const uint64_t features = BLK_FEATURES | VF(VIRTIO_BLK_F_RO);
	struct blk b = { 0 };
	uint8_t read_only = 0;

	test_dev_end(GET_DEV(.own = true, .sim = true, .blk = true));
	ASSERT_EQ(0, add_with(features));
	b.fd = vdpa_open(TEST_DEV);
	ASSERT_LE(0, b.fd);
	ASSERT_EQ(0, blk_start(&b, features));
	ASSERT_EQ(features, b.features);
	EXPECT_EQ(0, vdpa_ask(CMD_DEV_CONFIG_GET, &name, 1, ATTR_BLK_READ_ONLY, &read_only, 1));
	EXPECT_EQ(1, read_only);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, put(&b, 0, 4096, 1));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, blk_range(&b, VIRTIO_BLK_T_DISCARD, 0, 8, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, blk_range(&b, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0));
	EXPECT_EQ(0, blk_req(&b, 0, VIRTIO_BLK_T_FLUSH, 0, 0, 0));
	EXPECT_EQ(1, has_zeroes(&b, 0, 4096));

	/* Also for a driver that doesn't know what the feature means. */
	ASSERT_EQ(0, set_status(b.fd, 0));
	ASSERT_EQ(0, blk_start(&b, BLK_FEATURES));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, put(&b, 0, 4096, 1));
	EXPECT_EQ(1, has_zeroes(&b, 0, 4096));
	blk_stop(&b);
	EXPECT_EQ(0, sim_del(TEST_DEV));
}

/* The device reaches memory in the address space of its group, and only there. */
TEST(address_space)
{
	struct blk b = { 0 };

	b.fd = GET_DEV(.blk = true, .num_as = 2, .as = 2);
	ASSERT_LE(0, b.fd);
	ASSERT_EQ(0, blk_start(&b, BLK_FEATURES));
	EXPECT_EQ(0, put(&b, 0, 4096, 1));
	ASSERT_EQ(0, set_status(b.fd, 0));
	ASSERT_EQ(0, bind_group(b.fd, 0, 1));
	ASSERT_EQ(0, blk_start(&b, BLK_FEATURES));
	EXPECT_EQ(-ETIMEDOUT, blk_read(&b, 0, BLK_DATA, 4096));
	ASSERT_EQ(0, set_status(b.fd, 0));
	ASSERT_EQ(0, bind_group(b.fd, 0, 1));
	ASSERT_EQ(0, map(b.fd, 1, b.mem.iova, b.mem.size, b.mem.va, VHOST_ACCESS_RW));
	ASSERT_EQ(0, unmap(b.fd, 0, b.mem.iova, b.mem.size));
	ASSERT_EQ(0, blk_start(&b, BLK_FEATURES));
	EXPECT_EQ(1, has(&b, 0, 4096, 1));
	blk_stop(&b);
	EXPECT_EQ(0, sim_del(TEST_DEV));
}

TEST_HARNESS_MAIN
