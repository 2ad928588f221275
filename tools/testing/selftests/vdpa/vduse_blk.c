// SPDX-License-Identifier: GPL-2.0
/*
 * VDUSE with a virtio driver of this kernel, virtio_blk: a disk whose daemon is stopped, dead or
 * hostile. Requests fail, the device can be removed, and the kernel stays well.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <linux/virtio_blk.h>

#include "vduse_util.h"
#include "harness.h"

#define QUEUE		64
#define SECTORS		2048

enum mode {
	NORMAL,
	STOPPED,	/* does nothing */
	BAD_ID,		/* uses a buffer that can't be */
	IDLE_ID,	/* uses a buffer that it doesn't have */
	TWICE,		/* uses a buffer twice */
	BAD_LEN,	/* more bytes than there is room for */
	BAD_INDEX,	/* more entries than the ring has */
	LAZY,		/* uses buffers, but writes nothing but the status */
	GARBAGE,	/* overwrites all of the ring */
};

FIXTURE(blk) {
	struct vduse v;
	/* The disk */
	char disk[SECTORS * 512];
	char node[300];
	struct vduse_ring ring;
	int kick;
	enum mode mode;
	/* Which SET_STATUS from now on isn't answered, nor are those after it; 0: none */
	unsigned int silent_at;
	unsigned int served;
	pthread_t thread;
	int stop;
};

static uint32_t serve(struct _test_data_blk *self, uint16_t head)
{
	struct vring_desc *d = &self->ring.vring.desc[head % QUEUE];
	struct virtio_blk_outhdr *hdr = vduse_ring_at(&self->ring, d->addr, sizeof(*hdr));
	uint32_t len = 0, n = 0;
	uint64_t off;
	char *va;

	if (!hdr)
		return 0;
	off = hdr->sector * 512;
	while (d->flags & VRING_DESC_F_NEXT && n++ < QUEUE) {
		d = &self->ring.vring.desc[d->next % QUEUE];
		va = vduse_ring_at(&self->ring, d->addr, d->len);
		if (!va)
			return 0;
		if (!(d->flags & VRING_DESC_F_NEXT)) {
			*va = VIRTIO_BLK_S_OK;
			return len + 1;
		}
		if (off > sizeof(self->disk) || d->len > sizeof(self->disk) - off)
			return 0;
		if (hdr->type == VIRTIO_BLK_T_OUT)
			memcpy(self->disk + off, va, d->len);
		else if (hdr->type == VIRTIO_BLK_T_IN && self->mode != LAZY)
			memcpy(va, self->disk + off, d->len);
		if (hdr->type == VIRTIO_BLK_T_IN)
			len += d->len;
		off += d->len;
	}

	return 0;
}

static void work(struct _test_data_blk *self)
{
	enum mode mode = self->mode;
	uint32_t len;
	size_t i;
	int head;

	if (mode == STOPPED)
		return;
	if (mode == GARBAGE) {
		for (i = 0; i < 4096 * 2 / sizeof(int); i++)
			((int *)self->ring.vring.desc)[i] = rand();
		vduse_ring_notify(&self->v, &self->ring);
		return;
	}
	while ((head = vduse_ring_next(&self->ring)) >= 0) {
		len = serve(self, head);
		switch (mode) {
		case BAD_ID:
			vduse_ring_use(&self->ring, QUEUE + 5, len);
			break;
		case IDLE_ID:
			/* It has one buffer at a time, and this is another */
			vduse_ring_use(&self->ring, (head + 17) % QUEUE, len);
			break;
		case TWICE:
			vduse_ring_use(&self->ring, head, len);
			vduse_ring_use(&self->ring, head, len);
			break;
		case BAD_LEN:
			vduse_ring_use(&self->ring, head, 1 << 30);
			break;
		case BAD_INDEX:
			self->ring.used += QUEUE + 1;
			vduse_ring_use(&self->ring, head, len);
			break;
		default:
			vduse_ring_use(&self->ring, head, len);
			break;
		}
		self->served++;
	}
	vduse_ring_notify(&self->v, &self->ring);
}

static void on_request(struct vduse *v, const struct vduse_dev_request *req)
{
	struct _test_data_blk *self = v->hook_data;

	if (req->type == VDUSE_SET_STATUS && self->silent_at && !--self->silent_at)
		v->answer[VDUSE_SET_STATUS] = ANSWER_LATER;
	vduse_ring_request(v, &self->ring, req);
}

static void *io_thread(void *arg)
{
	struct _test_data_blk *self = arg;
	struct pollfd pfd = { .fd = self->kick, .events = POLLIN };
	uint64_t n;

	while (!__atomic_load_n(&self->stop, __ATOMIC_SEQ_CST)) {
		if (poll(&pfd, 1, 20) <= 0 || !self->ring.running)
			continue;
		if (read(self->kick, &n, 8) == 8)
			work(self);
	}

	return NULL;
}

/* The memory is taken away when the device is broken: that ends the daemon's thread. */
static void on_sigbus(int sig)
{
	static const struct timespec forever = { .tv_sec = 1000000 };

	for (;;)
		nanosleep(&forever, NULL);
}

static int find_node(struct _test_data_blk *self)
{
	char name[NAME_MAX + 1];
	int rc = vduse_find("/sys/block", name);

	snprintf(self->node, sizeof(self->node), "/dev/%s", name);

	return rc;
}

/* A daemon opens the device and sets it up, before it answers requests. */
static int open_daemon(struct _test_data_blk *self)
{
	struct vduse_vq_eventfd kick = { .fd = self->kick };
	int rc;

	rc = vduse_open(&self->v);
	if (!rc)
		rc = vduse_setup(&self->v);
	if (!rc)
		rc = io(self->v.fd, VDUSE_VQ_SETUP_KICKFD, &kick);

	return rc;
}

/* Its process has died. */
static void close_daemon(struct _test_data_blk *self)
{
	vduse_stop(&self->v);
	self->ring.running = 0;
	close(self->v.fd);
	self->v.fd = -1;
}

FIXTURE_SETUP(blk) {
	struct virtio_blk_config *config = (void *)self->v.space;
	struct sigaction action = { .sa_handler = on_sigbus };

	if (!vduse_load("virtio_blk"))
		SKIP(_exit(255), "no modules vduse and virtio_vdpa");
	sigaction(SIGBUS, &action, NULL);
	ASSERT_EQ(0, vduse_init(&self->v, 0));
	self->v.vq_size = QUEUE;
	config->capacity = SECTORS;
	self->v.hook = on_request;
	self->v.hook_data = self;
	self->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ASSERT_EQ(0, vduse_create(&self->v));
	ASSERT_EQ(0, open_daemon(self));
	ASSERT_EQ(0, vduse_start(&self->v));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, io_thread, self));
}

FIXTURE_TEARDOWN(blk) {
	double begin = now();

	vduse_unload(&self->v);
	EXPECT_GT(15.0, now() - begin);
	EXPECT_NE(0, access("/sys/bus/vdpa/devices/" VDUSE_DEV, F_OK));
}

static int add(struct _test_data_blk *self)
{
	int rc = vduse_add(VDUSE_DEV, NULL, 0);

	return rc ? rc : find_node(self);
}

/* Reads or writes @len bytes at @off, past the page cache: 0 or a negative errno. */
static int direct(struct _test_data_blk *self, bool write, void *buf, size_t len, off_t off)
{
	int fd = open(self->node, (write ? O_WRONLY : O_RDONLY) | O_DIRECT | O_CLOEXEC);
	char *mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ssize_t n;
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (write)
		memcpy(mem, buf, len);
	else
		memset(mem, 0x55, len);
	n = write ? pwrite(fd, mem, len, off) : pread(fd, mem, len, off);
	if (n != (ssize_t)len)
		rc = n < 0 ? -errno : -EIO;
	if (!write)
		memcpy(buf, mem, len);
	munmap(mem, len);
	close(fd);

	return rc;
}

static void fill(char *buf, size_t len, unsigned int seed)
{
	while (len--)
		buf[len] = (len * 31 + len / 251 + seed) | 1;
}

/* Whether the process gets SIGBUS there. Tried in another one, with the same mapping. */
static bool gone(const char *va)
{
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		signal(SIGBUS, SIG_DFL);
		_exit(__atomic_load_n(va, __ATOMIC_RELAXED) & 0);
	}
	waitpid(pid, &status, 0);

	return WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS;
}

TEST_F(blk, works)
{
	static char out[256 * 1024], in[256 * 1024];

	ASSERT_EQ(0, add(self));
	fill(out, sizeof(out), 3);
	EXPECT_EQ(0, direct(self, true, out, sizeof(out), 8192));
	EXPECT_EQ(0, memcmp(self->disk + 8192, out, sizeof(out)));
	EXPECT_EQ(0, direct(self, false, in, sizeof(in), 8192));
	EXPECT_EQ(0, memcmp(in, out, sizeof(out)));
	EXPECT_NE(0, direct(self, false, in, 4096, SECTORS * 512L));
}

/* The driver is gone: its ring is, and what the buffers held. */
TEST_F(blk, nothing_is_left)
{
	struct vduse_iotlb_entry entry;
	char *ring, *copy;
	int fd;

	ASSERT_EQ(0, add(self));
	fd = vduse_get_fd(&self->v, 0, VDUSE_BUFFERS - 1, &entry);
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	copy = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	EXPECT_EQ(MAP_FAILED, copy);
	close(fd);
	ring = (char *)self->ring.vring.desc;
	EXPECT_FALSE(gone(ring));
	ASSERT_EQ(0, write_file("/sys/bus/vdpa/drivers/virtio_vdpa/unbind", VDUSE_DEV));
	EXPECT_TRUE(gone(ring));
	EXPECT_EQ(-EINVAL, vduse_get_fd(&self->v, 0, ~0ULL, &entry));
	ASSERT_EQ(0, vduse_del(VDUSE_DEV));
	EXPECT_TRUE(gone(self->ring.mem));
	EXPECT_EQ(-EINVAL, vduse_get_fd(&self->v, 0, ~0ULL, &entry));
}

/* Nothing of what was in a bounce page before is read. */
TEST_F(blk, no_stale_data)
{
	static char buf[128 * 1024];
	size_t i, bad = 0;

	ASSERT_EQ(0, add(self));
	fill(buf, sizeof(buf), 9);
	ASSERT_EQ(0, direct(self, true, buf, sizeof(buf), 0));
	self->mode = LAZY;
	for (i = 0; i < 600; i++) {
		ASSERT_EQ(0, direct(self, false, buf, sizeof(buf), 0));
		bad += memchr(buf, 0x55, sizeof(buf)) || !!buf[0] ||
		       memcmp(buf, buf + 1, sizeof(buf) - 1);
	}
	EXPECT_EQ(0, bad);
	self->mode = NORMAL;
}

/* The positions of the first virtqueue in debugfs: how many buffers the daemon has, or -1. */
static int shown(unsigned int *avail)
{
	struct shown_vq vq;

	if (shown_vq(VDUSE_DEV, 0, &vq) || vq.size != QUEUE || !vq.ready || vq.broken)
		return -1;
	*avail = vq.avail;

	return (uint16_t)(vq.avail - vq.used);
}

TEST_F(blk, positions_are_shown)
{
	unsigned int before, after = 0, i;
	static char buf[4096];

	ASSERT_EQ(0, add(self));
	ASSERT_EQ(0, direct(self, false, buf, sizeof(buf), 0));
	EXPECT_EQ(0, shown(&before));
	EXPECT_LT(0, before);
	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, direct(self, false, buf, sizeof(buf), 0));
	EXPECT_EQ(0, shown(&after));
	EXPECT_EQ(before + 5, after);
}

/* The next daemon sees nothing of what the one before saw. */
TEST_F(blk, no_data_for_the_next_daemon)
{
	static char buf[128 * 1024];
	size_t i, left = 0;
	char *mem;

	ASSERT_EQ(0, add(self));
	fill(buf, sizeof(buf), 9);
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, direct(self, true, buf, sizeof(buf), i * sizeof(buf)));
	/* As long as it is the same daemon */
	for (i = 0; i < VDUSE_BUFFERS; i += 4096)
		left += self->ring.mem[i + 100] != 0;
	EXPECT_LT(0, left);

	vduse_stop(&self->v);
	close(self->v.fd);
	/* Pages that the kernel has to clear */
	mem = mmap(NULL, 8 * VDUSE_BUFFERS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	memset(mem, 0x5a, 8 * VDUSE_BUFFERS);
	munmap(mem, 8 * VDUSE_BUFFERS);
	ASSERT_EQ(0, vduse_open(&self->v));
	mem = vduse_map(&self->v, 0, VDUSE_BUFFERS);
	ASSERT_NE(NULL, mem);
	for (i = 0, left = 0; i < VDUSE_BUFFERS; i++)
		left += mem[i] != 0;
	EXPECT_EQ(0, left);
}

/* Pages are unpinned by a work item. */
static long pinned_soon(long want)
{
	double end = now() + WAIT_MS / 1000.0;

	while (pinned_pages() != want && now() < end)
		usleep(10000);

	return pinned_pages();
}

/* Buffers are in the daemon's own memory. */
TEST_F(blk, umem)
{
	char *own = mmap(NULL, VDUSE_BUFFERS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	struct vduse_iova_umem umem = { .uaddr = (uintptr_t)own, .size = VDUSE_BUFFERS };
	struct vduse_iova_info info = { .start = 5, .last = 5 };
	static char out[256 * 1024], in[256 * 1024];
	long pinned = pinned_pages();
	struct vduse_iova_umem bad;
	int fd = self->v.fd;
	char *was;

	ASSERT_EQ(0, add(self));
	ASSERT_EQ(0, io(fd, VDUSE_IOTLB_GET_INFO, &info));
	EXPECT_EQ(0, info.start);
	EXPECT_EQ(VDUSE_BUFFERS - 1, info.last);
	EXPECT_EQ(VDUSE_IOVA_CAP_UMEM, info.capability);
	info.reserved[4] = 1;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_IOTLB_GET_INFO, &info));

	ASSERT_EQ(0, memlock(1UL << 30));
	bad = umem;
	bad.size -= 4096;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_IOTLB_REG_UMEM, &bad));
	bad = umem;
	bad.iova = 4096;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_IOTLB_REG_UMEM, &bad));
	bad = umem;
	bad.uaddr++;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_IOTLB_REG_UMEM, &bad));
	bad = umem;
	bad.uaddr = ~4095ULL;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_IOTLB_REG_UMEM, &bad));
	bad = umem;
	bad.asid = 1;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_IOTLB_REG_UMEM, &bad));
	bad = umem;
	bad.reserved[4] = 1;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_IOTLB_REG_UMEM, &bad));
	bad = umem;
	bad.uaddr = 0x1000;
	EXPECT_EQ(-EFAULT, io(fd, VDUSE_IOTLB_REG_UMEM, &bad));
	EXPECT_EQ(-ENOENT, io(fd, VDUSE_IOTLB_DEREG_UMEM, &umem));
	ASSERT_EQ(0, memlock(VDUSE_BUFFERS - 4096));
	EXPECT_EQ(-ENOMEM, io(fd, VDUSE_IOTLB_REG_UMEM, &umem));
	ASSERT_EQ(0, memlock(1UL << 30));
	EXPECT_EQ(pinned, pinned_pages());

	was = self->ring.mem;
	ASSERT_EQ(0, io(fd, VDUSE_IOTLB_REG_UMEM, &umem));
	EXPECT_EQ(-EEXIST, io(fd, VDUSE_IOTLB_REG_UMEM, &umem));
	EXPECT_EQ(pinned + (long)(VDUSE_BUFFERS / 4096), pinned_pages());
	self->ring.mem = own;
	fill(out, sizeof(out), 5);
	EXPECT_EQ(0, direct(self, true, out, sizeof(out), 4096));
	EXPECT_EQ(0, memcmp(self->disk + 4096, out, sizeof(out)));
	EXPECT_EQ(0, direct(self, false, in, sizeof(in), 4096));
	EXPECT_EQ(0, memcmp(in, out, sizeof(out)));

	ASSERT_EQ(0, io(fd, VDUSE_IOTLB_DEREG_UMEM, &umem));
	EXPECT_EQ(pinned, pinned_soon(pinned));
	self->ring.mem = was;
	fill(out, sizeof(out), 6);
	EXPECT_EQ(0, direct(self, true, out, sizeof(out), 4096));
	EXPECT_EQ(0, direct(self, false, in, sizeof(in), 4096));
	EXPECT_EQ(0, memcmp(in, out, sizeof(out)));

	/* It goes with the device, if the daemon leaves it */
	ASSERT_EQ(0, io(fd, VDUSE_IOTLB_REG_UMEM, &umem));
	self->ring.mem = own;
	EXPECT_EQ(0, direct(self, false, in, sizeof(in), 4096));
	EXPECT_EQ(0, memcmp(in, out, sizeof(out)));
	ASSERT_EQ(0, vduse_del(VDUSE_DEV));
	EXPECT_EQ(pinned, pinned_soon(pinned));
	munmap(own, VDUSE_BUFFERS);
}

/* The memory is that of a process, and pinned: it stays in use when that forks, or has ended. */
TEST_F(blk, umem_of_others)
{
	char *own = mmap(NULL, VDUSE_BUFFERS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	struct vduse_iova_umem umem = { .uaddr = (uintptr_t)own, .size = VDUSE_BUFFERS };
	static char out[64 * 1024], in[64 * 1024];
	long pinned = pinned_pages();
	int i, status, fd = self->v.fd;
	char *was = self->ring.mem;
	pid_t pid;

	ASSERT_EQ(0, add(self));
	was = self->ring.mem;
	ASSERT_EQ(0, memlock(1UL << 30));
	ASSERT_EQ(0, io(fd, VDUSE_IOTLB_REG_UMEM, &umem));
	self->ring.mem = own;
	pid = fork();
	if (!pid)
		for (;;)
			pause();
	for (i = 0; i < 8; i++) {
		fill(out, sizeof(out), i);
		EXPECT_EQ(0, direct(self, true, out, sizeof(out), 0));
		EXPECT_EQ(0, memcmp(self->disk, out, sizeof(out)));
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ASSERT_EQ(0, io(fd, VDUSE_IOTLB_DEREG_UMEM, &umem));
	EXPECT_EQ(pinned, pinned_soon(pinned));
	self->ring.mem = was;

	/* A child's, which has ended: the kernel still has the pages */
	pid = fork();
	if (!pid)
		_exit(!!io(fd, VDUSE_IOTLB_REG_UMEM, &umem));
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
	EXPECT_EQ(pinned + (long)(VDUSE_BUFFERS / 4096), pinned_pages());
	EXPECT_EQ(-EEXIST, io(fd, VDUSE_IOTLB_REG_UMEM, &umem));
	ASSERT_EQ(0, io(fd, VDUSE_IOTLB_DEREG_UMEM, &umem));
	EXPECT_EQ(pinned, pinned_soon(pinned));
	EXPECT_EQ(0, direct(self, true, out, sizeof(out), 0));
	EXPECT_EQ(0, direct(self, false, in, sizeof(in), 0));
	EXPECT_EQ(0, memcmp(in, out, sizeof(out)));
	munmap(own, VDUSE_BUFFERS);
}

/* What it uses isn't right: the device is broken, the request fails. */
TEST_F(blk, hostile)
{
	static const enum mode modes[] = {
		BAD_ID, IDLE_ID, TWICE, BAD_LEN, BAD_INDEX, GARBAGE
	};
	struct pollfd pfd;
	char buf[4096];
	double begin;
	size_t i;
	int rc;

	for (i = 0; i < ARRAY_LEN(modes); i++) {
		self->mode = NORMAL;
		ASSERT_EQ(0, add(self));
		EXPECT_FALSE(gone(self->ring.mem));
		self->mode = modes[i];
		begin = now();
		rc = direct(self, false, buf, sizeof(buf), 0);
		/* The first of the two is right */
		if (modes[i] == TWICE && !rc)
			rc = direct(self, false, buf, sizeof(buf), 0);
		EXPECT_EQ(-EIO, rc) {
			TH_LOG("mode %d", modes[i]);
		}
		EXPECT_GT(10.0, now() - begin);
		pfd = (struct pollfd) { .fd = self->v.fd };
		EXPECT_EQ(1, poll(&pfd, 1, 0));
		EXPECT_EQ(NULL, vduse_map(&self->v, 0, VDUSE_BUFFERS));
		EXPECT_TRUE(gone(self->ring.mem));
		EXPECT_TRUE(gone((char *)self->ring.vring.desc));
		/* And so does the next */
		EXPECT_NE(0, direct(self, true, buf, sizeof(buf), 0));
		ASSERT_EQ(0, vduse_del(VDUSE_DEV));
		/* The thread may have got SIGBUS */
		if (i + 1 < ARRAY_LEN(modes))
			ASSERT_EQ(0, pthread_create(&self->thread, NULL, io_thread, self));
	}
}

struct io_job {
	struct _test_data_blk *self;
	int rc;
	bool done;
};

static void *do_read(void *arg)
{
	struct io_job *job = arg;
	char buf[4096];

	job->rc = direct(job->self, false, buf, sizeof(buf), 0);
	__atomic_store_n(&job->done, true, __ATOMIC_SEQ_CST);

	return NULL;
}

/* Requests wait for a daemon that is stopped, but the removal of the device doesn't. */
TEST_F(blk, stopped)
{
	struct io_job job = { .self = self };
	unsigned int avail;
	pthread_t thread;
	double begin;

	ASSERT_EQ(0, add(self));
	self->mode = STOPPED;
	ASSERT_EQ(0, pthread_create(&thread, NULL, do_read, &job));
	sleep(1);
	EXPECT_FALSE(job.done);
	EXPECT_LT(0, shown(&avail));
	begin = now();
	EXPECT_EQ(0, vduse_del(VDUSE_DEV));
	EXPECT_GT(15.0, now() - begin);
	pthread_join(thread, NULL);
	EXPECT_EQ(-EIO, job.rc);
}

/* The daemon is gone, with a request; another one takes over and finds it. */
TEST_F(blk, next_daemon)
{
	struct io_job job = { .self = self };
	struct vduse_dev_request req = {
		.type = VDUSE_SET_STATUS,
		.s.status = 0xf,
	};
	pthread_t thread;

	ASSERT_EQ(0, add(self));
	self->mode = STOPPED;
	ASSERT_EQ(0, pthread_create(&thread, NULL, do_read, &job));
	sleep(1);
	close_daemon(self);
	ASSERT_EQ(0, open_daemon(self));
	self->mode = NORMAL;
	on_request(&self->v, &req);
	/* Go on behind what has been used */
	self->ring.avail = self->ring.used;
	ASSERT_EQ(0, vduse_start(&self->v));
	work(self);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, job.rc);
}

static void *do_add(void *arg)
{
	vduse_add(VDUSE_DEV, NULL, 0);

	return NULL;
}

/* The driver's probe waits: nobody else does. */
TEST_F(blk, probe_with_a_silent_daemon)
{
	pthread_t thread;
	double begin;
	int i;

	for (i = 0; i < 2; i++) {
		/* The first request, or the first buffer */
		self->v.answer[VDUSE_SET_STATUS] = i ? ANSWER_OK : ANSWER_LATER;
		self->mode = STOPPED;
		ASSERT_EQ(0, pthread_create(&thread, NULL, do_add, NULL));
		sleep(1);
		begin = now();
		EXPECT_LT(0, vdpa_dump(CMD_DEV_GET));
		EXPECT_LE(0, vdpa_dump(CMD_DEV_CONFIG_GET));
		EXPECT_GT(3.0, now() - begin);
		EXPECT_EQ(0, vduse_del(VDUSE_DEV));
		EXPECT_GT(15.0, now() - begin);
		pthread_join(thread, NULL);
	}
}

static int set_config(struct _test_data_blk *self, uint32_t offset, uint32_t len, uint64_t value)
{
	struct {
		struct vduse_config_data data;
		uint64_t value;
	} __attribute__((__packed__)) set = { { offset, len }, value };

	return io(self->v.fd, VDUSE_DEV_SET_CONFIG, &set);
}

/* Creates the device anew, with what has changed in self->v. */
static int anew(struct _test_data_blk *self)
{
	char name[VDUSE_NAME_MAX];
	int rc;

	close_daemon(self);
	memcpy(name, self->v.config.name, sizeof(name));
	rc = io(self->v.control, VDUSE_DESTROY_DEV, name);
	if (!rc)
		rc = vduse_create(&self->v);
	if (!rc)
		rc = open_daemon(self);
	if (!rc)
		rc = vduse_start(&self->v);

	return rc;
}

/* The driver gives up a device whose virtqueue can't take a request, or takes too much memory. */
TEST_F(blk, size_of_the_virtqueue)
{
	static const struct {
		unsigned int size, seg_max;
		bool works;
	} sizes[] = {
		{ 1, 0 }, { 2, 0 }, { 4, 0, true }, { 2, 1 }, { 4, 1, true }, { 16, 62 },
		{ 64, 62, true }, { 64, 63 }, { 32768, 1024 }, { 32768, 100 },
	};
	struct virtio_blk_config *config = (void *)self->v.space;
	size_t i;

	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		self->v.vq_size = sizes[i].size;
		if (sizes[i].seg_max)
			self->v.config.features |= VF(VIRTIO_BLK_F_SEG_MAX);
		config->seg_max = sizes[i].seg_max;
		/* Nothing is read from it: the daemon serves a virtqueue of another size */
		config->capacity = 0;
		ASSERT_EQ(0, anew(self));
		EXPECT_EQ(sizes[i].works ? 0 : -ENODEV, add(self)) {
			TH_LOG("size %u, seg_max %u", sizes[i].size, sizes[i].seg_max);
		}
		EXPECT_EQ(0, vduse_del(VDUSE_DEV));
	}
}

/* A field that isn't there as a whole is the same for the check and for the driver. */
TEST_F(blk, cut_configuration)
{
	struct virtio_blk_config *config = (void *)self->v.space;

	self->v.config.features |= VF(VIRTIO_BLK_F_MQ) | VF(VIRTIO_BLK_F_BLK_SIZE);
	config->blk_size = 512;
	config->num_queues = 1;
	self->v.config.config_size = offsetof(struct virtio_blk_config, num_queues) + 1;
	ASSERT_EQ(0, anew(self));
	EXPECT_EQ(0, add(self));
	EXPECT_EQ(0, vduse_del(VDUSE_DEV));

	self->v.config.features &= ~VF(VIRTIO_BLK_F_MQ);
	self->v.config.config_size = offsetof(struct virtio_blk_config, blk_size) + 2;
	ASSERT_EQ(0, anew(self));
	EXPECT_EQ(0, add(self));
	EXPECT_EQ(0, vduse_del(VDUSE_DEV));
}

/* Fields of a disk that the driver may have read already don't change. */
TEST_F(blk, changed_configuration)
{
	const struct virtio_blk_config *config = (void *)self->v.space;
	const uint32_t seg_max = offsetof(struct virtio_blk_config, seg_max);
	char path[400], text[32];

	EXPECT_EQ(0, set_config(self, seg_max, 4, 1));
	ASSERT_EQ(0, add(self));
	EXPECT_EQ(-EBUSY, set_config(self, seg_max, 4, 2));
	EXPECT_EQ(-EBUSY, set_config(self, seg_max + 3, 1, 1));
	EXPECT_EQ(0, set_config(self, seg_max, 4, 1));
	EXPECT_EQ(-EINVAL, set_config(self, 0, 8, ~0ULL));
	EXPECT_EQ(0, set_config(self, 0, 8, config->capacity / 2));
	EXPECT_EQ(0, io(self->v.fd, VDUSE_DEV_INJECT_CONFIG_IRQ, NULL));
	snprintf(path, sizeof(path), "/sys/block/%s/size", self->node + strlen("/dev/"));
	EXPECT_EQ(0, run("for i in $(seq 99); do grep -qx %d %s && exit 0; sleep .1; done; exit 1",
			 SECTORS / 2, path));
	EXPECT_LT(0, read_file(path, text, sizeof(text)));
	EXPECT_EQ(SECTORS / 2, atoi(text));
	EXPECT_EQ(0, vduse_del(VDUSE_DEV));
	EXPECT_EQ(0, set_config(self, seg_max, 4, 2));
}

/* Requests of the driver's probe: a reset, and each status. */
#define PROBE_REQUESTS	5

/*
 * The daemon dies with one of the requests of the driver's probe: the device can be removed, or the
 * next daemon gets that request, and the probe goes on.
 */
TEST_F(blk, dies_during_probe)
{
	unsigned int before, n;
	pthread_t thread;
	char buf[4096];
	double begin;
	int next, i;

	for (n = 1; n <= PROBE_REQUESTS; n++) {
		for (next = 0; next < 2; next++) {
			before = vduse_asked(&self->v, VDUSE_SET_STATUS);
			self->v.answer[VDUSE_SET_STATUS] = ANSWER_OK;
			self->silent_at = n;
			ASSERT_EQ(0, pthread_create(&thread, NULL, do_add, NULL));
			for (i = 0; i < 20000; i++) {
				if (vduse_asked(&self->v, VDUSE_SET_STATUS) >= before + n)
					break;
				usleep(1000);
			}
			ASSERT_GT(20000, i);
			close_daemon(self);

			if (next) {
				self->v.answer[VDUSE_SET_STATUS] = ANSWER_OK;
				ASSERT_EQ(0, open_daemon(self));
				ASSERT_EQ(0, vduse_start(&self->v));
				pthread_join(thread, NULL);
				EXPECT_EQ(0, find_node(self));
				EXPECT_EQ(0, direct(self, false, buf, sizeof(buf), 0));
				EXPECT_EQ(0, vduse_del(VDUSE_DEV));
			} else {
				begin = now();
				EXPECT_EQ(0, vduse_del(VDUSE_DEV));
				EXPECT_GT(15.0, now() - begin);
				pthread_join(thread, NULL);
				ASSERT_EQ(0, open_daemon(self));
				ASSERT_EQ(0, vduse_start(&self->v));
			}
		}
	}
}

TEST_HARNESS_MAIN
