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
	struct seg rx = { n->data.iova + BUF(40), 0x800, true };
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
	if (rc)
		fprintf(stderr, "bench: %d\n", rc);
	net_stop(&n);
	sim_del(TEST_DEV);

	return !!rc;
}
