// SPDX-License-Identifier: GPL-2.0
/*
 * What debugfs shows of a device, in vdpa/NAME: right, and readable at any time. The statistics of
 * a block device, there and through netlink.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>

#include "vdpa_util.h"
#include "harness.h"

#define DIR	"/sys/kernel/debug/vdpa/" TEST_DEV "/"

static const char *const files[] = { "groups", "virtqueues", "statistics", "open",
					   "address_spaces" };

/* Reads a file of the device: its length, or a negative errno. */
static int show(const char *name, char *buf, size_t size)
{
	char path[128];

	snprintf(path, sizeof(path), DIR "%s", name);
	return read_file(path, buf, size);
}

/* True if the file has exactly this text. */
static bool shows(const char *name, const char *text)
{
	char buf[4096];
	int len = show(name, buf, sizeof(buf) - 1);

	if (len < 0) {
		printf("# %s: %s\n", name, strerror(-len));
		return false;
	}
	buf[len] = 0;
	if (!strcmp(buf, text))
		return true;
	printf("# %s is:\n%s", name, buf);
	return false;
}

/* The line of a virtqueue. */
static int queue(int idx, struct shown_vq *q)
{
	return shown_vq(TEST_DEV, idx, q);
}

FIXTURE(debugfs) {
	struct net n;
};

FIXTURE_VARIANT(debugfs) {
	bool batch_mapping;
};

FIXTURE_VARIANT_ADD(debugfs, incremental) {
	.batch_mapping = false,
};

FIXTURE_VARIANT_ADD(debugfs, whole_table) {
	.batch_mapping = true,
};

FIXTURE_SETUP(debugfs) {
	self->n.fd = GET_DEV(.batch_mapping = variant->batch_mapping, .loop = true, .own = true);
	ASSERT_LE(0, self->n.fd);
	self->n.asid[CVQ] = vdev.cvq_apart ? ASID1 : ASID0;
	NEED(!access(DIR, F_OK), "no debugfs");
}

FIXTURE_TEARDOWN(debugfs) {
	net_stop(&self->n);
	sim_del(TEST_DEV);
}

TEST_F(debugfs, groups)
{
	NEED(sim_is_default(), "each device has its own groups");
	EXPECT_TRUE(shows("groups", "group asid virtqueues\n0 0 0 1\n1 0 2\n"));
	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
	EXPECT_TRUE(shows("groups", "group asid virtqueues\n0 0 0 1\n1 1 2\n"));
	/* What is refused changes nothing. */
	EXPECT_EQ(-EBUSY, bind_group(self->n.fd, 0, 1));
	EXPECT_EQ(-EINVAL, bind_group(self->n.fd, 0, 2));
	EXPECT_TRUE(shows("groups", "group asid virtqueues\n0 0 0 1\n1 1 2\n"));
	ASSERT_EQ(0, set_status(self->n.fd, 0));
	EXPECT_TRUE(shows("groups", "group asid virtqueues\n0 0 0 1\n1 0 2\n"));
}

TEST_F(debugfs, virtqueues)
{
	struct net *n = &self->n;
	struct shown_vq before, q;
	int i;

	NEED(queue(TXQ, &q) != -ENOENT, "the device doesn't tell");
	ASSERT_EQ(0, queue(TXQ, &before));
	EXPECT_EQ(0, before.ready);
	ASSERT_EQ(0, net_start(n, CTRL_FEATURES));
	net_post_rx(n, 40, 10, 0x800);
	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, net_send(n, 8, frame_make((char *)n->data.va + BUF(8), test_mac, 64,
						       i)));
	for (i = 0; i < 5; i++)
		ASSERT_LT(0, net_recv(n, NULL));

	for (i = RXQ; i <= TXQ; i++) {
		ASSERT_EQ(0, queue(i, &q));
		EXPECT_EQ(256, q.size);
		EXPECT_EQ(5, q.avail);
		EXPECT_EQ(5, q.used);
		EXPECT_EQ(1, q.ready);
		EXPECT_EQ(0, q.broken);
	}
	EXPECT_EQ(before.kicks + 5, q.kicks);
	EXPECT_LE(before.callbacks + 1, q.callbacks);
	EXPECT_GE(before.callbacks + 5, q.callbacks);

	/* The queue breaks; the others don't. */
	ring_post(&n->q[TXQ], 0xffff);
	ring_kick(&n->q[TXQ]);
	for (i = 0; i < WAIT_MS && !q.broken; i++) {
		usleep(1000);
		ASSERT_EQ(0, queue(TXQ, &q));
	}
	EXPECT_EQ(1, q.broken);
	EXPECT_EQ(5, q.avail);
	ASSERT_EQ(0, queue(RXQ, &q));
	EXPECT_EQ(0, q.broken);

	/* A reset starts anew, but for what is counted. */
	ASSERT_EQ(0, set_status(n->fd, 0));
	ASSERT_EQ(0, queue(TXQ, &q));
	EXPECT_EQ(0, q.avail + q.used + q.ready + q.broken);
	EXPECT_EQ(before.kicks + 6, q.kicks);
}

TEST_F(debugfs, address_spaces)
{
	static const char head[] = "asid mappings bytes pages\n";
	struct net *n = &self->n;
	char *page;
	int i;

	NEED(sim_is_default(), "each device has its own address spaces");
	ASSERT_EQ(0, memlock(1 << 24));
	ASSERT_EQ(0, net_negotiate(n, CTRL_FEATURES));
	EXPECT_TRUE(shows("address_spaces", "asid mappings bytes pages\n0 0 0 0\n1 0 0 0\n"));
	page = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, map(n->fd, 1, i << 20, 5 * 4096, page, VHOST_ACCESS_RW));
	EXPECT_TRUE(shows("address_spaces", "asid mappings bytes pages\n0 0 0 0\n1 3 61440 15\n"));
	/* As a whole. */
	ASSERT_EQ(0, unmap(n->fd, 1, (1 << 20) + 4096, 1));
	EXPECT_TRUE(shows("address_spaces", "asid mappings bytes pages\n0 0 0 0\n1 2 40960 10\n"));
	/* What is refused changes nothing. */
	EXPECT_EQ(-EFAULT, map(n->fd, 1, 0, 4096, page, VHOST_ACCESS_RW));
	EXPECT_EQ(-EFAULT, map(n->fd, 0, 0, 4096, NULL, VHOST_ACCESS_RW));
	EXPECT_TRUE(shows("address_spaces", "asid mappings bytes pages\n0 0 0 0\n1 2 40960 10\n"));

	/* In a batch, pages stay pinned until the parent has the table without them. */
	ASSERT_EQ(0, send_msg(n->fd, 1, VHOST_IOTLB_BATCH_BEGIN, 0, 0, NULL, 0));
	ASSERT_EQ(0, unmap(n->fd, 1, 0, 4096));
	EXPECT_TRUE(shows("address_spaces", variant->batch_mapping ?
			  "asid mappings bytes pages\n0 0 0 0\n1 1 20480 10\n" :
			  "asid mappings bytes pages\n0 0 0 0\n1 1 20480 5\n"));
	ASSERT_EQ(0, send_msg(n->fd, 1, VHOST_IOTLB_BATCH_END, 0, 0, NULL, 0));
	EXPECT_TRUE(shows("address_spaces", "asid mappings bytes pages\n0 0 0 0\n1 1 20480 5\n"));
	EXPECT_TRUE(shows("open", "1\n"));

	ASSERT_EQ(0, close(n->fd));
	EXPECT_TRUE(shows("open", "0\n"));
	EXPECT_TRUE(shows("address_spaces", head));
	n->fd = vdpa_open(TEST_DEV);
	ASSERT_LE(0, n->fd);
	EXPECT_TRUE(shows("address_spaces", "asid mappings bytes pages\n0 0 0 0\n1 0 0 0\n"));
}

/* A file that is open doesn't hold up the removal, and has nothing to say afterwards. */
TEST_F(debugfs, open_when_removed)
{
	int fd[ARRAY_LEN(files)];
	char path[128], c;
	double start;
	size_t i;

	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
	for (i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof(path), DIR "%s", files[i]);
		fd[i] = open(path, O_RDONLY);
		ASSERT_LE(0, fd[i]);
	}
	start = now();
	ASSERT_EQ(0, sim_del(TEST_DEV));
	EXPECT_GT(5, now() - start);
	for (i = 0; i < ARRAY_LEN(files); i++) {
		EXPECT_EQ(-1, read(fd[i], &c, 1));
		close(fd[i]);
	}
	EXPECT_NE(0, access(DIR, F_OK));
	ASSERT_EQ(0, sim_add(TEST_DEV, test_mac, 0));
	EXPECT_EQ(0, access(DIR "groups", F_OK));
}

static bool reading;

/* Returns how often a file was read as a whole; -1 if one of these was wrong. */
static void *read_all(void *arg)
{
	long good = 0;
	size_t i;

	while (__atomic_load_n(&reading, __ATOMIC_SEQ_CST)) {
		for (i = 0; i < ARRAY_LEN(files); i++) {
			char buf[4096];
			int len = show(files[i], buf, sizeof(buf) - 1);

			if (len <= 0)
				continue;
			if (buf[len - 1] != '\n')
				return (void *)-1L;
			good++;
		}
	}

	return (void *)good;
}

TEST_F(debugfs, read_while_busy_and_removed)
{
	struct net *n = &self->n;
	pthread_t thread[2];
	void *good;
	int i, k;

	reading = true;
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, read_all, NULL));
	for (i = 0; i < 30; i++) {
		EXPECT_EQ(0, net_start(n, CTRL_FEATURES));
		for (k = 0; k < 10; k++)
			EXPECT_EQ(1, net_loops(n, test_mac));
		/* With traffic, open and closed. */
		net_post_rx(n, 40, 100, 0x800);
		for (k = 0; k < 100; k++)
			net_queue_tx(n, 8, NET_HDR + ETH_HLEN + 64);
		if (i % 2)
			net_stop(n);
		EXPECT_EQ(0, sim_del(TEST_DEV));
		if (!(i % 2))
			net_stop(n);
		memset(n, 0, sizeof(*n));
		n->asid[CVQ] = vdev.cvq_apart ? ASID1 : ASID0;
		ASSERT_EQ(0, sim_add(TEST_DEV, test_mac, 0));
		n->fd = vdpa_open(TEST_DEV);
		ASSERT_LE(0, n->fd);
	}
	__atomic_store_n(&reading, false, __ATOMIC_SEQ_CST);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(thread[i], &good));
		EXPECT_LT(100, (long)good);
	}
}

/* What a block device counts; vstats.sh tests the network device. */
struct blk_stats {
	uint64_t requests, bytes_read, bytes_written, errors;
};

FIXTURE(blk_statistics) {
	struct blk b;
	struct blk_stats want[BLK_QUEUES];
};

FIXTURE_SETUP(blk_statistics) {
	self->b.fd = GET_DEV(.blk = true, .own = true, .features = BLK_FEATURES);
	ASSERT_LE(0, self->b.fd);
	ASSERT_EQ(0, blk_start(&self->b, BLK_FEATURES));
	ASSERT_EQ(BLK_QUEUES, self->b.queues);
}

FIXTURE_TEARDOWN(blk_statistics) {
	blk_stop(&self->b);
	sim_del(TEST_DEV);
}

/* True if netlink and debugfs say so of each virtqueue. */
static bool counted(const struct blk_stats *want)
{
	char text[4096] = "virtqueue name value\n";
	struct blk_stats s;
	int i, rc;

	for (i = 0; i < BLK_QUEUES; i++) {
		rc = vdpa_stat(TEST_DEV, i, "requests", &s.requests) ?:
		     vdpa_stat(TEST_DEV, i, "bytes_read", &s.bytes_read) ?:
		     vdpa_stat(TEST_DEV, i, "bytes_written", &s.bytes_written) ?:
		     vdpa_stat(TEST_DEV, i, "errors", &s.errors);
		if (rc || memcmp(&s, &want[i], sizeof(s))) {
			printf("# queue %d: error %d, %llu requests, %llu %llu bytes, %llu bad\n",
			       i, rc, (unsigned long long)s.requests,
			       (unsigned long long)s.bytes_read,
			       (unsigned long long)s.bytes_written,
			       (unsigned long long)s.errors);
			return false;
		}
		sprintf(text + strlen(text),
			"%d requests %llu\n%d bytes_read %llu\n%d bytes_written %llu\n%d errors %llu\n",
			i, (unsigned long long)want[i].requests,
			i, (unsigned long long)want[i].bytes_read,
			i, (unsigned long long)want[i].bytes_written,
			i, (unsigned long long)want[i].errors);
	}

	return shows("statistics", text);
}

TEST_F(blk_statistics, requests)
{
	struct blk_stats *want = self->want;
	struct blk *b = &self->b;

	EXPECT_TRUE(counted(want));
	ASSERT_EQ(0, blk_write(b, 0, BLK_DATA, 12288));
	want[0] = (struct blk_stats) { .requests = 1, .bytes_written = 12288 };
	EXPECT_TRUE(counted(want));
	ASSERT_EQ(0, blk_req(b, 3, VIRTIO_BLK_T_IN, 0, BLK_DATA, 512));
	ASSERT_EQ(0, blk_req(b, 3, VIRTIO_BLK_T_IN, 0, BLK_DATA, 0x100000));
	want[3] = (struct blk_stats) { .requests = 2, .bytes_read = 512 + 0x100000 };
	EXPECT_TRUE(counted(want));
	/* Neither reads or writes data of the disk. */
	ASSERT_EQ(0, blk_req(b, 1, VIRTIO_BLK_T_FLUSH, 0, 0, 0));
	ASSERT_EQ(0, blk_req(b, 1, VIRTIO_BLK_T_GET_ID, 0, BLK_DATA, 20));
	want[1].requests = 2;
	ASSERT_EQ(0, blk_range(b, VIRTIO_BLK_T_DISCARD, 0, 8, 0));
	ASSERT_EQ(0, blk_range(b, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0));
	want[0].requests += 2;
	EXPECT_TRUE(counted(want));

	/* Resets and other users leave them as they are. */
	ASSERT_EQ(0, blk_restart(b));
	EXPECT_TRUE(counted(want));
	blk_stop(b);
	EXPECT_TRUE(counted(want));
	b->fd = vdpa_open(TEST_DEV);
	ASSERT_LE(0, b->fd);
	EXPECT_TRUE(counted(want));
}

TEST_F(blk_statistics, errors)
{
	struct blk_stats *want = self->want;
	struct blk *b = &self->b;
	struct ring *r = &b->q[2];
	struct seg seg[3];
	int i;

	/* Out of range; not whole sectors; unknown; a bad range. */
	ASSERT_EQ(VIRTIO_BLK_S_IOERR, blk_write(b, 1ULL << 40, BLK_DATA, 4096));
	ASSERT_EQ(VIRTIO_BLK_S_IOERR, blk_read(b, 0, BLK_DATA, 513));
	ASSERT_EQ(VIRTIO_BLK_S_UNSUPP, blk_req(b, 0, 99, 0, BLK_DATA, 4096));
	ASSERT_EQ(VIRTIO_BLK_S_IOERR, blk_range(b, VIRTIO_BLK_T_DISCARD, 1ULL << 40, 8, 0));
	want[0] = (struct blk_stats) { .requests = 4, .errors = 4 };
	EXPECT_TRUE(counted(want));

	/* A short header; no room for a status. */
	blk_layout(b, 9, VIRTIO_BLK_T_OUT, 0, BLK_DATA, 4096, seg);
	seg[0].len = 8;
	seg[1].len = 0;
	ring_add(r, seg, 3);
	ring_kick(r);
	ASSERT_EQ(0, ring_wait(r, WAIT_MS, NULL, NULL));
	blk_layout(b, 9, VIRTIO_BLK_T_OUT, 0, BLK_DATA, 4096, seg);
	ring_add(r, seg, 2);
	ring_kick(r);
	ASSERT_EQ(0, ring_wait(r, WAIT_MS, NULL, NULL));
	want[2] = (struct blk_stats) { .requests = 2, .errors = 2 };
	EXPECT_TRUE(counted(want));

	/* Header, end of the data, and status not mapped: a part that was copied doesn't count. */
	for (i = 0; i < 3; i++) {
		blk_layout(b, 9, VIRTIO_BLK_T_IN, 0, BLK_SIZE - 8192, 8192, seg);
		if (i == 1)
			seg[i].len += SECTOR;
		else
			seg[i].iova = 0x1000;
		ring_add(r, seg, 3);
		ring_kick(r);
		EXPECT_EQ(-ETIMEDOUT, ring_wait(r, SOON_MS, NULL, NULL));
		EXPECT_EQ(15 | VIRTIO_CONFIG_S_NEEDS_RESET, get_status(b->fd));
		want[2].requests++;
		want[2].errors++;
		EXPECT_TRUE(counted(want));
		ASSERT_EQ(0, blk_restart(b));
	}
	/* A ring that is wrong has no request. */
	ring_post(r, 0xffff);
	ring_kick(r);
	EXPECT_EQ(-ETIMEDOUT, ring_wait(r, SOON_MS, NULL, NULL));
	EXPECT_TRUE(counted(want));
}

/* An index is from 0 to the number of virtqueues, without it. */
TEST_F(blk_statistics, indexes)
{
	static const uint32_t bad[] = {
		BLK_QUEUES, BLK_QUEUES + 1, 15, 16, 255, 256, 0x8000, 0xffff, 0x10000, 0x10000 + 1,
		0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
	};
	const uint16_t small = 0;
	const uint64_t large = 0;
	const struct attr name = { ATTR_DEV_NAME, TEST_DEV, sizeof(TEST_DEV) };
	const struct attr odd[][2] = {
		{ name, { ATTR_QUEUE_INDEX, &small, sizeof(small) } },
		{ name, { ATTR_QUEUE_INDEX, NULL, 0 } },
		{ name, { ATTR_VENDOR_ATTR_VALUE, &large, sizeof(large) } },
	};
	uint64_t value;
	uint32_t i;

	for (i = 0; i < BLK_QUEUES; i++)
		EXPECT_EQ(0, vdpa_stat(TEST_DEV, i, "requests", &value));
	EXPECT_EQ(-ENOENT, vdpa_stat(TEST_DEV, 0, "packets", &value));
	for (i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_EQ(-EINVAL, vdpa_stat(TEST_DEV, bad[i], "requests", &value))
			TH_LOG("index %#x", bad[i]);
	EXPECT_EQ(-EINVAL, vdpa_request(CMD_DEV_VSTATS_GET, 0, &name, 1, NULL, 0));
	for (i = 0; i < ARRAY_LEN(odd); i++)
		EXPECT_NE(0, vdpa_request(CMD_DEV_VSTATS_GET, 0, odd[i], 2, NULL, 0))
			TH_LOG("case %u", i);
	EXPECT_EQ(-ENODEV, vdpa_stat("nobody", 0, "requests", &value));
	EXPECT_TRUE(counted(self->want));
}

TEST_HARNESS_MAIN
