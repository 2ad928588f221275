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
/*
 * Maps these, to @mem, and the ring of a virtqueue of v->vq_size, if that is ready; @avail gets
 * where it starts.
 */
int vduse_map_ring(struct vduse *v, unsigned int index, struct vring *ring, char **mem,
		   uint16_t *avail);
/* The name in @dir, /sys/block or /sys/class/net, of what the virtio driver made of the device. */
int vduse_find(const char *dir, char name[static NAME_MAX + 1]);

#endif
