// SPDX-License-Identifier: GPL-2.0
/*
 * trace_load /dev/vhost-vdpa-N: does once everything that trace.sh wants to see traced.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "vdpa_util.h"

#define RW VHOST_ACCESS_RW

int main(int argc, char **argv)
{
	struct net n = { .fd = argc == 2 ? open(argv[1], O_RDWR) : -1 };
	struct area a;

	if (n.fd < 0 || area_alloc(&a, 0, 0x100000) || memlock(1 << 30) ||
	    net_negotiate(&n, CTRL_FEATURES)) {
		perror("trace_load");
		return 1;
	}
	if (bind_group(n.fd, 1, 1) || map(n.fd, 1, 0x10000, 0x2000, a.va, RW) ||
	    unmap(n.fd, 1, 0x10000, 0x2000) || map(n.fd, 0, 0x50000, 0x1000, a.va, RW))
		return 2;
	if (!map(n.fd, 0, 0x50000, 0x1000, a.va, RW) || !map(n.fd, 9, 0x60000, 0x1000, a.va, RW))
		return 3;
	if (memlock(16 * 4096) || !map(n.fd, 0, 0x80000, 16 * 4096, a.va, RW))
		return 4;
	if (set_status(n.fd, 15) || io(n.fd, SUSPEND, NULL) || io(n.fd, RESUME, NULL) ||
	    set_status(n.fd, 0))
		return 5;

	return 0;
}
