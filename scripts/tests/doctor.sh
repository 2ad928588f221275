#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of tools/vdpa/doctor, in the VM with Debian's kernel: on a machine that has everything, and with each thing that can be
# missing taken away.
# DOCTOR=PROGRAM is another one to test.
. "$(dirname "$0")/lib.sh"
[ "${1:-}" = --inside ] || exec "$top/scripts/vm" --stock -- env ${DOCTOR:+DOCTOR="$DOCTOR"} "$0" --inside

doctor=${DOCTOR:-$top/tools/vdpa/doctor}
export PATH=$PATH:/usr/sbin:/sbin
release=$(uname -r)
vdpa=$top/build/tools/iproute2/sbin/vdpa
node=/dev/vhost-vdpa-0
ulimit -l unlimited
# Somebody else than root runs things in there too.
chmod 755 "$scratch"

# finds [PATTERN...] -- COMMAND ARG...: COMMAND, which runs the doctor, says that these things are missing, one line each, in
# this order, what to do below each; and nothing else. Without a pattern, all is well.
finds() {
	local patterns=() status=0 want=0 i found
	while [ "$1" != -- ]; do
		patterns+=("$1")
		shift
	done
	shift
	[ ${#patterns[@]} = 0 ] || want=1
	"$@" > "$scratch/said" 2> "$scratch/errors" || status=$?
	cat "$scratch/said" "$scratch/errors"
	[ $status = $want ] && [ ! -s "$scratch/errors" ] || { echo "status $status, not $want, or an error"; return 1; }
	mapfile -t found < <(grep '^MISSING ' "$scratch/said")
	[ ${#found[@]} = ${#patterns[@]} ] && [ "$(grep -cE '^ +do: .{5}' "$scratch/said")" = ${#found[@]} ] || return 1
	for ((i = 0; i < ${#found[@]}; i++)); do
		grep -qE -- "${patterns[i]}" <<< "${found[i]}" || { echo "no '${patterns[i]}' in '${found[i]}'"; return 1; }
	done
}

# says PATTERN: so it did, in its last run.
says() { grep -qE -- "$1" "$scratch/said"; }

# advice: what it said last is to be done, as root.
advice() { sed -n 's/^ *do: as root: //p' "$scratch/said" | tail -1; }

# without COMMANDS: runs the doctor in a mount namespace in which COMMANDS were run before.
without() { unshare -m bash -c "set -e; { $1; } > /dev/null 2>&1"$'\nexec "$0"' "$doctor"; }

# stub PROGRAM TEXT: a program of that name in $scratch/stubs.
stub() {
	mkdir -p "$scratch/stubs"
	printf '#!/bin/bash\n%s\n' "$2" > "$scratch/stubs/$1"
	chmod +x "$scratch/stubs/$1"
}

# with_stub PROGRAM TEXT COMMAND...: what finds gets to run.
with_stub() {
	local status=0
	stub "$1" "$2"
	shift 2
	PATH=$scratch/stubs:$PATH "$@" || status=$?
	rm -r "$scratch/stubs"
	return $status
}

as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all "$@"; }

# device [ARGUMENT...]: vdpa0 anew, with these arguments.
device() {
	"$vdpa" dev del vdpa0 2> /dev/null
	"$vdpa" dev add name vdpa0 mgmtdev vdpasim_net mac 52:54:00:12:34:56 "$@"
}

# The real one takes long to start in a VM.
export QEMU=$scratch/qemu
printf '#!/bin/sh\necho "QEMU emulator version ${VERSION:-10.0.2} (Debian)"\n' > "$QEMU"
chmod +x "$QEMU"

# By the name that it is installed as.
usage() {
	local arguments
	ln -s "$doctor" "$scratch/vdpa-doctor"
	for arguments in -x '-m x' '-m -1'; do
		# shellcheck disable=SC2086
		"$scratch/vdpa-doctor" $arguments > "$scratch/said" 2> "$scratch/errors"
		[ $? = 2 ] && [ ! -s "$scratch/said" ] && grep -q '^vdpa-doctor: .*; usage: vdpa-doctor ' "$scratch/errors" || return
	done
}

all_well() {
	finds -- env -u QEMU "$doctor" && says 'Nothing is missing' &&
		says 'vdpa0: 2 groups, 2 address spaces, the control virtqueue, number 2, in group 1' &&
		finds -- "$doctor" vdpa0 && finds -- "$doctor" "$node" && says '^ok +vdpa0: 2 groups'
}

# kernel RELEASE [PATTERN...]: on that one.
kernel() {
	local release=$1
	shift
	finds "$@" -- with_stub uname "[ \"\$1\" != -r ] && exec /usr/bin/uname \"\$@\"; echo $release" "$doctor"
}
kernels() {
	kernel 5.4.0-1-amd64 'kernel: Linux 5.4.0-1-amd64 has no' &&
		kernel 5.18.19 'kernel: ' && kernel 4.19.0-27-amd64 'kernel: ' &&
		kernel 5.19.0-1-amd64 && kernel 6.1.0-48-amd64 && kernel 7.0
}

no_modules() {
	finds 'modules: .* for '"$release"', and they can.t be built without its headers' -- \
		without "mount -t tmpfs none /lib/modules/$release" &&
		says "do: install linux-headers-$release" &&
		finds "modules: .* aren't installed for $release\$" -- \
			without "mount -t tmpfs none /lib/modules/$release; mkdir /lib/modules/$release/build" &&
		says 'do: install vdpa-cvq-dkms'
}

# modules NAME: a folder of modules for use, with the kernel's own vhost.
modules() {
	mkdir -p "/lib/modules/$1/kernel" "/lib/modules/$1/updates" &&
		cp -r "/lib/modules/$release/kernel/drivers/vhost" "/lib/modules/$1/kernel/"
}
series() { find "/lib/modules/$release/updates" -name "$1.ko" "${@:2}"; }
use() { echo "mount --bind /lib/modules/$1 /lib/modules/$release; depmod"; }

foreign() {
	modules some && series '*vdpa*' -exec cp {} /lib/modules/some/updates/ ';' &&
		finds 'modules: modprobe takes the distribution.s vhost_iotlb vhost vhost_net vhost_vsock' -- without "$(use some)"
}

# another MODULE: a file of a module becomes that of another build, which the build ID tells.
another() { perl -e '
	local $/;
	my ($id, $module) = map { open(my $f, "<:raw", $_) or die "$_: $!"; <$f> } @ARGV;
	my $at = index($module, $id);
	$at > 0 or die "no build ID in $ARGV[1]";
	substr($module, $at + length($id) - 1, 1) ^= "\1";
	open(my $f, ">:raw", $ARGV[1]) or die "$!";
	print $f $module;
	close($f) or die "$!";
' "/sys/module/$1/notes/.note.gnu.build-id" "/lib/modules/new/updates/$1.ko"; }

# reload: what it said last is to be done about modules that are another version's.
reload() { sed -n 's/^ *do: as root: \(rmmod .*[^ ]\) *#.*/\1/p' "$scratch/said"; }

# What was loaded before the series' modules were installed; then, before a newer version of them was. The advice is followed.
stale() {
	modprobe -r vhost_vdpa vdpa_sim_net vdpa_sim vhost vringh vhost_iotlb
	insmod "/lib/modules/$release/kernel/drivers/vhost/vhost_iotlb.ko" &&
		insmod "/lib/modules/$release/kernel/drivers/vhost/vhost.ko" &&
		finds 'modules: vhost_iotlb vhost: what is loaded is another version' 'device: there is none' -- "$doctor" || return
	bash -c "$(reload)" && finds "modules: vhost_vdpa isn't loaded" 'device: there is none' -- "$doctor" &&
		modprobe -a vhost_vdpa vdpa_sim_net && device && finds -- "$doctor" || return
	modules new && series '*' -exec cp {} /lib/modules/new/updates/ ';' && finds -- without "$(use new)" || return
	# One without MODULE_VERSION, and so without a srcversion, at the bottom.
	[ ! -e /sys/module/vdpa/srcversion ] && another vdpa &&
		finds 'modules: vdpa: what is loaded is another version' -- without "$(use new)" &&
		says 'do: as root: rmmod .*vdpa_sim_net.* vdpa &&' || return
	another vhost && finds 'modules: vhost vdpa: what is loaded is another version' -- without "$(use new)" || return
	# What was advised, where the new ones are installed; and back.
	finds 'device: there is none' -- without "$(use new); $(reload)" &&
		finds 'modules: vhost vdpa: what is loaded is another version' 'device: there is none' -- "$doctor" || return
	bash -c "$(reload)" && device && finds -- "$doctor" || return
	# What can't be compared isn't said to be another one.
	xz /lib/modules/new/updates/{vhost,vdpa}.ko && finds -- without "$(use new)"
}

unloaded() {
	modprobe -r vhost_vdpa
	kernel 6.1.0-48-amd64 "modules: vhost_vdpa isn't loaded" 'vdpa0: its driver is none' && says 'do: as root: modprobe vhost_vdpa' &&
		finds "modules: vhost_vdpa isn't loaded" 'vdpa0: its driver is none' -- "$doctor" || return
	bash -c "$(sed -n 's/^ *do: as root: \(modprobe vhost_vdpa\)$/\1/p' "$scratch/said")" && finds -- "$doctor"
	local result=$?
	modprobe vhost_vdpa
	return $result
}

# signed COMMAND...: as if the modules had signatures.
signed() { with_stub modinfo "$(command -v modinfo) \"\$@\" | sed 's/^name:.*/&\\nsigner:         modules of this machine/'" "$@"; }

# The lockdown that comes with Secure Boot; it can't be lifted again. And the parameter that does the same. Then with modules that
# are signed, but not with a key that the kernel has.
unsigned() {
	local fake=$scratch/module only='modules: the kernel loads signed ones only'
	local key='modules: .* only those signed with a key that it has'
	mkdir -p "$fake/module/parameters" && echo Y > "$fake/module/parameters/sig_enforce" &&
		finds "$only" -- without "mount --bind $fake /sys/module" && says 'do: sign them .*mokutil' &&
		finds "$key" -- signed without "mount --bind $fake /sys/module" && says 'do: .* enroll that with mokutil' || return
	finds -- signed "$doctor" && modprobe -r vhost_vdpa &&
		finds "modules: vhost_vdpa isn't loaded" 'vdpa0: its driver is none' -- signed "$doctor" &&
		mount -t securityfs none /sys/kernel/security && echo integrity > /sys/kernel/security/lockdown || return
	finds "$only" 'vdpa0: its driver is none' -- "$doctor" && says 'do: .*mokutil' && ! modprobe vhost_vdpa &&
		finds "$key" 'vdpa0: its driver is none' -- signed "$doctor"
}

memlock() {
	finds 'memory: 64 KiB may be locked, a guest of 1024 MiB needs 1114112' -- bash -c 'ulimit -S -l 64; "$0"' "$doctor" &&
		says 'do: ulimit -l 1114112' &&
		finds 'memory: 1114111 KiB' -- bash -c 'ulimit -l 1114111; "$0"' "$doctor" &&
		finds -- bash -c 'ulimit -l 1114112; "$0"' "$doctor" &&
		finds 'memory: .* a guest of 4096 MiB' -- bash -c 'ulimit -l 1114112; "$0" -m 4096' "$doctor" &&
		finds -- bash -c 'ulimit -l 200000; "$0" -m 100' "$doctor" || return
	chmod 666 $node
	finds 'memory: 64 KiB may be locked and no more asked for' -- \
		bash -c 'ulimit -l 64; exec "$@"' - setpriv --reuid 65534 --clear-groups --bounding-set -all "$doctor" &&
		says 'do: as root: LimitMEMLOCK' && finds -- as_nobody "$doctor"
	local result=$?
	chmod 600 $node
	return $result
}

qemus() {
	finds 'QEMU: there is no /nowhere/qemu' -- env QEMU=/nowhere/qemu "$doctor" &&
		finds 'QEMU: .*/qemu is 7.2,' -- env VERSION=7.2.19 "$doctor" && finds 'QEMU: .* is 8.0,' -- env VERSION=8.0.4 "$doctor" &&
		finds -- env VERSION=8.1.0 "$doctor" && finds -- env VERSION=11.0.0 "$doctor"
}

no_device() {
	"$vdpa" dev del vdpa0
	finds "device: there is none, and no program 'vdpa'" -- without "mount --bind /dev/null $(realpath "$(command -v vdpa)")" || return
	modprobe -r vdpa_sim_net
	finds 'device: there is none, and no driver' -- "$doctor" && says 'do: as root: modprobe vdpa_sim_net' || return
	modprobe vdpa_sim_net
	finds 'device: there is none$' -- "$doctor" && bash -c "$(advice)" && finds -- "$doctor"
}

wrong_name() {
	finds 'vdpa7: there is no such' -- "$doctor" vdpa7 && finds 'vhost-vdpa-7: there is no such' -- "$doctor" /dev/vhost-vdpa-7
}

unbound() {
	echo vdpa0 > /sys/bus/vdpa/drivers/vhost_vdpa/unbind
	finds 'vdpa0: its driver is none, not vhost_vdpa' -- "$doctor" && bash -c "$(advice)" && finds -- "$doctor" || return
	modprobe virtio_vdpa
	echo virtio_vdpa > /sys/bus/vdpa/devices/vdpa0/driver_override
	echo vdpa0 > /sys/bus/vdpa/drivers/vhost_vdpa/unbind
	echo vdpa0 > /sys/bus/vdpa/drivers/virtio_vdpa/bind
	finds 'vdpa0: its driver is virtio_vdpa, not vhost_vdpa' -- "$doctor" && bash -c "$(advice)" && finds -- "$doctor" && device
}

# With the node gone, or another's.
no_node() {
	local number
	number=$(cat /sys/bus/vdpa/devices/vdpa0/vhost-vdpa-0/dev)
	rm $node
	finds "vdpa0: there is no node $node" -- "$doctor" || return
	mknod $node c 1 3
	finds "vdpa0: it can't be asked: Inappropriate ioctl" -- "$doctor" || return
	rm $node
	mknod -m 600 $node c "${number%:*}" "${number#*:}" && finds -- "$doctor"
}

forbidden() {
	finds "vdpa0: nobody may not read and write $node" -- as_nobody "$doctor" &&
		says 'do: as root: install .*/60-vhost-vdpa.rules' || return
	chmod 660 $node
	chgrp disk $node
	finds "vdpa0: nobody may not" -- as_nobody "$doctor" && says 'do: as root: adduser nobody disk' &&
		finds -- setpriv --reuid 65534 --regid 65534 --groups "$(getent group disk | cut -d: -f3)" --bounding-set -all "$doctor"
}

in_use() {
	exec 7<> $node
	finds -- "$doctor" && says '^note +vdpa0: it is in use'
	local result=$?
	exec 7>&-
	return $result
}

features() {
	local all
	all=$("$vdpa" mgmtdev show | grep -c RING_INDIRECT_DESC)
	[ "$all" = 1 ] || { "$vdpa" mgmtdev show; return 1; }
	# CTRL_VQ, STATUS, MAC, CTRL_MAC_ADDR, VERSION_1, ACCESS_PLATFORM and RING_INDIRECT_DESC
	device device_features 0x310830020 && finds 'vdpa0: it offers RING_INDIRECT_DESC, with which' -- "$doctor" || return
	all=$(grep -oE 'device_features 0x[0-9a-f]+' "$scratch/said")
	# shellcheck disable=SC2086
	[ "$all" = 'device_features 0x300830020' ] && device $all && finds -- "$doctor" || return
	device device_features 0x300010020 && finds 'vdpa0: it has no control virtqueue' -- "$doctor" && device
}

one_space() {
	"$vdpa" dev del vdpa0
	modprobe -r vdpa_sim_net vdpa_sim
	modprobe vdpa_sim num_as=1
	modprobe vdpa_sim_net
	device
	finds 'vdpa0: it has a single address space' -- "$doctor"
	local result=$?
	"$vdpa" dev del vdpa0
	modprobe -r vdpa_sim_net vdpa_sim
	modprobe vdpa_sim_net
	device
	return $result
}

# answers SED [PATTERN...]: as if the device had answered what it answers, changed so.
answers() {
	local change=$1
	shift
	finds "$@" -- with_stub perl "/usr/bin/perl \"\$@\" | sed '$change'" "$doctor"
}
answering() {
	answers 's/x/x/' && answers 's/^id 1/id 2/' && says '^note +vdpa0: no network device .*id 2' &&
		answers '/^features/s/ 33//' 'vdpa0: it offers no VERSION_1 or no ACCESS' &&
		answers '/^features/s/ 32//' 'vdpa0: it offers no VERSION_1' &&
		answers '/^groups/d' 'vdpa0: this kernel.s vhost_vdpa has no groups' &&
		answers '/^backend/s/ 3//' 'vdpa0: this kernel.s vhost_vdpa' &&
		answers 's/^group 2 1/group 2 0/' 'vdpa0: its control virtqueue is in one group with others*' &&
		answers '/^group 2/d' 'vdpa0: its control' &&
		answers '/^backend/s/ 4//' && says '^note +vdpa0: it can.t be suspended' &&
		answers 's/^bad.*/bad 21 34 35 54 59/' 'it offers GUEST_ANNOUNCE, RING_PACKED, IN_ORDER, GUEST_USO4, bit 59, with'
}

modprobe -a vhost_vdpa vdpa_sim_net && device || exit
check 'all is well' all_well
check 'a wrong call' usage
check 'kernels' kernels
check 'no modules' no_modules
check "the distribution's modules" foreign
check 'loaded modules that are not those installed' stale
check 'a module that is not loaded' unloaded
check 'the limit of locked memory' memlock
check 'QEMU' qemus
check 'no device' no_device
check 'no such device' wrong_name
check 'another driver' unbound
check 'no node' no_node
check 'permissions' forbidden
check 'a device in use' in_use
check 'features' features
check 'one address space' one_space
check 'what other devices answer' answering
check 'modules that are not signed' unsigned
finish
