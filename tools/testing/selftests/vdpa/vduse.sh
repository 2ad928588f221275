#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Disks in userspace, for this machine's own virtio_blk: the daemon of the document vduse.rst, which
# is compiled and run, as root and without privileges; and qemu-storage-daemon. DOC names the
# document, if it isn't found.
. "$(dirname "$0")/lib.sh"
. "$dir/disk.sh"

need_root
tap_begin
for doc in "${DOC:-}" "$dir/../../../../Documentation/userspace-api/vduse.rst"; do
	[ -z "$doc" ] || [ ! -e "$doc" ] || break
done
[ -e "$doc" ] || skip_all "no vduse.rst: set DOC"
need gcc "$VDPA" mkfs.ext4 fsck.ext4
modprobe -q vduse || skip_all "no module vduse"
modprobe -q virtio_vdpa || skip_all "no module virtio_vdpa"
modprobe -q virtio_blk
need_ext4
# Which driver binds is a matter of which is loaded.
modprobe -rq vhost_vdpa

work=$(mktemp -d)
daemon=
finish() {
	"$VDPA" dev del ksdisk 2> /dev/null
	[ -z "$daemon" ] || kill "$daemon" 2> /dev/null
	umount "$work/mnt" 2> /dev/null
	modprobe -rq virtio_vdpa
	rm -rf "$work"
}
trap finish EXIT
mkdir "$work/mnt"

# sum FILE: past the page cache.
sum() { dd if="$1" bs=64k iflag=direct 2> /dev/null | sha256sum | cut -d' ' -f1; }

# use_disk NAME: a file system, files, checksums, fsck.
use_disk() {
	local node want
	node=$(disk_of ksdisk)
	check "$1: there is a disk" test -b "$node"
	check "$1: mkfs" mkfs.ext4 -q "$node"
	check "$1: mount" mount "$node" "$work/mnt"
	dd if=/dev/urandom of="$work/data" bs=1M count=8 2> /dev/null
	cp "$work/data" "$work/mnt/data"
	sync
	echo 3 > /proc/sys/vm/drop_caches
	want=$(sha256sum < "$work/data" | cut -d' ' -f1)
	equal "$1: a file is read back" "$want" "$(sum "$work/mnt/data")"
	check "$1: umount" umount "$work/mnt"
	check "$1: fsck" fsck.ext4 -fn "$node"
}

unprivileged=(setpriv --reuid 65534 --clear-groups --inh-caps=-all)
step() { echo "# == $*"; }
step "the daemon of the document"
c_code "$doc" > "$work/ramdisk.c"
check "it compiles without a warning" gcc -Wall -Wextra -Werror -O2 \
	${HEADERS:+-I"$HEADERS"} -o "$work/ramdisk" "$work/ramdisk.c"
"$work/ramdisk" ksdisk 64 &
daemon=$!
check "a device" wait_for 10 test -c /dev/vduse/ksdisk
equal "only root may open it" "600 root" "$(stat -c '%a %U' /dev/vduse/ksdisk)"
equal "only root may create devices" "600 root" "$(stat -c '%a %U' /dev/vduse/control)"
check "it is added" wait_for 10 "$VDPA" dev add name ksdisk mgmtdev vduse
use_disk "root's daemon"
check "it is deleted" "$VDPA" dev del ksdisk
kill "$daemon"
wait "$daemon"
equal "the daemon ends well" 0 $?
check "and destroys the device" test ! -e /dev/vduse/ksdisk

step "a daemon without privileges"
# Root creates the device, and hands over nothing but that.
chmod 755 "$work"
refuse "it can't create a device by itself" "create: Permission denied" \
	"${unprivileged[@]}" "$work/ramdisk" ksdisk 64
"$work/ramdisk" ksdisk 64 &
daemon=$!
check "root creates one" wait_for 10 test -c /dev/vduse/ksdisk
kill -9 "$daemon"
wait "$daemon" 2> /dev/null
refuse "it can't open that before it is given to it" "ksdisk: Permission denied" \
	"${unprivileged[@]}" "$work/ramdisk" ksdisk 64
chown 65534 /dev/vduse/ksdisk
"${unprivileged[@]}" "$work/ramdisk" ksdisk 64 > "$work/log" 2>&1 &
daemon=$!
check "root adds the device" wait_for 10 "$VDPA" dev add name ksdisk mgmtdev vduse
equal "the daemon isn't root" 65534 "$(stat -c %u "/proc/$daemon")"
equal "nor may it create devices" "600 root" "$(stat -c '%a %U' /dev/vduse/control)"
refuse "it can't delete devices" "permitted" "${unprivileged[@]}" "$VDPA" dev del ksdisk
use_disk "an unprivileged daemon"
check "root deletes it" "$VDPA" dev del ksdisk
kill "$daemon"
wait "$daemon"
equal "the daemon ends well" 0 $?
check "and can't destroy the device" test -c /dev/vduse/ksdisk
chown 0 /dev/vduse/ksdisk
"$work/ramdisk" ksdisk 64 &
daemon=$!
check "root's daemon takes over" wait_for 10 "$VDPA" dev add name ksdisk mgmtdev vduse
check "root deletes it" "$VDPA" dev del ksdisk
kill "$daemon"
wait "$daemon"
check "and destroys it" test ! -e /dev/vduse/ksdisk

step "a daemon that is killed"
"$work/ramdisk" ksdisk 64 &
daemon=$!
check "a device" wait_for 10 "$VDPA" dev add name ksdisk mgmtdev vduse
node=$(disk_of ksdisk)
check "its disk" dd if="$node" of=/dev/null bs=4k count=1 iflag=direct
kill -9 "$daemon"
wait "$daemon" 2> /dev/null
daemon=
dd if="$node" of=/dev/null bs=4k count=1 iflag=direct 2> "$work/dd" &
reader=$!
sleep 1
check "a request waits for the next daemon" kill -0 $reader
start=$SECONDS
check "the device is deleted" "$VDPA" dev del ksdisk
equal "soon" yes "$([ $((SECONDS - start)) -lt 20 ] && echo yes)"
wait $reader
equal "and the request fails" 1 $?

step "a daemon that is stopped"
"$work/ramdisk" ksdisk 64 &
daemon=$!
check "a device" wait_for 10 "$VDPA" dev add name ksdisk mgmtdev vduse
kill -STOP "$daemon"
start=$SECONDS
check "others are shown" timeout 5 "$VDPA" dev show
check "it is deleted" "$VDPA" dev del ksdisk
equal "soon" yes "$([ $((SECONDS - start)) -lt 20 ] && echo yes)"
kill -CONT "$daemon"
kill "$daemon"
wait "$daemon"
daemon=

step "qemu-storage-daemon"
if command -v qemu-storage-daemon qemu-img > /dev/null; then
	qemu-img create -q -f qcow2 "$work/disk.qcow2" 128M
	qsd() {
		qemu-storage-daemon \
			--blockdev "driver=file,node-name=file,filename=$work/disk.qcow2" \
			--blockdev driver=qcow2,node-name=disk,file=file \
			--export vduse-blk,id=e,node-name=disk,name=ksdisk,writable=on,num-queues=2 &
		daemon=$!
	}
	qsd
	check "a device" wait_for 30 "$VDPA" dev add name ksdisk mgmtdev vduse
	use_disk "qemu-storage-daemon"
	node=$(disk_of ksdisk)
	want=$(sum "$node")
	# The driver has nothing under way, so a daemon without a record of it can go on.
	kill -9 "$daemon"
	wait "$daemon" 2> /dev/null
	qsd
	wait_for 30 test -c /dev/vduse/ksdisk
	sleep 2
	equal "it is restarted, and has the same data" "$want" "$(sum "$node")"
	check "it is deleted" "$VDPA" dev del ksdisk
	kill "$daemon"
	wait "$daemon"
	daemon=
	check "the image is well" qemu-img check -q "$work/disk.qcow2"
else
	skip "qemu-storage-daemon" "it isn't installed"
fi
tap_end
