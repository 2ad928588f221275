#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The main job: a Linux guest in an unmodified QEMU, on a simulated vDPA device whose control
# virtqueue QEMU shadows in an address space of its own.
#
# Environment: KERNEL_IMAGE, the guest's kernel; QEMU_ARGS, more arguments for QEMU; VDPA, another
# vdpa tool; MAIN_JOB_ONLY, not the sessions that admin-guide/vdpa.rst explains.
. "$(dirname "$0")/lib.sh"
. "$dir/guest.sh"

mac=52:54:00:12:34:56
new_mac=52:54:00:11:22:33
other_mac=52:54:00:66:77:88
frames=8
trace=/sys/kernel/tracing

need_root
need qemu-system-x86_64 busybox "$VDPA"
need_guest
ulimit -l unlimited

work=$(mktemp -d)
qemu_pid=
finish() {
	[ -z "$qemu_pid" ] || kill -9 "$qemu_pid" 2> /dev/null
	echo 0 > "$trace/events/vhost_vdpa/enable"
	"$VDPA" dev del vdpa0 2> /dev/null
	rm -rf "$work"
}
trap finish EXIT

step() { echo "# == $*"; }
show() { sed 's/^/#    /'; }

tap_begin
sim_load

step "vdpa mgmtdev show"
"$VDPA" mgmtdev show | tee "$work/out" | show
contains "the simulator is a management device" '^vdpasim_net:' "$(cat "$work/out")"

step "vdpa dev add name vdpa0 mgmtdev vdpasim_net mac $mac"
check "a device is added" "$VDPA" dev add name vdpa0 mgmtdev vdpasim_net mac $mac
vhostdev=$(vhost_dev vdpa0)
"$VDPA" dev show vdpa0 | show

step "groups and address spaces of $vhostdev"
"$out/vdpa_groups" "$vhostdev" | tee "$work/out" | show
equal "data queues in group 0, control virtqueue in group 1, two address spaces" \
	"groups=2 as=2 vqs=3 group[0]=0 group[1]=0 group[2]=1" "$(grep -v features "$work/out" | xargs)"

guest_changes_mac > "$work/script"
make_initramfs "$work/initramfs" "$work/script"

echo 0 > $trace/tracing_on
echo > $trace/trace
echo 8192 > $trace/buffer_size_kb
check "vhost_vdpa has trace events" test -e $trace/events/vhost_vdpa/enable
echo 1 > $trace/events/vhost_vdpa/enable 2> /dev/null
echo 1 > $trace/tracing_on
before=$(pinned)

step "QEMU $(qemu-system-x86_64 --version | sed -n 's/.*version \([0-9.]*\).*/\1/p'), a guest with Linux $(uname -r)"
start=$(date +%s)
start_qemu "$vhostdev" $mac
# What QEMU's memory is, while there is a QEMU to ask.
guest_until guest_says 'guest: address'
cp "/proc/$qemu_pid/maps" "$work/maps"
guest_until guest_says 'guest: look now'
"$VDPA" dev config show vdpa0 > "$work/config"
cat /sys/kernel/debug/vdpa/vdpa0/{groups,address_spaces} > "$work/debugfs"
guest_go
guest_until guest_says 'guest: done'
wait_for 30 qemu_gone || kill -9 "$qemu_pid"
wait "$qemu_pid"
status=$?
qemu_pid=
note "the guest ran for $(($(date +%s) - start)) s"
echo 0 > $trace/tracing_on
grep -E '^(guest|frames)' "$work/serial" | tr -d '\r' > "$work/guest"
show < "$work/guest"

seen() { grep -c "^$1\$" "$work/guest"; }
equal "QEMU ends well" 0 "$status"
equal "QEMU has nothing to complain about" "" "$(cat "$work/qemu.err" "$work/qemu.out")"
equal "the guest starts with the device's address" 1 "$(seen "guest: address $mac")"
equal "the guest's address changes" 1 "$(seen "guest: address $new_mac")"
equal "frames to the first address come back before" 1 \
	"$(sed '/address '$new_mac'/,$d' "$work/guest" | grep -c "^frames to=$mac sent=$frames back=$frames\$")"
equal "frames to the new address come back" 1 "$(seen "frames to=$new_mac sent=$frames back=$frames")"
equal "frames to the old address don't any more" 1 \
	"$(sed '1,/address '$new_mac'/d' "$work/guest" | grep -c "^frames to=$mac sent=$frames back=0\$")"
equal "frames to another address don't" 1 "$(seen "frames to=$other_mac sent=$frames back=0")"
equal "broadcast frames come back" 1 "$(seen "frames to=ff:ff:ff:ff:ff:ff sent=$frames back=$frames")"

step "vdpa dev config show vdpa0, while the guest runs"
show < "$work/config"
contains "the host sees the new address" "mac $new_mac" "$(cat "$work/config")"
contains "the control virtqueue is negotiated" 'negotiated_features.*CTRL_VQ.*CTRL_MAC_ADDR' "$(cat "$work/config")"

step "what the kernel traced"
grep -v '^#' $trace/trace > "$work/trace"
awk '{ for (i = 1; i <= NF; i++) if ($i ~ /^vhost_vdpa_/) n[$i]++ } END { for (e in n) print e, n[e] }' \
	"$work/trace" | sort | show
grep -oE 'vhost_vdpa_[a-z_]+: .*' "$work/trace" | show
contains "group 1 is bound to ASID 1" 'vhost_vdpa_set_group_asid:.*group=1.*asid=1( |$)' "$(cat "$work/trace")"
"$dir/isolation.sh" "$work/trace" "$work/maps" > "$work/isolation"
show < "$work/isolation"
isolation() { sed -n "s/^$1=//p" "$work/isolation"; }
for asid in 0 1; do
	equal "ASID $asid has mappings" yes "$([ "$(isolation "mapped_$asid")" -gt 0 ] && echo yes)"
done
equal "all of the guest's memory is mapped in ASID 0" yes \
	"$([ "$(isolation guest_bytes_0)" -ge $((190 << 20)) ] && echo yes)"
equal "none of the guest's memory is mapped in ASID 1" 0 "$(isolation guest_1)"
equal "none of QEMU's shadow ring is mapped in ASID 0" 0 "$(isolation shared)"
equal "no event was lost" 0 "$(trace_lost $trace)"
equal "nothing was refused" 0 "$(grep -c vhost_vdpa_refuse "$work/trace")"
equal "nothing stays pinned" "$before" "$(pinned)"

[ -z "${MAIN_JOB_ONLY:-}" ] || tap_end

step "a limit of locked memory that is too low for the guest"
echo > $trace/trace
echo 1 > $trace/tracing_on
rm "$work/serial"
ulimit -l 65536
start_qemu "$vhostdev" $mac
refused() { grep -q vhost_vdpa_refuse "$trace/trace"; }
guest_until refused
wait_for 100 grep -q 'map fail' "$work/qemu.err"
kill "$qemu_pid"
wait "$qemu_pid"
qemu_pid=
echo 0 > $trace/tracing_on
contains "QEMU can't map the guest's memory" 'vhost vdpa map fail' "$(cat "$work/qemu.err")"
grep -v '^#' $trace/trace > "$work/trace.refused"
grep -oE 'vhost_vdpa_[a-z_]+: .*' "$work/trace.refused" | show
equal "nothing stays pinned" "$before" "$(pinned)"

step "the sessions that admin-guide/vdpa.rst explains"
document=${DOCUMENTS:-$dir/../../../../Documentation}/admin-guide/vdpa.rst
# A block that isn't run, all but empty lines.
block() { sed -n "/$1/,/$2/ s/^\t\(.\)/\1/p" "$document"; }
if [ ! -e "$document" ]; then
	skip "they are what the kernel says" "no document: set DOCUMENTS"
elif ! qemu-system-x86_64 --version | grep -q 'version 10\.0\.'; then
	skip "they are what the kernel says" "recorded with QEMU 10.0"
else
	equal "debugfs" "$(block 'With a guest of' 'What to look for')" "$(cat "$work/debugfs")"
	# These lines are among the events, in that order. Where QEMU's memory is differs from time to time.
	sed 's/^.*: vhost_vdpa_/vhost_vdpa_/' "$work/trace" "$work/trace.refused" > "$work/events"
	equal "trace events" "" "$(block 'A session of QEMU' 'Live migration' | awk '
		BEGIN { i = 0 }
		{ sub(/uaddr=0x[0-9a-f]+/, "uaddr=") }
		NR == FNR { want[n++] = $0; next }
		i < n && $0 == want[i] { i++ }
		END { if (i < n) print want[i] }' - "$work/events")"
fi
tap_end
