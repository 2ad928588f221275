// SPDX-License-Identifier: GPL-2.0
/*
 * parallel SECONDS [LENGTH]: what two CPUs do at once. To be run where nothing else is.
 *
 * How many frames of LENGTH bytes (60) one device loops on one CPU, and how many two devices on two
 * CPUs. A device's driver, which is a process, and its worker share a CPU.
 *
 * How long it takes on the other CPU to unmap a page of a device, that is idle or loops frames: the
 * median, 99 of 100, and the longest, in microseconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>

#include "vdpa_util.h"

#define BURST 64

static const char *const devs[] = { TEST_DEV, "ksft1" };

static int pin_task(pid_t pid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);

	return sched_setaffinity(pid, sizeof(set), &set) ? -errno : 0;
}

/* The device's worker, a kernel thread that has its name. */
static int pin_worker(const char *dev, int cpu)
{
	char command[64];
	FILE *f;
	int pid = 0;

	snprintf(command, sizeof(command), "pgrep -x %s", dev);
	f = popen(command, "r");
	if (!f || fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		pclose(f);

	return pid ? pin_task(pid, cpu) : -ESRCH;
}

/* Starts a device on its CPU, with one frame in its memory to be sent again and again. */
static int device_start(struct net *n, int dev, size_t len, struct seg *tx, struct seg *rx)
{
	int rc;

	n->fd = vdpa_open(devs[dev]);
	rc = n->fd < 0 ? n->fd : pin_task(0, dev) | pin_worker(devs[dev], dev);
	if (!rc)
		rc = net_start(n, CTRL_FEATURES & ~VF(VIRTIO_NET_F_MTU));
	if (rc)
		return rc;
	*tx = (struct seg){ n->data.iova + BUF(8), 0, false };
	tx->len = frame_make((char *)n->data.va + BUF(8), broadcast, len - ETH_HLEN, 1);
	*rx = (struct seg){ n->data.iova + BUF(40), 0x4000, true };

	return net_round(n, tx, rx, BURST);
}

/* One device loops frames; the number goes into @out. Starts when @go is closed. */
static int loop_frames(int dev, double seconds, size_t len, int go, int out)
{
	struct net n = { 0 };
	struct seg tx, rx;
	double start, elapsed;
	long frames = 0;
	char c;
	int rc;

	rc = device_start(&n, dev, len, &tx, &rx);
	/* Both are ready, then both begin. */
	if (!rc && (write(out, "", 1) != 1 || read(go, &c, 1) != 0))
		rc = -EIO;
	start = now();
	do {
		rc |= rc ? 0 : net_round(&n, &tx, &rx, BURST);
		frames += BURST;
		elapsed = now() - start;
	} while (!rc && elapsed < seconds);
	elapsed = frames / elapsed;
	if (!rc && write(out, &elapsed, sizeof(elapsed)) != sizeof(elapsed))
		rc = -EIO;
	net_stop(&n);

	return rc;
}

/* @count devices at once: frames a second, all together; negative if something failed. */
static double measure(int count, double seconds, size_t len)
{
	int go[2], out[2][2], i, status;
	double sum = 0, rate;
	char ready;
	bool bad;

	bad = pipe(go);
	for (i = 0; !bad && i < count; i++) {
		bad = pipe(out[i]);
		if (!bad && !fork()) {
			close(go[1]);
			_exit(loop_frames(i, seconds, len, go[0], out[i][1]) ? 1 : 0);
		}
		close(out[i][1]);
	}
	for (i = 0; !bad && i < count; i++)
		bad = read(out[i][0], &ready, 1) != 1;
	close(go[0]);
	close(go[1]);
	for (i = 0; i < count; i++) {
		bad |= read(out[i][0], &rate, sizeof(rate)) != sizeof(rate);
		sum += rate;
		close(out[i][0]);
	}
	while (wait(&status) > 0)
		bad |= status;

	return bad ? -1 : sum;
}

#define UNMAPS 20000

struct unmaps {
	int fd;
	int rc;
	bool done;
	double time[UNMAPS];
};

static void *unmap_pages(void *arg)
{
	struct unmaps *u = arg;
	struct area page;
	double start;
	int i;

	u->rc = pin_task(0, 1) | area_alloc(&page, 0x8000000000ULL, 4096);
	for (i = 0; !u->rc && i < UNMAPS; i++) {
		u->rc = map(u->fd, 0, page.iova, page.size, page.va, VHOST_ACCESS_RW);
		start = now();
		if (!u->rc)
			u->rc = unmap(u->fd, 0, page.iova, page.size);
		u->time[i] = now() - start;
	}
	__atomic_store_n(&u->done, true, __ATOMIC_SEQ_CST);

	return NULL;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Frames on one CPU, if there is @traffic; on the other a thread unmaps pages of the device. */
static int measure_unmap(bool traffic, size_t len)
{
	static struct unmaps u;
	struct net n = { 0 };
	struct seg tx, rx;
	pthread_t thread;
	int rc;

	rc = device_start(&n, 0, len, &tx, &rx);
	u = (struct unmaps){ .fd = n.fd };
	if (!rc)
		rc = pthread_create(&thread, NULL, unmap_pages, &u);
	if (!rc) {
		while (!__atomic_load_n(&u.done, __ATOMIC_SEQ_CST))
			rc |= traffic ? net_round(&n, &tx, &rx, BURST) : usleep(1000);
		pthread_join(thread, NULL);
	}
	net_stop(&n);
	if (rc || u.rc)
		return rc ? rc : u.rc;
	qsort(u.time, UNMAPS, sizeof(*u.time), compare);
	printf("unmap %s median %.1f percentile_99 %.1f longest %.1f\n", traffic ? "busy" : "idle",
	       u.time[UNMAPS / 2] * 1e6, u.time[UNMAPS / 100 * 99] * 1e6,
	       u.time[UNMAPS - 1] * 1e6);

	return 0;
}

int main(int argc, char **argv)
{
	const double seconds = argc > 1 ? atof(argv[1]) : 5;
	const size_t len = argc > 2 ? atol(argv[2]) : 60;
	double one, two;
	int fd, rc;

	fd = test_dev(false, 0);
	if (fd < 0 || sim_add(devs[1], test_mac, 0)) {
		fprintf(stderr, "parallel: no device\n");
		return 1;
	}
	close(fd);
	one = measure(1, seconds, len);
	two = measure(2, seconds, len);
	rc = measure_unmap(false, len) | measure_unmap(true, len);
	sim_del(devs[0]);
	sim_del(devs[1]);
	if (one < 0 || two < 0 || rc) {
		fprintf(stderr, "parallel: something was lost: %d\n", rc);
		return 1;
	}
	printf("one %.0f two %.0f ratio %.2f\n", one, two, two / one);

	return 0;
}
