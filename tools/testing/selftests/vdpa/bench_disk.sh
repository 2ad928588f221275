#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench_disk.sh COUNT: what a read of a disk costs through virtio_vdpa, with bench_disk: of a device
# in userspace, whose daemon is that of the document vduse.rst (or DOC), and of the simulator's.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$dir/disk.sh"

doc=${DOC:-$dir/../../../../Documentation/userspace-api/vduse.rst}
work=$(mktemp -d)
daemon=
finish() {
	"$VDPA" dev del ksdisk 2> /dev/null || true
	[ -z "$daemon" ] || kill "$daemon"
	rm -rf "$work"
}
trap finish EXIT

# reads NAME COUNT: of 4 KiB and of 128 KiB.
reads() {
	local size disk
	disk=$(disk_of ksdisk)
	for size in 4096 131072; do
		echo "$1_$("$out/bench_disk" "$disk" $size "$2")"
	done
}

modprobe -qr vhost_vdpa
modprobe -a virtio_vdpa virtio_blk vduse vdpa_sim_blk
c_code "$doc" > "$work/ramdisk.c"
gcc -O2 ${HEADERS:+-I"$HEADERS"} -o "$work/ramdisk" "$work/ramdisk.c"
"$work/ramdisk" ksdisk 64 &
daemon=$!
wait_for 10 "$VDPA" dev add name ksdisk mgmtdev vduse
reads vduse "$1"
"$VDPA" dev del ksdisk
kill "$daemon"
wait "$daemon"
daemon=

"$VDPA" dev add name ksdisk mgmtdev vdpasim_blk
reads simulator "$1"
