/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by the vDPA tests: the device under test, IOTLB messages, and a driver for split rings
 * that is simple enough to be made hostile.
 *
 * Functions that return int give 0 or a negative errno, unless they say otherwise.
 *
 * The tests run on any vDPA device. The environment chooses it:
 *
 *	VDPA_DEVICE=/dev/vhost-vdpa-N	this one. Nothing is added or deleted, no module is
 *					loaded with other parameters.
 *	VDPA_MGMTDEV=NAME		one that the tests add to this management device, as often
 *					as they need it, and delete. Default: vdpasim_net, or
 *					vdpasim_blk for a test that needs a block device.
 *
 * A test states what it needs of its device as struct need, and is skipped on a device that lacks
 * it. What the device has is asked of the device (struct vdev). The simulator's devices, which are
 * the default, have everything: there a need that isn't met is a failure.
 */
#ifndef SELFTESTS_VDPA_UTIL_H
#define SELFTESTS_VDPA_UTIL_H

#include <stdbool.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_ids.h>
#include <linux/if_ether.h>

#include "uapi.h"

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

#define TEST_DEV	"ksft0"

/* Milliseconds. How long an answer may take: an emulated debugging kernel is slow. */
#define WAIT_MS		10000
/* How long to wait for something that must not happen. */
#define SOON_MS		300

#define ASID0		0
#define ASID1		1

enum { RXQ, TXQ, CVQ, NQUEUES };

/* ---- management ---- */

struct attr {
	int type;
	const void *data;
	size_t len;
};

/* The number of the family "vdpa", or a negative errno. */
int vdpa_family(void);
/* Sends one request; the kernel's error message goes to @why, unless that is NULL. */
int vdpa_request(int cmd, int flags, const struct attr *attrs, int n, char *why, size_t len);
/* Asks for one attribute, of @len bytes; -ENOENT if the answer doesn't have it. */
int vdpa_ask(int cmd, const struct attr *attrs, int n, int type, void *value, size_t len);
/* The statistic @name of a virtqueue; -ENOENT if it has none of that name. */
int vdpa_stat(const char *dev, uint32_t queue, const char *name, uint64_t *value);
/* Sends a request for all (management) devices: their number, or a negative errno. */
int vdpa_dump(int cmd);
/* What the environment has in VDPA_DEVICE, or NULL. */
const char *given_dev(void);
/* The management device that devices are added to. */
const char *mgmtdev_name(void);
/* True if devices are the simulator's, so its module parameters can be chosen. */
bool sim_is_used(void);
/* True if devices are the simulator's and the tests' choice: what they have is known. */
bool sim_is_default(void);
/*
 * Loads the simulator so that these parameters hold: reloads it, if it is there with others. For
 * another parent all must be 0, or the answer is -EOPNOTSUPP.
 */
int sim_load(bool batch_mapping, int num_as);
/* Another parameter: devices have doorbells, and poll their queues as well as listen to kicks. */
extern bool sim_doorbell;
/* Whether it is loaded with a group for each virtqueue. */
extern bool sim_vq_groups;
void sim_unload(void);
/* Removes only the module of the device class. */
int sim_unload_class(void);
/* The tests' choice of a management device. */
extern const char *sim_mgmtdev;
/* Adds a device; MAC address and MTU only where the management device makes network devices. */
int sim_add(const char *name, const uint8_t *mac, uint16_t mtu);
int sim_del(const char *name);
/* True on a kernel without the management interface: the module makes the only device. */
bool sim_is_static(void);

/* Opens the character device of a vDPA device: a file descriptor, or a negative errno. */
int vdpa_open(const char *name);
/*
 * Opens TEST_DEV, newly added (or the device that is given): a file descriptor, or a negative
 * errno. Tests use GET_DEV() of harness.h; this is for programs without the harness, and for
 * another device of the same kind.
 */
int test_dev(bool batch_mapping, int num_as);
/* Closes and deletes it. */
void test_dev_end(int fd);

/* ---- the device under test ---- */

/* What it has; set by dev_get(). */
struct vdev {
	uint32_t id;
	uint64_t features;
	uint64_t backend;
	uint32_t vqs;
	uint16_t ring_max;
	/* 1 and 1 on a kernel without groups. */
	uint32_t groups;
	unsigned int as;
	/* Of the first queues, with NET_FEATURES and the CVQ negotiated; or a negative errno. */
	int group[NQUEUES];
	/* The CVQ's group has no data queue, and there is a second address space for it. */
	bool cvq_apart;
	/* Memory that is mapped is pinned; else only parts of files can be mapped. */
	bool pins;
	struct vhost_vdpa_iova_range iova;
};

extern struct vdev vdev;

/* What a test needs of its device. Without any, every device will do. */
struct need {
	/* Parameters of the simulator. */
	bool batch_mapping;
	bool doorbell;
	/* So many address spaces; a group for each virtqueue. */
	int num_as;
	bool vq_groups;
	/* The simulator, for a test that unloads its modules or relies on what they have. */
	bool sim;
	/* A device that may be deleted. */
	bool own;
	/* A network device with rings of 256; one that receives the frames that it sends. */
	bool net;
	bool loop;
	/* A block device with rings of 256. */
	bool blk;
	uint64_t features;
	unsigned int as;
};

/*
 * Opens the device under test: a file descriptor, or a negative errno. If it lacks something that
 * the test needs and may be skipped for, @why says what, and no device is left.
 */
int dev_get(const struct need *need, const char **why);

/* ---- messages ---- */

/* write(2) of one message, as it is. */
int send_raw(int fd, const void *msg, size_t size);
int send_msg(int fd, uint32_t asid, int type, uint64_t iova, uint64_t size, void *va, int perm);
int send_v1(int fd, int type, uint64_t iova, uint64_t size, void *va, int perm);
int map(int fd, uint32_t asid, uint64_t iova, uint64_t size, void *va, int perm);
int unmap(int fd, uint32_t asid, uint64_t iova, uint64_t size);

/* ioctl(2): what it returns, or a negative errno. */
int io(int fd, unsigned long cmd, const void *arg);
int vring_state(int fd, unsigned long cmd, unsigned int index, unsigned int num);
int bind_group(int fd, unsigned int group, unsigned int asid);
int set_status(int fd, uint8_t status);
int get_status(int fd);
int set_features(int fd, uint64_t want);

/* ---- rings ---- */

/* Memory of the test, and its IOVA. */
struct area {
	void *va;
	uint64_t iova;
	size_t size;
};

int area_alloc(struct area *a, uint64_t iova, size_t size);
void area_free(struct area *a);

struct seg {
	uint64_t iova;
	uint32_t len;
	bool write;
};

struct ring {
	int fd;
	unsigned int idx;
	unsigned int num;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint64_t iova;
	int kick;
	int call;
	uint16_t next;
	uint16_t avail_idx;
	uint16_t last_used;
};

#define RING_SIZE	0x4000
#define RING_AVAIL	0x2000
#define RING_USED	0x3000

/* Puts a ring of @num entries at @offset of @a, and tells the device. Doesn't enable it. */
int ring_init(struct ring *r, int fd, unsigned int idx, unsigned int num,
	      const struct area *a, size_t offset);
int ring_enable(struct ring *r, bool on);
void ring_free(struct ring *r);
/* Queues one buffer without a kick. Returns its head. */
uint16_t ring_add(struct ring *r, const struct seg *seg, int n);
/* Makes a head available to the device; any number, for hostile rings. */
void ring_post(struct ring *r, uint16_t head);
void ring_kick(struct ring *r);
/* The next used buffer: 0, or -ETIMEDOUT. */
int ring_wait(struct ring *r, int ms, uint32_t *id, uint32_t *len);
/* Whether the device goes on giving buffers back, within WAIT_MS: 0, or -ETIMEDOUT. */
int ring_moves(const struct ring *r);

/* Owner, backend features, those of *@features that are offered, up to FEATURES_OK. */
int dev_negotiate(int fd, uint64_t *features);

/* ---- a network device, as a driver sets it up ---- */

#define NET_HDR		12
#define FRAME_MAX	(NET_HDR + ETH_HLEN + 65535)

#define DATA_IOVA	0x10000000ULL
#define CTRL_IOVA	0x40000000ULL
#define AREA_SIZE	0x100000
/* Where the buffers start in an area, behind the rings. */
#define BUF(n)		(0x20000 + (n) * 0x1000)

/* @asid: the address space of each queue's group, chosen before net_start(). */
struct net {
	int fd;
	uint64_t features;
	uint32_t asid[NQUEUES];
	struct area data;
	struct area ctrl;
	struct ring q[NQUEUES];
};

/* The address of the device under test. */
extern uint8_t test_mac[ETH_ALEN];
extern const uint8_t other_mac[ETH_ALEN];
extern const uint8_t broadcast[ETH_ALEN];

#define NET_FEATURES	(VF(VIRTIO_F_VERSION_1) | VF(VIRTIO_F_ACCESS_PLATFORM) | \
			 VF(VIRTIO_NET_F_MAC) | VF(VIRTIO_NET_F_MTU) | VF(VIRTIO_NET_F_STATUS))
#define CTRL_FEATURES	(NET_FEATURES | VF(VIRTIO_NET_F_CTRL_VQ) | \
			 VF(VIRTIO_NET_F_CTRL_MAC_ADDR))
/* What tests of the control virtqueue need. */
#define MAC_FEATURES	(VF(VIRTIO_F_VERSION_1) | VF(VIRTIO_NET_F_MAC) | \
			 VF(VIRTIO_NET_F_CTRL_VQ) | VF(VIRTIO_NET_F_CTRL_MAC_ADDR))
#define BACKEND_ALL	(F_MSG_V2 | F_BATCH | F_ASID | F_SUSPEND | F_RESUME | \
			 F_ENABLE_AFTER_OK | F_PERSIST)

/* dev_negotiate(), without the features of network devices if this isn't one. */
int net_negotiate(struct net *n, uint64_t features);
/* Binds the group of this queue to n->asid[idx]. */
int net_bind(struct net *n, unsigned int idx);
/*
 * All of it, up to DRIVER_OK: rings of 256, groups bound. Areas that aren't there yet are made and
 * mapped; one that is there is left as the test made it, so a second start after a reset shows what
 * the device still reaches.
 */
int net_start(struct net *n, uint64_t features);
/* Resets the device and starts it again. */
int net_restart(struct net *n);
/* Resets, closes, frees. */
void net_stop(struct net *n);

/* A frame with a virtio-net header in front, at @va: its size. */
size_t frame_make(void *va, const uint8_t *dst, size_t payload, uint8_t seed);
/* Posts @count receive buffers of @size each at BUF(first)... of the data area. */
void net_post_rx(struct net *n, int first, int count, uint32_t size);
/* Sends what is at BUF(buf). */
void net_queue_tx(struct net *n, int buf, uint32_t size);
/* Sends what is at BUF(buf), and waits until the device has taken it. */
int net_send(struct net *n, int buf, uint32_t size);
/* The next frame received: its size, with the header, or a negative errno. */
int net_recv(struct net *n, uint32_t *id);
/* Sends @tx as @burst frames at once to itself, received in @rx, and waits for all of them. */
int net_round(struct net *n, const struct seg *tx, const struct seg *rx, int burst);
/* As net_loops() to the broadcast address, but gives up soon: for what must not work. */
int net_loops_at_all(struct net *n);
/* Sends a frame to @dst and says whether it came back: 1, 0, or a negative errno. */
int net_loops(struct net *n, const uint8_t *dst);

/* One control command laid out as a driver does: the device's answer, or a negative errno. */
int ctrl_cmd(struct net *n, uint8_t class, uint8_t cmd, const void *data, size_t len);
int ctrl_set_mac(struct net *n, const uint8_t *mac);
int config_mac(int fd, uint8_t *mac);
/* Writes @len bytes of a MAC address into the configuration space, from its byte @off on. */
int write_mac(int fd, const uint8_t *mac, uint32_t off, uint32_t len);

/* ---- a block device ---- */

#define SECTOR		512
#define BLK_QUEUES	4
#define BLK_FEATURES	(VF(VIRTIO_F_VERSION_1) | VF(VIRTIO_F_ACCESS_PLATFORM) | \
			 VF(VIRTIO_BLK_F_SIZE_MAX) | VF(VIRTIO_BLK_F_SEG_MAX) | \
			 VF(VIRTIO_BLK_F_BLK_SIZE) | VF(VIRTIO_BLK_F_FLUSH) | \
			 VF(VIRTIO_BLK_F_MQ) | VF(VIRTIO_BLK_F_DISCARD) | \
			 VF(VIRTIO_BLK_F_WRITE_ZEROES))

/* Rings, then headers with the status behind them, then data. */
#define BLK_HDR(n)	(BLK_QUEUES * RING_SIZE + (n) * 32)
#define BLK_STATUS(n)	(BLK_HDR(n) + sizeof(struct virtio_blk_outhdr))
#define BLK_DATA	0x20000
#define BLK_SIZE	0x300000

struct blk {
	int fd;
	uint64_t features;
	struct area mem;
	unsigned int queues;
	struct ring q[BLK_QUEUES];
};

/* As net_start() and so on; as many queues as are negotiated, BLK_QUEUES at most. */
int blk_start(struct blk *b, uint64_t features);
int blk_restart(struct blk *b);
void blk_stop(struct blk *b);
/* The memory at this offset, e.g. BLK_DATA. */
uint8_t *blk_mem(const struct blk *b, size_t offset);
/* Lays out the request @n, with data of @len bytes at @offset: the number of @seg, at most 3. */
int blk_layout(struct blk *b, int n, uint32_t type, uint64_t sector, size_t offset, uint32_t len,
	       struct seg *seg);
/* Queues the request @n, kicks, waits: the status, or a negative errno. */
int blk_req(struct blk *b, int queue, uint32_t type, uint64_t sector, size_t offset, uint32_t len);
int blk_read(struct blk *b, uint64_t sector, size_t offset, uint32_t len);
int blk_write(struct blk *b, uint64_t sector, size_t offset, uint32_t len);
/* Discards or zeroes one range. */
int blk_range(struct blk *b, uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags);
/* Fills memory with a pattern that depends on @seed; says whether it is there. */
void blk_fill(void *va, size_t len, uint32_t seed);
bool blk_filled(const void *va, size_t len, uint32_t seed);

/* ---- the machine ---- */

/*
 * Memory that is there already, from a multiple of the size of a huge page on; or MAP_FAILED.
 * @flags and @fd are those of mmap(2), @advice that of madvise(2), or 0.
 */
void *memory_of_kind(size_t size, int flags, int advice, int fd);
/* Kilobytes of this process in transparent huge pages. */
long thp_kb(void);

/* Pages of the whole machine that are pinned now (FOLL_PIN); negative if unknown. */
long pinned_pages(void);
int memlock(unsigned long bytes);
double now(void);
/* Reads a small file into @buf; the length, or a negative errno. */
int read_file(const char *path, char *buf, size_t size);
int write_file(const char *path, const char *text);

/* What debugfs shows of a virtqueue. */
struct shown_vq {
	int idx, size, avail, used, ready, broken;
	unsigned long long kicks, callbacks;
};

/* Fills in @vq for virtqueue @idx of a device: 0, or a negative errno. */
int shown_vq(const char *device, int idx, struct shown_vq *vq);

/* A shell command, its output dropped: its exit status. */
int run(const char *fmt, ...) __attribute__((__format__(__printf__, 1, 2)));

#endif
