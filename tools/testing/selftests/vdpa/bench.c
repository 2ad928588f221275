// SPDX-License-Identifier: GPL-2.0
/*
 * bench N: what a classic user's messages and packets cost: one address space, no ASID feature.
 * Prints nanoseconds for each; in a VM that counts instructions (scripts/vm --icount) a nanosecond
 * is an instruction. Runs on plain 5.10 too.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vdpa_util.h"

#define PG 4096UL
#define ROUNDS 40

static int fd;
static struct area a;

static void report(const char *name, double seconds, long count)
{
	printf("%s %.0f\n", name, seconds * 1e9 / count);
}

/* A mapping of one page, that stays for a while. */
static int map_other(int i)
{
	return map(fd, 0, 0x200000000ULL + 2 * i * PG, PG, (char *)a.va + i % 256 * PG,
		   VHOST_ACCESS_RW);
}

/*
 * The same pages again and again, beside @others mappings and more: there is one more in each
 * round, so that the kernel's allocator isn't in the same state, a lucky or an unlucky one, always.
 */
static int bench_map(const char *name, long count, int others, int pages, bool batch)
{
	double start, seconds = 0;
	int rc = 0, round;
	long i;

	for (i = 0; i < others; i++)
		rc |= map_other(i);
	for (round = 0; round < ROUNDS; round++) {
		rc |= map_other(others + round);
		start = now();
		for (i = 0; !rc && i < count / ROUNDS; i++) {
			if (batch)
				rc = send_msg(fd, 0, VHOST_IOTLB_BATCH_BEGIN, 0, 0, NULL, 0);
			rc |= map(fd, 0, 0x100000000ULL, pages * PG, a.va, VHOST_ACCESS_RW);
			rc |= unmap(fd, 0, 0x100000000ULL, pages * PG);
			if (batch)
				rc |= send_msg(fd, 0, VHOST_IOTLB_BATCH_END, 0, 0, NULL, 0);
		}
		seconds += now() - start;
	}
	if (!rc)
		report(name, seconds, count / ROUNDS * ROUNDS);
	for (i = 0; i < others + ROUNDS; i++)
		rc |= unmap(fd, 0, 0x200000000ULL + 2 * i * PG, PG);

	return rc;
}

/* Frames to everyone, @burst at a time, round the loop. */
static int bench_net(struct net *n, const char *name, long count, int burst, size_t payload)
{
	static const uint8_t dst[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct seg rx = { n->data.iova + BUF(40), payload < 0x700 ? 0x800 : 0x2000, true };
	struct seg tx = { n->data.iova + BUF(8), 0, false };
	double start;
	int rc = 0, k;
	long i;

	tx.len = frame_make((char *)n->data.va + BUF(8), dst, payload, 1);
	start = now();
	for (i = 0; !rc && i < count; i += burst) {
		for (k = 0; k < burst; k++) {
			ring_add(&n->q[RXQ], &rx, 1);
			ring_add(&n->q[TXQ], &tx, 1);
		}
		ring_kick(&n->q[TXQ]);
		for (k = 0; !rc && k < burst; k++)
			rc = ring_wait(&n->q[RXQ], WAIT_MS, NULL, NULL) |
			     ring_wait(&n->q[TXQ], WAIT_MS, NULL, NULL);
	}
	if (!rc)
		report(name, now() - start, count);

	return rc;
}

/* Commands, one at a time: from the kick until the answer is there. */
static int bench_command(struct net *n, const char *name, long count)
{
	double start = now();
	int rc = 0;
	long i;

	for (i = 0; !rc && i < count; i++)
		rc = ctrl_set_mac(n, test_mac);
	if (!rc)
		report(name, now() - start, count);

	return rc;
}

/* Frames of 4 KiB, for comparison with requests. Without a limit for their size. */
static int bench_large(struct net *n, long count)
{
	int rc = set_status(n->fd, 0);

	if (!rc)
		rc = net_start(n, NET_FEATURES & ~VF(VIRTIO_NET_F_MTU));
	if (!rc)
		rc = bench_net(n, "packet_4k", count, 1, 4096 - ETH_HLEN);
	if (!rc)
		rc = bench_net(n, "packet_4k_depth_32", count, 32, 4096 - ETH_HLEN);

	return rc;
}

/* Requests of @len bytes to the same place, @depth at a time; segments of 64 KiB at most. */
static int bench_req(struct blk *b, uint32_t type, long count, int depth, uint32_t len)
{
	struct seg part[3], seg[8];
	char name[64];
	double start;
	int rc = 0, k, n;
	uint32_t done;
	long i;

	start = now();
	for (i = 0; !rc && i < count; i += depth) {
		for (k = 0; k < depth; k++) {
			blk_layout(b, k, type, 0, BLK_DATA, len, part);
			seg[0] = part[0];
			for (n = 1, done = 0; done < len; done += seg[n++].len)
				seg[n] = (struct seg) {
					part[1].iova + done,
					len - done < 0x10000 ? len - done : 0x10000, part[1].write
				};
			seg[n++] = part[2];
			ring_add(&b->q[0], seg, n);
		}
		ring_kick(&b->q[0]);
		for (k = 0; !rc && k < depth; k++)
			rc = ring_wait(&b->q[0], WAIT_MS, NULL, NULL);
		for (k = 0; !rc && k < depth; k++)
			rc = *blk_mem(b, BLK_STATUS(k));
	}
	snprintf(name, sizeof(name), "blk_%s_%uk%s", type == VIRTIO_BLK_T_IN ? "read" : "write",
		 len / 1024, depth == 1 ? "" : "_depth_32");
	if (!rc)
		report(name, now() - start, i);

	return rc;
}

static int bench_blk(long count)
{
	static const uint32_t lens[] = { 4096, 0x20000 };
	static const int depths[] = { 1, 32 };
	struct blk b = { 0 };
	size_t i, k;
	int rc, type;

	sim_mgmtdev = "vdpasim_blk";
	b.fd = test_dev(false, 0);
	rc = b.fd < 0 ? b.fd : blk_start(&b, BLK_FEATURES & ~VF(VIRTIO_BLK_F_MQ));
	for (i = 0; !rc && i < ARRAY_LEN(lens); i++) {
		blk_fill(blk_mem(&b, BLK_DATA), lens[i], 1);
		/* The disk has its memory. */
		rc = blk_write(&b, 0, BLK_DATA, lens[i]);
		for (k = 0; !rc && k < ARRAY_LEN(depths); k++)
			for (type = VIRTIO_BLK_T_IN; !rc && type <= VIRTIO_BLK_T_OUT; type++)
				rc = bench_req(&b, type, lens[i] > 4096 ? count / 4 : count,
					       depths[k], lens[i]);
	}
	blk_stop(&b);
	sim_del(TEST_DEV);

	return rc;
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 1000;
	uint64_t features = F_MSG_V2 | F_BATCH;
	struct net n = { 0 };
	int rc;

	fd = test_dev(false, 0);
	if (fd < 0 || area_alloc(&a, 0, 512 * PG)) {
		fprintf(stderr, "bench: no device: %d\n", fd);
		return 1;
	}
	n.fd = fd;
	memset(a.va, 1, a.size);
	rc = net_start(&n, CTRL_FEATURES);
	if (!rc)
		rc = io(fd, VHOST_SET_BACKEND_FEATURES, &features);
	if (!rc)
		rc = bench_net(&n, "packet", count, 1, 64);
	if (!rc)
		rc = bench_net(&n, "packet_burst", count, 100, 64);
	if (!rc)
		rc = bench_net(&n, "packet_1500", count, 100, 1500);
	/* Plain 5.10 has no control virtqueue */
	if (!rc && n.features & VF(VIRTIO_NET_F_CTRL_VQ))
		rc = bench_command(&n, "command", count);
	if (!rc)
		rc = bench_map("map_unmap", count, 0, 1, false);
	if (!rc)
		rc = bench_map("map_unmap_256_pages", count / 10, 0, 256, false);
	if (!rc)
		rc = bench_map("map_unmap_batch", count, 0, 1, true);
	if (!rc)
		rc = bench_map("map_unmap_1000_others", count, 1000, 1, false);
	if (!rc && !sim_is_static())
		rc = bench_large(&n, count);
	net_stop(&n);
	sim_del(TEST_DEV);
	if (!rc && !sim_is_static())
		rc = bench_blk(count);
	if (rc)
		fprintf(stderr, "bench: %d\n", rc);

	return !!rc;
}
