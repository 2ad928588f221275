/* SPDX-License-Identifier: GPL-2.0 */
/*
 * array_index_nospec() for kernel code that is built as a test program: what
 * it guards against doesn't matter there.
 */
#ifndef _LINUX_NOSPEC_H
#define _LINUX_NOSPEC_H

#define array_index_nospec(index, size) (index)

#endif /* _LINUX_NOSPEC_H */
