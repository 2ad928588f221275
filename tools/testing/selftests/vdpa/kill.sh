#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# QEMU is killed (SIGKILL) at several points of a guest's life: the device can be used again at
# once, and none of the memory stays pinned.
. "$(dirname "$0")/lib.sh"
. "$dir/guest.sh"

mac=52:54:00:12:34:56
need_root
need qemu-system-x86_64 busybox "$VDPA"
need_guest
ulimit -l unlimited
work=$(mktemp -d)
qemu_pid=
trap 'kill -9 $qemu_pid 2> /dev/null; "$VDPA" dev del vdpa0 2> /dev/null; rm -rf "$work"' EXIT

tap_begin
sim_load
check "a device" "$VDPA" dev add name vdpa0 mgmtdev vdpasim_net mac $mac
vhostdev=$(vhost_dev vdpa0)
cat > "$work/script" <<END
echo "guest: up"
ip link set eth0 up
while true; do guest_frames eth0 200 $mac; done
END
make_initramfs "$work/initramfs" "$work/script"
before=$(pinned)

memory_mapped() { [ "$(pinned)" -gt $((before + 10000)) ]; }
negotiated() { "$VDPA" dev config show vdpa0 | grep -q 'negotiated_features.*[A-Z]'; }

# killed_when NAME CONDITION...
killed_when() {
	local name=$1
	shift
	rm -f "$work/serial"
	start_qemu "$vhostdev" $mac
	guest_until "$@" || fail "$name: it came to that"
	kill -9 "$qemu_pid"
	wait "$qemu_pid" 2> /dev/null
	qemu_pid=
	equal "$name: nothing stays pinned" "$before" "$(pinned)"
	check "$name: the device can be used again at once" "$out/vdpa_groups" "$vhostdev"
}

killed_when "as it starts" true
killed_when "a second later" sleep 1
killed_when "memory is mapped" memory_mapped
killed_when "the driver has negotiated" negotiated
killed_when "frames go round" guest_says 'frames to='
check "the device goes" "$VDPA" dev del vdpa0
tap_end
