/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by the tests of VDUSE: a daemon in the test itself, which answers, or doesn't, as the test
 * says, and keeps a list of what it was asked.
 *
 * Functions that return int give 0 or a negative errno, unless they say otherwise.
 */
#ifndef SELFTESTS_VDUSE_UTIL_H
#define SELFTESTS_VDUSE_UTIL_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <linux/vduse.h>

#include "vdpa_util.h"

#define VDUSE_DEV	"ksfuse"
#define VDUSE_CONTROL	"/dev/vduse/control"
#define VDUSE_MAX_LOG	512

/* What the daemon does with a request. */
enum answer { ANSWER_OK, ANSWER_FAILED, ANSWER_LATER, ANSWER_WRONG };

struct vduse {
	int control;
	int fd;
	/* For new devices; vduse_init() fills in a block device with one virtqueue. */
	struct vduse_dev_config config;
	uint8_t space[4096];
	uint16_t vq_size;
	uint32_t groups[64];

	/* What to do with each type of request, and what to answer to GET_VQ_STATE. */
	enum answer answer[16];
	struct vduse_vq_state state;
	/* Called in the daemon's thread for each request, before it is answered. */
	void (*hook)(struct vduse *v, const struct vduse_dev_request *req);
	void *hook_data;

	pthread_t thread;
	bool running;
	int stop;
	struct vduse_dev_request log[VDUSE_MAX_LOG];
	unsigned int nlog;
};

/* Defaults: nothing is created. @version: -1 to set none. */
int vduse_init(struct vduse *v, int version);
/* CREATE_DEV with v->config and v->space. */
int vduse_create(struct vduse *v);
/* Opens the device. */
int vduse_open(struct vduse *v);
/* Sets up all virtqueues. */
int vduse_setup(struct vduse *v);
/* Reads requests and answers them, until v->stop. */
void vduse_serve(struct vduse *v);
/* Starts and ends the thread that does so. */
int vduse_start(struct vduse *v);
void vduse_stop(struct vduse *v);
/* All of it, up to a device on the bus. */
int vduse_up(struct vduse *v);
/* Takes everything down again, whatever there is. */
void vduse_down(struct vduse *v);

/* Puts the device on the bus, and takes it off; @why gets the kernel's message. */
int vduse_add(const char *name, char *why, size_t len);
int vduse_del(const char *name);

/* The number of requests of a type so far. */
unsigned int vduse_asked(struct vduse *v, uint32_t type);
/* The last request of a type, or NULL. */
const struct vduse_dev_request *vduse_last(struct vduse *v, uint32_t type);

/* IOTLB_GET_FD and GET_FD2: a file descriptor, or a negative errno. */
int vduse_get_fd(struct vduse *v, uint64_t start, uint64_t last, struct vduse_iotlb_entry *entry);
int vduse_get_fd2(struct vduse *v, uint32_t asid, uint64_t start, uint64_t last,
		  struct vduse_iotlb_entry_v2 *entry);
/* Maps the region at an IOVA of ASID 0 as it may be: the address of the IOVA, or NULL. */
void *vduse_map(struct vduse *v, uint64_t iova, size_t size);

/* The buffers of a virtio driver of this kernel are below this IOVA. */
#define VDUSE_BUFFERS	(64UL << 20)

/* A virtqueue of such a driver, of v->vq_size, as the daemon sees it. */
struct vduse_ring {
	unsigned int index;
	struct vring vring;
	/* Where the buffers are mapped */
	char *mem;
	/* How many were taken and used */
	uint16_t avail, used;
	/* 0 as long as the driver hasn't set DRIVER_OK */
	int running;
};

/* For v->hook: maps the ring when the driver sets DRIVER_OK. */
void vduse_ring_request(struct vduse *v, struct vduse_ring *ring,
			const struct vduse_dev_request *req);
/* Where @len bytes of a buffer are, or NULL. */
void *vduse_ring_at(struct vduse_ring *ring, uint64_t iova, size_t len);
/* Takes the next buffer: its head, or -1 if there is none. */
int vduse_ring_next(struct vduse_ring *ring);
/* Gives a buffer back. */
void vduse_ring_use(struct vduse_ring *ring, uint32_t id, uint32_t len);
/* Tells the driver. */
void vduse_ring_notify(struct vduse *v, struct vduse_ring *ring);

/* Loads @driver and what it needs to be bound to the device: false if there is no VDUSE. */
bool vduse_load(const char *driver);
/* Takes everything down, as vduse_down() does, and no driver of this kernel is bound any more. */
void vduse_unload(struct vduse *v);
/* The name in @dir, /sys/block or /sys/class/net, of what the virtio driver made of the device. */
int vduse_find(const char *dir, char name[static NAME_MAX + 1]);

#endif
