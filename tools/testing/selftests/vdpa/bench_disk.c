// SPDX-License-Identifier: GPL-2.0
/*
 * bench_disk DISK SIZE COUNT: reads SIZE bytes at the start of a disk, past the page cache, COUNT
 * times one after the other, after as many that aren't counted. Prints nanoseconds for each; in a
 * VM that counts instructions (scripts/vm --icount) a nanosecond is an instruction.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/mman.h>

#include "vdpa_util.h"

#define HUGE	(2UL << 20)

int main(int argc, char **argv)
{
	size_t size = argc == 4 ? atol(argv[2]) : 0;
	long i, count = argc == 4 ? atol(argv[3]) : 0;
	double begin = 0;
	char *buf;
	int fd;

	if (!size || size > HUGE || !count) {
		fprintf(stderr, "usage: bench_disk DISK SIZE COUNT\n");
		return 2;
	}
	fd = open(argv[1], O_RDONLY | O_DIRECT);
	buf = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fd < 0 || buf == MAP_FAILED) {
		perror(argv[1]);
		return 1;
	}
	/* In one piece, so that a request is always one request */
	buf += -(unsigned long)buf % HUGE;
	if (madvise(buf, HUGE, MADV_HUGEPAGE))
		perror("no huge pages");
	buf[0] = 1;
	for (i = -count; i < count; i++) {
		if (!i)
			begin = now();
		if (pread(fd, buf, size, 0) != (ssize_t)size) {
			perror("read");
			return 1;
		}
	}
	printf("read_%zuk %.0f\n", size / 1024, (now() - begin) * 1e9 / count);

	return 0;
}
