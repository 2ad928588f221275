// SPDX-License-Identifier: GPL-2.0
/*
 * What debugfs shows of a device, in vdpa/NAME: right, and readable at any time.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>

#include "vdpa_util.h"
#include "harness.h"

#define DIR	"/sys/kernel/debug/vdpa/" TEST_DEV "/"

static const char *const files[] = { "groups", "virtqueues", "open", "address_spaces" };

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

struct queue {
	int idx, size, avail, used, ready, broken;
	unsigned long long kicks, callbacks;
};

/* The line of a virtqueue. */
static int queue(int idx, struct queue *q)
{
	char buf[4096], *line = buf;
	int len = show("virtqueues", buf, sizeof(buf) - 1);

	if (len < 0)
		return len;
	buf[len] = 0;
	while ((line = strchr(line, '\n'))) {
		if (sscanf(++line, "%d %d %d %d %d %d %llu %llu", &q->idx, &q->size, &q->avail,
			   &q->used, &q->ready, &q->broken, &q->kicks, &q->callbacks) == 8 &&
		    q->idx == idx)
			return 0;
	}

	return -ENOENT;
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
	struct queue before, q;
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

TEST_HARNESS_MAIN
