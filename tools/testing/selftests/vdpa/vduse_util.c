// SPDX-License-Identifier: GPL-2.0
/*
 * Shared by the tests of VDUSE: see vduse_util.h.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <linux/virtio_blk.h>

#include "vduse_util.h"

int vduse_init(struct vduse *v, int version)
{
	struct virtio_blk_config *blk = (void *)v->space;
	uint64_t set = version;

	memset(v, 0, sizeof(*v));
	v->fd = -1;
	v->vq_size = 64;
	snprintf(v->config.name, sizeof(v->config.name), "%s", VDUSE_DEV);
	v->config.device_id = VIRTIO_ID_BLOCK;
	v->config.features = VF(VIRTIO_F_VERSION_1) | VF(VIRTIO_F_ACCESS_PLATFORM);
	v->config.vq_num = 1;
	v->config.vq_align = 4096;
	v->config.config_size = sizeof(*blk);
	blk->capacity = 2048;
	if (version > 0) {
		v->config.ngroups = 1;
		v->config.nas = 1;
	}

	v->control = open(VDUSE_CONTROL, O_RDWR | O_CLOEXEC);
	if (v->control < 0)
		return -errno;
	/* A test that failed may have left it */
	if (!access("/sys/class/vduse/" VDUSE_DEV, F_OK)) {
		vduse_del(VDUSE_DEV);
		io(v->control, VDUSE_DESTROY_DEV, v->config.name);
	}
	if (version >= 0)
		return io(v->control, VDUSE_SET_API_VERSION, &set);

	return 0;
}

int vduse_create(struct vduse *v)
{
	static union {
		struct vduse_dev_config config;
		uint8_t bytes[sizeof(struct vduse_dev_config) + 8192];
	} arg;

	arg.config = v->config;
	memcpy(arg.config.config, v->space, sizeof(v->space));

	return io(v->control, VDUSE_CREATE_DEV, &arg);
}

int vduse_open(struct vduse *v)
{
	char path[300];
	int i, fd;

	snprintf(path, sizeof(path), "/dev/vduse/%s", v->config.name);
	/* devtmpfs makes the node */
	for (i = 0; i < 100; i++) {
		fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0 || errno != ENOENT)
			break;
		usleep(10000);
	}
	if (fd < 0)
		return -errno;
	v->fd = fd;

	return 0;
}

int vduse_setup(struct vduse *v)
{
	struct vduse_vq_config vq;
	unsigned int i;
	int rc;

	for (i = 0; i < v->config.vq_num; i++) {
		memset(&vq, 0, sizeof(vq));
		vq.index = i;
		vq.max_size = v->vq_size;
		vq.group = i < ARRAY_LEN(v->groups) ? v->groups[i] : 0;
		rc = io(v->fd, VDUSE_VQ_SETUP, &vq);
		if (rc)
			return rc;
	}

	return 0;
}

static void answer(struct vduse *v, const struct vduse_dev_request *req)
{
	struct vduse_dev_response resp = { .request_id = req->request_id };
	enum answer how = req->type < ARRAY_LEN(v->answer) ? v->answer[req->type] : ANSWER_OK;

	if (how == ANSWER_LATER)
		return;
	if (how == ANSWER_FAILED)
		resp.result = VDUSE_REQ_RESULT_FAILED;
	if (req->type == VDUSE_GET_VQ_STATE) {
		resp.vq_state = v->state;
		resp.vq_state.index = req->vq_state.index + (how == ANSWER_WRONG);
	}
	if (write(v->fd, &resp, sizeof(resp)) != sizeof(resp) && how == ANSWER_OK)
		printf("# a response was refused: %s\n", strerror(errno));
}

void vduse_serve(struct vduse *v)
{
	struct vduse_dev_request req;
	struct pollfd pfd = { .fd = v->fd, .events = POLLIN };
	ssize_t len;

	while (!__atomic_load_n(&v->stop, __ATOMIC_ACQUIRE)) {
		if (poll(&pfd, 1, 20) <= 0)
			continue;
		len = read(v->fd, &req, sizeof(req));
		if (len != sizeof(req)) {
			/* Broken: there is nothing to read */
			usleep(10000);
			continue;
		}
		if (v->hook)
			v->hook(v, &req);
		if (v->nlog < VDUSE_MAX_LOG)
			v->log[v->nlog] = req;
		__atomic_add_fetch(&v->nlog, 1, __ATOMIC_RELEASE);
		answer(v, &req);
	}
}

static void *serve(void *arg)
{
	vduse_serve(arg);

	return NULL;
}

int vduse_start(struct vduse *v)
{
	int rc;

	v->stop = 0;
	rc = pthread_create(&v->thread, NULL, serve, v);
	v->running = !rc;

	return -rc;
}

void vduse_stop(struct vduse *v)
{
	if (!v->running)
		return;
	__atomic_store_n(&v->stop, 1, __ATOMIC_RELEASE);
	pthread_join(v->thread, NULL);
	v->running = false;
}

static int vduse_request(int cmd, const char *name, char *why, size_t len)
{
	struct attr attrs[2] = {
		{ ATTR_DEV_NAME, name, strlen(name) + 1 },
		{ ATTR_MGMTDEV_DEV_NAME, "vduse", sizeof("vduse") },
	};

	return vdpa_request(cmd, 0, attrs, cmd == CMD_DEV_NEW ? 2 : 1, why, len);
}

int vduse_add(const char *name, char *why, size_t len)
{
	return vduse_request(CMD_DEV_NEW, name, why, len);
}

int vduse_del(const char *name)
{
	return vduse_request(CMD_DEV_DEL, name, NULL, 0);
}

int vduse_up(struct vduse *v)
{
	int rc;

	rc = vduse_create(v);
	if (!rc)
		rc = vduse_open(v);
	if (!rc)
		rc = vduse_setup(v);
	if (!rc)
		rc = vduse_start(v);
	if (!rc)
		rc = vduse_add(v->config.name, NULL, 0);

	return rc;
}

void vduse_down(struct vduse *v)
{
	char name[VDUSE_NAME_MAX];

	vduse_del(v->config.name);
	vduse_stop(v);
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
	memcpy(name, v->config.name, sizeof(name));
	if (v->control >= 0) {
		io(v->control, VDUSE_DESTROY_DEV, name);
		close(v->control);
	}
	v->control = -1;
}

unsigned int vduse_asked(struct vduse *v, uint32_t type)
{
	unsigned int i, n = 0, end = __atomic_load_n(&v->nlog, __ATOMIC_ACQUIRE);

	for (i = 0; i < end && i < VDUSE_MAX_LOG; i++)
		n += v->log[i].type == type;

	return n;
}

const struct vduse_dev_request *vduse_last(struct vduse *v, uint32_t type)
{
	unsigned int i = __atomic_load_n(&v->nlog, __ATOMIC_ACQUIRE);

	if (i > VDUSE_MAX_LOG)
		i = VDUSE_MAX_LOG;
	while (i--)
		if (v->log[i].type == type)
			return &v->log[i];

	return NULL;
}

int vduse_get_fd(struct vduse *v, uint64_t start, uint64_t last, struct vduse_iotlb_entry *entry)
{
	memset(entry, 0, sizeof(*entry));
	entry->start = start;
	entry->last = last;

	return io(v->fd, VDUSE_IOTLB_GET_FD, entry);
}

int vduse_get_fd2(struct vduse *v, uint32_t asid, uint64_t start, uint64_t last,
		  struct vduse_iotlb_entry_v2 *entry)
{
	memset(entry, 0, sizeof(*entry));
	entry->start = start;
	entry->last = last;
	entry->asid = asid;

	return io(v->fd, VDUSE_IOTLB_GET_FD2, entry);
}

void *vduse_map(struct vduse *v, uint64_t iova, size_t size)
{
	struct vduse_iotlb_entry entry;
	int prot = 0, fd = vduse_get_fd(v, iova, iova + size - 1, &entry);
	char *va;

	if (fd < 0)
		return NULL;
	if (entry.perm & VDUSE_ACCESS_RO)
		prot |= PROT_READ;
	if (entry.perm & VDUSE_ACCESS_WO)
		prot |= PROT_WRITE;
	va = mmap(NULL, entry.last - entry.start + 1, prot, MAP_SHARED, fd, entry.offset);
	close(fd);
	if (va == MAP_FAILED || entry.start > iova || entry.last < iova + size - 1)
		return NULL;

	return va + (iova - entry.start);
}

/* Maps the virtqueue, if it is ready, and the buffers. */
static int vduse_map_ring(struct vduse *v, struct vduse_ring *ring)
{
	struct vduse_vq_info info = { .index = ring->index };
	int rc = io(v->fd, VDUSE_VQ_GET_INFO, &info);

	if (rc || !info.ready)
		return rc ? rc : -EAGAIN;
	ring->mem = vduse_map(v, 0, VDUSE_BUFFERS);
	ring->vring.num = v->vq_size;
	ring->vring.desc = vduse_map(v, info.desc_addr, 16 * v->vq_size);
	ring->vring.avail = vduse_map(v, info.driver_addr, 6 + 2 * v->vq_size);
	ring->vring.used = vduse_map(v, info.device_addr, 6 + 8 * v->vq_size);
	ring->avail = info.split.avail_index;
	if (!ring->mem || !ring->vring.desc || !ring->vring.avail || !ring->vring.used) {
		printf("# the memory can't be mapped\n");
		return -EFAULT;
	}
	ring->used = ring->vring.used->idx;

	return 0;
}

void vduse_ring_request(struct vduse *v, struct vduse_ring *ring,
			const struct vduse_dev_request *req)
{
	if (req->type != VDUSE_SET_STATUS)
		return;
	__atomic_store_n(&ring->running, 0, __ATOMIC_SEQ_CST);
	if (req->s.status & VIRTIO_CONFIG_S_DRIVER_OK && !vduse_map_ring(v, ring))
		__atomic_store_n(&ring->running, 1, __ATOMIC_SEQ_CST);
}

void *vduse_ring_at(struct vduse_ring *ring, uint64_t iova, size_t len)
{
	return iova < VDUSE_BUFFERS && len <= VDUSE_BUFFERS - iova ? ring->mem + iova : NULL;
}

int vduse_ring_next(struct vduse_ring *ring)
{
	const struct vring *vring = &ring->vring;

	if (ring->avail == __atomic_load_n(&vring->avail->idx, __ATOMIC_SEQ_CST))
		return -1;

	return vring->avail->ring[ring->avail++ % vring->num] % vring->num;
}

void vduse_ring_use(struct vduse_ring *ring, uint32_t id, uint32_t len)
{
	struct vring_used_elem *e = &ring->vring.used->ring[ring->used % ring->vring.num];

	e->id = id;
	e->len = len;
	__atomic_store_n(&ring->vring.used->idx, ++ring->used, __ATOMIC_SEQ_CST);
}

void vduse_ring_notify(struct vduse *v, struct vduse_ring *ring)
{
	uint32_t index = ring->index;

	io(v->fd, VDUSE_VQ_INJECT_IRQ, &index);
}

bool vduse_load(const char *driver)
{
	/* Which driver binds is a matter of which is loaded */
	run("modprobe -rq vhost_vdpa");
	run("modprobe -q %s", driver);

	return !run("modprobe -q vduse") && !run("modprobe -q virtio_vdpa");
}

void vduse_unload(struct vduse *v)
{
	vduse_down(v);
	run("modprobe -rq virtio_vdpa");
	run("modprobe -q vhost_vdpa");
}

int vduse_find(const char *dir, char name[static NAME_MAX + 1])
{
	char target[PATH_MAX];
	struct dirent *e;
	ssize_t len;
	DIR *d = opendir(dir);

	name[0] = '\0';
	while (d && !name[0] && (e = readdir(d))) {
		len = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = '\0';
		if (strstr(target, "/" VDUSE_DEV "/"))
			strcpy(name, e->d_name);
	}
	if (d)
		closedir(d);

	return name[0] ? 0 : -ENODEV;
}
