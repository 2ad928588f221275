# SPDX-License-Identifier: GPL-2.0
# Sourced by the tests that start a guest: a Linux guest in a real QEMU, on a vDPA device.
# shellcheck shell=bash

# need_guest: what a test with a guest on a vDPA device needs.
need_guest() {
	guest_kernel > /dev/null || skip_all "no kernel image for the guest: set KERNEL_IMAGE"
	[ -x "$out/guest_frames" ] || skip_all "guest_frames isn't built"
	modprobe -q vhost_vdpa || skip_all "no module vhost_vdpa"
}

# guest_of_daemon NAME: a test with a guest on the device NAME, which a daemon in userspace makes: its
# process is $daemon, QEMU's $qemu_pid, files are in $work. What is left of them goes at the end.
guest_of_daemon() {
	need_guest
	modprobe -q vduse || skip_all "no module vduse"
	guest_device=$1
	work=$(mktemp -d)
	qemu_pid=
	daemon=
	trap guest_of_daemon_ends EXIT
}

guest_of_daemon_ends() {
	[ -z "$qemu_pid" ] || kill -9 "$qemu_pid" 2> /dev/null
	"$VDPA" dev del "$guest_device" 2> /dev/null
	[ -z "$daemon" ] || kill "$daemon" 2> /dev/null
	rm -rf "$work"
}

# The guest runs the same kernel as this machine.
guest_kernel() {
	local image
	for image in "${KERNEL_IMAGE:-}" "/boot/vmlinuz-$(uname -r)" \
		"$dir"/../../../../{build/kernel,.build,.}/arch/x86/boot/bzImage; do
		if [ -n "$image" ] && [ -e "$image" ]; then
			echo "$image"
			return
		fi
	done
	return 1
}

# make_initramfs FILE SCRIPT [MODULE...]: busybox, the programs for guests, and SCRIPT after the
# usual mounts, with these modules loaded.
make_initramfs() {
	local root applet module file=$1 script=$2
	shift 2
	root=$(mktemp -d)
	mkdir -p "$root"/{bin,dev,machine,modules,proc,sys}
	cp "$(command -v busybox)" "$root/bin/busybox"
	cp "$out"/guest_{frames,stream,vsock} "$root/bin/"
	for applet in sh mount umount insmod ip cat echo sleep poweroff reboot chroot; do
		ln -s busybox "$root/bin/$applet"
	done
	{
		echo '#!/bin/sh'
		echo 'mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev'
		echo 'exec < /dev/console > /dev/console 2>&1'
		# A distribution's kernel has the drivers of the network card as modules.
		modprobe -a --show-depends virtio_pci virtio_net "$@" |
			awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
			while read -r module; do
				cp "$module" "$root/modules/" &&
					echo "insmod /modules/${module##*/}"
			done
		cat "$script"
	} > "$root/init"
	chmod 755 "$root/init"
	(cd "$root" && find . | busybox cpio -o -H newc 2> /dev/null) > "$file"
	rm -rf "$root"
}

# guest_changes_mac: a script for a guest, which sends $frames frames to its address $mac, changes
# it to $new_mac, and sends as many to that one, to the first, to $other_mac, and to everybody. It
# ends after guest_go.
guest_changes_mac() {
	# shellcheck disable=SC2154
	cat <<- END
		address() { cat /sys/class/net/eth0/address; }
		echo "guest: address \$(address)"
		ip link set eth0 up
		sleep 1
		guest_frames eth0 $frames $mac
		ip link set eth0 address $new_mac && echo "guest: address \$(address)"
		guest_frames eth0 $frames $new_mac $mac $other_mac ff:ff:ff:ff:ff:ff
		exec 3< /dev/ttyS1
		echo "guest: look now"
		read -r _ <&3
		echo "guest: done"
		poweroff -f
	END
}

# run_qemu ARG...: sets qemu_pid; output in $work/{qemu.err,serial}. Without what makes a
# distribution's kernel boot slowly in an emulated machine: five levels of page tables, and tests
# of the cryptographic algorithms.
run_qemu() {
	[ -p "$work/go.in" ] || mkfifo "$work/go.in" "$work/go.out"
	# shellcheck disable=SC2086
	qemu-system-x86_64 -accel tcg -machine q35,memory-backend=guest -cpu max,la57=off -smp 1 -m 192 \
		-object memory-backend-memfd,id=guest,size=192M,share=on \
		-nodefaults -display none -no-reboot \
		-kernel "$(guest_kernel)" -initrd "$work/initramfs" \
		-append "console=ttyS0 quiet panic=-1 no_timer_check cryptomgr.notests" \
		-serial "file:$work/serial" -chardev "pipe,id=go,path=$work/go" -serial chardev:go \
		"$@" ${QEMU_ARGS:-} > "$work/qemu.out" 2> "$work/qemu.err" < /dev/null &
	qemu_pid=$!
}

# start_qemu VHOSTDEV MAC: a guest with that network device.
start_qemu() {
	run_qemu -netdev "vhost-vdpa,id=net0,vhostdev=$1" -device "virtio-net-pci,netdev=net0,mac=$2"
}

# The arguments that show this machine's files to the guest, and what the guest does with them:
# /machine is the root of them.
machine_args=(-fsdev 'local,id=machine,path=/,security_model=none,readonly=on,multidevs=remap'
	-device 'virtio-9p-pci,fsdev=machine,mount_tag=machine')
# shellcheck disable=SC2034
machine_script='
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose machine /machine
for dir in dev proc sys; do mount -o bind /$dir /machine/$dir; done
for dir in run tmp mnt; do mount -t tmpfs none /machine/$dir; done
export PATH=$PATH:/usr/sbin:/usr/bin:/sbin
'

# guest_go: the guest goes on. Doesn't wait for a QEMU that is gone.
guest_go() { echo 1<> "$work/go.in"; }

guest_says() { grep -q "$1" "$work/serial"; }
qemu_gone() { [ ! -e "/proc/$qemu_pid/exe" ]; }

# guest_until COMMAND...: waits until it succeeds, while there is a QEMU; shows what became of that if it doesn't.
guest_until() {
	gone_or() { qemu_gone || "$@"; }
	if ! wait_for 400 gone_or "$@" || ! "$@" > /dev/null 2>&1; then
		qemu_gone && note "QEMU is gone" || note "QEMU is there still"
		{ tail -n 30 "$work/qemu.err" "$work/serial"; dmesg | tail -n 5; } 2>&1 | sed 's/^/# /'
		return 1
	fi
}
