/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The harness of kselftest, with more patience: the tests also run on a debugging kernel in an
 * emulated machine.
 */
#ifndef SELFTESTS_VDPA_HARNESS_H
#define SELFTESTS_VDPA_HARNESS_H

#include "../kselftest_harness.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 180

#endif
