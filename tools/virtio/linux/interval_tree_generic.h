/* SPDX-License-Identifier: GPL-2.0 */
#include "../../../include/linux/interval_tree_generic.h"
