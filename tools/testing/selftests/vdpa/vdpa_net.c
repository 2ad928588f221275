// SPDX-License-Identifier: GPL-2.0
/*
 * Shared by the vDPA tests: a driver for a network device, written from the virtio specification.
 * Callers have access to the rings, so as to write malformed ones.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>

#include "vdpa_util.h"

int ring_init(struct ring *r, int fd, unsigned int idx, unsigned int num,
	      const struct area *a, size_t offset)
{
	struct vhost_vring_addr addr = { .index = idx };
	struct vhost_vring_file file = { .index = idx };
	char *va = (char *)a->va + offset;
	int rc;

	memset(r, 0, sizeof(*r));
	memset(va, 0, RING_SIZE);
	r->fd = fd;
	r->idx = idx;
	r->num = num;
	r->iova = a->iova + offset;
	r->desc = (void *)va;
	r->avail = (void *)(va + RING_AVAIL);
	r->used = (void *)(va + RING_USED);
	r->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	rc = vring_state(fd, VHOST_SET_VRING_NUM, idx, num);
	if (rc)
		return rc;
	addr.desc_user_addr = r->iova;
	addr.avail_user_addr = r->iova + RING_AVAIL;
	addr.used_user_addr = r->iova + RING_USED;
	rc = io(fd, VHOST_SET_VRING_ADDR, &addr);
	if (rc)
		return rc;
	rc = vring_state(fd, VHOST_SET_VRING_BASE, idx, 0);
	if (rc)
		return rc;
	file.fd = r->kick;
	rc = io(fd, VHOST_SET_VRING_KICK, &file);
	if (rc)
		return rc;
	file.fd = r->call;

	return io(fd, VHOST_SET_VRING_CALL, &file);
}

int ring_enable(struct ring *r, bool on)
{
	return vring_state(r->fd, VHOST_VDPA_SET_VRING_ENABLE, r->idx, on);
}

void ring_free(struct ring *r)
{
	if (r->kick > 0)
		close(r->kick);
	if (r->call > 0)
		close(r->call);
	r->kick = 0;
	r->call = 0;
}

void ring_post(struct ring *r, uint16_t head)
{
	r->avail->ring[r->avail_idx % r->num] = head;
	r->avail_idx++;
	__atomic_store_n(&r->avail->idx, r->avail_idx, __ATOMIC_SEQ_CST);
}

uint16_t ring_add(struct ring *r, const struct seg *seg, int n)
{
	uint16_t head = r->next, d = head;
	int i;

	for (i = 0; i < n; i++) {
		d = r->next;
		r->next = (r->next + 1) % r->num;
		r->desc[d].addr = seg[i].iova;
		r->desc[d].len = seg[i].len;
		r->desc[d].flags = (seg[i].write ? VRING_DESC_F_WRITE : 0) |
				   (i + 1 < n ? VRING_DESC_F_NEXT : 0);
		r->desc[d].next = r->next;
	}
	ring_post(r, head);

	return head;
}

void ring_kick(struct ring *r)
{
	uint64_t one = 1;

	if (write(r->kick, &one, sizeof(one)) != sizeof(one))
		return;
}

/* Whether the device has given no buffer back that the test hasn't seen yet. */
static bool ring_empty(const struct ring *r)
{
	return __atomic_load_n(&r->used->idx, __ATOMIC_SEQ_CST) == r->last_used;
}

/* Sleeps until the device has given a buffer back. */
static int ring_sleep(const struct ring *r, int ms)
{
	struct pollfd pfd = { .fd = r->call, .events = POLLIN };
	double end = now() + ms / 1000.0;
	uint64_t count;

	while (ring_empty(r)) {
		double left = end - now();

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&pfd, 1, left * 1000 + 1) > 0 &&
		    read(r->call, &count, sizeof(count)) < 0)
			continue;
	}

	return 0;
}

int ring_wait(struct ring *r, int ms, uint32_t *id, uint32_t *len)
{
	/* The clock is only read to wait */
	const int rc = ring_empty(r) ? ring_sleep(r, ms) : 0;
	const struct vring_used_elem *e = &r->used->ring[r->last_used % r->num];

	if (rc)
		return rc;
	r->last_used++;
	if (id)
		*id = e->id;
	if (len)
		*len = e->len;

	return 0;
}

int ring_moves(const struct ring *r)
{
	const uint16_t before = __atomic_load_n(&r->used->idx, __ATOMIC_SEQ_CST);
	int i;

	for (i = 0; i < WAIT_MS; i++) {
		if (__atomic_load_n(&r->used->idx, __ATOMIC_SEQ_CST) != before)
			return 0;
		usleep(1000);
	}

	return -ETIMEDOUT;
}

int dev_negotiate(int fd, uint64_t *features)
{
	uint64_t offered = 0, backend = 0;
	int rc;

	rc = io(fd, VHOST_SET_OWNER, NULL);
	if (rc && rc != -EBUSY)
		return rc;
	rc = io(fd, VHOST_GET_BACKEND_FEATURES, &backend);
	if (rc)
		return rc;
	backend &= BACKEND_ALL;
	rc = io(fd, VHOST_SET_BACKEND_FEATURES, &backend);
	if (rc)
		return rc;
	rc = set_status(fd, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	if (!rc)
		rc = set_status(fd, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	if (!rc)
		rc = io(fd, VHOST_GET_FEATURES, &offered);
	if (rc)
		return rc;
	*features &= offered;
	rc = set_features(fd, *features);
	if (rc)
		return rc;

	return set_status(fd, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			      VIRTIO_CONFIG_S_FEATURES_OK);
}

int net_negotiate(struct net *n, uint64_t features)
{
	uint32_t id = VIRTIO_ID_NET;

	/* Bits 0 to 23 mean something else to other kinds of devices. */
	io(n->fd, VHOST_VDPA_GET_DEVICE_ID, &id);
	if (id != VIRTIO_ID_NET)
		features &= ~0xffffffULL;
	n->features = features;

	return dev_negotiate(n->fd, &n->features);
}

int net_bind(struct net *n, unsigned int idx)
{
	int group;

	if (!n->asid[idx])
		return 0;
	group = vring_state(n->fd, GET_VRING_GROUP, idx, 0);

	return group < 0 ? group : bind_group(n->fd, group, n->asid[idx]);
}

static int make_areas(struct net *n, int queues)
{
	int rc = 0;

	if (!n->data.va) {
		rc = area_alloc(&n->data, DATA_IOVA, AREA_SIZE);
		if (!rc)
			rc = map(n->fd, n->asid[RXQ], n->data.iova, n->data.size, n->data.va,
				 VHOST_ACCESS_RW);
		if (!rc && n->asid[TXQ] != n->asid[RXQ])
			rc = map(n->fd, n->asid[TXQ], n->data.iova, n->data.size, n->data.va,
				 VHOST_ACCESS_RW);
	}
	if (!rc && queues > CVQ && !n->ctrl.va) {
		rc = area_alloc(&n->ctrl, CTRL_IOVA, AREA_SIZE);
		if (!rc)
			rc = map(n->fd, n->asid[CVQ], n->ctrl.iova, n->ctrl.size, n->ctrl.va,
				 VHOST_ACCESS_RW);
	}

	return rc;
}

int net_start(struct net *n, uint64_t features)
{
	int i, queues, rc;

	rc = net_negotiate(n, features);
	if (rc)
		return rc;
	queues = n->features & VF(VIRTIO_NET_F_CTRL_VQ) ? 3 : 2;
	rc = make_areas(n, queues);
	for (i = 0; !rc && i < queues; i++)
		rc = net_bind(n, i);
	for (i = 0; !rc && i < queues; i++) {
		ring_free(&n->q[i]);
		rc = ring_init(&n->q[i], n->fd, i, 256, i == CVQ ? &n->ctrl : &n->data,
			       i * RING_SIZE);
	}
	/* Plain 5.10 has no feature 6: there the queues have to be enabled first. */
	for (i = 0; !rc && i < queues; i++)
		rc = ring_enable(&n->q[i], true);
	if (rc)
		return rc;

	return set_status(n->fd, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

int net_restart(struct net *n)
{
	int rc = set_status(n->fd, 0);

	return rc ? rc : net_start(n, n->features);
}

void net_stop(struct net *n)
{
	int i;

	set_status(n->fd, 0);
	for (i = 0; i < NQUEUES; i++)
		ring_free(&n->q[i]);
	close(n->fd);
	n->fd = -1;
	area_free(&n->data);
	area_free(&n->ctrl);
}

size_t frame_make(void *va, const uint8_t *dst, size_t payload, uint8_t seed)
{
	uint8_t *p = va;
	size_t i;

	memset(p, 0, NET_HDR);
	p += NET_HDR;
	memcpy(p, dst, ETH_ALEN);
	memcpy(p + ETH_ALEN, other_mac, ETH_ALEN);
	p[12] = 0x88;
	p[13] = 0xb5;
	p += ETH_HLEN;
	for (i = 0; i < payload; i++)
		p[i] = seed + i * 7;

	return NET_HDR + ETH_HLEN + payload;
}

void net_post_rx(struct net *n, int first, int count, uint32_t size)
{
	int i;

	for (i = 0; i < count; i++) {
		struct seg s = { n->data.iova + BUF(first + i), size, true };

		ring_add(&n->q[RXQ], &s, 1);
	}
	ring_kick(&n->q[RXQ]);
}

void net_queue_tx(struct net *n, int buf, uint32_t size)
{
	struct seg s = { n->data.iova + BUF(buf), size, false };

	ring_add(&n->q[TXQ], &s, 1);
	ring_kick(&n->q[TXQ]);
}

int net_send(struct net *n, int buf, uint32_t size)
{
	net_queue_tx(n, buf, size);

	return ring_wait(&n->q[TXQ], WAIT_MS, NULL, NULL);
}

int net_recv(struct net *n, uint32_t *id)
{
	uint32_t len = 0;
	int rc = ring_wait(&n->q[RXQ], WAIT_MS, id, &len);

	return rc ? rc : (int)len;
}

const uint8_t broadcast[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

int net_round(struct net *n, const struct seg *tx, const struct seg *rx, int burst)
{
	int rc = 0, i;

	for (i = 0; i < burst; i++) {
		ring_add(&n->q[RXQ], rx, 1);
		ring_add(&n->q[TXQ], tx, 1);
	}
	ring_kick(&n->q[TXQ]);
	for (i = 0; !rc && i < burst; i++)
		rc = ring_wait(&n->q[RXQ], WAIT_MS, NULL, NULL) |
		     ring_wait(&n->q[TXQ], WAIT_MS, NULL, NULL);

	return rc;
}

int net_loops_at_all(struct net *n)
{
	net_post_rx(n, 100, 1, 0x800);
	net_queue_tx(n, 99, frame_make((char *)n->data.va + BUF(99), broadcast, 64, 3));

	return ring_wait(&n->q[RXQ], SOON_MS, NULL, NULL) ? 0 : 1;
}

/*
 * A broadcast frame follows: if that is received first, the other one was dropped, and there is no
 * timeout to wait for.
 */
int net_loops(struct net *n, const uint8_t *dst)
{
	char *va = n->data.va;
	uint32_t id;
	int rc, seen;

	net_post_rx(n, 100, 2, 0x800);
	rc = net_send(n, 98, frame_make(va + BUF(98), dst, 64, 1));
	if (rc)
		return rc;
	rc = net_send(n, 99, frame_make(va + BUF(99), broadcast, 64, 2));
	if (rc)
		return rc;
	rc = net_recv(n, &id);
	if (rc < 0)
		return rc;
	va += n->q[RXQ].desc[id].addr - n->data.iova + NET_HDR;
	seen = !memcmp(va, dst, ETH_ALEN);
	if (seen) {
		rc = net_recv(n, &id);
		return rc < 0 ? rc : 1;
	}
	/* The device still has the second receive buffer: use it up with another frame. */
	rc = net_send(n, 99, NET_HDR + ETH_HLEN + 64);
	if (!rc)
		rc = net_recv(n, &id);

	return rc < 0 ? rc : 0;
}

int ctrl_cmd(struct net *n, uint8_t class, uint8_t cmd, const void *data, size_t len)
{
	struct ring *r = &n->q[CVQ];
	char *va = (char *)n->ctrl.va + BUF(0);
	uint64_t iova = n->ctrl.iova + BUF(0);
	struct seg s[3] = {
		{ iova, 2, false },
		{ iova + 0x100, len, false },
		{ iova + 0x80, 1, true },
	};
	int rc;

	va[0] = class;
	va[1] = cmd;
	va[0x80] = 0x5a;
	memcpy(va + 0x100, data, len);
	if (!len)
		s[1] = s[2];
	ring_add(r, s, len ? 3 : 2);
	ring_kick(r);
	rc = ring_wait(r, WAIT_MS, NULL, NULL);

	return rc ? rc : (uint8_t)va[0x80];
}

int ctrl_set_mac(struct net *n, const uint8_t *mac)
{
	return ctrl_cmd(n, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, ETH_ALEN);
}

int config_mac(int fd, uint8_t *mac)
{
	struct {
		uint32_t off, len;
		uint8_t buf[ETH_ALEN];
	} c = { 0, ETH_ALEN, { 0 } };
	int rc = io(fd, VHOST_VDPA_GET_CONFIG, &c);

	memcpy(mac, c.buf, ETH_ALEN);
	return rc;
}

int write_mac(int fd, const uint8_t *mac, uint32_t off, uint32_t len)
{
	struct {
		uint32_t off, len;
		uint8_t buf[ETH_ALEN];
	} c = { off, len, { 0 } };

	memcpy(c.buf, mac + off, len);
	return io(fd, VHOST_VDPA_SET_CONFIG, &c);
}
