// SPDX-License-Identifier: GPL-2.0
/*
 * Shared by the vDPA tests: the device under test, what it has, and whether a test can run on it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "vdpa_util.h"

struct vdev vdev;

/* Any IOVA that the tests use is below. */
#define IOVA_TOP	0x200000000ULL

static bool pins(int fd)
{
	struct area a;
	long before = pinned_pages();
	bool yes;

	if (area_alloc(&a, 0x10000, 4096))
		return true;
	yes = map(fd, 0, a.iova, a.size, a.va, VHOST_ACCESS_RW) || pinned_pages() > before;
	unmap(fd, 0, a.iova, a.size);
	area_free(&a);

	return yes;
}

static int ask(int fd)
{
	struct net n = { .fd = fd };
	int i, rc;

	vdev = (struct vdev) { .groups = 1, .as = 1, .iova = { 0, ~0ULL } };
	rc = io(fd, VHOST_VDPA_GET_DEVICE_ID, &vdev.id);
	if (!rc)
		rc = io(fd, VHOST_VDPA_GET_VRING_NUM, &vdev.ring_max);
	if (!rc)
		rc = io(fd, VHOST_GET_FEATURES, &vdev.features);
	if (!rc)
		rc = io(fd, VHOST_GET_BACKEND_FEATURES, &vdev.backend);
	if (!rc)
		rc = net_negotiate(&n, CTRL_FEATURES);
	if (rc)
		return rc;

	/* Plain 5.10 has none of these. */
	io(fd, VHOST_VDPA_GET_IOVA_RANGE, &vdev.iova);
	io(fd, GET_AS_NUM, &vdev.as);
	io(fd, GET_GROUP_NUM, &vdev.groups);
	if (io(fd, GET_VQS_COUNT, &vdev.vqs))
		while (vring_state(fd, VHOST_GET_VRING_BASE, vdev.vqs, 0) >= 0)
			vdev.vqs++;
	for (i = 0; i < NQUEUES; i++)
		vdev.group[i] = vring_state(fd, GET_VRING_GROUP, i, 0);
	vdev.cvq_apart = vdev.as > 1 && vdev.group[CVQ] >= 0 &&
			 vdev.group[CVQ] != vdev.group[RXQ] && vdev.group[CVQ] != vdev.group[TXQ];

	vdev.pins = pins(fd);

	/* Devices that are added have the address that they were given. */
	if (vdev.id == VIRTIO_ID_NET && given_dev())
		rc = config_mac(fd, test_mac);

	return rc;
}

static bool has_doorbell(int fd)
{
	void *page = mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0);

	if (page == MAP_FAILED)
		return false;
	munmap(page, 4096);

	return true;
}

static bool has_group_for_each(void)
{
	unsigned int i, k;

	for (i = 0; i < NQUEUES; i++)
		for (k = 0; k < i; k++)
			if (vdev.group[i] < 0 || vdev.group[i] == vdev.group[k])
				return false;

	return true;
}

static bool loops(int fd)
{
	struct net n = { .fd = dup(fd) };
	bool yes = !set_status(fd, 0) && !net_start(&n, NET_FEATURES) && net_loops_at_all(&n) == 1;

	net_stop(&n);

	return yes;
}

/* What the environment rules out: a reason to skip, or NULL. */
static const char *ruled_out(const struct need *need)
{
	if (need->sim && !sim_is_used())
		return "needs module parameters of the simulator";
	if (need->own && given_dev())
		return "needs a device that may be deleted";
	if (need->batch_mapping && !sim_is_used())
		return "needs the simulator's parameter batch_mapping";

	return NULL;
}

/* What the device doesn't have: a reason to skip, or NULL. */
static const char *missing(const struct need *need, int fd)
{
	static char why[128];

	if (vdev.iova.first > 0x1000 || vdev.iova.last < IOVA_TOP)
		return "the device can't map all IOVAs that the tests use";
	if (need->as > vdev.as || need->num_as > (int)vdev.as) {
		snprintf(why, sizeof(why), "the device has too few address spaces (%u)", vdev.as);
		return why;
	}
	if (need->vq_groups && !has_group_for_each())
		return "the device's virtqueues share groups";
	if (need->doorbell && !has_doorbell(fd))
		return "the device has no doorbells";
	if (!need->net && !need->loop && !need->blk && !need->features)
		return NULL;

	if (vdev.id != (need->blk ? VIRTIO_ID_BLOCK : VIRTIO_ID_NET)) {
		snprintf(why, sizeof(why), "the device (id %u) isn't a %s device", vdev.id,
			 need->blk ? "block" : "network");
		return why;
	}
	if (vdev.ring_max < 256)
		return "the device's virtqueues have less than 256 entries";
	if (need->features & ~vdev.features) {
		snprintf(why, sizeof(why), "the device has no features %#llx",
			 (unsigned long long)(need->features & ~vdev.features));
		return why;
	}
	/* The default device loops, or a test has to fail. */
	if (need->loop && !sim_is_default() && !loops(fd))
		return "the device doesn't receive the frames that it sends";

	return NULL;
}

int dev_get(const struct need *need, const char **why)
{
	int fd, rc;

	if (need->blk)
		sim_mgmtdev = "vdpasim_blk";
	*why = ruled_out(need);
	if (*why)
		return -EOPNOTSUPP;

	sim_doorbell = need->doorbell && sim_is_used();
	sim_vq_groups = need->vq_groups && sim_is_used();
	fd = test_dev(need->batch_mapping, sim_is_used() ? need->num_as : 0);
	if (fd < 0)
		return fd;
	rc = ask(fd);
	if (!rc)
		*why = missing(need, fd);
	/* The test gets a file of its own, without an owner. */
	close(fd);
	if (!rc && !*why)
		return vdpa_open(TEST_DEV);

	sim_del(TEST_DEV);
	if (*why && sim_is_default()) {
		printf("# the simulator isn't as expected: %s\n", *why);
		*why = NULL;
	}

	return rc ? rc : -EOPNOTSUPP;
}
