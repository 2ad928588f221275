// SPDX-License-Identifier: GPL-2.0
/*
 * The IOTLB messages: what is refused and how, what an INVALIDATE takes away, what is accounted.
 * Whether something is mapped is seen here from vhost-vdpa's side (an UPDATE over a mapping is
 * refused) and from the machine's (pinned pages); asid.c looks from the device's.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <sys/syscall.h>

#include "vdpa_util.h"
#include "harness.h"

#define PG	4096UL
#define IOVA	0x100000UL
#define RW	VHOST_ACCESS_RW
#define ALL_BACKEND (F_MSG_V2 | F_BATCH | F_ASID)

FIXTURE(iotlb) {
	int fd;
	long pinned;
	struct area a;
	uint64_t features;
};

FIXTURE_VARIANT(iotlb) {
	bool batch_mapping;
};

FIXTURE_VARIANT_ADD(iotlb, incremental) {
	.batch_mapping = false,
};

FIXTURE_VARIANT_ADD(iotlb, whole_table) {
	.batch_mapping = true,
};

FIXTURE_SETUP(iotlb) {
	self->fd = GET_DEV(.batch_mapping = variant->batch_mapping);
	ASSERT_LE(0, self->fd);
	self->pinned = pinned_pages();
	ASSERT_EQ(0, area_alloc(&self->a, IOVA, 1024 * PG));
	ASSERT_EQ(0, io(self->fd, VHOST_SET_OWNER, NULL));
	ASSERT_EQ(0, io(self->fd, VHOST_GET_BACKEND_FEATURES, &self->features));
	self->features &= ALL_BACKEND;
	ASSERT_EQ(0, io(self->fd, VHOST_SET_BACKEND_FEATURES, &self->features));
}

/* After the close no page may stay pinned, though the test left some mapped. */
FIXTURE_TEARDOWN(iotlb) {
	test_dev_end(self->fd);
	EXPECT_EQ(self->pinned, pinned_pages());
	area_free(&self->a);
}

/* Pages that are mapped, from debugfs. */
static long mapped(void)
{
	char path[512], text[4096] = "", *name = TEST_DEV, *line;
	unsigned long long bytes, sum = 0;
	glob_t found = { 0 };

	if (given_dev()) {
		snprintf(path, sizeof(path), "/sys/bus/vdpa/devices/*%s",
			 strrchr(given_dev(), '/'));
		if (glob(path, 0, NULL, &found))
			return -1;
		name = found.gl_pathv[0] + strlen("/sys/bus/vdpa/devices/");
		*strchr(name, '/') = '\0';
	}
	snprintf(path, sizeof(path), "/sys/kernel/debug/vdpa/%s/address_spaces", name);
	globfree(&found);
	if (read_file(path, text, sizeof(text)) < 0)
		return -1;
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (sscanf(line, "%*u %*u %llu", &bytes) == 1)
			sum += bytes;

	return sum / PG;
}

/* Pages that this test holds pinned; or mapped, if the device pins none. */
static long held(const struct _test_data_iotlb *self)
{
	return vdev.pins ? pinned_pages() - self->pinned : mapped();
}

static void *at(const struct _test_data_iotlb *self, int page)
{
	return (char *)self->a.va + page * PG;
}

static int map_at(struct _test_data_iotlb *self, int asid, int page, int count)
{
	return map(self->fd, asid, IOVA + page * PG, count * PG, at(self, page), RW);
}

static int unmap_at(struct _test_data_iotlb *self, int asid, int page, int count)
{
	return unmap(self->fd, asid, IOVA + page * PG, count * PG);
}

TEST_F(iotlb, malformed)
{
	static const uint32_t types[] = { 0, 3, 4, 0x100, 0x7fffffff, 0xffffffff };
	struct msg_v2 msg = {
		.type = VHOST_IOTLB_MSG_V2,
		.iotlb = {
			.iova = IOVA, .size = PG, .uaddr = (uintptr_t)self->a.va, .perm = RW,
			.type = VHOST_IOTLB_UPDATE,
		},
	};
	size_t len, i;

	for (len = 1; len < offsetof(struct msg_v2, iotlb) + sizeof(msg.iotlb); len++) {
		EXPECT_EQ(-EINVAL, send_raw(self->fd, &msg, len))
			TH_LOG("%zu bytes", len);
	}
	for (i = 0; i < ARRAY_LEN(types); i++) {
		msg.type = types[i];
		EXPECT_EQ(-EINVAL, send_raw(self->fd, &msg, sizeof(msg)))
			TH_LOG("type %#x", types[i]);
	}
	EXPECT_EQ(0, held(self));
}

TEST_F(iotlb, refused)
{
	static const int types[] = { 0, VHOST_IOTLB_MISS, VHOST_IOTLB_ACCESS_FAIL, 7, 0x80, 0xff };
	size_t i;

	for (i = 0; i < ARRAY_LEN(types); i++) {
		EXPECT_EQ(-EFAULT, send_msg(self->fd, 0, types[i], IOVA, PG, self->a.va, RW))
			TH_LOG("type %d", types[i]);
	}
	EXPECT_EQ(0, held(self));
}

/* A message of 0 bytes is malformed. */
TEST_F(iotlb, empty)
{
	EXPECT_EQ(-EINVAL, map(self->fd, 0, IOVA, 0, self->a.va, RW));
	EXPECT_EQ(-EINVAL, map(self->fd, 0, 0, 0, self->a.va, RW));
	EXPECT_EQ(-EINVAL, map(self->fd, 0, 0, 0, NULL, RW));
	EXPECT_EQ(-EINVAL, unmap(self->fd, 0, 0, 0));
	EXPECT_EQ(-EINVAL, unmap(self->fd, 0, IOVA, 0));
	EXPECT_EQ(0, held(self));
}

TEST_F(iotlb, update_unaligned)
{
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA + 1, PG, self->a.va, RW));
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA + 2048, PG, at(self, 0) + 2048, RW));
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA, PG + 1, self->a.va, RW));
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA, 1, self->a.va, RW));
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA, PG, at(self, 0) + 1, RW));
	EXPECT_EQ(0, held(self));
	EXPECT_EQ(0, map_at(self, 0, 0, 1));
}

TEST_F(iotlb, update_wrapping)
{
	static const uint64_t sizes[] = {
		1UL << 63, ~0UL, ~0UL - 0xfff, 1UL << 52, 1UL << 47, (1UL << 63) + 0x1000,
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA, sizes[i], self->a.va, RW));
		EXPECT_EQ(-EFAULT, map(self->fd, 0, 0, sizes[i], self->a.va, RW));
		EXPECT_EQ(-EFAULT, map(self->fd, 0, ~0UL - 0xfff, sizes[i], self->a.va, RW));
	}
	EXPECT_EQ(-EFAULT, map(self->fd, 0, ~0UL - 0xfff, 2 * PG, self->a.va, RW));
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA, 2 * PG, (void *)(~0UL - 0xfff), RW));
	EXPECT_EQ(0, held(self));
}

/* The last page that the device can address can be mapped. */
TEST_F(iotlb, last_page)
{
	uint64_t last = vdev.iova.last - (PG - 1);

	EXPECT_EQ(0, map(self->fd, 0, last, PG, self->a.va, RW));
	EXPECT_EQ(1, held(self));
	EXPECT_EQ(-EFAULT, map(self->fd, 0, last, PG, self->a.va, RW));
	EXPECT_EQ(0, unmap(self->fd, 0, last, PG));
	EXPECT_EQ(0, held(self));
	/* Beyond is the end of 64 bits, or of what the device can address. */
	EXPECT_EQ(-EFAULT, map(self->fd, 0, last, 2 * PG, self->a.va, RW));
	if (vdev.iova.last != ~0ULL)
		EXPECT_EQ(-EFAULT, map(self->fd, 0, last + PG, PG, self->a.va, RW));
	EXPECT_EQ(0, held(self));
}

TEST_F(iotlb, perm)
{
	int perm;

	for (perm = 0; perm < 256; perm++) {
		int want = perm >= 1 && perm <= 3 ? 0 : -EFAULT;

		EXPECT_EQ(want, map(self->fd, 0, IOVA, PG, self->a.va, perm))
			TH_LOG("perm %d", perm);
		if (!want)
			EXPECT_EQ(0, unmap_at(self, 0, 0, 1));
	}
	EXPECT_EQ(0, held(self));
}

TEST_F(iotlb, protection)
{
	char *ro = mmap(NULL, PG, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *none = mmap(NULL, PG, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, ro);
	ASSERT_NE(MAP_FAILED, none);
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA, PG, ro, RW));
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA, PG, ro, VHOST_ACCESS_WO));
	EXPECT_EQ(0, map(self->fd, 0, IOVA, PG, ro, VHOST_ACCESS_RO));
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA + PG, PG, none, VHOST_ACCESS_RO));
	EXPECT_EQ(1, held(self));
}

TEST_F(iotlb, overlap)
{
	ASSERT_EQ(0, map_at(self, 0, 4, 4));
	EXPECT_EQ(-EFAULT, map_at(self, 0, 4, 4));
	EXPECT_EQ(-EFAULT, map_at(self, 0, 0, 5));
	EXPECT_EQ(-EFAULT, map_at(self, 0, 7, 4));
	EXPECT_EQ(-EFAULT, map_at(self, 0, 5, 1));
	EXPECT_EQ(-EFAULT, map_at(self, 0, 0, 16));
	EXPECT_EQ(4, held(self));
	EXPECT_EQ(0, map_at(self, 0, 3, 1));
	EXPECT_EQ(0, map_at(self, 0, 8, 1));
	EXPECT_EQ(6, held(self));
}

TEST_F(iotlb, same_memory_twice)
{
	ASSERT_EQ(0, map(self->fd, 0, IOVA, 4 * PG, self->a.va, RW));
	ASSERT_EQ(0, map(self->fd, 0, IOVA + 64 * PG, 4 * PG, self->a.va, RW));
	EXPECT_EQ(8, held(self));
	ASSERT_EQ(0, unmap_at(self, 0, 0, 4));
	EXPECT_EQ(4, held(self));
}

TEST_F(iotlb, invalidate_unmapped)
{
	EXPECT_EQ(0, unmap_at(self, 0, 0, 1));
	EXPECT_EQ(0, unmap(self->fd, 0, 0, 1UL << 63));
	ASSERT_EQ(0, map_at(self, 0, 0, 1));
	EXPECT_EQ(0, unmap_at(self, 0, 1, 100));
	EXPECT_EQ(1, held(self));
	EXPECT_EQ(0, unmap_at(self, 0, 0, 1));
	EXPECT_EQ(0, unmap_at(self, 0, 0, 1));
	EXPECT_EQ(0, held(self));
}

/* The answers aren't checked, but a mapping outside of these ranges stays. */
TEST_F(iotlb, invalidate_odd)
{
	ASSERT_EQ(0, map_at(self, 0, 0, 1));
	unmap(self->fd, 0, 0, 0);
	EXPECT_EQ(1, held(self));
	unmap(self->fd, 0, IOVA, 0);
	EXPECT_EQ(1, held(self));
	unmap(self->fd, 0, IOVA + 16 * PG, ~0UL);
	EXPECT_EQ(1, held(self));
	unmap(self->fd, 0, ~0UL - 0xfff, 2 * PG);
	EXPECT_EQ(1, held(self));
	EXPECT_EQ(-EFAULT, map_at(self, 0, 0, 1));
	EXPECT_EQ(0, unmap(self->fd, 0, 0, ~0UL));
	EXPECT_EQ(0, held(self));
}

/* INVALIDATE of a part of an UPDATE removes all of it, and no other mapping. */
TEST_F(iotlb, invalidate_part)
{
	int page;

	for (page = 0; page < 16; page++) {
		ASSERT_EQ(0, map_at(self, 0, 0, 16));
		ASSERT_EQ(0, map_at(self, 0, 16, 4));
		EXPECT_EQ(20, held(self));
		EXPECT_EQ(0, unmap_at(self, 0, page, 1));
		EXPECT_EQ(4, held(self));
		EXPECT_EQ(-EFAULT, map_at(self, 0, 19, 1));
		EXPECT_EQ(0, unmap_at(self, 0, 16, 1));
		EXPECT_EQ(0, held(self));
	}
	/* A single byte is enough. */
	ASSERT_EQ(0, map_at(self, 0, 0, 16));
	EXPECT_EQ(0, unmap(self->fd, 0, IOVA + 5 * PG + 17, 1));
	EXPECT_EQ(0, held(self));
}

TEST_F(iotlb, invalidate_across)
{
	ASSERT_EQ(0, map_at(self, 0, 0, 8));
	ASSERT_EQ(0, map_at(self, 0, 8, 8));
	ASSERT_EQ(0, map_at(self, 0, 16, 8));
	ASSERT_EQ(0, map_at(self, 0, 24, 8));
	EXPECT_EQ(0, unmap_at(self, 0, 15, 2));
	EXPECT_EQ(16, held(self));
	EXPECT_EQ(-EFAULT, map_at(self, 0, 7, 1));
	EXPECT_EQ(-EFAULT, map_at(self, 0, 24, 1));
	EXPECT_EQ(0, map_at(self, 0, 8, 16));
}

/* Pages that are touched in this order are mostly not contiguous in physical memory. */
TEST_F(iotlb, scattered_pages)
{
	int i;

	for (i = 0; i < 1024; i++)
		*(int *)at(self, (i * 389) % 1024) = i;
	ASSERT_EQ(0, map_at(self, 0, 0, 1024));
	EXPECT_EQ(1024, held(self));
	EXPECT_EQ(-EFAULT, map_at(self, 0, 1023, 1));
	EXPECT_EQ(0, unmap_at(self, 0, 700, 1));
	EXPECT_EQ(0, held(self));
	EXPECT_EQ(0, map_at(self, 0, 0, 1024));
	EXPECT_EQ(1024, held(self));
}

/* If one page can't be pinned, no part of the message is mapped. */
TEST_F(iotlb, hole)
{
	static const int holes[] = { 0, 1, 511, 512, 513, 1000, 1023 };
	size_t i;

	for (i = 0; i < ARRAY_LEN(holes); i++) {
		ASSERT_EQ(0, mprotect(at(self, holes[i]), PG, PROT_NONE));
		EXPECT_EQ(-EFAULT, map_at(self, 0, 0, 1024));
		EXPECT_EQ(0, held(self));
		ASSERT_EQ(0, mprotect(at(self, holes[i]), PG, PROT_READ | PROT_WRITE));
		EXPECT_EQ(0, map_at(self, 0, 0, 1024));
		EXPECT_EQ(0, unmap_at(self, 0, 0, 1024));
	}
}

TEST_F(iotlb, many)
{
	/* To take the whole table for each costs the square of how many there are. */
	int i, n = variant->batch_mapping || !sim_is_used() ? 256 : 1024;

	for (i = 0; i < n; i++)
		ASSERT_EQ(0, map_at(self, 0, i, 1));
	EXPECT_EQ(n, held(self));
	for (i = 0; i < n; i += 2)
		ASSERT_EQ(0, unmap_at(self, 0, i, 1));
	EXPECT_EQ(n / 2, held(self));
	EXPECT_EQ(0, unmap(self->fd, 0, 0, 1UL << 63));
	EXPECT_EQ(0, held(self));
}

/*
 * Mappings come and go in every order. What is mapped is known: owner[] has the number of the
 * mapping that each page is in, or 0.
 */
TEST_F(iotlb, any_order)
{
	enum { PAGES = 192 };
	const int steps = variant->batch_mapping || !sim_is_used() ? 600 : 3000;
	int owner[PAGES + 8] = { 0 }, step, page, count, i, k, expected, total;

	srand(1);
	for (step = 1; step <= steps; step++) {
		page = rand() % PAGES;
		count = rand() % 8 + 1;
		/* Half of them in the order of their addresses, as most users make them */
		if (step % 256 < 128)
			page = step % 128 + 64 * (step / 256 % 2);
		if (rand() % 4) {
			for (expected = i = 0; i < count; i++)
				expected |= owner[page + i];
			expected = expected ? -EFAULT : 0;
			ASSERT_EQ(expected, map_at(self, 0, page, count)) TH_LOG("step %d", step);
			for (i = 0; !expected && i < count; i++)
				owner[page + i] = step;
		} else {
			ASSERT_EQ(0, unmap_at(self, 0, page, count));
			for (i = 0; i < count; i++)
				for (k = owner[page + i] ? 0 : PAGES + 8; k < PAGES + 8; k++)
					if (k != page + i && owner[k] == owner[page + i])
						owner[k] = 0;
			memset(owner + page, 0, count * sizeof(*owner));
		}
	}
	for (total = i = 0; i < PAGES + 8; i++)
		total += !!owner[i];
	EXPECT_EQ(total, held(self));
	/* The table and the parent's: each page is mapped or free, as is known */
	for (i = 0; i < PAGES + 8; i++)
		EXPECT_EQ(owner[i] ? -EFAULT : 0, map_at(self, 0, i, 1));
	EXPECT_EQ(PAGES + 8, held(self));
}

TEST_F(iotlb, asids)
{
	NEED_AS(2);
	ASSERT_TRUE(self->features & F_ASID);
	EXPECT_EQ(0, map_at(self, ASID0, 0, 1));
	EXPECT_EQ(0, map_at(self, ASID1, 0, 1));
	EXPECT_EQ(-EFAULT, map_at(self, ASID1, 0, 1));
	EXPECT_EQ(2, held(self));
	EXPECT_EQ(0, unmap_at(self, ASID0, 0, 1));
	EXPECT_EQ(-EFAULT, map_at(self, ASID1, 0, 1));
	EXPECT_EQ(1, held(self));
	EXPECT_EQ(-EFAULT, map_at(self, vdev.as, 8, 1));
	EXPECT_EQ(-EFAULT, map_at(self, 0x10000, 8, 1));
	EXPECT_EQ(-EFAULT, map_at(self, 0x80000000, 8, 1));
	EXPECT_EQ(-EFAULT, map_at(self, 0xffffffff, 8, 1));
	EXPECT_EQ(-EFAULT, unmap_at(self, vdev.as, 0, 1));
	EXPECT_EQ(1, held(self));
	/* One that has no mapping yet. */
	EXPECT_EQ(0, unmap_at(self, ASID1, 0, 1));
	EXPECT_EQ(0, unmap_at(self, ASID1, 0, 1));
	EXPECT_EQ(0, held(self));
}

/* Programs older than the field 'asid' leave garbage in it. */
TEST_F(iotlb, asid_not_negotiated)
{
	uint64_t features = F_MSG_V2 | F_BATCH;

	ASSERT_EQ(0, io(self->fd, VHOST_SET_BACKEND_FEATURES, &features));
	EXPECT_EQ(0, map_at(self, 1, 0, 1));
	EXPECT_EQ(-EFAULT, map_at(self, 0, 0, 1));
	EXPECT_EQ(0, map_at(self, 0xdeadbeef, 1, 1));
	EXPECT_EQ(0, unmap_at(self, 77, 0, 2));
	EXPECT_EQ(0, held(self));
	EXPECT_EQ(0, send_msg(self->fd, 5, VHOST_IOTLB_BATCH_BEGIN, 0, 0, NULL, 0));
	EXPECT_EQ(0, map_at(self, 6, 0, 1));
	EXPECT_EQ(0, send_msg(self->fd, 7, VHOST_IOTLB_BATCH_END, 0, 0, NULL, 0));
	EXPECT_EQ(1, held(self));
}

TEST_F(iotlb, version_1_is_asid_0)
{
	struct vhost_msg msg;
	uint32_t garbage = 1;

	/* There is a hole behind the type, where version 2 has the ASID. */
	memset(&msg, 0xff, sizeof(msg));
	msg.type = VHOST_IOTLB_MSG;
	msg.iotlb.iova = IOVA;
	msg.iotlb.size = PG;
	msg.iotlb.uaddr = (uintptr_t)self->a.va;
	msg.iotlb.perm = RW;
	msg.iotlb.type = VHOST_IOTLB_UPDATE;
	memcpy((char *)&msg + 4, &garbage, 4);
	EXPECT_EQ(0, send_raw(self->fd, &msg, sizeof(msg)));
	EXPECT_EQ(-EFAULT, map_at(self, ASID0, 0, 1));
	EXPECT_EQ(1, held(self));
	EXPECT_EQ(0, send_v1(self->fd, VHOST_IOTLB_INVALIDATE, IOVA, PG, NULL, 0));
	EXPECT_EQ(0, held(self));
}

static int batch(struct _test_data_iotlb *self, int asid, bool begin)
{
	return send_msg(self->fd, asid, begin ? VHOST_IOTLB_BATCH_BEGIN : VHOST_IOTLB_BATCH_END,
			0, 0, NULL, 0);
}

TEST_F(iotlb, batch_belongs_to_an_asid)
{
	int asid, other;

	NEED_AS(2);
	ASSERT_TRUE(self->features & F_ASID);
	for (asid = 0; asid < 2; asid++) {
		other = !asid;
		EXPECT_EQ(0, batch(self, asid, true));
		EXPECT_EQ(0, map_at(self, asid, 0, 1));
		EXPECT_EQ(-EFAULT, map_at(self, other, 0, 1));
		EXPECT_EQ(-EFAULT, unmap_at(self, other, 0, 1));
		EXPECT_EQ(-EFAULT, batch(self, other, false));
		EXPECT_EQ(-EFAULT, batch(self, other, true));
		/* It goes on. */
		EXPECT_EQ(0, map_at(self, asid, 1, 1));
		EXPECT_EQ(2, held(self));
		EXPECT_EQ(0, unmap_at(self, asid, 0, 1));
		EXPECT_EQ(0, batch(self, asid, false));
		EXPECT_EQ(0, map_at(self, other, 0, 1));
		EXPECT_EQ(0, unmap_at(self, other, 0, 1));
		EXPECT_EQ(0, unmap_at(self, asid, 1, 1));
		EXPECT_EQ(0, held(self));
	}
	EXPECT_EQ(-EFAULT, batch(self, vdev.as, true));
}

/* A close in the middle of a batch ends it: the next file starts without. */
TEST_F(iotlb, close_in_batch)
{
	ASSERT_EQ(0, batch(self, 0, true));
	ASSERT_EQ(0, map_at(self, 0, 0, 8));
	close(self->fd);
	EXPECT_EQ(0, held(self));
	self->fd = vdpa_open(TEST_DEV);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, io(self->fd, VHOST_SET_OWNER, NULL));
	ASSERT_EQ(0, io(self->fd, VHOST_SET_BACKEND_FEATURES, &self->features));
	EXPECT_EQ(0, map_at(self, vdev.as > 1 ? ASID1 : ASID0, 0, 8));
	EXPECT_EQ(0, map_at(self, 0, 16, 8));
}

TEST_F(iotlb, close_unpins)
{
	ASSERT_EQ(0, map_at(self, ASID0, 0, 100));
	ASSERT_EQ(0, map_at(self, vdev.as > 1 ? ASID1 : ASID0, 100, 900));
	EXPECT_EQ(1000, held(self));
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(0, held(self));
}

TEST_F(iotlb, reset_keeps_mappings)
{
	ASSERT_EQ(0, map_at(self, 0, 0, 4));
	ASSERT_EQ(0, set_status(self->fd, 1));
	ASSERT_EQ(0, set_status(self->fd, 0));
	EXPECT_EQ(4, held(self));
	EXPECT_EQ(-EFAULT, map_at(self, 0, 0, 4));
	EXPECT_EQ(0, unmap_at(self, 0, 0, 4));
	EXPECT_EQ(0, held(self));
}

/* The pages of all address spaces of a file count together. */
TEST_F(iotlb, memlock)
{
	int other = vdev.as > 1 ? ASID1 : ASID0;

	NEED_PINS();
	ASSERT_EQ(0, memlock(8 * PG));
	EXPECT_EQ(-EFAULT, map_at(self, 0, 0, 9));
	EXPECT_EQ(0, map_at(self, 0, 0, 4));
	EXPECT_EQ(-EFAULT, map_at(self, other, 100, 5));
	EXPECT_EQ(0, map_at(self, other, 100, 4));
	EXPECT_EQ(-EFAULT, map_at(self, 0, 200, 1));
	EXPECT_EQ(-EFAULT, map_at(self, other, 200, 1));
	EXPECT_EQ(8, held(self));
	EXPECT_EQ(0, unmap_at(self, other, 100, 1));
	EXPECT_EQ(0, map_at(self, 0, 200, 4));
	EXPECT_EQ(8, held(self));
	/* Across a reset too. */
	ASSERT_EQ(0, set_status(self->fd, 0));
	EXPECT_EQ(-EFAULT, map_at(self, 0, 300, 1));
}

/*
 * DPDK unmaps everything and maps it again in one batch at each memory event. The pages count once,
 * although a parent with set_map normally gets the new table at the end of the batch only.
 */
TEST_F(iotlb, remap_in_batch_at_memlock)
{
	int round, i;

	NEED_PINS();
	ASSERT_EQ(0, memlock(64 * PG));
	ASSERT_EQ(0, map_at(self, 0, 0, 64));
	for (round = 0; round < 3; round++) {
		EXPECT_EQ(0, batch(self, 0, true));
		EXPECT_EQ(0, unmap(self->fd, 0, 0, ~0UL));
		for (i = 0; i < 64; i += 16)
			EXPECT_EQ(0, map_at(self, 0, i, 16));
		/* What is mapped still counts. */
		EXPECT_EQ(-EFAULT, map_at(self, 0, 64, 1));
		EXPECT_GE(64, held(self));
		EXPECT_EQ(0, batch(self, 0, false));
		EXPECT_EQ(64, held(self));
	}
	EXPECT_EQ(-EFAULT, map_at(self, 0, 64, 1));
	EXPECT_EQ(0, unmap(self->fd, 0, 0, ~0UL));
	EXPECT_EQ(0, held(self));
	EXPECT_EQ(0, map_at(self, 0, 0, 64));
}

/* Only the owner's memory is mapped: another process with the file can't map its own. */
TEST_F(iotlb, another_process)
{
	int status = 0;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		if (map_at(self, 0, 0, 1) != -EFAULT)
			_exit(1);
		if (unmap_at(self, 0, 0, 1) != -EFAULT)
			_exit(2);
		if (vring_state(self->fd, VHOST_SET_VRING_NUM, 0, 16) != -EPERM)
			_exit(3);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, held(self));
	EXPECT_EQ(0, map_at(self, 0, 0, 1));
}

/* The owner has exited and another process has the file: its close unpins all pages. */
TEST_F(iotlb, closed_by_another_process)
{
	int go[2], status = 0;
	pid_t owner, heir;
	char c;

	close(self->fd);
	ASSERT_EQ(0, pipe(go));
	owner = fork();
	ASSERT_LE(0, owner);
	if (!owner) {
		int fd = vdpa_open(TEST_DEV);

		if (fd < 0 || io(fd, VHOST_SET_OWNER, NULL) ||
		    map(fd, 0, IOVA, 64 * PG, self->a.va, RW))
			_exit(1);
		heir = fork();
		if (heir < 0)
			_exit(2);
		if (!heir) {
			close(go[1]);
			if (read(go[0], &c, 1))
				_exit(3);
			_exit(0);
		}
		_exit(0);
	}
	ASSERT_EQ(owner, waitpid(owner, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_EQ(64, held(self));
	close(go[0]);
	close(go[1]);
	status = 100;
	while (status-- && held(self))
		usleep(20000);
	EXPECT_EQ(0, held(self));
	self->fd = -1;
}

/* The limit on the mappings of a file counts messages, not physically contiguous chunks. */
FIXTURE(bound) {
	int fd;
	long pinned;
	char old[32];
	struct area a;
};

FIXTURE_VARIANT(bound) {
	bool batch_mapping;
};

FIXTURE_VARIANT_ADD(bound, incremental) {
	.batch_mapping = false,
};

FIXTURE_VARIANT_ADD(bound, whole_table) {
	.batch_mapping = true,
};

#define BOUND	"/sys/module/vhost_vdpa/parameters/max_mappings"

FIXTURE_SETUP(bound) {
	uint64_t features = ALL_BACKEND;
	int i;

	if (!sim_is_used())
		SKIP(_exit(255), "needs a module parameter of vhost_vdpa");
	sim_unload();
	run("modprobe -r vhost_vdpa");
	ASSERT_EQ(0, run("modprobe vhost_vdpa max_mappings=5"));
	self->fd = GET_DEV(.batch_mapping = variant->batch_mapping, .as = 2);
	ASSERT_LE(0, self->fd);
	ASSERT_LT(0, read_file(BOUND, self->old, sizeof(self->old)));
	ASSERT_EQ(5, atoi(self->old));
	self->pinned = pinned_pages();
	ASSERT_EQ(0, area_alloc(&self->a, IOVA, 1024 * PG));
	for (i = 0; i < 1024; i++)
		((char *)self->a.va)[(i * 389) % 1024 * PG] = i;
	ASSERT_EQ(0, io(self->fd, VHOST_SET_OWNER, NULL));
	ASSERT_EQ(0, io(self->fd, VHOST_SET_BACKEND_FEATURES, &features));
}

FIXTURE_TEARDOWN(bound) {
	test_dev_end(self->fd);
	EXPECT_EQ(self->pinned, pinned_pages());
	sim_unload();
	run("modprobe -r vhost_vdpa");
	run("modprobe vhost_vdpa");
}

TEST_F(bound, counts_messages)
{
	int i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 5; i++)
			ASSERT_EQ(0, map(self->fd, i & 1, IOVA + i * 64 * PG, 64 * PG,
					 (char *)self->a.va + i * 64 * PG, RW));
		EXPECT_EQ(-EFAULT, map(self->fd, 0, 0x40000000, PG, self->a.va, RW));
		EXPECT_EQ(-EFAULT, map(self->fd, 1, 0x40000000, PG, self->a.va, RW));
		/* What was refused for another reason wasn't counted. */
		EXPECT_EQ(0, unmap(self->fd, 0, IOVA, PG));
		EXPECT_EQ(-EFAULT, map(self->fd, 0, 0x40000000, PG, NULL, RW));
		EXPECT_EQ(-EINVAL, map(self->fd, 0, 0x40000000, 0, self->a.va, RW));
		EXPECT_EQ(0, map(self->fd, 0, 0x40000000, PG, self->a.va, RW));
		EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA, PG, self->a.va, RW));
		EXPECT_EQ(0, unmap(self->fd, 0, 0, 1UL << 63));
		EXPECT_EQ(0, unmap(self->fd, 1, 0, 1UL << 63));
	}
}

/* The pages that this process has pinned, from /proc/self/status. */
static long vm_pin(void)
{
	static char text[8192];
	const char *p;

	if (read_file("/proc/self/status", text, sizeof(text)) < 0)
		return -1;
	p = strstr(text, "VmPin:");

	return p ? atol(p + 6) * 1024 / (long)PG : -1;
}

/* A mapping that is removed in a batch counts until its pages are unpinned. */
TEST_F(bound, batch)
{
	long before = vm_pin();
	int i;

	ASSERT_EQ(0, send_msg(self->fd, 0, VHOST_IOTLB_BATCH_BEGIN, 0, 0, NULL, 0));
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(0, map(self->fd, 0, IOVA, PG, (char *)self->a.va + i * PG, RW));
		ASSERT_GE(5, pinned_pages() - self->pinned);
		ASSERT_GE(5, vm_pin() - before);
		ASSERT_EQ(0, unmap(self->fd, 0, IOVA, PG));
	}
	for (i = 0; i < 5; i++)
		EXPECT_EQ(0, map(self->fd, 0, IOVA + i * PG, PG, self->a.va, RW));
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA + i * PG, PG, self->a.va, RW));
	EXPECT_EQ(0, send_msg(self->fd, 0, VHOST_IOTLB_BATCH_END, 0, 0, NULL, 0));
	EXPECT_EQ(5, pinned_pages() - self->pinned);
	EXPECT_EQ(5, vm_pin() - before);
	EXPECT_EQ(0, unmap(self->fd, 0, IOVA, 1UL << 40));
	EXPECT_EQ(self->pinned, pinned_pages());
	EXPECT_EQ(before, vm_pin());
}

TEST_HARNESS_MAIN
