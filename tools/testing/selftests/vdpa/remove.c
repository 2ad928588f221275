// SPDX-License-Identifier: GPL-2.0
/*
 * A device is removed while its file is open, memory is mapped and its queues are busy. It is gone
 * at once, and its file answers ENODEV.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/userfaultfd.h>

#include "vdpa_util.h"
#include "harness.h"

/* Seconds. A removal that waits for the file to be closed takes longer: it never ends. */
#define AT_ONCE	30.0

FIXTURE(gone) {
	struct net n;
	long pinned;
	pthread_t feeder;
	bool busy;
	bool stop;
};

enum how { BY_DEL, BY_UNBIND, BY_MODULE };

FIXTURE_VARIANT(gone) {
	enum how how;
};

FIXTURE_VARIANT_ADD(gone, by_del) {
	.how = BY_DEL,
};

FIXTURE_VARIANT_ADD(gone, by_unbind) {
	.how = BY_UNBIND,
};

FIXTURE_VARIANT_ADD(gone, by_module) {
	.how = BY_MODULE,
};

FIXTURE_SETUP(gone) {
	self->n.fd = GET_DEV(.own = true, .sim = variant->how == BY_MODULE, .net = true,
			     .features = MAC_FEATURES);
	ASSERT_LE(0, self->n.fd);
	self->pinned = pinned_pages();
	self->n.asid[CVQ] = vdev.cvq_apart ? ASID1 : ASID0;
}

FIXTURE_TEARDOWN(gone) {
	if (self->busy) {
		self->stop = true;
		pthread_join(self->feeder, NULL);
	}
	net_stop(&self->n);
	EXPECT_EQ(self->pinned, pinned_pages());
	/* Bound to nothing, after an unbind. */
	sim_del(TEST_DEV);
}

static int take_away(enum how how)
{
	double start = now();
	int rc = -EINVAL;

	switch (how) {
	case BY_DEL:
		rc = sim_is_static() ? -ENODEV : sim_del(TEST_DEV);
		break;
	case BY_UNBIND:
		rc = write_file("/sys/bus/vdpa/drivers/vhost_vdpa/unbind",
				sim_is_static() ? "vdpa0" : TEST_DEV);
		break;
	case BY_MODULE:
		rc = sim_unload_class();
		break;
	}
	if (!rc && now() - start > AT_ONCE)
		rc = -ETIMEDOUT;

	return rc;
}

static int all_refused(struct net *n)
{
	struct vhost_vring_addr addr = { 0 };
	struct vhost_vring_file file = { .fd = -1 };
	uint64_t features = F_MSG_V2;
	uint32_t u32;
	uint8_t mac[ETH_ALEN];
	char page[4096];
	int bad = 0;

	bad += vring_state(n->fd, VHOST_SET_VRING_NUM, 0, 16) != -ENODEV;
	bad += vring_state(n->fd, VHOST_SET_VRING_BASE, 0, 0) != -ENODEV;
	bad += vring_state(n->fd, VHOST_GET_VRING_BASE, 0, 0) != -ENODEV;
	bad += vring_state(n->fd, VHOST_VDPA_SET_VRING_ENABLE, 0, 1) != -ENODEV;
	bad += vring_state(n->fd, GET_VRING_GROUP, 0, 0) != -ENODEV;
	bad += vring_state(n->fd, GET_VRING_SIZE, 0, 0) != -ENODEV;
	bad += bind_group(n->fd, 0, 0) != -ENODEV;
	bad += io(n->fd, VHOST_SET_VRING_ADDR, &addr) != -ENODEV;
	bad += io(n->fd, VHOST_SET_VRING_KICK, &file) != -ENODEV;
	bad += io(n->fd, VHOST_SET_VRING_CALL, &file) != -ENODEV;
	bad += io(n->fd, VHOST_SET_OWNER, NULL) != -ENODEV;
	bad += io(n->fd, VHOST_GET_FEATURES, &features) != -ENODEV;
	bad += io(n->fd, VHOST_SET_FEATURES, &features) != -ENODEV;
	bad += io(n->fd, VHOST_GET_BACKEND_FEATURES, &features) != -ENODEV;
	bad += io(n->fd, VHOST_SET_BACKEND_FEATURES, &features) != -ENODEV;
	bad += io(n->fd, GET_CONFIG_SIZE, &u32) != -ENODEV;
	bad += io(n->fd, GET_AS_NUM, &u32) != -ENODEV;
	bad += io(n->fd, GET_GROUP_NUM, &u32) != -ENODEV;
	bad += io(n->fd, GET_VQS_COUNT, &u32) != -ENODEV;
	bad += io(n->fd, SUSPEND, NULL) != -ENODEV;
	bad += io(n->fd, RESUME, NULL) != -ENODEV;
	bad += set_status(n->fd, 0) != -ENODEV;
	bad += get_status(n->fd) != -ENODEV;
	bad += config_mac(n->fd, mac) != -ENODEV;
	bad += map(n->fd, 0, 0x1000, 0x1000, page, VHOST_ACCESS_RW) != -ENODEV;
	bad += unmap(n->fd, 0, 0, ~0ULL) != -ENODEV;
	bad += send_raw(n->fd, page, 1) != -ENODEV;

	return bad;
}

static int hangs_up(int fd)
{
	struct pollfd pfd = { .fd = fd };

	return poll(&pfd, 1, 1000) == 1 && (pfd.revents & POLLHUP);
}

static void *feed(void *arg)
{
	struct _test_data_gone *self = arg;
	struct net *n = &self->n;

	while (!__atomic_load_n(&self->stop, __ATOMIC_RELAXED)) {
		__atomic_store_n(&n->q[RXQ].avail->idx, n->q[RXQ].used->idx + 255,
				 __ATOMIC_SEQ_CST);
		__atomic_store_n(&n->q[TXQ].avail->idx, n->q[TXQ].used->idx + 255,
				 __ATOMIC_SEQ_CST);
		ring_kick(&n->q[TXQ]);
	}

	return NULL;
}

static int make_busy(struct _test_data_gone *self)
{
	struct net *n = &self->n;
	int i;

	frame_make((char *)n->data.va + BUF(8), test_mac, 1400, 1);
	for (i = 0; i < 256; i++) {
		n->q[RXQ].desc[i] = (struct vring_desc) {
			n->data.iova + BUF(40), 0x800, VRING_DESC_F_WRITE, 0
		};
		n->q[TXQ].desc[i] = (struct vring_desc) {
			n->data.iova + BUF(8), NET_HDR + ETH_HLEN + 1400, 0, 0
		};
		n->q[RXQ].avail->ring[i] = i;
		n->q[TXQ].avail->ring[i] = i;
	}
	self->stop = false;
	self->busy = true;

	return pthread_create(&self->feeder, NULL, feed, self);
}

TEST_F(gone, open)
{
	ASSERT_EQ(0, take_away(variant->how));
	EXPECT_EQ(0, all_refused(&self->n));
	EXPECT_EQ(1, hangs_up(self->n.fd));
}

TEST_F(gone, mapped)
{
	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
	ASSERT_EQ(0, take_away(variant->how));
	EXPECT_EQ(0, all_refused(&self->n));
	EXPECT_EQ(1, hangs_up(self->n.fd));
	/* A kick has no effect. */
	ring_kick(&self->n.q[TXQ]);
	ring_kick(&self->n.q[CVQ]);
}

TEST_F(gone, busy)
{
	uint16_t used;

	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
	ASSERT_EQ(0, make_busy(self));
	usleep(30000);
	ASSERT_EQ(0, take_away(variant->how));
	/* The memory is the program's own again, though the file is open. */
	used = __atomic_load_n(&self->n.q[TXQ].used->idx, __ATOMIC_SEQ_CST);
	usleep(30000);
	EXPECT_EQ(used, __atomic_load_n(&self->n.q[TXQ].used->idx, __ATOMIC_SEQ_CST));
	EXPECT_EQ(0, all_refused(&self->n));
}

TEST_F(gone, in_batch)
{
	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
	ASSERT_EQ(0, send_msg(self->n.fd, 0, VHOST_IOTLB_BATCH_BEGIN, 0, 0, NULL, 0));
	ASSERT_EQ(0, map(self->n.fd, 0, 0x70000000, 0x10000, self->n.data.va, VHOST_ACCESS_RW));
	ASSERT_EQ(0, take_away(variant->how));
	EXPECT_EQ(-ENODEV, send_msg(self->n.fd, 0, VHOST_IOTLB_BATCH_END, 0, 0, NULL, 0));
}

static void *wait_for_hangup(void *arg)
{
	struct pollfd pfd = { .fd = *(int *)arg };

	return (void *)(intptr_t)(poll(&pfd, 1, WAIT_MS) == 1 && (pfd.revents & POLLHUP));
}

TEST_F(gone, wakes_pollers)
{
	void *woken = NULL;
	pthread_t t;

	ASSERT_EQ(0, pthread_create(&t, NULL, wait_for_hangup, &self->n.fd));
	usleep(200000);
	ASSERT_EQ(0, take_away(variant->how));
	pthread_join(t, &woken);
	EXPECT_NE(NULL, woken);
}

/* The file of the removed device has no access to the next device of the same name. */
TEST_F(gone, and_back)
{
	int fd;

	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
	ASSERT_EQ(0, take_away(variant->how));
	if (variant->how == BY_UNBIND)
		ASSERT_EQ(0, write_file("/sys/bus/vdpa/drivers/vhost_vdpa/bind", TEST_DEV));
	if (variant->how == BY_MODULE)
		ASSERT_EQ(0, sim_load(false, 0));
	if (variant->how != BY_UNBIND)
		ASSERT_EQ(0, sim_add(TEST_DEV, test_mac, 0));
	fd = vdpa_open(TEST_DEV);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, io(fd, VHOST_SET_OWNER, NULL));
	EXPECT_EQ(0, map(fd, 0, 0x1000, 0x1000, self->n.data.va, VHOST_ACCESS_RW));
	EXPECT_EQ(0, all_refused(&self->n));
	close(self->n.fd);
	EXPECT_EQ(0, map(fd, 0, 0x2000, 0x1000, self->n.data.va, VHOST_ACCESS_RW));
	self->n.fd = fd;
}

/* The last close of the file doesn't wait either. */
TEST_F(gone, closed_late)
{
	int fd = dup(self->n.fd);
	double start;

	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
	ASSERT_EQ(0, take_away(variant->how));
	close(self->n.fd);
	self->n.fd = fd;
	EXPECT_EQ(0, all_refused(&self->n));
	start = now();
	close(self->n.fd);
	self->n.fd = -1;
	EXPECT_GT(AT_ONCE, now() - start);
	EXPECT_EQ(self->pinned, pinned_pages());
}

TEST_F_TIMEOUT(gone, again_and_again, 600)
{
	int i;

	for (i = 0; i < 15; i++) {
		ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
		ASSERT_EQ(0, make_busy(self));
		usleep(i * 1000);
		ASSERT_EQ(0, take_away(variant->how));
		self->stop = true;
		pthread_join(self->feeder, NULL);
		self->busy = false;
		net_stop(&self->n);
		EXPECT_EQ(self->pinned, pinned_pages());
		if (variant->how == BY_UNBIND)
			ASSERT_EQ(0, sim_del(TEST_DEV));
		self->n.fd = test_dev(false, 0);
		ASSERT_LE(0, self->n.fd);
	}
}

/*
 * The device is removed while a close unpins what was mapped: only one of the two may unpin it. The
 * removal begins a little later in each round: with the close, in the middle of it, after it.
 */
static void *close_it(void *arg)
{
	close(*(int *)arg);

	return NULL;
}

TEST_F_TIMEOUT(gone, while_closing, 600)
{
	struct area a;
	pthread_t t;
	int i;

	ASSERT_EQ(0, area_alloc(&a, 0x10000000, 32 << 20));
	memset(a.va, 1, a.size);
	for (i = 0; i < 15; i++) {
		ASSERT_EQ(0, net_negotiate(&self->n, CTRL_FEATURES));
		ASSERT_EQ(0, map(self->n.fd, ASID0, a.iova, a.size, a.va, VHOST_ACCESS_RW));
		ASSERT_EQ(0, pthread_create(&t, NULL, close_it, &self->n.fd));
		usleep(i * 300);
		EXPECT_EQ(0, take_away(variant->how));
		pthread_join(t, NULL);
		EXPECT_EQ(self->pinned, pinned_pages());
		if (variant->how == BY_UNBIND)
			ASSERT_EQ(0, sim_del(TEST_DEV));
		self->n.fd = test_dev(false, 0);
		ASSERT_LE(0, self->n.fd);
	}
	area_free(&a);
}

/* The same with a block device, and large requests on all of its virtqueues. */
FIXTURE(blk_gone) {
	struct blk b;
	long pinned;
	pthread_t feeder;
	bool stop;
};

FIXTURE_VARIANT(blk_gone) {
	enum how how;
};

FIXTURE_VARIANT_ADD(blk_gone, by_del) {
	.how = BY_DEL,
};

FIXTURE_VARIANT_ADD(blk_gone, by_unbind) {
	.how = BY_UNBIND,
};

FIXTURE_VARIANT_ADD(blk_gone, by_module) {
	.how = BY_MODULE,
};

FIXTURE_SETUP(blk_gone) {
	self->b.fd = GET_DEV(.own = true, .sim = variant->how == BY_MODULE, .blk = true,
			     .features = BLK_FEATURES);
	ASSERT_LE(0, self->b.fd);
	self->pinned = pinned_pages();
}

FIXTURE_TEARDOWN(blk_gone) {
	blk_stop(&self->b);
	EXPECT_EQ(self->pinned, pinned_pages());
	/* Bound to nothing, after an unbind. */
	sim_del(TEST_DEV);
}

static void *feed_blk(void *arg)
{
	struct _test_data_blk_gone *self = arg;
	unsigned int q;

	while (!__atomic_load_n(&self->stop, __ATOMIC_RELAXED)) {
		for (q = 0; q < self->b.queues; q++) {
			struct ring *r = &self->b.q[q];

			__atomic_store_n(&r->avail->idx, r->used->idx + 200, __ATOMIC_SEQ_CST);
			ring_kick(r);
		}
	}

	return NULL;
}

static int make_blk_busy(struct _test_data_blk_gone *self)
{
	struct blk *b = &self->b;
	struct seg seg[3];
	unsigned int q;
	int i;

	for (q = 0; q < b->queues; q++) {
		ring_add(&b->q[q], seg, blk_layout(b, q, q % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
						   q * 100, BLK_DATA, 0x100000, seg));
		for (i = 0; i < 256; i++)
			b->q[q].avail->ring[i] = 0;
	}
	self->stop = false;

	return pthread_create(&self->feeder, NULL, feed_blk, self);
}

TEST_F_TIMEOUT(blk_gone, again_and_again, 600)
{
	struct net n;
	uint16_t used;
	unsigned int q;
	int i;

	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, blk_start(&self->b, BLK_FEATURES));
		ASSERT_EQ(0, make_blk_busy(self));
		usleep(i * 3000);
		ASSERT_EQ(0, take_away(variant->how));
		/* The memory is the program's own again, though the file is open. */
		for (q = 0; q < self->b.queues; q++) {
			used = __atomic_load_n(&self->b.q[q].used->idx, __ATOMIC_SEQ_CST);
			usleep(5000);
			EXPECT_EQ(used, __atomic_load_n(&self->b.q[q].used->idx,
							__ATOMIC_SEQ_CST));
		}
		n.fd = self->b.fd;
		EXPECT_EQ(0, all_refused(&n));
		EXPECT_EQ(1, hangs_up(self->b.fd));
		self->stop = true;
		pthread_join(self->feeder, NULL);
		blk_stop(&self->b);
		EXPECT_EQ(self->pinned, pinned_pages());
		if (variant->how == BY_UNBIND)
			ASSERT_EQ(0, sim_del(TEST_DEV));
		self->b.fd = test_dev(false, 0);
		ASSERT_LE(0, self->b.fd);
	}
}

/* One thread opens, uses and closes the device while another adds and deletes it. */
static void *open_and_close(void *arg)
{
	bool *stop = arg;
	uint64_t features;
	int fd, n = 0;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
		fd = vdpa_open(TEST_DEV);
		if (fd < 0)
			continue;
		io(fd, VHOST_GET_FEATURES, &features);
		io(fd, VHOST_SET_OWNER, NULL);
		set_status(fd, 1);
		/* Every other time until the device is gone. */
		while (n % 2 && !__atomic_load_n(stop, __ATOMIC_RELAXED) &&
		       get_status(fd) != -ENODEV)
			;
		n++;
		close(fd);
	}

	return NULL;
}

TEST(open_while_it_goes)
{
	bool stop = false;
	pthread_t t;
	int i, fd;

	fd = GET_DEV(.own = true);
	ASSERT_LE(0, fd);
	close(fd);
	ASSERT_FALSE(sim_is_static());
	ASSERT_EQ(0, sim_del(TEST_DEV));
	ASSERT_EQ(0, pthread_create(&t, NULL, open_and_close, &stop));
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, sim_add(TEST_DEV, test_mac, 0));
		usleep(i * 100);
		ASSERT_EQ(0, sim_del(TEST_DEV));
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
}

/* A page that isn't there: an access to it waits until UFFDIO_ZEROPAGE. */
static int slow_memory(void **page)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (uffd < 0)
		return -errno;
	*page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)*page;
	reg.range.len = 4096;
	if (*page == MAP_FAILED || ioctl(uffd, UFFDIO_API, &api) ||
	    ioctl(uffd, UFFDIO_REGISTER, &reg)) {
		close(uffd);
		return -EINVAL;
	}

	return uffd;
}

struct call {
	struct net *n;
	void *arg;
	int rc;
};

/* The status is read from @arg with the mutex of the file held. */
static void *set_slow_status(void *arg)
{
	struct call *call = arg;

	call->rc = io(call->n->fd, VHOST_VDPA_SET_STATUS, call->arg);

	return NULL;
}

static void *refuse_all(void *arg)
{
	struct call *call = arg;

	__atomic_store_n(&call->rc, all_refused(call->n), __ATOMIC_SEQ_CST);

	return NULL;
}

/* A thread holds the mutex of the file and waits for memory; other threads get ENODEV. */
TEST_F(gone, behind_one_that_waits)
{
	struct call slow = { .n = &self->n, .rc = 1 }, others = { .n = &self->n, .rc = -1 };
	struct uffdio_zeropage zero = { .range.len = 4096 };
	int uffd = slow_memory(&slow.arg), ms;
	pthread_t t, u;

	if (uffd == -ENOSYS)
		SKIP(return, "the kernel has no CONFIG_USERFAULTFD");
	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, pthread_create(&t, NULL, set_slow_status, &slow));
	usleep(SOON_MS * 1000);
	EXPECT_EQ(1, __atomic_load_n(&slow.rc, __ATOMIC_SEQ_CST));
	EXPECT_EQ(0, take_away(variant->how));

	/* Not one of them waits for that thread. */
	ASSERT_EQ(0, pthread_create(&u, NULL, refuse_all, &others));
	for (ms = 0; ms < WAIT_MS && __atomic_load_n(&others.rc, __ATOMIC_SEQ_CST) < 0; ms += 10)
		usleep(10000);
	EXPECT_EQ(0, __atomic_load_n(&others.rc, __ATOMIC_SEQ_CST));
	EXPECT_EQ(1, hangs_up(self->n.fd));
	EXPECT_EQ(1, __atomic_load_n(&slow.rc, __ATOMIC_SEQ_CST));

	zero.range.start = (uintptr_t)slow.arg;
	EXPECT_EQ(0, ioctl(uffd, UFFDIO_ZEROPAGE, &zero));
	pthread_join(t, NULL);
	pthread_join(u, NULL);
	EXPECT_EQ(-ENODEV, slow.rc);
	close(uffd);
	munmap(slow.arg, 4096);
}

static void *map_doorbell(int fd, unsigned int idx, int prot, int flags, size_t pages)
{
	return mmap(NULL, pages * 4096, prot, flags, fd, idx * 4096);
}

/* Maps the doorbells of all queues. */
static int map_doorbells(struct net *n, char **page)
{
	int i;

	for (i = 0; i < NQUEUES; i++) {
		page[i] = map_doorbell(n->fd, i, PROT_WRITE, MAP_SHARED, 1);
		if (page[i] == MAP_FAILED)
			return -errno;
	}

	return 0;
}

/* A frame is sent and received, with no other kick than that, if any. */
static int loops_with_doorbell(struct net *n, char *page, int ms)
{
	struct seg rx = { DATA_IOVA + BUF(1), 0x800, true };
	struct seg tx = { DATA_IOVA + BUF(0), 0, false };

	/* What DRIVER_OK or the last frame has set going is over by then. */
	usleep(SOON_MS * 1000);
	tx.len = frame_make((char *)n->data.va + BUF(0), test_mac, 64, 1);
	ring_add(&n->q[RXQ], &rx, 1);
	ring_add(&n->q[TXQ], &tx, 1);
	if (page)
		*page = 1;

	return ring_wait(&n->q[RXQ], ms, NULL, NULL);
}

FIXTURE(doorbell) {
	struct net n;
	char *page[NQUEUES];
};

FIXTURE_SETUP(doorbell) {
	self->n.fd = GET_DEV(.doorbell = true, .loop = true, .features = MAC_FEATURES);
	ASSERT_LE(0, self->n.fd);
	self->n.asid[CVQ] = vdev.cvq_apart ? ASID1 : ASID0;
	ASSERT_EQ(0, map_doorbells(&self->n, self->page));
}

FIXTURE_TEARDOWN(doorbell) {
	net_stop(&self->n);
	sim_del(TEST_DEV);
}

TEST_F(doorbell, instead_of_a_kick)
{
	char *page = self->page[TXQ];
	struct net *n = &self->n;
	int i;

	ASSERT_EQ(0, net_start(n, CTRL_FEATURES));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, loops_with_doorbell(n, page, WAIT_MS));
	ASSERT_EQ(0, set_status(n->fd, 0));
	/* On x86 a writable page is readable. It doesn't show what the last user wrote. */
#ifdef __x86_64__
	EXPECT_EQ(0, __atomic_load_n(page, __ATOMIC_RELAXED));
#endif
}

TEST_F(doorbell, mapped_otherwise)
{
	const struct {
		unsigned int idx;
		int prot, flags;
		size_t pages;
	} bad[] = {
		{ vdev.vqs, PROT_WRITE, MAP_SHARED, 1 }, { 0x10000, PROT_WRITE, MAP_SHARED, 1 },
		{ 0, PROT_WRITE, MAP_SHARED, 2 }, { 0, PROT_WRITE, MAP_PRIVATE, 1 },
		{ 0, PROT_READ | PROT_WRITE, MAP_SHARED, 1 },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		errno = 0;
		EXPECT_EQ(MAP_FAILED, map_doorbell(self->n.fd, bad[i].idx, bad[i].prot,
						   bad[i].flags, bad[i].pages));
		EXPECT_EQ(EINVAL, errno)
			TH_LOG("case %zu", i);
	}
}

/* By default the simulator has no doorbells, and its devices wait for kicks. */
TEST(no_doorbell)
{
	struct net n = { .fd = GET_DEV(.sim = true, .loop = true), .asid = { [CVQ] = ASID1 } };

	ASSERT_LE(0, n.fd);
	EXPECT_EQ(MAP_FAILED, map_doorbell(n.fd, 0, PROT_WRITE, MAP_SHARED, 1));
	EXPECT_EQ(EOPNOTSUPP, errno);
	ASSERT_EQ(0, net_start(&n, CTRL_FEATURES));
	EXPECT_EQ(-ETIMEDOUT, loops_with_doorbell(&n, NULL, SOON_MS));
	net_stop(&n);
	sim_del(TEST_DEV);
}

/* The signal that a write to @p ends with; 0 if there is none. */
static int signal_of_write(char *p)
{
	struct rlimit none = { 0, 0 };
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		setrlimit(RLIMIT_CORE, &none);
		__atomic_store_n(p, 1, __ATOMIC_RELAXED);
		_exit(0);
	}
	waitpid(pid, &status, 0);

	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

/*
 * A doorbell that is mapped when the device goes faults: its memory may have another use by then.
 */
TEST_F(gone, doorbell_faults)
{
	char *page[NQUEUES];

	test_dev_end(self->n.fd);
	self->n.fd = GET_DEV(.doorbell = true, .own = true);
	ASSERT_LE(0, self->n.fd);
	ASSERT_EQ(0, map_doorbells(&self->n, page));
	/* One is written to before, the others aren't. */
	EXPECT_EQ(0, signal_of_write(page[TXQ]));
	*page[TXQ] = 1;
	ASSERT_EQ(0, net_start(&self->n, CTRL_FEATURES));
	ASSERT_EQ(0, take_away(variant->how));
	EXPECT_EQ(SIGBUS, signal_of_write(page[TXQ]));
	EXPECT_EQ(SIGBUS, signal_of_write(page[RXQ]));
	EXPECT_EQ(MAP_FAILED, map_doorbell(self->n.fd, 0, PROT_WRITE, MAP_SHARED, 1));
	EXPECT_EQ(ENODEV, errno);
	if (variant->how != BY_DEL)
		return;
	/* A device of the same name is another one. */
	ASSERT_EQ(0, sim_add(TEST_DEV, test_mac, 0));
	EXPECT_EQ(SIGBUS, signal_of_write(page[TXQ]));
}

TEST_HARNESS_MAIN
