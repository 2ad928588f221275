// SPDX-License-Identifier: GPL-2.0
/*
 * bench N [frames | maps | group | open | blk]: what messages, ioctls, control commands, frames and
 * block requests cost, or only that part of it. A message is one of a classic user, without ASIDs.
 * Prints nanoseconds for each; in a VM that counts instructions (scripts/vm --icount) a nanosecond
 * is an instruction. Runs on plain 5.10 too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "vdpa_util.h"

#define PG 4096UL
#define MIB 0x100000UL
/* Where the measured mappings are, a MiB apart, and where the others are. */
#define HERE 0x100000000ULL
#define OTHERS 0x8000000000ULL

static int fd;

static void report(const char *name, double seconds, long count)
{
	printf("%s %.0f\n", name, seconds * 1e9 / count);
}

/* Mappings of one page, two pages apart. */
static int map_others(const struct area *a, int others)
{
	int rc = 0, i;

	for (i = 0; !rc && i < others; i++)
		rc = map(fd, 0, OTHERS + 2 * i * PG, PG, (char *)a->va + i % 256 * PG,
			 VHOST_ACCESS_RW);

	return rc;
}

/*
 * @count mappings of @size bytes, made one after the other and then removed; each of other memory,
 * as long as there is any. Counts a MiB, or with smaller mappings each of them. Inside one batch
 * with @batch.
 */
static int bench_map(const char *name, const struct area *a, long count, size_t size, bool batch)
{
	const long units = count * (size < MIB ? 1 : size / MIB);
	const uint64_t step = size < MIB ? 2 * size : size;
	char map_name[64], unmap_name[64];
	double start, mapped;
	int rc = 0;
	long i;

	snprintf(map_name, sizeof(map_name), "map_%s", name);
	snprintf(unmap_name, sizeof(unmap_name), "unmap_%s", name);
	if (batch)
		rc = send_msg(fd, 0, VHOST_IOTLB_BATCH_BEGIN, 0, 0, NULL, 0);
	start = now();
	for (i = 0; !rc && i < count; i++)
		rc = map(fd, 0, HERE + i * step, size, (char *)a->va + i * size % a->size,
			 VHOST_ACCESS_RW);
	mapped = now();
	if (!rc)
		report(map_name, mapped - start, units);
	for (i = 0; !rc && i < count; i++)
		rc = unmap(fd, 0, HERE + i * step, size);
	if (!rc)
		report(unmap_name, now() - mapped, units);
	if (batch)
		rc |= send_msg(fd, 0, VHOST_IOTLB_BATCH_END, 0, 0, NULL, 0);

	return rc;
}

/* Memory of a process, in pages of the kind that @advice or @flags asks for. */
static int memory(struct area *a, size_t size, int flags, int advice)
{
	a->size = size;
	a->va = memory_of_kind(size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, advice,
			       -1);

	return a->va == MAP_FAILED ? -errno : 0;
}

static int bench_maps(long count)
{
	struct area thp, small, tlb;
	int rc;

	rc = memory(&thp, 64 * MIB, 0, MADV_HUGEPAGE);
	/* The figure would be another one's. */
	if (!rc && thp_kb() * 1024 < (long)thp.size)
		rc = -ENOENT;
	if (!rc)
		rc = bench_map("thp", &thp, 64, MIB, false);
	if (!rc)
		rc = memory(&small, 64 * MIB, 0, MADV_NOHUGEPAGE);
	if (!rc)
		rc = bench_map("small", &small, 64, MIB, false);
	if (!rc)
		rc = write_file("/proc/sys/vm/nr_hugepages", "520");
	if (!rc)
		rc = memory(&tlb, 1024 * MIB, MAP_HUGETLB, 0);
	if (!rc)
		rc = bench_map("hugetlb", &tlb, 2, 1024 * MIB, false);
	if (!rc)
		rc = munmap(tlb.va, tlb.size) | write_file("/proc/sys/vm/nr_hugepages", "0");
	if (!rc)
		rc = map_others(&small, 1024);
	if (!rc)
		rc = bench_map("4k", &small, count, PG, false);
	if (!rc)
		rc = bench_map("4k_batch", &small, count, PG, true);

	return rc ? rc : unmap(fd, 0, OTHERS, 2 * 1024 * PG);
}

/* The group is bound to one address space and to the other. Plain 5.10 has none. */
static int bench_group(long count)
{
	const double start = now();
	int rc = 0;
	long i;

	if (bind_group(fd, 0, 0))
		return 0;
	for (i = 0; !rc && i < count; i++)
		rc = bind_group(fd, 0, i & 1);
	if (!rc)
		report("set_group_asid", now() - start, count);

	return rc | bind_group(fd, 0, 0);
}

/* As a user opens it, by its path. */
static int bench_open(long count)
{
	static const char node[] = "/tmp/bench-vhost-vdpa";
	struct stat st;
	double start;
	int rc = 0;
	long i;

	if (fstat(fd, &st) || mknod(node, S_IFCHR | 0600, st.st_rdev))
		return -errno;
	close(fd);
	start = now();
	for (i = 0; !rc && i < count; i++) {
		fd = open(node, O_RDWR | O_CLOEXEC);
		rc = fd < 0 ? -errno : io(fd, VHOST_SET_OWNER, NULL);
		if (!rc)
			rc = set_features(fd, NET_FEATURES);
		close(fd);
	}
	if (!rc)
		report("open_close", now() - start, count);
	unlink(node);
	fd = -1;

	return rc;
}

/* Frames of @len bytes to everyone, @burst at a time, round the loop. */
static int bench_net(struct net *n, const char *name, long count, int burst, size_t len)
{
	const size_t payload = len - ETH_HLEN;
	struct seg rx = { n->data.iova + BUF(40), len < 0x700 ? 0x800 : 0x4000, true };
	struct seg tx = { n->data.iova + BUF(8), 0, false };
	double start;
	int rc = 0;
	long i;

	tx.len = frame_make((char *)n->data.va + BUF(8), broadcast, payload, 1);
	start = now();
	for (i = 0; !rc && i < count; i += burst)
		rc = net_round(n, &tx, &rx, burst);
	if (!rc)
		report(name, now() - start, i);

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

/* Frames of every size, without a limit for it; those of 4 KiB for comparison with requests. */
static int bench_frames(struct net *n, long count)
{
	const bool plain = sim_is_static();
	int rc = net_start(n, CTRL_FEATURES & ~VF(VIRTIO_NET_F_MTU));

	if (!rc)
		rc = bench_net(n, "frame", count, 1, 60);
	if (!rc)
		rc = bench_net(n, "frame_60", count, 64, 60);
	if (!rc)
		rc = bench_net(n, "frame_1514", count, 64, 1514);
	/* Plain 5.10 cuts them, and has no control virtqueue. */
	if (!rc && !plain)
		rc = bench_net(n, "frame_9000", count, 64, 9000);
	if (!rc && !plain)
		rc = bench_net(n, "frame_4k", count, 1, 4096);
	if (!rc && !plain)
		rc = bench_net(n, "frame_4k_depth_32", count, 32, 4096);
	if (!rc && n->features & VF(VIRTIO_NET_F_CTRL_VQ))
		rc = bench_command(n, "command", count);

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

static bool wanted(const char *part, const char *name)
{
	return !part || !strcmp(part, name);
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 1000;
	uint64_t features = F_MSG_V2 | F_BATCH;
	const char *part = argc > 2 ? argv[2] : NULL;
	struct net n = { 0 };
	int rc = 0;

	fd = test_dev(false, 0);
	if (fd < 0 || memlock(8UL << 30)) {
		fprintf(stderr, "bench: no device: %d\n", fd);
		return 1;
	}
	n.fd = fd;
	if (wanted(part, "frames"))
		rc = bench_frames(&n, count) | set_status(fd, 0);
	else
		rc = io(fd, VHOST_SET_OWNER, NULL);
	if (!rc)
		rc = io(fd, VHOST_SET_BACKEND_FEATURES, &features);
	if (!rc && wanted(part, "maps"))
		rc = bench_maps(count);
	if (!rc && wanted(part, "group"))
		rc = bench_group(count);
	if (!rc && wanted(part, "open"))
		rc = bench_open(count);
	sim_del(TEST_DEV);
	if (!rc && wanted(part, "blk") && !sim_is_static())
		rc = bench_blk(count);
	if (rc)
		fprintf(stderr, "bench: %d\n", rc);

	return !!rc;
}
