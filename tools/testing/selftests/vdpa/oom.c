// SPDX-License-Identifier: GPL-2.0
/*
 * Allocation failures: each operation is repeated with its first allocation failing, then the
 * second, and so on until none is left. It fails cleanly or works, and works again afterwards.
 * Needs a kernel with CONFIG_FAILSLAB and CONFIG_FAULT_INJECTION_DEBUG_FS.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sys/eventfd.h>

#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vduse_util.h"
#include "harness.h"

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define DEBUGFS		"/sys/kernel/debug/"
#define MAX_FAILURES	2000
#define PAGES		6

static void ready_to_fail(void)
{
	static const char * const kinds[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	char path[128];
	size_t i;

	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		/* Failures that are asked for are no report of the kernel's. */
		snprintf(path, sizeof(path), DEBUGFS "%s/verbose", kinds[i]);
		write_file(path, "0");
		snprintf(path, sizeof(path), DEBUGFS "%s/ignore-gfp-wait", kinds[i]);
		write_file(path, "N");
	}
	write_file(DEBUGFS "fail_page_alloc/min-order", "0");
}

static int fail_fd = -1;

static void fail_nth(int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", n);
	if (pwrite(fail_fd, text, strlen(text), 0) < 0)
		return;
}

/* True if the failure that was requested has been injected. */
static bool has_failed(void)
{
	char text[16] = "0";
	ssize_t len = pread(fail_fd, text, sizeof(text) - 1, 0);

	text[len > 0 ? len : 0] = '\0';
	fail_nth(0);

	return !atoi(text);
}

FIXTURE(oom) {
	struct net n;
	struct area a;
	long pinned;
};

FIXTURE_VARIANT(oom) {
	bool batch_mapping;
};

FIXTURE_VARIANT_ADD(oom, incremental) {
	.batch_mapping = false,
};

FIXTURE_VARIANT_ADD(oom, whole_table) {
	.batch_mapping = true,
};

static int oom_begin(struct _test_data_oom *self, int fd)
{
	int i, rc;

	self->n.fd = fd;
	if (fd < 0)
		return fd;
	ready_to_fail();
	self->n.asid[CVQ] = vdev.cvq_apart ? ASID1 : ASID0;
	self->pinned = pinned_pages();
	rc = area_alloc(&self->a, 0x70000000, PAGES * 4096);
	if (rc)
		return rc;
	/* Most pages a piece of their own, and so an allocation or two. */
	for (i = 0; i < PAGES; i++)
		((char *)self->a.va)[(i * 5) % PAGES * 4096] = i;
	fail_fd = open(FAIL_NTH, O_RDWR);

	return fail_fd < 0 ? -errno : 0;
}

FIXTURE_SETUP(oom) {
	if (access(FAIL_NTH, W_OK))
		SKIP(_exit(255), "no " FAIL_NTH ": the kernel has no CONFIG_FAULT_INJECTION");
	ASSERT_EQ(0, oom_begin(self, GET_DEV(.batch_mapping = variant->batch_mapping, .loop = true,
					     .features = MAC_FEATURES, .as = 2)));
}

FIXTURE_TEARDOWN(oom) {
	net_stop(&self->n);
	EXPECT_EQ(self->pinned, pinned_pages());
	sim_del(TEST_DEV);
}

/*
 * Does @op with the n-th allocation failing, for every n, and each time @undo, without failures,
 * with the result of @op. A result of @undo other than 0 is an error, and ends the sweep. Returns
 * the number of failures, or a negative error.
 */
static int sweep(struct _test_data_oom *self, int (*op)(struct _test_data_oom *self),
		 int (*undo)(struct _test_data_oom *self, int rc))
{
	int n, rc, bad;
	bool failed;

	/* What is allocated once and kept isn't to be counted. */
	for (n = 0; n < 2; n++) {
		rc = op(self);
		bad = undo(self, rc);
		if (bad)
			return bad;
	}
	for (n = 1; n < MAX_FAILURES; n++) {
		fail_nth(n);
		rc = op(self);
		failed = has_failed();
		bad = undo(self, rc);
		if (bad)
			return bad;
		if (!failed)
			return rc ? -1000 : n - 1;
	}

	return -2000;
}

static int do_map(struct _test_data_oom *self)
{
	return map(self->n.fd, ASID1, self->a.iova, self->a.size, self->a.va, VHOST_ACCESS_RW);
}

static int undo_map(struct _test_data_oom *self, int rc)
{
	if (rc && pinned_pages() != self->pinned)
		return -3000;
	if (!rc && unmap(self->n.fd, ASID1, self->a.iova, self->a.size))
		return -3001;
	if (pinned_pages() != self->pinned)
		return -3002;
	if (do_map(self) || unmap(self->n.fd, ASID1, self->a.iova, self->a.size))
		return -3003;

	return 0;
}

TEST_F_TIMEOUT(oom, map, 600)
{
	ASSERT_EQ(0, net_negotiate(&self->n, CTRL_FEATURES));
	EXPECT_LT(0, sweep(self, do_map, undo_map));
}

/* The first message for an ASID creates the address space. If that fails, nothing is left. */
static int do_map_fresh(struct _test_data_oom *self)
{
	int fd = vdpa_open(TEST_DEV), rc;
	uint64_t features = F_MSG_V2 | F_BATCH | F_ASID;

	if (fd < 0)
		return fd;
	rc = io(fd, VHOST_SET_OWNER, NULL);
	if (!rc)
		rc = io(fd, VHOST_SET_BACKEND_FEATURES, &features);
	if (!rc)
		rc = map(fd, ASID1, 0x1000, 0x1000, self->a.va, VHOST_ACCESS_RW);
	if (!rc)
		rc = map(fd, ASID0, 0x1000, 0x1000, self->a.va, VHOST_ACCESS_RW);
	close(fd);

	return rc;
}

static int undo_nothing(struct _test_data_oom *self, int rc)
{
	return pinned_pages() == self->pinned ? 0 : -3000;
}

TEST_F_TIMEOUT(oom, open_and_map, 600)
{
	close(self->n.fd);
	EXPECT_LT(0, sweep(self, do_map_fresh, undo_nothing));
	self->n.fd = vdpa_open(TEST_DEV);
	ASSERT_LE(0, self->n.fd);
}

/* INVALIDATE releases memory. If it fails nevertheless, it can be repeated. */
static int do_unmap(struct _test_data_oom *self)
{
	return unmap(self->n.fd, ASID1, self->a.iova, 1);
}

static int undo_unmap(struct _test_data_oom *self, int rc)
{
	if (rc && unmap(self->n.fd, ASID1, self->a.iova, 1))
		return -3000;
	if (pinned_pages() != self->pinned)
		return -3001;

	return do_map(self) ? -3002 : 0;
}

TEST_F_TIMEOUT(oom, unmap, 600)
{
	long before = self->pinned;

	ASSERT_EQ(0, net_negotiate(&self->n, CTRL_FEATURES));
	/* One that stays: to hand over what is left needs memory, unless that is nothing. */
	ASSERT_EQ(0, map(self->n.fd, ASID1, 0x1000, 0x1000, self->a.va, VHOST_ACCESS_RW));
	self->pinned = pinned_pages();
	ASSERT_EQ(0, do_map(self));
	EXPECT_LT(0, sweep(self, do_unmap, undo_unmap));
	self->pinned = before;
}

/*
 * When the file is closed, the parent refuses to remove one of the mappings. The page of that one
 * stays pinned for ever, as the device may still reach it; the others go.
 */
TEST_F(oom, refused_unmap)
{
	static const char * const config[][2] = {
		{ "inject", "vdpasim_dma_unmap" },
		{ "verbose", "0" }, { "interval", "1" }, { "probability", "100" }, { "times", "1" },
	};
	char path[128];
	size_t i;

	if (variant->batch_mapping)
		SKIP(return, "only mappings that are made one by one are refused one by one");
	if (access(DEBUGFS "fail_function/inject", W_OK))
		SKIP(return, "no fail_function: the kernel has no CONFIG_FAIL_FUNCTION");

	ASSERT_EQ(0, net_negotiate(&self->n, CTRL_FEATURES));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, map(self->n.fd, ASID1, 0x10000 * (i + 1), 0x1000,
				 (char *)self->a.va + 4096 * i, VHOST_ACCESS_RW));
	for (i = 0; i < ARRAY_LEN(config); i++) {
		snprintf(path, sizeof(path), DEBUGFS "fail_function/%s", config[i][0]);
		EXPECT_EQ(0, write_file(path, config[i][1]));
	}
	close(self->n.fd);
	write_file(DEBUGFS "fail_function/inject", "!vdpasim_dma_unmap");
	self->n.fd = vdpa_open(TEST_DEV);
	EXPECT_LE(0, self->n.fd);
	self->pinned++;
	EXPECT_EQ(self->pinned, pinned_pages());
}

static int do_batch(struct _test_data_oom *self)
{
	int fd = self->n.fd, rc, i;

	rc = send_msg(fd, ASID0, VHOST_IOTLB_BATCH_BEGIN, 0, 0, NULL, 0);
	for (i = 0; !rc && i < PAGES; i += 2)
		rc = map(fd, ASID0, self->a.iova + i * 4096, 2 * 4096,
			 (char *)self->a.va + i * 4096, VHOST_ACCESS_RW);
	i = send_msg(fd, ASID0, VHOST_IOTLB_BATCH_END, 0, 0, NULL, 0);

	return rc ? rc : i;
}

/* The device sends a frame from there. */
static bool reaches(struct net *n, const struct area *a)
{
	struct seg s = { a->iova, frame_make(a->va, test_mac, 64, 1), false };

	ring_add(&n->q[TXQ], &s, 1);
	ring_kick(&n->q[TXQ]);

	return !ring_wait(&n->q[TXQ], WAIT_MS, NULL, NULL);
}

/* A BATCH_END that fails ends the batch nevertheless. */
static int undo_batch(struct _test_data_oom *self, int rc)
{
	if (!rc && !reaches(&self->n, &self->a))
		return -3003;
	if (unmap(self->n.fd, ASID0, self->a.iova, self->a.size))
		return -3000;
	if (send_msg(self->n.fd, ASID0, VHOST_IOTLB_BATCH_END, 0, 0, NULL, 0))
		return -3002;

	return pinned_pages() == self->pinned ? 0 : -3001;
}

TEST_F_TIMEOUT(oom, batch, 600)
{
	long before = self->pinned;

	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
	self->pinned = pinned_pages();
	EXPECT_LT(0, sweep(self, do_batch, undo_batch));
	self->pinned = before;
}

/* Mappings stay over the reset. */
static int do_start(struct _test_data_oom *self)
{
	return net_restart(&self->n);
}

static int undo_start(struct _test_data_oom *self, int rc)
{
	if (net_restart(&self->n))
		return -3000;
	if (net_loops(&self->n, test_mac) != 1)
		return -3001;
	if (ctrl_set_mac(&self->n, test_mac) != VIRTIO_NET_OK)
		return -3002;

	return 0;
}

TEST_F_TIMEOUT(oom, start, 600)
{
	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
	EXPECT_LT(0, sweep(self, do_start, undo_start));
}

/* Opens the fail-nth of the simulator's thread, which has the name of the device. */
static int open_worker(void)
{
	char path[300], name[64];
	struct dirent *e;
	DIR *d = opendir("/proc");
	int fd = -ENOENT;

	while (fd < 0 && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		if (read_file(path, name, sizeof(name)) < 0 || strcmp(name, TEST_DEV "\n"))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/fail-nth", e->d_name);
		fd = open(path, O_RDWR);
	}
	closedir(d);

	return fd;
}

/*
 * The disk of a block device has no memory for what is written to it: the request fails, and no
 * other one. What was written of it is on the disk, up to a page, and the rest is as before.
 */
TEST(oom_disk)
{
	const uint32_t len = 64 * 1024;
	struct blk b = { 0 };
	uint32_t done;
	int n, rc, failures = 0;

	if (access(FAIL_NTH, W_OK))
		SKIP(return, "no " FAIL_NTH ": the kernel has no CONFIG_FAULT_INJECTION");
	b.fd = GET_DEV(.blk = true, .sim = true);
	ASSERT_LE(0, b.fd);
	ready_to_fail();
	ASSERT_EQ(0, blk_start(&b, BLK_FEATURES));
	fail_fd = open_worker();
	ASSERT_LE(0, fail_fd);
	for (n = 1; n < MAX_FAILURES; n++) {
		ASSERT_EQ(0, blk_range(&b, VIRTIO_BLK_T_DISCARD, 0, len / SECTOR, 0));
		blk_fill(blk_mem(&b, BLK_DATA), len, n);
		fail_nth(n);
		rc = blk_write(&b, 0, BLK_DATA, len);
		if (!has_failed())
			break;
		/* What the pages are found by is allocated once more if that fails. */
		if (rc)
			failures++;
		EXPECT_EQ(rc ? VIRTIO_BLK_S_IOERR : 0, rc);
		ASSERT_EQ(0, blk_read(&b, 0, BLK_DATA, len));
		for (done = 0; done < len && blk_filled(blk_mem(&b, BLK_DATA), done + 4096, n);)
			done += 4096;
		EXPECT_EQ(!rc, done == len);
		for (; done < len && !*blk_mem(&b, BLK_DATA + done); done++)
			;
		EXPECT_EQ(len, done);
		blk_fill(blk_mem(&b, BLK_DATA), len, n);
		ASSERT_EQ(0, blk_write(&b, 0, BLK_DATA, len));
	}
	EXPECT_EQ(0, rc);
	/* A page for each 4 KiB, at least. */
	EXPECT_LE((int)len / 4096, failures);
	EXPECT_EQ(15, get_status(b.fd));
	blk_stop(&b);
	EXPECT_EQ(0, sim_del(TEST_DEV));
}

/* The management interface doesn't depend on how the device takes mappings. */
FIXTURE(oom_mgmt) {
	struct _test_data_oom o;
};

FIXTURE_VARIANT(oom_mgmt) {
	bool blk;
};

FIXTURE_VARIANT_ADD(oom_mgmt, net) {
	.blk = false,
};

FIXTURE_VARIANT_ADD(oom_mgmt, blk) {
	.blk = true,
};

FIXTURE_SETUP(oom_mgmt) {
	if (access(FAIL_NTH, W_OK))
		SKIP(_exit(255), "no " FAIL_NTH ": the kernel has no CONFIG_FAULT_INJECTION");
	ASSERT_EQ(0, oom_begin(&self->o, GET_DEV(.own = true, .net = !variant->blk,
						 .blk = variant->blk)));
}

FIXTURE_TEARDOWN(oom_mgmt) {
	net_stop(&self->o.n);
	sim_del(TEST_DEV);
}

static int do_add(struct _test_data_oom *self)
{
	return sim_add("ksft1", test_mac, 1500);
}

static int undo_add(struct _test_data_oom *self, int rc)
{
	bool there = !access("/sys/bus/vdpa/devices/ksft1", F_OK);

	/* An answer may get lost; the device may not be half there. */
	if (!rc && !there)
		return -3000;
	if (there && sim_del("ksft1"))
		return -3001;
	if (!there && sim_del("ksft1") != -ENODEV)
		return -3002;

	return 0;
}

TEST_F_TIMEOUT(oom_mgmt, add, 600)
{
	EXPECT_LT(0, sweep(&self->o, do_add, undo_add));
}

static int do_del(struct _test_data_oom *self)
{
	return sim_del("ksft1");
}

static int undo_del(struct _test_data_oom *self, int rc)
{
	bool there = !access("/sys/bus/vdpa/devices/ksft1", F_OK);

	if (!rc && there)
		return -3000;
	if (there && sim_del("ksft1"))
		return -3001;

	return sim_add("ksft1", test_mac, 1500) ? -3002 : 0;
}

TEST_F_TIMEOUT(oom_mgmt, del, 600)
{
	ASSERT_EQ(0, sim_add("ksft1", test_mac, 1500));
	EXPECT_LE(0, sweep(&self->o, do_del, undo_del));
	EXPECT_EQ(0, sim_del("ksft1"));
}

static int do_show(struct _test_data_oom *self)
{
	static const struct attr name = { ATTR_DEV_NAME, TEST_DEV, sizeof(TEST_DEV) };
	int rc = vdpa_request(CMD_DEV_GET, 0, &name, 1, NULL, 0);

	if (!rc)
		rc = vdpa_request(CMD_DEV_CONFIG_GET, 0, &name, 1, NULL, 0);
	/* NLM_F_DUMP */
	if (!rc)
		rc = vdpa_request(CMD_DEV_GET, 0x300, NULL, 0, NULL, 0);

	return rc;
}

static int undo_show(struct _test_data_oom *self, int rc)
{
	return do_show(self) ? -3000 : 0;
}

TEST_F_TIMEOUT(oom_mgmt, show, 600)
{
	EXPECT_LT(0, sweep(&self->o, do_show, undo_show));
}

/* VDUSE: the daemon is another thread, for which nothing fails. */
static struct vduse vduse;

FIXTURE(oom_vduse) {
	struct _test_data_oom o;
};

FIXTURE_SETUP(oom_vduse) {
	if (access(FAIL_NTH, W_OK))
		SKIP(_exit(255), "no " FAIL_NTH ": the kernel has no CONFIG_FAULT_INJECTION");
	if (given_dev())
		SKIP(_exit(255), "needs to add devices");
	if (run("modprobe -q vduse"))
		SKIP(_exit(255), "no module vduse");
	ASSERT_EQ(0, sim_load(false, 0));
	ASSERT_EQ(0, memlock(1UL << 30));
	ASSERT_EQ(0, oom_begin(&self->o, open("/dev/null", O_RDONLY | O_CLOEXEC)));
	ASSERT_EQ(0, vduse_init(&vduse, 1));
	strcpy(vduse.config.name, TEST_DEV);
	vduse.config.vq_num = 2;
	vduse.config.ngroups = 2;
	vduse.config.nas = 2;
	vduse.groups[1] = 1;
}

FIXTURE_TEARDOWN(oom_vduse) {
	close(self->o.n.fd);
	vduse_down(&vduse);
	EXPECT_EQ(self->o.pinned, pinned_pages());
	area_free(&self->o.a);
}

static int vduse_vhost(struct _test_data_oom *self)
{
	uint64_t features = F_MSG_V2 | F_BATCH | F_ASID;
	int rc = vduse_up(&vduse);

	if (rc)
		return rc;
	close(self->n.fd);
	self->n.fd = vdpa_open(TEST_DEV);
	if (self->n.fd < 0)
		return self->n.fd;
	rc = io(self->n.fd, VHOST_SET_OWNER, NULL);

	return rc ? rc : io(self->n.fd, VHOST_SET_BACKEND_FEATURES, &features);
}

static int do_create(struct _test_data_oom *self)
{
	uint64_t version = 1;
	int fd = open(VDUSE_CONTROL, O_RDWR | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	rc = io(fd, VDUSE_SET_API_VERSION, &version);
	close(fd);

	return rc ? rc : vduse_create(&vduse);
}

static int undo_create(struct _test_data_oom *self, int rc)
{
	bool there = !access("/sys/class/vduse/" TEST_DEV, F_OK);

	if (there != !rc)
		return -3000;

	return there ? io(vduse.control, VDUSE_DESTROY_DEV, vduse.config.name) : 0;
}

TEST_F_TIMEOUT(oom_vduse, create, 600)
{
	EXPECT_LT(0, sweep(&self->o, do_create, undo_create));
}

static int do_vduse_add(struct _test_data_oom *self)
{
	return vduse_add(TEST_DEV, NULL, 0);
}

static int undo_vduse_add(struct _test_data_oom *self, int rc)
{
	bool there = !access("/sys/bus/vdpa/devices/" TEST_DEV, F_OK);

	if (!rc && !there)
		return -3000;

	return there ? vduse_del(TEST_DEV) : 0;
}

TEST_F_TIMEOUT(oom_vduse, add, 600)
{
	ASSERT_EQ(0, vduse_up(&vduse));
	ASSERT_EQ(0, vduse_del(TEST_DEV));
	EXPECT_LT(0, sweep(&self->o, do_vduse_add, undo_vduse_add));
}

/* All of a mapping is there for the daemon, or nothing. */
static int undo_vduse_map(struct _test_data_oom *self, int rc)
{
	struct vduse_iotlb_entry_v2 entry;
	int fd = vduse_get_fd2(&vduse, ASID1, 0, ~0ULL, &entry);

	close(fd);
	if (rc && fd != -EINVAL)
		return -3100;
	if (!rc && (fd < 0 || entry.start != self->a.iova ||
		    entry.last != self->a.iova + self->a.size - 1))
		return -3102;
	fd = vduse_get_fd2(&vduse, ASID0, 0, ~0ULL, &entry);
	close(fd);
	if (fd != -EINVAL)
		return -3101;

	return undo_map(self, rc);
}

TEST_F_TIMEOUT(oom_vduse, map, 600)
{
	ASSERT_EQ(0, vduse_vhost(&self->o));
	EXPECT_LT(0, sweep(&self->o, do_map, undo_vduse_map));
}

TEST_F_TIMEOUT(oom_vduse, unmap, 600)
{
	ASSERT_EQ(0, vduse_vhost(&self->o));
	ASSERT_EQ(0, map(self->o.n.fd, ASID1, 0x1000, 0x1000, self->o.a.va, VHOST_ACCESS_RW));
	ASSERT_EQ(0, do_map(&self->o));
	EXPECT_LT(0, sweep(&self->o, do_unmap, undo_unmap));
}

TEST_F_TIMEOUT(oom_vduse, open_and_map, 600)
{
	ASSERT_EQ(0, vduse_vhost(&self->o));
	close(self->o.n.fd);
	self->o.n.fd = -1;
	EXPECT_LT(0, sweep(&self->o, do_map_fresh, undo_nothing));
}

/* What a daemon does. */
static int do_daemon(struct _test_data_oom *self)
{
	struct {
		struct vduse_config_data data;
		uint8_t bytes[8];
	} config = { .data.length = 8 };
	struct vduse_iotlb_entry_v2 entry;
	struct vduse_iova_info info = { .last = ~0ULL, .asid = ASID1 };
	int rc = io(vduse.fd, VDUSE_DEV_SET_CONFIG, &config), fd;
	void *va;

	if (!rc)
		rc = io(vduse.fd, VDUSE_IOTLB_GET_INFO, &info);
	if (rc)
		return rc;
	fd = vduse_get_fd2(&vduse, ASID1, 0, ~0ULL, &entry);
	if (fd < 0)
		return fd;
	va = mmap(NULL, self->a.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, entry.offset);
	rc = va == MAP_FAILED ? -errno : 0;
	if (!rc)
		munmap(va, self->a.size);
	close(fd);

	return rc;
}

static int undo_daemon(struct _test_data_oom *self, int rc)
{
	return do_daemon(self) ? -3000 : 0;
}

TEST_F_TIMEOUT(oom_vduse, daemon, 600)
{
	ASSERT_EQ(0, vduse_vhost(&self->o));
	ASSERT_EQ(0, do_map(&self->o));
	EXPECT_LT(0, sweep(&self->o, do_daemon, undo_daemon));
}

#define UMEM	(64UL << 20)

static struct vduse_iova_umem umem = { .size = UMEM };

static int do_umem(struct _test_data_oom *self)
{
	return io(vduse.fd, VDUSE_IOTLB_REG_UMEM, &umem);
}

/* Pages are unpinned by a work item. */
static int undo_umem(struct _test_data_oom *self, int rc)
{
	double end = now() + WAIT_MS / 1000.0;

	if (io(vduse.fd, VDUSE_IOTLB_DEREG_UMEM, &umem) != (rc ? -ENOENT : 0))
		return -3000;
	while (pinned_pages() != self->pinned && now() < end)
		usleep(10000);

	return pinned_pages() == self->pinned ? 0 : -3001;
}

TEST_F_TIMEOUT(oom_vduse, umem, 600)
{
	void *own = mmap(NULL, UMEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, own);
	memset(own, 1, UMEM);
	umem.uaddr = (uintptr_t)own;
	ASSERT_EQ(0, vduse_up(&vduse));
	EXPECT_LT(0, sweep(&self->o, do_umem, undo_umem));
	munmap(own, UMEM);
}

TEST_HARNESS_MAIN
