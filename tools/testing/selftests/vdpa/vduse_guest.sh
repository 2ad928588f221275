#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A guest in an unmodified QEMU on a network device in userspace (vduse_net), whose control virtqueue
# QEMU isolates in an address space of its own.
#
# Environment: KERNEL_IMAGE, the guest's kernel; VDPA, another vdpa tool.
. "$(dirname "$0")/lib.sh"
. "$dir/guest.sh"

mac=52:54:00:12:34:56
new_mac=52:54:00:11:22:33
other_mac=52:54:00:66:77:88
frames=8

need_root
need qemu-system-x86_64 busybox "$VDPA"
[ -x "$out/vduse_net" ] || skip_all "vduse_net isn't built"
guest_of_daemon ksnet

step() { echo "# == $*"; }
show() { sed 's/^/#    /'; }

tap_begin
step "a network device in userspace"
"$out/vduse_net" ksnet $mac > "$work/daemon" 2>&1 &
daemon=$!
check "it is added" wait_for 10 "$VDPA" dev add name ksnet mgmtdev vduse
vhostdev=$(vhost_dev ksnet)
"$out/vdpa_groups" "$vhostdev" > "$work/out"
show < "$work/out"
equal "data queues in group 0, control virtqueue in group 1, two address spaces" \
	"groups=2 as=2 vqs=3 group[0]=0 group[1]=0 group[2]=1" "$(grep -v features "$work/out" | xargs)"

guest_changes_mac > "$work/script"
make_initramfs "$work/initramfs" "$work/script"
before=$(pinned)

step "QEMU $(qemu-system-x86_64 --version | sed -n 's/.*version \([0-9.]*\).*/\1/p')"
# The guest's memory is shared with the daemon, ROMs and the like too. Nothing is pinned.
ulimit -l 64
QEMU_ARGS="${QEMU_ARGS:-} -machine aux-ram-share=on" start_qemu "$vhostdev" $mac
guest_until guest_says 'guest: look now'
"$VDPA" dev config show ksnet > "$work/config"
equal "nothing is pinned" "$before" "$(pinned)"
guest_go
guest_until guest_says 'guest: done'
wait_for 30 qemu_gone || kill -9 "$qemu_pid"
wait "$qemu_pid"
status=$?
qemu_pid=
grep -E '^(guest|frames)' "$work/serial" | tr -d '\r' > "$work/guest"
show < "$work/guest"
show < "$work/daemon"

seen() { grep -c "^$1\$" "$work/guest"; }
told() { grep -c "^$1\$" "$work/daemon"; }
equal "QEMU ends well" 0 "$status"
equal "QEMU has nothing to complain about" "" "$(cat "$work/qemu.err" "$work/qemu.out")"
equal "the guest's address changes" 1 "$(seen "guest: address $new_mac")"
equal "frames to the new address come back" 1 "$(seen "frames to=$new_mac sent=$frames back=$frames")"
equal "frames to the old address don't any more" 1 \
	"$(sed '1,/address '$new_mac'/d' "$work/guest" | grep -c "^frames to=$mac sent=$frames back=0\$")"
equal "frames to another address don't" 1 "$(seen "frames to=$other_mac sent=$frames back=0")"
equal "broadcast frames come back" 1 "$(seen "frames to=ff:ff:ff:ff:ff:ff sent=$frames back=$frames")"
contains "the host sees the new address" "mac $new_mac" "$(cat "$work/config")"
contains "QEMU binds group 1 to ASID 1" '^group 1 asid 1$' "$(cat "$work/daemon")"
contains "the daemon is told the new address" "^mac $new_mac\$" "$(cat "$work/daemon")"
contains "it reaches the ring of the CVQ in ASID 1, and not through ASID 0" \
	'^cvq asid 1 mapped 1, in asid 0: (not mapped|other memory)$' "$(cat "$work/daemon")"
contains "virtqueues become ready after DRIVER_OK" '^driver ok queue 2 ready 1 .*queue 0 ready 1 ' \
	"$(sed -n '/^driver ok/,$p' "$work/daemon" | grep -E '^(driver|queue)' | xargs) "
contains "it is suspended" '^suspend$' "$(cat "$work/daemon")"
check "it is deleted" "$VDPA" dev del ksnet
kill "$daemon"
wait "$daemon"
equal "the daemon ends well" 0 $?
daemon=
tap_end
