#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Live migration: a running guest moves from a QEMU on one vDPA device to another QEMU on a second
# device, and back. Before that, one migration is cancelled, and the target of another one is killed:
# the guest goes on where it is. All the time the guest sends numbered frames, which the device
# loops: none may be lost, come twice or change, but for those that a device drops and counts. The
# guest's MAC address, set over the control virtqueue, moves with it.
#
# Environment: as for main_job.sh.
. "$(dirname "$0")/lib.sh"
. "$dir/guest.sh"

mac=52:54:00:12:34:56
new_mac=52:54:00:11:22:33
need_root
need qemu-system-x86_64 busybox "$VDPA"
guest_kernel > /dev/null || skip_all "no kernel image for the guest: set KERNEL_IMAGE"
[ -x "$out/guest_stream" ] || skip_all "guest_stream isn't built"
modprobe -q vhost_vdpa || skip_all "no module vhost_vdpa"
ulimit -l unlimited

top=$(mktemp -d)
declare -A pid complaint
finish() {
	[ ${#pid[@]} = 0 ] || kill -9 "${pid[@]}" 2> /dev/null
	"$VDPA" dev del vdpa0 2> /dev/null
	"$VDPA" dev del vdpa1 2> /dev/null
	rm -rf "$top"
}
trap finish EXIT

step() { note "== $* ($SECONDS s)"; }

# start NAME DEVICE [ARGUMENT...]: a QEMU on that device, controlled by QMP through two pipes.
start() {
	local name=$1 device=$2
	shift 2
	work=$top/$name
	mkdir "$work"
	mkfifo "$work"/qmp.{in,out}
	cat "$work/qmp.out" > "$work/qmp" &
	ln -s "$top/initramfs" "$work/initramfs"
	QEMU_ARGS="-chardev pipe,id=qmp,path=$work/qmp -mon chardev=qmp,mode=control $*" \
		start_qemu "$(vhost_dev "$device")" $mac
	pid[$name]=$qemu_pid
	qmp "$name" qmp_capabilities
}

# qmp NAME COMMAND [ARGUMENTS]: sends a command; the answer is at the end of $top/NAME/qmp.
qmp() {
	timeout 60 sh -c 'echo "{\"execute\":\"$2\",\"arguments\":{$3}}" > "$1"' - "$top/$1/qmp.in" "$2" "${3:-}"
}

# says NAME PATTERN: QEMU has answered that since the last command.
says() { tail -n 1 "$top/$1/qmp" | grep -q "$2"; }

# status NAME WANT: what has become of the migration.
status() {
	qmp "$1" query-migrate
	sleep 0.5
	says "$1" "\"status\": \"$2\""
}

# migrate FROM [BYTES_A_SECOND]: starts a migration to the QEMU that listens.
migrate() {
	qmp "$1" migrate-set-parameters "\"max-bandwidth\":${2:-1000000000}"
	qmp "$1" migrate "\"uri\":\"unix:$top/socket\""
}

# ends NAME: QEMU ends, and hasn't printed anything, but for what was expected.
ends() {
	[ ! -e "/proc/${pid[$1]}/exe" ] || qmp "$1" quit
	gone() { [ ! -e "/proc/${pid[$1]}/exe" ]; }
	wait_for 30 gone "$1" || kill -9 "${pid[$1]}"
	wait "${pid[$1]}"
	equal "$1: QEMU ends well" 0 $?
	equal "$1: QEMU has nothing else to complain about" "${complaint[$1]:-}" "$(cat "$top/$1"/qemu.{err,out})"
	unset "pid[$1]"
}

# killed NAME: QEMU is killed. It hasn't printed anything, but for lines with what was expected.
killed() {
	kill -9 "${pid[$1]}" 2> /dev/null
	wait "${pid[$1]}" 2> /dev/null
	unset "pid[$1]"
	equal "$1: QEMU has nothing else to complain about" "" \
		"$(cat "$top/$1"/qemu.{err,out} | grep -vE "${complaint[$1]:-^$}")"
}

# count NAME FIELD: the guest's last word about it there.
count() { tr -d '\r' < "$top/$1/serial" | sed -n "s/^stream: .*\\b$2=\\([0-9]*\\).*/\\1/p" | tail -n 1; }
at_least() { [ "$(count "$1" back)" -ge "$2" ]; }

# dropped: frames that the devices had no buffer for. When QEMU restarts a device, it may kick the
# transmit virtqueue before it has given it receive buffers.
dropped() {
	{
		"$VDPA" dev vstats show vdpa0 qidx 0
		"$VDPA" dev vstats show vdpa1 qidx 0
	} 2> /dev/null | grep -o 'drops [0-9]*' | awk '{ n += $2 } END { print n + 0 }'
}
# The guest's kernel sends frames of its own, too.
accounted() { [ "$(count "$1" lost)" -le "$(dropped)" ]; }

# goes_on NAME WHEN: the guest is there and loops frames, and none has vanished.
goes_on() {
	local before
	before=$(count "$1" back)
	check "$2: frames go on looping" wait_for 60 at_least "$1" $((${before:-0} + 50))
	check "$2: none is lost but those that a device has dropped" wait_for 10 accounted "$1"
	equal "$2: none comes twice or is changed" "0 0" "$(count "$1" again) $(count "$1" wrong)"
}

tap_begin
sim_load
check "a device" "$VDPA" dev add name vdpa0 mgmtdev vdpasim_net mac $mac
check "another one" "$VDPA" dev add name vdpa1 mgmtdev vdpasim_net mac $mac
cat > "$top/script" <<END
ip link set eth0 address $new_mac
ip link set eth0 up
echo "guest: address \$(cat /sys/class/net/eth0/address)"
guest_stream eth0
END
make_initramfs "$top/initramfs" "$top/script"
before=$(pinned)

step "a guest on vdpa0"
start source vdpa0
guest_until at_least source 20
contains "the guest has set its address" "mac $new_mac" "$("$VDPA" dev config show vdpa0)"
goes_on source "at first"

step "a migration that is cancelled"
start unused vdpa1 -incoming "unix:$top/socket"
check "cancelled: the target listens" wait_for 60 test -S "$top/socket"
migrate source 100000
check "cancelled: it is under way" wait_for 60 status source active
goes_on source "under way"
qmp source migrate_cancel
check "cancelled: it is" wait_for 60 status source cancelled
goes_on source "cancelled"
# It ends by itself, and may say that its migration has broken off, but nothing else.
complaint[unused]='Read section footer failed|Unable to read from socket|load of migration failed'
killed unused
rm -f "$top/socket"

step "a migration whose target is killed"
start victim vdpa1 -incoming "unix:$top/socket"
check "killed: the target listens" wait_for 60 test -S "$top/socket"
migrate source 100000
check "killed: it is under way" wait_for 60 status source active
killed victim
check "killed: it has failed" wait_for 60 status source failed
goes_on source "killed"
# It may say why that failed, but nothing else.
complaint[source]=$(cat "$top/source"/qemu.{err,out})
equal "killed: QEMU complains about the connection only" "" \
	"$(grep -vE 'failed to save SaveStateEntry|Broken pipe|reset by peer' <<< "${complaint[source]}")"
rm -f "$top/socket"

step "to vdpa1"
start target vdpa1 -incoming "unix:$top/socket"
check "to: the target listens" wait_for 60 test -S "$top/socket"
start=$SECONDS
migrate source
check "to: completed" wait_for 400 status source completed
note "in $((SECONDS - start)) s: $(tail -n 1 "$top/source/qmp")"
guest_until at_least target $(($(count source back) + 1))
goes_on target "to"
contains "to: vdpa1 has the guest's address" "mac $new_mac" "$("$VDPA" dev config show vdpa1)"
ends source
rm -f "$top/socket"
goes_on target "the source is gone"

step "and back to vdpa0"
start again vdpa0 -incoming "unix:$top/socket"
check "back: the target listens" wait_for 60 test -S "$top/socket"
migrate target
check "back: completed" wait_for 400 status target completed
guest_until at_least again $(($(count target back) + 1))
goes_on again "back"
contains "back: vdpa0 has the guest's address" "mac $new_mac" "$("$VDPA" dev config show vdpa0)"
ends target
goes_on again "back, alone"
note "$(tail -n 1 "$top/again/serial"), dropped by the devices: $(dropped)"
ends again
equal "nothing stays pinned" "$before" "$(pinned)"
check "the devices go" "$VDPA" dev del vdpa0
check "both" "$VDPA" dev del vdpa1
note "all in $SECONDS s"
tap_end
