#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A qcow2 image as the disk of a Linux guest: an unmodified qemu-storage-daemon serves it through
# VDUSE, and an unmodified QEMU hands it to the guest through vhost-vdpa. The guest changes a file
# system on it; afterwards the image has what the guest says that it has written.
#
# Environment: KERNEL_IMAGE, the guest's kernel; VDPA, another vdpa tool.
. "$(dirname "$0")/lib.sh"
. "$dir/guest.sh"

need_root
need qemu-system-x86_64 qemu-storage-daemon qemu-img busybox "$VDPA" mke2fs e2fsck debugfs
guest_of_daemon ksdisk

tap_begin
mkdir "$work/files"
dd if=/dev/urandom of="$work/files/given" bs=64k count=16 2> /dev/null
given=$(sha256sum < "$work/files/given" | cut -d' ' -f1)
mke2fs -q -t ext4 -d "$work/files" "$work/raw" 64M > /dev/null
qemu-img convert -O qcow2 "$work/raw" "$work/disk.qcow2"

qemu-storage-daemon --blockdev "driver=file,node-name=file,filename=$work/disk.qcow2" \
	--blockdev driver=qcow2,node-name=disk,file=file \
	--export vduse-blk,id=e,node-name=disk,name=ksdisk,writable=on,num-queues=2 > "$work/daemon" 2>&1 &
daemon=$!
check "a device" wait_for 30 "$VDPA" dev add name ksdisk mgmtdev vduse
vhostdev=$(vhost_dev ksdisk)
check "vhost-vdpa serves it" test -c "$vhostdev"

cat > "$work/script" << 'END'
sum() { busybox sha256sum /mnt/$1 | busybox cut -d' ' -f1; }
busybox mkdir /mnt
echo "guest: sectors $(cat /sys/block/vda/size)"
mount -t ext4 /dev/vda /mnt
echo "guest: given $(sum given)"
busybox dd if=/dev/urandom of=/mnt/written bs=64k count=64 2> /dev/null
busybox sync
echo "guest: written $(sum written)"
umount /mnt
echo 3 > /proc/sys/vm/drop_caches
mount -t ext4 /dev/vda /mnt
echo "guest: read $(sum written)"
umount /mnt
echo "guest: done"
poweroff -f
END
make_initramfs "$work/initramfs" "$work/script" virtio_blk ext4 crc32c_generic

before=$(pinned)
# The guest's memory is shared with the daemon, ROMs and the like too. Nothing is pinned.
ulimit -l 64
QEMU_ARGS="${QEMU_ARGS:-} -machine aux-ram-share=on" run_qemu -device "vhost-vdpa-device-pci,vhostdev=$vhostdev"
guest_until guest_says 'guest: given'
equal "nothing is pinned" "$before" "$(pinned)"
guest_until guest_says 'guest: done'
wait_for 30 qemu_gone || kill -9 "$qemu_pid"
wait "$qemu_pid"
equal "QEMU ends well" 0 "$?"
qemu_pid=
tr -d '\r' < "$work/serial" > "$work/guest"
grep '^guest' "$work/guest" | sed 's/^/#    /'
# Version 0 has no request to suspend a device, so QEMU can't ask for positions in rings.
expected='vhost VQ [01] ring restore failed: -1'
equal "QEMU has nothing else to complain about" "" "$(cat "$work/qemu.err" "$work/qemu.out" | grep -v "$expected")"

said() { sed -n "s/^guest: $1 *//p" "$work/guest"; }
equal "the guest has the disk" 131072 "$(said sectors)"
equal "it finds the file that was given" "$given" "$(said given)"
contains "it writes a file" '^[0-9a-f]{64}$' "$(said written)"
equal "and reads the same back" "$(said written)" "$(said read)"
check "the device is deleted" "$VDPA" dev del ksdisk
kill "$daemon"
wait "$daemon"
daemon=
equal "qemu-storage-daemon has nothing to complain about" "" "$(cat "$work/daemon")"
check "the image is well" qemu-img check -q "$work/disk.qcow2"
qemu-img convert -O raw "$work/disk.qcow2" "$work/raw"
check "the file system is without fault" e2fsck -f -n "$work/raw"
debugfs -R "dump written $work/copy" "$work/raw" 2> /dev/null
equal "the image has what the guest has written" "$(said written)" "$(sha256sum < "$work/copy" | cut -d' ' -f1)"
tap_end
