# SPDX-License-Identifier: GPL-2.0
# Sourced by main_job.sh and kill.sh: a Linux guest in a real QEMU, on a vDPA device.
# shellcheck shell=bash

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

# make_initramfs FILE SCRIPT: busybox, guest_frames, and SCRIPT after the usual mounts.
make_initramfs() {
	local root applet
	root=$(mktemp -d)
	mkdir -p "$root"/{bin,dev,proc,sys}
	cp "$(command -v busybox)" "$root/bin/busybox"
	cp "$out/guest_frames" "$root/bin/"
	for applet in sh mount ip cat echo sleep poweroff reboot; do
		ln -s busybox "$root/bin/$applet"
	done
	{
		echo '#!/bin/sh'
		echo 'mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev'
		echo 'exec < /dev/console > /dev/console 2>&1'
		cat "$2"
	} > "$root/init"
	chmod 755 "$root/init"
	(cd "$root" && find . | busybox cpio -o -H newc 2> /dev/null) > "$1"
	rm -rf "$root"
}

# start_qemu VHOSTDEV MAC: sets qemu_pid; output in $work/{qemu.err,serial}.
start_qemu() {
	qemu-system-x86_64 -accel tcg -machine q35,memory-backend=guest -cpu max -smp 1 -m 192 \
		-object memory-backend-memfd,id=guest,size=192M,share=on \
		-nodefaults -display none -no-reboot \
		-kernel "$(guest_kernel)" -initrd "$work/initramfs" \
		-append "console=ttyS0 quiet panic=-1 no_timer_check" \
		-serial "file:$work/serial" \
		-netdev "vhost-vdpa,id=net0,vhostdev=$1" \
		-device "virtio-net-pci,netdev=net0,mac=$2" \
		${QEMU_ARGS:-} > "$work/qemu.out" 2> "$work/qemu.err" < /dev/null &
	qemu_pid=$!
}

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
