// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of every kind that an UPDATE can pin: small pages, huge pages, files. What the device
 * reads and writes is what the process has there, whatever becomes of the mapping afterwards; and
 * all pages are unpinned in the end.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "vdpa_util.h"
#include "harness.h"

#define PG	4096UL
#define HUGE	(512 * PG)
#define SIZE	(4 * HUGE)
#define RW	VHOST_ACCESS_RW
#define RO	VHOST_ACCESS_RO

FIXTURE(pin) {
	struct net n;
	long pinned;
	char *va;
	bool hugetlb;
};

FIXTURE_VARIANT(pin) {
	int flags;
	int advice;
	bool tmpfs;
};

FIXTURE_VARIANT_ADD(pin, small) {
	.flags = MAP_PRIVATE | MAP_ANONYMOUS,
	.advice = MADV_NOHUGEPAGE,
};

FIXTURE_VARIANT_ADD(pin, thp) {
	.flags = MAP_PRIVATE | MAP_ANONYMOUS,
	.advice = MADV_HUGEPAGE,
};

FIXTURE_VARIANT_ADD(pin, hugetlb) {
	.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
};

FIXTURE_VARIANT_ADD(pin, shared) {
	.flags = MAP_SHARED | MAP_ANONYMOUS,
};

FIXTURE_VARIANT_ADD(pin, file) {
	.flags = MAP_SHARED,
	.tmpfs = true,
};

FIXTURE_SETUP(pin) {
	int fd = -1;

	self->hugetlb = variant->flags & MAP_HUGETLB;
	if (self->hugetlb && write_file("/proc/sys/vm/nr_hugepages", "4"))
		SKIP(_exit(255), "no huge pages");
	if (variant->tmpfs) {
		fd = memfd_create("pin", MFD_CLOEXEC);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ftruncate(fd, SIZE));
	}
	self->va = memory_of_kind(SIZE, variant->flags, variant->advice, fd);
	if (self->va == MAP_FAILED && self->hugetlb)
		SKIP(_exit(255), "no huge pages");
	ASSERT_NE(MAP_FAILED, self->va);
	close(fd);
	if (variant->advice == MADV_HUGEPAGE && thp_kb() < (long)SIZE / 1024)
		SKIP(_exit(255), "no transparent huge pages");

	memset(&self->n, 0, sizeof(self->n));
	self->n.asid[CVQ] = ASID1;
	self->n.fd = GET_DEV(.loop = true, .as = 2);
	ASSERT_LE(0, self->n.fd);
	self->pinned = pinned_pages();
	self->n.data = (struct area) { self->va, DATA_IOVA, SIZE };
}

FIXTURE_TEARDOWN(pin) {
	self->n.data.va = NULL;
	net_stop(&self->n);
	EXPECT_EQ(self->pinned, pinned_pages());
	sim_del(TEST_DEV);
	munmap(self->va, SIZE);
	if (self->hugetlb)
		EXPECT_EQ(0, write_file("/proc/sys/vm/nr_hugepages", "0"));
}

/* Pages that this test holds pinned. */
static long held(const struct _test_data_pin *self)
{
	return pinned_pages() - self->pinned;
}

static int map_pages(struct _test_data_pin *self, long first, long count, int perm)
{
	return map(self->n.fd, 0, DATA_IOVA + first * PG, count * PG, self->va + first * PG, perm);
}

static int unmap_all(struct _test_data_pin *self)
{
	return unmap(self->n.fd, 0, DATA_IOVA, SIZE);
}

/* A device that has all of the memory. */
static void start(struct __test_metadata *_metadata, struct _test_data_pin *self)
{
	ASSERT_EQ(0, net_negotiate(&self->n, CTRL_FEATURES));
	ASSERT_EQ(0, map_pages(self, 0, SIZE / PG, RW));
	ASSERT_EQ(0, net_restart(&self->n));
}

/* Parts of huge pages, and more than one of them: each page is pinned once. */
TEST_F(pin, parts)
{
	static const struct { long first, count; } parts[] = {
		{ 0, 1 }, { 511, 1 }, { 511, 2 }, { 0, 512 }, { 1, 511 }, { 1, 512 }, { 100, 1000 },
		{ 512, 513 }, { 0, 2048 }, { 2047, 1 },
	};
	size_t i, k;

	ASSERT_EQ(0, net_negotiate(&self->n, CTRL_FEATURES));
	for (i = 0; i < ARRAY_LEN(parts); i++) {
		for (k = 0; k < 2; k++) {
			EXPECT_EQ(0, map_pages(self, parts[i].first, parts[i].count, k ? RO : RW));
			EXPECT_EQ(parts[i].count, held(self));
			EXPECT_EQ(0, unmap_all(self));
			EXPECT_EQ(0, held(self));
		}
	}
}

/* The same memory twice: each mapping holds it. */
TEST_F(pin, twice)
{
	ASSERT_EQ(0, net_negotiate(&self->n, CTRL_FEATURES));
	EXPECT_EQ(0, map(self->n.fd, 0, DATA_IOVA, HUGE, self->va, RW));
	EXPECT_EQ(0, map(self->n.fd, 0, DATA_IOVA + HUGE, HUGE, self->va, RO));
	EXPECT_EQ(1024, held(self));
	EXPECT_EQ(0, unmap(self->n.fd, 0, DATA_IOVA, HUGE));
	EXPECT_EQ(512, held(self));
	EXPECT_EQ(0, unmap_all(self));
	EXPECT_EQ(0, held(self));
}

/* A hole, first or last or in the middle: refused, and nothing stays pinned. */
TEST_F(pin, hole)
{
	const long last = SIZE / PG - 1;
	const long holes[] = { 0, 1, last / 2, last };
	size_t i;

	if (self->hugetlb)
		SKIP(return, "5.10.262 warns with lockdep when such a mapping is split");
	ASSERT_EQ(0, net_negotiate(&self->n, CTRL_FEATURES));
	for (i = 0; i < ARRAY_LEN(holes); i++) {
		ASSERT_EQ(0, mprotect(self->va + holes[i] * PG, PG, PROT_NONE));
		EXPECT_EQ(-EFAULT, map_pages(self, 0, SIZE / PG, RW));
		EXPECT_EQ(-EFAULT, map_pages(self, 0, SIZE / PG, RO));
		EXPECT_EQ(0, held(self));
		ASSERT_EQ(0, mprotect(self->va + holes[i] * PG, PG, PROT_READ | PROT_WRITE));
	}
	for (i = 0; i < ARRAY_LEN(holes); i++) {
		ASSERT_EQ(0, munmap(self->va + holes[i] * PG, PG));
		EXPECT_EQ(-EFAULT, map_pages(self, 0, SIZE / PG, RW));
		EXPECT_EQ(0, held(self));
	}
}

/* Pages that aren't in the order of their addresses: the device has them as the process does. */
TEST_F(pin, moved)
{
	char *a = self->va + BUF(98), *b = self->va + BUF(101), *spare;

	if (self->hugetlb)
		SKIP(return, "a huge page can't be moved");
	spare = mmap(NULL, PG, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, spare);
	ASSERT_EQ(spare, mremap(a, PG, PG, MREMAP_MAYMOVE | MREMAP_FIXED, spare));
	ASSERT_EQ(a, mremap(b, PG, PG, MREMAP_MAYMOVE | MREMAP_FIXED, a));
	ASSERT_EQ(b, mremap(spare, PG, PG, MREMAP_MAYMOVE | MREMAP_FIXED, b));

	start(_metadata, self);
	EXPECT_EQ(1, net_loops(&self->n, test_mac));
}

/* A child has a copy: what it writes isn't seen by the device, what its parent writes is. */
TEST_F(pin, fork)
{
	int status = -1;
	pid_t pid;

	if (self->hugetlb)
		SKIP(return, "5.10 shares pinned huge pages of hugetlbfs with a child");
	start(_metadata, self);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (variant->flags & MAP_PRIVATE)
			memset(self->va, 0xff, SIZE);
		_exit(0);
	}
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(1, net_loops(&self->n, test_mac));
}

/* Half of it leaves the process; the device keeps it, and the other half goes on. */
TEST_F(pin, unmapped_by_the_process)
{
	if (self->hugetlb)
		SKIP(return, "5.10.262 warns with lockdep when such a mapping is split");
	start(_metadata, self);
	EXPECT_EQ(1, net_loops(&self->n, test_mac));
	ASSERT_EQ(0, munmap(self->va + SIZE / 2, SIZE / 2));
	EXPECT_EQ(1, net_loops(&self->n, test_mac));
	EXPECT_LE((long)(SIZE / PG), held(self));
	EXPECT_EQ(0, unmap_all(self));
}

/* Read-only, then written to by the process: the device reads what is there now. */
TEST_F(pin, read_only)
{
	char *rx;

	/* Rings and receive buffers writable; what is sent, in a mapping of its own. */
	ASSERT_EQ(0, net_negotiate(&self->n, CTRL_FEATURES));
	ASSERT_EQ(0, map_pages(self, 0, BUF(98) / PG, RW));
	ASSERT_EQ(0, map_pages(self, BUF(98) / PG, 1, RO));
	ASSERT_EQ(0, net_restart(&self->n));
	net_post_rx(&self->n, 40, 1, 0x800);
	EXPECT_EQ(0, net_send(&self->n, 98, frame_make(self->va + BUF(98), test_mac, 64, 7)));
	EXPECT_EQ(NET_HDR + ETH_HLEN + 64, net_recv(&self->n, NULL));
	rx = self->va + BUF(40);
	EXPECT_EQ(0, memcmp(rx + NET_HDR, self->va + BUF(98) + NET_HDR, ETH_HLEN + 64));
}

#define FILE_SIZE	(64UL << 20)
#define ALIASES		16

/*
 * A child maps 1 GiB, which is a file many times over; it is killed after @delay seconds, unless
 * that is 0. Returns for how long it lived from the UPDATE on, or something negative.
 */
static double update_of_child(int dev, int file, double delay)
{
	uint64_t features = NET_FEATURES;
	int begins[2];
	double start;
	size_t i;
	pid_t pid;
	char *va;

	if (pipe(begins))
		return -1;
	pid = fork();
	if (!pid) {
		va = mmap(NULL, ALIASES * FILE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (i = 0; i < ALIASES; i++)
			if (mmap(va + i * FILE_SIZE, FILE_SIZE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_FIXED | MAP_POPULATE, file, 0) == MAP_FAILED)
				_exit(1);
		if (dev_negotiate(dev, &features) || write(begins[1], "", 1) != 1)
			_exit(1);
		_exit(!!map(dev, 0, DATA_IOVA, ALIASES * FILE_SIZE, va, RW));
	}
	close(begins[1]);
	if (pid < 0 || read(begins[0], &(char){ 0 }, 1) != 1)
		delay = -1;
	close(begins[0]);
	start = now();
	if (delay > 0) {
		usleep(delay * 1e6);
		kill(pid, SIGKILL);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		return -1;

	return delay < 0 ? delay : now() - start;
}

/*
 * A process that is killed doesn't wait until all of its memory is pinned. The device stays open,
 * so it would hold a mapping that was completed. A signal may come too late once, but not always.
 */
TEST(killed)
{
	int file = memfd_create("pin", MFD_CLOEXEC), dev, round;
	double whole;
	long pinned;

	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, FILE_SIZE));
	dev = GET_DEV();
	ASSERT_LE(0, dev);
	NEED_PINS();
	pinned = pinned_pages();
	whole = update_of_child(dev, file, 0);
	ASSERT_LT(0, whole);
	EXPECT_EQ(pinned + ALIASES * FILE_SIZE / PG, pinned_pages());
	test_dev_end(dev);
	for (round = 0; round < 5; round++) {
		long held;

		dev = GET_DEV();
		ASSERT_LE(0, dev);
		ASSERT_LT(0, update_of_child(dev, file, whole / 8));
		held = pinned_pages() - pinned;
		test_dev_end(dev);
		EXPECT_EQ(pinned, pinned_pages());
		if (!held)
			break;
	}
	EXPECT_GT(5, round);
	close(file);
}

TEST_HARNESS_MAIN
