// SPDX-License-Identifier: GPL-2.0
/*
 * vduse_net NAME MAC: a network device in userspace with a control virtqueue in a group of its own,
 * like the simulator's: what is sent to the device's address, or to a group address, comes back.
 *
 * Prints a line for each thing that a test looks for, and runs until it gets SIGTERM. It reaches
 * memory only through the address space that the virtqueue's group is bound to.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <linux/if_ether.h>
#include <linux/vduse.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#define BIT(nr)		(1ULL << (nr))
#define QUEUES		3
#define QUEUE_MAX	256
#define GROUPS		2
#define SPACES		2
#define REGIONS		64
#define CHAIN		256
#define FRAME_MAX	65600

enum { RX, TX, CVQ };

struct region {
	uint64_t start, last;
	uint32_t asid;
	uint8_t perm;
	char *va;
};

struct queue {
	unsigned int num;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t next, put;
	int kick;
	int on;
};

static int dev;
static uint32_t asid[GROUPS];
static struct region regions[REGIONS];
static struct queue queues[QUEUES];
static struct virtio_net_config net;
/* The address that it was started with: a reset takes back what a command did. */
static uint8_t first_mac[ETH_ALEN];
static uint64_t features;
static int running, suspended;
static volatile sig_atomic_t stop;

static uint32_t group_of(int q) { return q == CVQ; }

static void forget(uint32_t as, uint64_t start, uint64_t last)
{
	struct region *r;

	for (r = regions; r < regions + REGIONS; r++) {
		if (!r->va || r->asid != as || r->start > last || r->last < start)
			continue;
		munmap(r->va, r->last - r->start + 1);
		r->va = NULL;
	}
}

static void *translate(uint32_t as, uint64_t iova, size_t *len, int write)
{
	struct vduse_iotlb_entry_v2 e = { .start = iova, .last = iova, .asid = as };
	struct region *r, *unused = NULL;
	int fd, prot = PROT_READ;

	for (r = regions; r < regions + REGIONS; r++) {
		if (!r->va)
			unused = r;
		else if (r->asid == as && r->start <= iova && r->last >= iova)
			goto found;
	}
	if (!unused) {
		fprintf(stderr, "too many regions\n");
		return NULL;
	}
	r = unused;
	fd = ioctl(dev, VDUSE_IOTLB_GET_FD2, &e);
	if (fd < 0)
		return NULL;
	if (e.perm & VDUSE_ACCESS_WO)
		prot |= PROT_WRITE;
	*r = (struct region) { e.start, e.last, as, e.perm, NULL };
	r->va = mmap(NULL, e.last - e.start + 1, prot, MAP_SHARED, fd, e.offset);
	close(fd);
	if (r->va == MAP_FAILED) {
		r->va = NULL;
		return NULL;
	}
found:
	if (!(r->perm & (write ? VDUSE_ACCESS_WO : VDUSE_ACCESS_RO)))
		return NULL;
	if (*len > r->last - iova + 1)
		*len = r->last - iova + 1;
	return r->va + (iova - r->start);
}

struct seg {
	uint64_t addr;
	uint32_t len;
	int write;
};

/* Collect the segments of a chain, those to read first: their number, or -1. */
static int collect(int q, uint16_t head, struct seg *segs)
{
	struct queue *vq = &queues[q];
	uint16_t i = head;
	int n = 0;

	while (n < CHAIN && i < vq->num) {
		struct vring_desc d = vq->desc[i];

		if (d.flags & VRING_DESC_F_INDIRECT ||
		    (n && segs[n - 1].write && !(d.flags & VRING_DESC_F_WRITE)))
			return -1;
		segs[n++] = (struct seg) { d.addr, d.len, d.flags & VRING_DESC_F_WRITE };
		if (!(d.flags & VRING_DESC_F_NEXT))
			return n;
		i = d.next;
	}

	return -1;
}

/* Copy from or to the segments of one direction, from offset @off on: the bytes copied. */
static size_t copy(int q, struct seg *segs, int n, int write, size_t off, void *buf, size_t size)
{
	uint32_t as = asid[group_of(q)];
	size_t done = 0, len;
	char *va;
	int i;

	for (i = 0; i < n && done < size; i++) {
		uint64_t addr = segs[i].addr;
		size_t left = segs[i].len;

		if (!!segs[i].write != write)
			continue;
		if (off >= left) {
			off -= left;
			continue;
		}
		addr += off;
		left -= off;
		off = 0;
		while (left && done < size) {
			len = left < size - done ? left : size - done;
			va = translate(as, addr, &len, write);
			if (!va)
				return done;
			memcpy(write ? va : (char *)buf + done, write ? (char *)buf + done : va,
			       len);
			addr += len;
			left -= len;
			done += len;
		}
	}

	return done;
}

static int get(int q, uint16_t *head)
{
	struct queue *vq = &queues[q];
	uint16_t n;

	if (!running || suspended || !vq->on)
		return 0;
	n = __atomic_load_n(&vq->avail->idx, __ATOMIC_SEQ_CST) - vq->next;
	if (n > vq->num)
		vq->on = 0;
	if (!n || !vq->on)
		return 0;
	*head = vq->avail->ring[vq->next++ % vq->num];

	return 1;
}

static void put(int q, uint16_t head, uint32_t len)
{
	struct queue *vq = &queues[q];

	vq->used->ring[vq->put % vq->num].id = head;
	vq->used->ring[vq->put % vq->num].len = len;
	__atomic_store_n(&vq->used->idx, ++vq->put, __ATOMIC_SEQ_CST);
}

static void notify(int q)
{
	uint32_t index = q;

	ioctl(dev, VDUSE_VQ_INJECT_IRQ, &index);
}

static void transmit(void)
{
	static char frame[FRAME_MAX];
	struct virtio_net_hdr_mrg_rxbuf hdr = { 0 };
	size_t hlen = sizeof(hdr), len;
	struct seg segs[CHAIN];
	uint16_t head, rx;
	int n, any = 0, back = 0;

	while (get(TX, &head)) {
		n = collect(TX, head, segs);
		len = n > 0 ? copy(TX, segs, n, 0, 0, frame, sizeof(frame)) : 0;
		put(TX, head, 0);
		any = 1;
		if (len < hlen + ETH_HLEN ||
		    (!(frame[hlen] & 1) && memcmp(frame + hlen, net.mac, ETH_ALEN)) ||
		    !get(RX, &rx))
			continue;
		hdr.num_buffers = 1;
		memcpy(frame, &hdr, hlen);
		n = collect(RX, rx, segs);
		put(RX, rx, n > 0 ? copy(RX, segs, n, 1, 0, frame, len) : 0);
		back = 1;
	}
	if (any)
		notify(TX);
	if (back)
		notify(RX);
}

static int set_mac(const uint8_t *mac)
{
	struct {
		struct vduse_config_data data;
		uint8_t mac[ETH_ALEN];
	} config = { .data.length = ETH_ALEN };

	memcpy(net.mac, mac, ETH_ALEN);
	memcpy(config.mac, mac, ETH_ALEN);

	return ioctl(dev, VDUSE_DEV_SET_CONFIG, &config);
}

static uint8_t command(struct seg *segs, int n)
{
	struct virtio_net_ctrl_hdr hdr;
	uint8_t mac[ETH_ALEN + 1];

	if (!(features & BIT(VIRTIO_NET_F_CTRL_MAC_ADDR)) ||
	    copy(CVQ, segs, n, 0, 0, &hdr, sizeof(hdr)) != sizeof(hdr) ||
	    hdr.class != VIRTIO_NET_CTRL_MAC || hdr.cmd != VIRTIO_NET_CTRL_MAC_ADDR_SET ||
	    copy(CVQ, segs, n, 0, sizeof(hdr), mac, sizeof(mac)) != ETH_ALEN || mac[0] & 1)
		return VIRTIO_NET_ERR;
	if (set_mac(mac))
		return VIRTIO_NET_ERR;
	printf("mac %02x:%02x:%02x:%02x:%02x:%02x\n", mac[0], mac[1], mac[2], mac[3], mac[4],
	       mac[5]);

	return VIRTIO_NET_OK;
}

/* What is mapped for the control virtqueue must not be found in address space 0. */
static void check_apart(uint64_t iova)
{
	struct vduse_iotlb_entry_v2 e = { .start = iova, .last = iova };
	struct vduse_iotlb_entry_v2 own = { .start = iova, .last = iova, .asid = asid[1] };
	static int said;
	char *va, *va0;
	int fd, fd0, same = 0;

	if (said++)
		return;
	fd = ioctl(dev, VDUSE_IOTLB_GET_FD2, &own);
	fd0 = ioctl(dev, VDUSE_IOTLB_GET_FD2, &e);
	if (fd >= 0 && fd0 >= 0) {
		/* Whether the same IOVA is other memory there */
		va = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  own.offset + ((iova - own.start) & ~4095ULL));
		va0 = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd0,
			   e.offset + ((iova - e.start) & ~4095ULL));
		same = va != MAP_FAILED && va0 != MAP_FAILED && !memcmp(va, va0, 4096);
	}
	printf("cvq asid %u mapped %d, in asid 0: %s\n", asid[1], fd >= 0,
	       fd0 < 0 ? "not mapped" : same ? "the same" : "other memory");
	if (fd >= 0)
		close(fd);
	if (fd0 >= 0)
		close(fd0);
}

static void control(void)
{
	struct seg segs[CHAIN];
	uint8_t ack;
	uint16_t head;
	int n, any = 0;

	while (features & BIT(VIRTIO_NET_F_CTRL_VQ) && get(CVQ, &head)) {
		n = collect(CVQ, head, segs);
		ack = VIRTIO_NET_ERR;
		/* A command that can't be answered isn't carried out. */
		if (n > 0 && copy(CVQ, segs, n, 1, 0, &ack, 1)) {
			check_apart(segs[0].addr);
			ack = command(segs, n);
			put(CVQ, head, copy(CVQ, segs, n, 1, 0, &ack, 1));
		} else {
			put(CVQ, head, 0);
		}
		any = 1;
	}
	if (any)
		notify(CVQ);
}

static void queue_start(int q)
{
	struct vduse_vq_info info = { .index = q };
	struct queue *vq = &queues[q];
	uint32_t as = asid[group_of(q)];
	size_t size[3], len[3];

	vq->on = 0;
	if (ioctl(dev, VDUSE_VQ_GET_INFO, &info) || !info.ready || !info.num)
		return;
	vq->num = info.num;
	size[0] = info.num * sizeof(struct vring_desc);
	size[1] = 6 + 2 * info.num;
	size[2] = 6 + 8 * info.num;
	memcpy(len, size, sizeof(len));
	vq->desc = translate(as, info.desc_addr, &len[0], 0);
	vq->avail = translate(as, info.driver_addr, &len[1], 0);
	vq->used = translate(as, info.device_addr, &len[2], 1);
	/* Each part has to be in one region. */
	if (!vq->desc || !vq->avail || !vq->used || memcmp(len, size, sizeof(len))) {
		printf("queue %d: not mapped in asid %u\n", q, as);
		return;
	}
	vq->on = 1;
}

static void request(void)
{
	struct vduse_dev_request req;
	struct vduse_dev_response resp = { 0 };
	int i;

	if (read(dev, &req, sizeof(req)) != sizeof(req))
		return;
	resp.request_id = req.request_id;
	switch (req.type) {
	case VDUSE_SET_STATUS:
		if (!req.s.status) {
			if (running)
				printf("reset\n");
			running = 0;
			suspended = 0;
			if (memcmp(net.mac, first_mac, ETH_ALEN))
				set_mac(first_mac);
			memset(asid, 0, sizeof(asid));
			for (i = 0; i < QUEUES; i++)
				queues[i].on = 0;
		} else if (req.s.status & VIRTIO_CONFIG_S_DRIVER_OK && !running) {
			printf("driver ok\n");
			running = 1;
			ioctl(dev, VDUSE_DEV_GET_FEATURES, &features);
			for (i = 0; i < QUEUES; i++) {
				struct vduse_vq_info info = { .index = i };

				queue_start(i);
				ioctl(dev, VDUSE_VQ_GET_INFO, &info);
				queues[i].next = info.split.avail_index;
				queues[i].put = queues[i].next;
			}
		}
		break;
	case VDUSE_UPDATE_IOTLB:
		forget(req.iova_v2.asid, req.iova_v2.start, req.iova_v2.last);
		for (i = 0; running && i < QUEUES; i++)
			if (queues[i].on && asid[group_of(i)] == req.iova_v2.asid)
				queue_start(i);
		break;
	case VDUSE_SET_VQ_GROUP_ASID:
		printf("group %u asid %u\n", req.vq_group_asid.group, req.vq_group_asid.asid);
		asid[req.vq_group_asid.group] = req.vq_group_asid.asid;
		break;
	case VDUSE_SET_VQ_READY:
		printf("queue %u ready %u\n", req.vq_ready.num, req.vq_ready.ready);
		queues[req.vq_ready.num].on = 0;
		if (req.vq_ready.ready && running)
			queue_start(req.vq_ready.num);
		break;
	case VDUSE_SUSPEND:
		printf("suspend\n");
		suspended = 1;
		break;
	case VDUSE_GET_VQ_STATE:
		resp.vq_state.index = req.vq_state.index;
		resp.vq_state.split.avail_index = queues[req.vq_state.index].next;
		break;
	default:
		resp.result = VDUSE_REQ_RESULT_FAILED;
	}
	if (write(dev, &resp, sizeof(resp)) != sizeof(resp))
		perror("write");
	/* What was kicked before */
	if (running) {
		control();
		transmit();
	}
}

static void on_signal(int sig)
{
	stop = 1;
}

static int create(int control, const char *name)
{
	struct {
		struct vduse_dev_config config;
		struct virtio_net_config net;
	} arg = { .config = {
		.device_id = VIRTIO_ID_NET,
		.features = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM) |
			    BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MTU) |
			    BIT(VIRTIO_NET_F_STATUS) | BIT(VIRTIO_NET_F_CTRL_VQ) |
			    BIT(VIRTIO_NET_F_CTRL_MAC_ADDR),
		.vq_num = QUEUES,
		.vq_align = 4096,
		.ngroups = GROUPS,
		.nas = SPACES,
		.config_size = sizeof(net),
	} };
	uint64_t version = VDUSE_API_VERSION_1;
	uint64_t features = BIT(VDUSE_F_QUEUE_READY) | BIT(VDUSE_F_SUSPEND);

	memcpy(arg.config.name, name, VDUSE_NAME_MAX);
	memcpy(arg.config.config, &net, sizeof(net));
	if (ioctl(control, VDUSE_SET_API_VERSION, &version) ||
	    ioctl(control, VDUSE_SET_FEATURES, &features))
		return -1;

	/* Or go on with the device of a daemon that was killed */
	return ioctl(control, VDUSE_CREATE_DEV, &arg.config) && errno != EEXIST ? -1 : 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct pollfd fds[QUEUES + 1];
	char path[300], name[VDUSE_NAME_MAX] = "";
	int fd, i, ctl = open("/dev/vduse/control", O_RDWR);
	uint64_t n;

	if (argc != 3 || sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &net.mac[0], &net.mac[1],
				&net.mac[2], &net.mac[3], &net.mac[4], &net.mac[5]) != 6) {
		fprintf(stderr, "usage: vduse_net NAME MAC\n");
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGTERM, &action, NULL);
	memcpy(first_mac, net.mac, ETH_ALEN);
	net.mtu = 1500;
	net.status = VIRTIO_NET_S_LINK_UP;
	net.max_virtqueue_pairs = 1;
	snprintf(name, sizeof(name), "%s", argv[1]);
	if (create(ctl, name)) {
		perror("create");
		return 1;
	}
	snprintf(path, sizeof(path), "/dev/vduse/%s", name);
	dev = open(path, O_RDWR);
	if (dev < 0) {
		perror(path);
		return 1;
	}
	for (i = 0; i < QUEUES; i++) {
		struct vduse_vq_config vq = {
			.index = i, .max_size = QUEUE_MAX, .group = group_of(i),
		};
		struct vduse_vq_eventfd kick = { .index = i };

		fd = eventfd(0, EFD_NONBLOCK);
		queues[i].kick = fd;
		kick.fd = fd;
		if (ioctl(dev, VDUSE_VQ_SETUP, &vq) || ioctl(dev, VDUSE_VQ_SETUP_KICKFD, &kick)) {
			perror("virtqueue");
			return 1;
		}
		fds[i] = (struct pollfd) { .fd = fd, .events = POLLIN };
	}
	fds[QUEUES] = (struct pollfd) { .fd = dev, .events = POLLIN };
	printf("here\n");

	while (!stop) {
		if (poll(fds, QUEUES + 1, -1) < 0)
			continue;
		if (fds[QUEUES].revents & POLLERR)
			break;
		if (fds[QUEUES].revents & POLLIN)
			request();
		for (i = 0; i < QUEUES; i++)
			if (fds[i].revents & POLLIN && read(queues[i].kick, &n, 8) == 8) {
				if (i == CVQ)
					control();
				else
					transmit();
			}
	}
	close(dev);
	if (ioctl(ctl, VDUSE_DESTROY_DEV, name))
		perror("destroy");

	return 0;
}
