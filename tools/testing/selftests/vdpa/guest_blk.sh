#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A block device of the simulator in a Linux guest, through QEMU's vhost-vdpa-device-pci: the guest makes a file system on it,
# writes, reads the same back, and verifies requests of all sizes with fio. Then this kernel's own driver, through virtio_vdpa,
# finds the guest's file on the same disk.
#
# Environment: see main_job.sh.
. "$(dirname "$0")/lib.sh"
. "$dir/guest.sh"
. "$dir/disk.sh"

need_root
need qemu-system-x86_64 busybox "$VDPA" mke2fs e2fsck fio
need_guest
need_ext4
ulimit -l unlimited

work=$(mktemp -d)
qemu_pid=
finish() {
	[ -z "$qemu_pid" ] || kill -9 "$qemu_pid" 2> /dev/null
	umount "$work/mnt" 2> /dev/null
	"$VDPA" dev del vdpa0 2> /dev/null
	modprobe -rq virtio_vdpa
	rm -rf "$work"
}
trap finish EXIT

tap_begin
sim_load
check "the simulator" modprobe vdpa_sim_blk capacity=256 queues=2
check "a device is added" "$VDPA" dev add name vdpa0 mgmtdev vdpasim_blk
vhostdev=$(vhost_dev vdpa0)
check "vhost-vdpa serves it" test -c "$vhostdev"

{
	echo "$machine_script"
	cat << 'END'
# Not busybox's own programs.
in_machine() { chroot /machine /usr/bin/env "$@" || echo "guest: failed: $*"; }
sum() { in_machine sha256sum /mnt/file; }
disk=/sys/block/vda
echo "guest: sectors $(cat $disk/size) blocks $(cat $disk/queue/logical_block_size) segments $(cat $disk/queue/max_segments) id $(cat $disk/serial)"
echo "guest: features $(cat $disk/device/features)"
in_machine mke2fs -q -t ext4 /dev/vda
in_machine mount -t ext4 /dev/vda /mnt
in_machine dd if=/dev/urandom of=/mnt/file bs=1M count=6 2> /dev/null
echo "guest: written $(sum)"
in_machine sync
echo 3 > /proc/sys/vm/drop_caches
echo "guest: read $(sum)"
in_machine umount /mnt
in_machine e2fsck -f -n /dev/vda && echo "guest: clean"
cat > /machine/tmp/jobs << 'JOBS'
END
	# Behind what the file system has in use.
	fio_jobs /dev/vda 64 8 1
	cat << 'END'
JOBS
in_machine fio --output-format=terse --terse-version=3 /tmp/jobs > /machine/tmp/fio && echo "guest: fio $(busybox cut -d';' -f3,5 /machine/tmp/fio | busybox xargs)"
cat /machine/tmp/fio
echo "guest: done"
poweroff -f
END
} > "$work/script"
make_initramfs "$work/initramfs" "$work/script"

before=$(pinned)
start=$SECONDS
run_qemu -device "vhost-vdpa-device-pci,vhostdev=$vhostdev" "${machine_args[@]}"
# Each step may take as long as guest_until waits: the programs come from this machine's files.
for step in sectors written read clean "done"; do
	guest_until guest_says "guest: $step" || break
	note "$step: $((SECONDS - start)) s"
done
wait_for 30 qemu_gone || kill -9 "$qemu_pid"
wait "$qemu_pid"
equal "QEMU ends well" 0 "$?"
qemu_pid=
note "the guest ran for $((SECONDS - start)) s"
tr -d '\r' < "$work/serial" > "$work/guest"
sed 's/^/#    /' "$work/guest"
equal "QEMU has nothing to complain about" "" "$(cat "$work/qemu.err" "$work/qemu.out")"
said() { sed -n "s/^guest: $1 *//p" "$work/guest"; }
equal "the guest has the disk" "524288 blocks 512 segments 254 id vdpa0" "$(said sectors)"
contains "it writes a file" '^[0-9a-f]{64} ' "$(said written)"
equal "and reads the same back" "$(said written)" "$(said read)"
contains "the file system is without fault" '^guest: clean$' "$(< "$work/guest")"
equal "fio finds what it wrote" "$(fio_names)" "$(said fio)"
equal "nothing has failed" "" "$(said failed)"
# vdpa(8) doesn't show them of a block device: bits 12 to 14 and 32, by the guest.
equal "it uses several virtqueues, DISCARD, WRITE_ZEROES and VIRTIO_F_VERSION_1" 1111 \
	"$(said features | cut -c 13-15,33)"
wait_for 5 test "$before" = "$(pinned)"
equal "no page stays pinned" "$before" "$(pinned)"

if modprobe -q virtio_vdpa; then
	echo vdpa0 > /sys/bus/vdpa/drivers/vhost_vdpa/unbind
	check "virtio_vdpa takes the device" sh -c "echo vdpa0 > /sys/bus/vdpa/drivers/virtio_vdpa/bind"
	disk=$(disk_of vdpa0)
	mkdir "$work/mnt"
	check "this kernel has the same disk" mount -t ext4 -o ro "$disk" "$work/mnt"
	equal "with the guest's file" "$(said written | cut -d' ' -f1)" "$(sha256sum "$work/mnt/file" | cut -d' ' -f1)"
	umount "$work/mnt"
else
	skip "the same disk through virtio_vdpa" "no module virtio_vdpa"
fi
tap_end
