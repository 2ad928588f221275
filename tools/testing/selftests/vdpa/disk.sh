# SPDX-License-Identifier: GPL-2.0
# Sourced by tests of block devices: what is done to a disk.
# shellcheck shell=bash

fio_sizes=(512 4k 64k 128k 1m)

# fio_jobs DISK OFFSET SIZE WRITE: jobs for fio, on SIZE MiB of the disk from OFFSET on. Each block is read back and verified.
# WRITE MiB are written in each size of blocks with 16 of them in flight, and in random sizes with reads in between.
fio_jobs() {
	local size
	echo "[global]
filename=$1
offset=$2M
size=$3M
ioengine=libaio
direct=1
thread
verify=crc32c
verify_fatal=1
verify_state_save=0
iodepth=16
io_size=$4M
norandommap=0
randrepeat=1
stonewall"
	for size in "${fio_sizes[@]}"; do
		echo "[$size]
rw=randwrite
bs=$size"
	done
	echo "[mixed]
rw=randrw
bsrange=512-1m
iodepth=32"
}

# fio_names: what fio says of each of them in terse output, its name and no error.
fio_names() { printf '%s;0 ' "${fio_sizes[@]}" mixed | sed 's/ $//'; }

# disk_of NAME: the block device of that vDPA device, when it is there.
disk_of() {
	local disk
	for _ in {1..300}; do
		for disk in "/sys/bus/vdpa/devices/$1/virtio"*/block/*; do
			[ ! -e "$disk" ] || { echo "/dev/${disk##*/}"; return; }
		done
		sleep 0.1
	done
	return 1
}

need_ext4() { grep -qw ext4 /proc/filesystems || modprobe -q ext4 || skip_all "no ext4"; }
