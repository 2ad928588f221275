// SPDX-License-Identifier: GPL-2.0
/*
 * VDUSE with a virtio driver of this kernel, virtio_net: an interface whose daemon is hostile.
 * Frames, their virtio-net headers and the configuration space have values that no device has; the
 * kernel stays well, and the interface goes on working.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sys/socket.h>

#include "vduse_util.h"
#include "harness.h"

#define QUEUE		64
#define FRAMES		3000
/* The largest frame that isn't taken for an error, with its header */
#define LARGEST_FRAME	(sizeof(struct virtio_net_hdr_mrg_rxbuf) + ETH_HLEN + 4 + 65535)
/* Of the frame by which the test knows that the interface works */
#define ETH_P_TEST	0x88b8

static const uint8_t mac[ETH_ALEN] = { 0x52, 0x54, 0, 0xab, 0xcd, 1 };

struct nic {
	struct vduse v;
	struct vduse_ring rx;
	char name[NAME_MAX + 1];
};

/* With what makes the driver use its buffers in another way. */
FIXTURE(net) {
	struct nic n;
};

FIXTURE_VARIANT(net) {
	uint64_t features;
	uint16_t mtu;
};

FIXTURE_VARIANT_ADD(net, plain) {
	.mtu = 1500,
};

/* With buffers of several descriptors. */
FIXTURE_VARIANT_ADD(net, large_frames) {
	.mtu = 65535,
};

FIXTURE_VARIANT_ADD(net, merged_buffers) {
	.features = VF(VIRTIO_NET_F_MRG_RXBUF),
	.mtu = 1500,
};

#define OFFLOADS (VF(VIRTIO_NET_F_GUEST_CSUM) | VF(VIRTIO_NET_F_GUEST_TSO4) |	\
		  VF(VIRTIO_NET_F_GUEST_TSO6) | VF(VIRTIO_NET_F_GUEST_ECN) |	\
		  VF(VIRTIO_NET_F_GUEST_UFO) | VF(VIRTIO_NET_F_CSUM) |		\
		  VF(VIRTIO_NET_F_HOST_TSO4) | VF(VIRTIO_NET_F_HOST_UFO))

FIXTURE_VARIANT_ADD(net, offloads) {
	.features = OFFLOADS,
	.mtu = 1500,
};

FIXTURE_VARIANT_ADD(net, offloads_and_merged_buffers) {
	.features = OFFLOADS | VF(VIRTIO_NET_F_MRG_RXBUF),
	.mtu = 1500,
};

static void on_request(struct vduse *v, const struct vduse_dev_request *req)
{
	struct nic *self = v->hook_data;

	vduse_ring_request(v, &self->rx, req);
}

/* The interface of the device. */
static int find_interface(struct nic *self)
{
	return vduse_find("/sys/class/net", self->name);
}

/* A network device, which isn't created yet. */
static int init(struct nic *self, uint64_t features, uint16_t mtu)
{
	struct virtio_net_config *config = (void *)self->v.space;
	int rc = vduse_init(&self->v, 0);

	self->v.vq_size = QUEUE;
	self->v.hook = on_request;
	self->v.hook_data = self;
	self->v.config.device_id = VIRTIO_ID_NET;
	self->v.config.vq_num = 2;
	self->v.config.config_size = sizeof(*config);
	self->v.config.features |= features | VF(VIRTIO_NET_F_MAC) | VF(VIRTIO_NET_F_STATUS) |
				   VF(VIRTIO_NET_F_MTU);
	memset(config, 0, sizeof(*config));
	memcpy(config->mac, mac, ETH_ALEN);
	config->status = VIRTIO_NET_S_LINK_UP;
	config->mtu = mtu;

	return rc;
}

FIXTURE_SETUP(net) {
	if (!vduse_load("virtio_net"))
		SKIP(_exit(255), "no modules vduse and virtio_vdpa");
	ASSERT_EQ(0, init(&self->n, variant->features, variant->mtu));
}

FIXTURE_TEARDOWN(net) {
	vduse_unload(&self->n.v);
	EXPECT_NE(0, access("/sys/bus/vdpa/devices/" VDUSE_DEV, F_OK));
}

/* The same for all of these. */
FIXTURE(any) {
	struct nic n;
};

FIXTURE_SETUP(any) {
	if (!vduse_load("virtio_net"))
		SKIP(_exit(255), "no modules vduse and virtio_vdpa");
	ASSERT_EQ(0, init(&self->n, 0, 1500));
}

FIXTURE_TEARDOWN(any) {
	vduse_unload(&self->n.v);
	EXPECT_NE(0, access("/sys/bus/vdpa/devices/" VDUSE_DEV, F_OK));
}

/* The next receive buffer: its head, or -1 if there is none in time. */
static int next_buffer(struct nic *self)
{
	double until = now() + 10;
	int head;

	while ((head = vduse_ring_next(&self->rx)) < 0 && now() < until) {
		vduse_ring_notify(&self->v, &self->rx);
		usleep(100);
	}

	return head;
}

/* Writes to a receive buffer: how much of it fits. */
static size_t put(struct nic *self, int head, const void *from, size_t len)
{
	struct vring_desc *d = &self->rx.vring.desc[head];
	size_t done = 0, part;
	void *to;
	int n;

	for (n = 0; n < QUEUE; n++) {
		part = d->len < len - done ? d->len : len - done;
		to = vduse_ring_at(&self->rx, d->addr, part);
		if (to)
			memcpy(to, (const char *)from + done, part);
		done += part;
		if (!(d->flags & VRING_DESC_F_NEXT))
			break;
		d = &self->rx.vring.desc[d->next % QUEUE];
	}

	return done;
}

/* A number that is often one that hurts. */
static uint16_t odd(void)
{
	static const uint16_t values[] = {
		0, 1, 2, 12, 14, 20, 34, 54, 60, 1500, 1514, 0x7fff, 0x8000, 0xfffe, 0xffff
	};

	return rand() % 4 ? values[rand() % ARRAY_LEN(values)] : rand();
}

/* A frame to the interface that looks right as far as chance wants, with a header that doesn't. */
static size_t make_frame(uint8_t *buf, size_t size)
{
	static const uint8_t gso[] = { 0, 1, 3, 4, 0x80, 0x81, 0x84, 5, 0xff };
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, 47, 255 };
	static const uint16_t types[] = {
		ETH_P_IP, ETH_P_IP, ETH_P_IPV6, ETH_P_ARP, ETH_P_8021Q, 0
	};
	struct virtio_net_hdr_mrg_rxbuf *hdr = (void *)buf;
	struct ethhdr *eth = (void *)(hdr + 1);
	struct iphdr *ip = (void *)(eth + 1);
	size_t i, len = rand() % 2 ? rand() % size : rand() % 200;

	for (i = 0; i < size; i++)
		buf[i] = rand();
	hdr->hdr.flags = rand() % 4;
	hdr->hdr.gso_type = gso[rand() % ARRAY_LEN(gso)];
	hdr->hdr.hdr_len = odd();
	hdr->hdr.gso_size = odd();
	hdr->hdr.csum_start = odd();
	hdr->hdr.csum_offset = odd();
	hdr->num_buffers = rand() % 3 ? 1 : odd();
	if (rand() % 8)
		memcpy(eth->h_dest, mac, ETH_ALEN);
	eth->h_proto = htons(types[rand() % ARRAY_LEN(types)]);
	if (rand() % 4) {
		ip->version = 4;
		ip->ihl = rand() % 4 ? 5 : rand();
		ip->tot_len = htons(rand() % 2 ? len : odd());
		ip->frag_off = rand() % 2 ? 0 : rand();
		ip->protocol = protocols[rand() % ARRAY_LEN(protocols)];
		ip->daddr = htonl(0xc0000201);
	}

	return len;
}

/* Sends a frame that is right, with a number, and waits until it comes. */
static int works(struct nic *self)
{
	struct sockaddr_ll sll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_TEST) };
	struct {
		struct virtio_net_hdr_mrg_rxbuf hdr;
		struct ethhdr eth;
		uint32_t number;
		uint8_t pad[60];
	} __attribute__((__packed__)) out = { .hdr.num_buffers = 1 }, in;
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_TEST)), head, rc = -ETIMEDOUT;
	const size_t len = sizeof(out) - sizeof(out.hdr);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	sll.sll_ifindex = if_nametoindex(self->name);
	if (fd < 0 || bind(fd, (void *)&sll, sizeof(sll)))
		return -errno;
	memcpy(out.eth.h_dest, mac, ETH_ALEN);
	out.eth.h_proto = htons(ETH_P_TEST);
	out.number = rand();
	head = next_buffer(self);
	if (head >= 0) {
		put(self, head, &out, sizeof(out));
		vduse_ring_use(&self->rx, head, sizeof(out));
		vduse_ring_notify(&self->v, &self->rx);
		while (rc && poll(&pfd, 1, 5000) > 0)
			if (recv(fd, &in.eth, len, 0) == (ssize_t)len && in.number == out.number)
				rc = 0;
	}
	close(fd);

	return rc;
}

TEST_F(net, hostile_frames)
{
	static uint8_t buf[LARGEST_FRAME];
	size_t len, room;
	int i, head;

	srand(1);
	ASSERT_EQ(0, vduse_up(&self->n.v));
	ASSERT_EQ(0, find_interface(&self->n));
	EXPECT_EQ(0, run("ip addr add 192.0.2.1/24 dev %s", self->n.name));
	EXPECT_EQ(0, run("ip link set %s up", self->n.name));
	ASSERT_EQ(1, self->n.rx.running);
	ASSERT_EQ(0, works(&self->n));
	for (i = 0; i < FRAMES; i++) {
		head = next_buffer(&self->n);
		ASSERT_LE(0, head);
		len = make_frame(buf, i % 16 ? 2000 : sizeof(buf));
		room = put(&self->n, head, buf, len);
		/* Some are shorter than they say, or have no bytes at all */
		vduse_ring_use(&self->n.rx, head, rand() % 16 ? room : rand() % (room + 1));
		if (rand() % 8 == 0)
			vduse_ring_notify(&self->n.v, &self->n.rx);
	}
	/* What waits for further buffers of a frame gets them from these */
	for (i = 0; i < 5 && works(&self->n); i++)
		;
	EXPECT_EQ(0, works(&self->n));
	EXPECT_EQ(0, vduse_del(VDUSE_DEV));
}

/* virtio_net has buffers that are larger than what it can put into a socket buffer. */
TEST_F(any, frame_too_long)
{
	static const uint32_t len[] = { LARGEST_FRAME, LARGEST_FRAME + 1, 69658, 73724 };
	static uint8_t buf[80000];
	struct vduse_iotlb_entry entry;
	size_t i, room;
	int head, fd;

	((struct virtio_net_config *)self->n.v.space)->mtu = 65535;
	for (i = 0; i < ARRAY_LEN(len); i++) {
		ASSERT_EQ(0, i ? vduse_add(VDUSE_DEV, NULL, 0) : vduse_up(&self->n.v));
		ASSERT_EQ(0, find_interface(&self->n));
		EXPECT_EQ(0, run("ip link set %s up", self->n.name));
		EXPECT_EQ(0, works(&self->n));
		head = next_buffer(&self->n);
		ASSERT_LE(0, head);
		room = put(&self->n, head, buf, sizeof(buf));
		EXPECT_EQ(73724, room);
		vduse_ring_use(&self->n.rx, head, len[i]);
		vduse_ring_notify(&self->n.v, &self->n.rx);
		usleep(100000);
		fd = vduse_get_fd(&self->n.v, 0, 0, &entry);
		if (i) {
			/* It is broken */
			EXPECT_EQ(-EIO, fd);
		} else {
			EXPECT_LE(0, fd);
			close(fd);
		}
		EXPECT_EQ(0, vduse_del(VDUSE_DEV));
	}
}

/* The driver gives up a device whose virtqueue can't take a frame that is in pieces. */
TEST_F(any, small_virtqueue)
{
	self->n.v.vq_size = 16;
	ASSERT_EQ(0, vduse_up(&self->n.v));
	EXPECT_EQ(-ENODEV, find_interface(&self->n));
}

/* Values that the driver may use as they are. The device may be refused, or work. */
TEST_F(any, hostile_configurations)
{
	static const uint16_t mtus[] = { 0, 1, 67, 68, 1500, 0x7fff, 0xffff };
	struct virtio_net_config *config = (void *)self->n.v.space;
	struct {
		struct vduse_config_data data;
		uint16_t status;
	} __attribute__((__packed__)) set = {
		{ offsetof(struct virtio_net_config, status), sizeof(set.status) }, 0xffff
	};
	size_t i, k;

	for (i = 0; i < ARRAY_LEN(mtus); i++) {
		for (k = 0; k < 3; k++) {
			config->mtu = mtus[i];
			/* Its own address, that of a group, none */
			memset(config->mac, k == 1 ? 0xff : 0, ETH_ALEN);
			if (!k)
				memcpy(config->mac, mac, ETH_ALEN);
			config->status = i & 1 ? 0xffff : 0;
			config->max_virtqueue_pairs = mtus[i];
			if (k == 2)
				self->n.v.config.features |= VF(VIRTIO_NET_F_STANDBY) |
							   VF(VIRTIO_NET_F_SPEED_DUPLEX);
			ASSERT_EQ(0, vduse_up(&self->n.v));
			if (!find_interface(&self->n)) {
				run("ip addr add 192.0.2.1/24 dev %s", self->n.name);
				run("ip link set %s up", self->n.name);
				EXPECT_EQ(0, io(self->n.v.fd, VDUSE_DEV_SET_CONFIG, &set));
				EXPECT_EQ(0, io(self->n.v.fd, VDUSE_DEV_INJECT_CONFIG_IRQ, NULL));
				usleep(20000);
			}
			vduse_down(&self->n.v);
			ASSERT_EQ(0, init(&self->n, 0, 1500));
		}
	}
}

TEST_HARNESS_MAIN
