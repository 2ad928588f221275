// SPDX-License-Identifier: GPL-2.0
/*
 * vdpa_groups /dev/vhost-vdpa-N: prints how many virtqueues, groups and address spaces the device
 * has, the group of each virtqueue, and the features that it offers.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>

#include "vdpa_util.h"

int main(int argc, char **argv)
{
	uint32_t vqs = 0, groups = 0, i;
	unsigned int as = 0;
	uint64_t features = 0;
	int fd;

	fd = argc == 2 ? open(argv[1], O_RDWR) : -1;
	if (fd < 0) {
		perror("vdpa_groups");
		return 1;
	}
	if (io(fd, VHOST_SET_OWNER, NULL) || io(fd, GET_GROUP_NUM, &groups) ||
	    io(fd, GET_AS_NUM, &as) || io(fd, GET_VQS_COUNT, &vqs) ||
	    io(fd, VHOST_GET_FEATURES, &features)) {
		perror("vdpa_groups: ioctl");
		return 1;
	}
	printf("groups=%u\nas=%u\nvqs=%u\n", groups, as, vqs);
	for (i = 0; i < vqs; i++)
		printf("group[%u]=%d\n", i, vring_state(fd, GET_VRING_GROUP, i, 0));

	printf("features=%#llx\n", (unsigned long long)features);

	return 0;
}
