#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of drivers/vhost/vringh.c as a program of tools/virtio: rings as a driver makes them, and hostile ones.
# Environment: TREE=DIR, another kernel tree than build/linux.
. "$(dirname "$0")/lib.sh"
linux=${TREE:-$top/build/linux}
tools=$scratch/tools/virtio

# Its Makefile builds where it lies: so a copy, with links to the rest of the tree around it.
build() {
	{ [ "${TREE:-}" ] || "$top/scripts/tree"; } && mkdir "$scratch/tools" && cp -r "$linux/tools/virtio" "$tools" &&
		ln -s "$linux"/tools/{include,lib} "$scratch/tools/" && ln -s "$linux"/{drivers,include,usr} "$scratch/" &&
		make -C "$tools" vringh_test vringh_hostile
}

# rings OPTION...: parallel tests leave a file behind.
rings() {
	local status=0
	timeout 200 "$tools/vringh_test" "$@" || status=$?
	rm -f /tmp/vringh_test-file
	return $status
}

check 'vringh builds as a program' build
check 'rings' rings
check 'rings with indirect descriptors' rings --indirect
check 'rings with event indices' rings --eventidx
check 'rings of virtio 1' rings --virtio-1 --indirect --eventidx
check 'rings in memory that is in pieces' rings --slow-range --indirect
check 'rings with both sides at work' rings --parallel
check 'rings with both sides at work, few notifications' rings --parallel --virtio-1 --indirect --eventidx
check 'hostile rings' "$tools/vringh_hostile"
finish
