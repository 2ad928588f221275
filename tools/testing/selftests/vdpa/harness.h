/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The harness of kselftest, with a longer timeout: the tests also run on a debugging kernel in an
 * emulated machine. And what skips a test that the device isn't made for.
 */
#ifndef SELFTESTS_VDPA_HARNESS_H
#define SELFTESTS_VDPA_HARNESS_H

#include "../kselftest_harness.h"
#include "vdpa_util.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 180

/*
 * GET_DEV(.as = 2, ...): opens the device under test for a fixture or a test. Takes the members of
 * struct need; ends the test as skipped if the device lacks one of them. Evaluates to a file
 * descriptor, or a negative errno.
 */
#define GET_DEV(...)	get_dev(_metadata, &(struct need) { __VA_ARGS__ })

static inline int get_dev(struct __test_metadata *_metadata, const struct need *need)
{
	const char *why = NULL;
	int fd = dev_get(need, &why);

	/* After SKIP(return) of a fixture's setup the test would run. */
	if (why)
		SKIP(_exit(255), "%s", why);

	return fd;
}

/*
 * Skips the rest of a test, unless the device has what it takes. The default device has it all:
 * a test that was skipped there wouldn't show what is broken.
 */
#define NEED(cond, why) do {			\
	if (!(cond)) {				\
		ASSERT_FALSE(sim_is_default());	\
		SKIP(return, why);		\
	}					\
} while (0)

/* Skips the rest of a test, unless devices are of the kind that it is about. */
#define ONLY_FOR(cond, why) do {		\
	if (!(cond))				\
		SKIP(return, why);		\
} while (0)

#define NEED_AS(n)	NEED(vdev.as >= (n), "the device has too few address spaces")
#define NEED_PINS()	NEED(vdev.pins, "the device maps files, and pins no memory")
#define NEED_SUSPEND() \
	NEED(vdev.backend & F_SUSPEND, "the device can't be suspended")
#define NEED_RESUME() \
	NEED(vdev.backend & F_RESUME, "the device can't be resumed")
#define NEED_ENABLE_AFTER_OK() \
	NEED(vdev.backend & F_ENABLE_AFTER_OK, "no virtqueue can be enabled after DRIVER_OK")
#define NEED_CVQ()	NEED(vdev.features & VF(VIRTIO_NET_F_CTRL_VQ), "no control virtqueue")
#define NEED_CVQ_APART()						\
	NEED(vdev.features & VF(VIRTIO_NET_F_CTRL_VQ) && vdev.cvq_apart, \
	     "no control virtqueue with an address space of its own")

#endif
