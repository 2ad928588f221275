#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A block device of the simulator under this kernel's own driver, through virtio_vdpa: a file system, requests of all sizes that
# fio verifies, one CPU for driver and device, and removal under traffic.
. "$(dirname "$0")/lib.sh"
. "$dir/disk.sh"

need_root
need "$VDPA" mke2fs e2fsck fio fstrim chcpu
need_ext4
modprobe -q virtio_vdpa || skip_all "no module virtio_vdpa"
# A module in some kernels, built in in others.
modprobe -q virtio_blk

work=$(mktemp -d)
finish() {
	umount "$work/mnt" 2> /dev/null
	"$VDPA" dev del vb0 2> /dev/null
	chcpu -e 1 > /dev/null 2>&1
	modprobe -rq virtio_vdpa
	rm -rf "$work"
}
trap finish EXIT
mkdir "$work/mnt"

# add NAME [ARG...]: a device; sets disk.
add() {
	local name=$1
	shift
	check "$name" "$VDPA" dev add name vb0 mgmtdev vdpasim_blk "$@"
	disk=$(disk_of vb0) || { fail "there is a disk"; tap_end; }
}

# verified NAME OFFSET SIZE WRITE: fio's jobs (see fio_jobs).
verified() {
	fio_jobs "$disk" "$2" "$3" "$4" > "$work/jobs"
	fio --output-format=terse --terse-version=3 "$work/jobs" > "$work/fio" 2>&1
	equal "$1" "$(fio_names)" "$(cut -d';' -f3,5 "$work/fio" | xargs)"
}

test_disk() {
	local before after sum cpus
	add "a device"
	equal "size" 524288 "$(blockdev --getsz "$disk")"
	equal "serial number" vb0 "$(cat "/sys/block/${disk#/dev/}/serial")"
	cpus=$(nproc)
	equal "virtqueues" $((cpus < 4 ? cpus : 4)) "$(find "/sys/block/${disk#/dev/}/mq/" -mindepth 1 -maxdepth 1 | wc -l)"
	equal "segments of a request" 254 "$(cat "/sys/block/${disk#/dev/}/queue/max_segments")"
	equal "it is all zeroes" 0 "$(head -c 10000000 "$disk" | tr -d '\0' | wc -c)"

	check "make a file system" mke2fs -q -t ext4 "$disk"
	check "mount it" mount -t ext4 "$disk" "$work/mnt"
	head -c 40000000 /dev/urandom > "$work/mnt/file"
	sum=$(sha256sum "$work/mnt/file")
	sync
	echo 3 > /proc/sys/vm/drop_caches
	equal "a file is read as it was written" "$sum" "$(sha256sum "$work/mnt/file")"
	before=$(awk '/^nr_free_pages/ { print $2 }' /proc/vmstat)
	rm "$work/mnt/file"
	sync
	check "discard what is free" fstrim "$work/mnt"
	after=$(awk '/^nr_free_pages/ { print $2 }' /proc/vmstat)
	check "the disk gives back its memory" test $((after - before)) -gt 7000
	check "unmount" umount "$work/mnt"
	check "the file system is without fault" e2fsck -f -n "$disk"

	verified "fio finds what it wrote" 0 64 16
	check "zeroes" fallocate -z -l 64M "$disk"
	equal "they are zeroes" 0 "$(head -c 64M "$disk" | tr -d '\0' | wc -c)"
	check "the device goes" "$VDPA" dev del vb0
}

# The device is a thread of the same kernel, which has to get the CPU while the driver waits.
test_one_cpu() {
	chcpu -d 1 > /dev/null 2>&1 || { skip "one CPU" "the second one can't be switched off"; return; }
	add "one CPU: a device"
	check "one CPU: a file system" mke2fs -q -t ext4 "$disk"
	verified "one CPU: fio finds what it wrote" 0 32 2
	check "one CPU: the device goes" "$VDPA" dev del vb0
	chcpu -e 1 > /dev/null
}

traffic() { while dd if="$1" of="$2" bs=256k count=64 "$3"=direct conv=nocreat; do :; done > /dev/null 2>&1; }

# Bound and unbound, added and deleted, while requests are in flight.
test_under_traffic() {
	local driver=/sys/bus/vdpa/drivers/virtio_vdpa i failed=0
	add "under traffic: a device"
	for i in {1..100}; do
		disk=$(disk_of vb0) || failed=$((failed + 1))
		traffic "$disk" /dev/null iflag &
		traffic /dev/zero "$disk" oflag &
		[ $((i % 7)) = 0 ] || sleep 0.0$((i % 10))
		if [ $((i % 2)) = 0 ]; then
			echo vb0 > $driver/unbind || failed=$((failed + 1))
			wait
			echo vb0 > $driver/bind || failed=$((failed + 1))
		else
			"$VDPA" dev del vb0 || failed=$((failed + 1))
			wait
			"$VDPA" dev add name vb0 mgmtdev vdpasim_blk || failed=$((failed + 1))
		fi
	done
	equal "under traffic: unbound and bound, deleted and added 100 times" 0 $failed
	disk=$(disk_of vb0)
	verified "under traffic: it works afterwards" 0 32 2
	check "under traffic: the device goes" "$VDPA" dev del vb0
}

test_read_only() {
	"$VDPA" dev help 2>&1 | grep -q device_features || { skip "read-only" "$VDPA has no device_features"; return; }
	# VIRTIO_BLK_F_RO, and what the simulator needs.
	add "read-only: a device" device_features 0x300000020
	equal "read-only: the disk says so" 1 "$(blockdev --getro "$disk")"
	refuse "read-only: it can't be written to" 'not permitted|Permission|Operation|Read-only' dd if=/dev/zero of="$disk" count=1 oflag=direct
	check "read-only: it can be read" dd if="$disk" of=/dev/null count=100
	check "read-only: the device goes" "$VDPA" dev del vb0
}

tap_begin
sim_load
modprobe -rq vhost_vdpa
modprobe -q vdpa_sim_blk capacity=256 || skip_all "no module vdpa_sim_blk"
test_disk
test_one_cpu
test_under_traffic
test_read_only
tap_end
