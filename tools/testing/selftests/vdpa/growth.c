// SPDX-License-Identifier: GPL-2.0
/*
 * growth [MAPPINGS]: how costs grow with what is mapped, up to MAPPINGS (default: a million), and
 * with the address spaces that it is spread over. Prints a line for each combination; the columns
 * are named in the first line. A mapping is a page of 4 KiB. The figures are nanoseconds; in a VM
 * that counts instructions (scripts/vm --icount) a nanosecond is an instruction.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/wait.h>

#include "vdpa_util.h"

#define PG 4096UL
#define SPACES 8
/* Repetitions of what is measured for one mapping or ioctl. */
#define REPEAT 500
/* Where the mappings are, two pages apart, and where that one is. */
#define OTHERS 0x8000000000ULL
#define HERE 0x100000000ULL
#define OTHER_DEV "ksft1"
#define BOUND "/sys/module/vhost_vdpa/parameters/max_mappings"

static struct area memory;

/* Opens a device up to the point where it takes messages with ASIDs. */
static int start(const char *name)
{
	uint64_t features = F_MSG_V2 | F_BATCH | F_ASID;
	int fd = vdpa_open(name), rc;

	if (fd < 0)
		return fd;
	rc = io(fd, VHOST_SET_OWNER, NULL) | io(fd, VHOST_SET_BACKEND_FEATURES, &features);

	return rc ? rc : fd;
}

/* Maps @count pages, spread over @spaces address spaces. */
static int fill(int fd, long count, int spaces)
{
	int rc = 0;
	long i;

	for (i = 0; !rc && i < count; i++)
		rc = map(fd, i % spaces, OTHERS + 2 * i * PG, PG,
			 (char *)memory.va + i * PG % memory.size, VHOST_ACCESS_RW);

	return rc;
}

/* Adds the time since *@start to *@sum, and starts anew. */
static void lap(double *start, double *sum)
{
	const double t = now();

	*sum += t - *start;
	*start = t;
}

/* One page more is mapped and unmapped, one group bound to another address space and back. */
static int measure_one(int fd, int spaces, double *map_time, double *unmap_time, double *bind_time)
{
	double t;
	int rc = 0, i;

	*map_time = *unmap_time = *bind_time = 0;
	t = now();
	for (i = 0; !rc && i < REPEAT; i++) {
		rc = map(fd, i % spaces, HERE, PG, memory.va, VHOST_ACCESS_RW);
		lap(&t, map_time);
		if (!rc)
			rc = unmap(fd, i % spaces, HERE, PG);
		lap(&t, unmap_time);
		if (!rc)
			rc = bind_group(fd, 0, (i + 1) % SPACES);
		lap(&t, bind_time);
	}
	*map_time /= REPEAT;
	*unmap_time /= REPEAT;
	*bind_time /= REPEAT;

	return rc;
}

/* The longest time that it takes to map and unmap a page of another device until @child ends. */
static int longest_wait(int other, pid_t child, double *longest)
{
	double before = now(), t;
	int rc = 0, status = 0;

	*longest = 0;
	while (!rc && !waitpid(child, &status, WNOHANG)) {
		rc = map(other, 0, HERE, PG, memory.va, VHOST_ACCESS_RW);
		if (!rc)
			rc = unmap(other, 0, HERE, PG);
		t = now();
		if (t - before > *longest)
			*longest = t - before;
		before = t;
	}

	return rc | status;
}

/* What this process has had of its CPU, in seconds. */
static double cpu_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);

	return t.tv_sec + t.tv_nsec / 1e9;
}

/*
 * Another process has the last reference to @fd, and closes it; or only keeps its CPU busy for
 * *@seconds, if @fd is negative.
 */
static int measure_close(int fd, int other, double *seconds, double *longest)
{
	double start, elapsed;
	int pipes[2], rc;
	pid_t child;

	if (pipe(pipes))
		return -errno;
	child = fork();
	if (child < 0)
		return -errno;
	if (!child) {
		/* By then the other one has closed its own. */
		usleep(10000);
		start = cpu_time();
		if (fd >= 0)
			close(fd);
		while (fd < 0 && cpu_time() - start < *seconds)
			;
		elapsed = cpu_time() - start;
		_exit(write(pipes[1], &elapsed, sizeof(elapsed)) != sizeof(elapsed));
	}
	if (fd >= 0)
		close(fd);
	rc = longest_wait(other, child, longest);
	if (!rc && read(pipes[0], seconds, sizeof(*seconds)) != sizeof(*seconds))
		rc = -EIO;
	close(pipes[0]);
	close(pipes[1]);

	return rc;
}

/* The device is deleted while it is open. */
static int measure_removal(long count, int spaces, double *seconds)
{
	int fd = start(TEST_DEV), rc;

	if (fd < 0)
		return fd;
	rc = fill(fd, count, spaces);
	*seconds = now();
	if (!rc)
		rc = sim_del(TEST_DEV);
	*seconds = now() - *seconds;
	close(fd);

	return rc ? rc : sim_add(TEST_DEV, test_mac, 0);
}

static int measure(long count, int spaces, int other)
{
	double map_time, unmap_time, bind_time, close_time, removal_time, wait, busy;
	int fd = start(TEST_DEV), rc;

	if (fd < 0)
		return fd;
	rc = fill(fd, count, spaces);
	if (!rc)
		rc = measure_one(fd, spaces, &map_time, &unmap_time, &bind_time);
	if (rc)
		return rc;
	rc = measure_close(fd, other, &close_time, &wait);
	if (!rc) {
		double same = close_time;

		rc = measure_close(-1, other, &same, &busy);
	}
	if (!rc)
		rc = measure_removal(count, spaces, &removal_time);
	if (!rc)
		printf("%ld %d %.0f %.0f %.0f %.0f %.0f %.0f %.0f\n", count, spaces, map_time * 1e9,
		       unmap_time * 1e9, bind_time * 1e9, close_time * 1e9, removal_time * 1e9,
		       wait * 1e9, busy * 1e9);
	fflush(stdout);

	return rc;
}

int main(int argc, char **argv)
{
	static const long counts[] = { 1, 1000, 10000, 100000, 1000000 };
	const long max = argc > 1 ? atol(argv[1]) : 1000000;
	char bound[24];
	int rc, other, fd, spaces;
	size_t i;

	snprintf(bound, sizeof(bound), "%ld", max + 1);
	rc = area_alloc(&memory, 0, 256 * PG);
	if (!rc) {
		fd = test_dev(false, SPACES);
		rc = fd < 0 ? fd : close(fd);
	}
	if (!rc)
		rc = memlock(16UL << 30) | write_file(BOUND, bound) |
		     sim_add(OTHER_DEV, test_mac, 0);
	if (rc) {
		fprintf(stderr, "growth: no device: %d\n", rc);
		return 1;
	}
	other = start(OTHER_DEV);
	printf("# mappings spaces map unmap set_group_asid close removal wait_close wait_busy\n");
	for (i = 0; !rc && i < ARRAY_LEN(counts) && counts[i] <= max; i++)
		for (spaces = 1; !rc && spaces <= SPACES; spaces *= 2)
			rc = measure(counts[i], spaces, other);
	close(other);
	sim_del(OTHER_DEV);
	sim_del(TEST_DEV);
	write_file(BOUND, "65536");
	if (rc)
		fprintf(stderr, "growth: %d\n", rc);

	return !!rc;
}
