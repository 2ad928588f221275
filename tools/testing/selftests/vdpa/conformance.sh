#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The C tests on devices that they don't add themselves (VDPA_DEVICE), as the author of another
# parent driver runs them. The devices are the simulator's, and differ from its default: in groups,
# address spaces and features, in doorbells, in how they take mappings, and in their class. Tests
# may be skipped there, but only for the reasons given here. One is a device in userspace.
. "$(dirname "$0")/lib.sh"

need_root
need "$VDPA"
daemon= image=
finish() {
	"$VDPA" dev del vdpa0 2> /dev/null
	"$VDPA" dev del ksft0 2> /dev/null
	[ -z "$daemon" ] || kill "$daemon" 2> /dev/null
	rm -f "$image"
}
trap finish EXIT

# What tests say that need more than a device.
not_ours='needs (a device that may be deleted|to add devices|module parameters of the simulator|the simulator.s parameter batch_mapping|a module parameter of vhost_vdpa)'
not_ours+='|each device has its own answer'

# run PROGRAM LEAST REASONS: runs the program on the device. No test may fail, at least LEAST must
# pass, and each that is skipped must give one of the REASONS, an extended regular expression.
run() {
	local program=$1 least=$2 reasons=$3 start=$SECONDS output passed skipped other
	if ! output=$("$out/$program" 2>&1); then
		fail "$program on $which"
		printf '# %s\n' "${output//$'\n'/$'\n'# }"
		return
	fi
	skipped=$(grep '^ok .*# SKIP' <<< "$output")
	other=$(grep . <<< "$skipped" | grep -vE "# SKIP ($reasons)")
	passed=$(grep '^ok ' <<< "$output" | grep -vc '# SKIP')
	note "$passed passed, $(grep -c . <<< "$skipped") skipped, $((SECONDS - start)) s"
	if [ "$passed" -ge "$least" ] && [ -z "$other" ]; then
		pass "$program on $which"
	else
		fail "$program on $which"
		printf '# %s\n' "at least $least should pass; skipped for other reasons:" "${other//$'\n'/$'\n'# }"
	fi
}

parameters() { grep -H . /sys/module/vdpa_sim/parameters/* /sys/module/vhost_vdpa/parameters/*; }

# on WHICH ADD_ARGUMENT...: adds a device for the programs that are run next, to $mgmtdev.
mgmtdev=vdpasim_net
on() {
	which=$1
	shift
	check "a device with $which" "$VDPA" dev add name vdpa0 mgmtdev "$mgmtdev" "$@"
	VDPA_DEVICE=$(vhost_dev vdpa0)
	export VDPA_DEVICE
}

# start_daemon NAME MAC: a network device in userspace, for "vdpa dev add".
start_daemon() {
	"$out/vduse_net" "$1" "$2" > /dev/null 2>&1 &
	daemon=$!
	wait_for 30 test -c "/dev/vduse/$1"
	# Until it has set the device up
	sleep 3
}
end_daemon() {
	kill "$daemon"
	wait "$daemon"
	equal "the daemon ends well" 0 $?
	daemon=
}

tap_begin
sim_load batch_mapping=1 num_as=8 vq_groups=1 doorbell=1
on "8 address spaces and doorbells" mac 52:54:00:77:77:77
before=$(parameters)
run ioctl 12 "$not_ours"
run iotlb 25 "$not_ours"
run asid 30 "$not_ours"
run remove 2 "$not_ours"
run netlink 0 "$not_ours"
check "the device is still there" "$VDPA" dev show vdpa0
equal "with the same parameters" "$before" "$(parameters)"
unset VDPA_DEVICE

sim_load num_as=1
less="$not_ours|the device has (too few address spaces|no doorbells)|no control virtqueue with an address space of its own"
on "one address space" mac 52:54:00:77:77:77
run ioctl 12 "$less"
run iotlb 20 "$less"
run asid 9 "$less"
run cvq 12 "$less"
run datapath 40 "$less"

if "$VDPA" dev help 2>&1 | grep -q device_features; then
	check "the device goes" "$VDPA" dev del vdpa0
	# VIRTIO_F_VERSION_1 and VIRTIO_F_ACCESS_PLATFORM, which the simulator needs.
	on "no features" device_features 0x300000000
	less="$less|no control virtqueue|the device has no features"
	run ioctl 12 "$less"
	run asid 8 "$less"
else
	skip "a device with no features" "$VDPA has no device_features"
fi
unset VDPA_DEVICE

# A block device: what is about network devices is skipped, and only that. All of asid is.
sim_load num_as=2 batch_mapping=1
modprobe vdpa_sim_blk capacity=20 queues=3
mgmtdev=vdpasim_blk
blk="$not_ours|not a network device|the device \(id 2\) isn't a network device|the device's virtqueues share groups"
blk="$blk|the device has (too few address spaces|no doorbells|too few virtqueues)"
on "a disk and two address spaces"
run ioctl 10 "$blk"
run iotlb 20 "$blk"
run remove 0 "$blk"
run blk 20 "$blk"
check "the device goes" "$VDPA" dev del vdpa0
unset VDPA_DEVICE
which="a disk that the program adds"
export VDPA_MGMTDEV=vdpasim_blk
run ioctl 10 "$blk"
run remove 4 "$blk"
run netlink 10 "$blk|checks attributes of the simulator's network device"
unset VDPA_MGMTDEV

# A device in userspace, with a control virtqueue. It maps files, and its configuration space can't be written. What is in a
# ring is the daemon's concern, so datapath isn't run.
if [ -x "$out/vduse_net" ] && modprobe -q vduse; then
	vduse="$not_ours|the device (can't be resumed|maps files, and pins no memory)"
	vduse="$vduse|the device has (too few address spaces|no doorbells)"
	vduse="$vduse|the configuration space can't be written"
	disk="$vduse|not a network device|the device's virtqueues share groups|the device (can't be suspended|has too few virtqueues)"
	start_daemon vdpa0 52:54:00:77:77:77
	mgmtdev=vduse
	on "a daemon"
	run ioctl 12 "$vduse"
	run iotlb 20 "$vduse"
	run asid 18 "$vduse"
	run cvq 14 "$vduse"
	check "the device goes" "$VDPA" dev del vdpa0
	end_daemon
	unset VDPA_DEVICE

	# The daemon stays while the programs add and delete its device, by their own name for it.
	start_daemon ksft0 52:54:00:12:34:56
	which="a daemon's device that the program adds"
	export VDPA_MGMTDEV=vduse
	vduse="$vduse|the device \(id 1\) isn't a block device"
	vduse="$vduse|only the simulator has as many devices as are added"
	vduse="$vduse|checks attributes of the simulator's network device"
	run remove 21 "$vduse"
	run netlink 10 "$vduse"
	unset VDPA_MGMTDEV
	end_daemon

	# A disk, in version 0 of the uAPI. What is in its rings is qemu-storage-daemon's concern, which they can end.
	if command -v qemu-storage-daemon > /dev/null; then
		image=$(mktemp)
		truncate -s 20M "$image"
		qemu-storage-daemon --blockdev "driver=file,node-name=disk,filename=$image" \
			--export vduse-blk,id=export,node-name=disk,name=vdpa0,writable=on,num-queues=3 &
		daemon=$!
		wait_for 30 "$VDPA" dev add name vdpa0 mgmtdev vduse
		which="a disk in userspace, version 0"
		VDPA_DEVICE=$(vhost_dev vdpa0)
		export VDPA_DEVICE
		check "qemu-storage-daemon" test -c "$VDPA_DEVICE"
		run ioctl 14 "$disk"
		run iotlb 24 "$disk"
		unset VDPA_DEVICE
		check "the device goes" "$VDPA" dev del vdpa0
		end_daemon
	else
		skip "a disk in userspace" "no qemu-storage-daemon"
	fi
else
	skip "a daemon" "no module vduse"
fi

# What can't be tested has to fail: a test that was skipped would look like one that passed.
export VDPA_DEVICE=/dev/null
refuse "a file that isn't a vDPA device" '^not ok' "$out/cvq"
unset VDPA_DEVICE
export VDPA_MGMTDEV=nobody
refuse "a management device that doesn't exist" '^not ok' "$out/cvq"
tap_end
