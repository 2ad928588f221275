/* SPDX-License-Identifier: GPL-2.0 */
/* phys_to_virt() is in kernel.h. */
