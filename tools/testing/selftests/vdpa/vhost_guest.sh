#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The other users of vhost, with a guest in an unmodified QEMU: vhost_net on a tap device, and
# vhost_vsock.
#
# Environment: KERNEL_IMAGE, the guest's kernel.
. "$(dirname "$0")/lib.sh"
. "$dir/guest.sh"

host_ip=192.0.2.1
guest_ip=192.0.2.2
cid=3
port=1234

need_root
need qemu-system-x86_64 busybox ip perl
guest_kernel > /dev/null || skip_all "no kernel image for the guest: set KERNEL_IMAGE"
[ -x "$out/guest_vsock" ] || skip_all "guest_vsock isn't built"
modprobe -q tun && modprobe -q vhost_net || skip_all "no modules tun and vhost_net"

work=$(mktemp -d)
qemu_pid=
finish() {
	[ -z "$qemu_pid" ] || kill -9 "$qemu_pid" 2> /dev/null
	ip link del tap0 2> /dev/null
	rm -rf "$work"
}
trap finish EXIT

tap_begin
transport=vmw_vsock_virtio_transport
vsock=()
if modprobe -q vhost_vsock && modprobe -qn $transport; then
	vsock=(-device "vhost-vsock-pci,guest-cid=$cid")
else
	transport=
fi
ip tuntap add tap0 mode tap
ip addr add $host_ip/24 dev tap0
ip link set tap0 up

cat > "$work/script" <<END
ip addr add $guest_ip/24 dev eth0
ip link set eth0 up
echo "guest: up"
${transport:+guest_vsock $port; echo "guest: vsock ended with \$?"}
sleep 1000
END
# shellcheck disable=SC2086
make_initramfs "$work/initramfs" "$work/script" $transport
before=$(pinned)
run_qemu -netdev tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=on \
	-device virtio-net-pci,netdev=net0 "${vsock[@]}"
check "the guest boots" guest_until guest_says 'guest: up'
equal "QEMU uses vhost_net" 1 "$(cat /sys/module/vhost_net/refcnt)"
check "the guest answers each ping through vhost_net" busybox ping -q -c 5 -s 1400 -W 20 $guest_ip
equal "QEMU has nothing to complain about" "" "$(cat "$work/qemu.err" "$work/qemu.out")"

# echo_through_vsock: 1 MiB to the guest and back.
echo_through_vsock() {
	perl -e '
		use Socket;
		my ($cid, $port) = @ARGV;
		socket(my $s, 40, SOCK_STREAM, 0) or die "socket: $!";
		connect($s, pack("S x2 L L x4", 40, $port, $cid)) or die "connect: $!";
		my ($sent, $back) = ("", "");
		for my $i (1 .. 256) {
			my $block = pack("N*", map { $i * $_ } 1 .. 1024);
			syswrite($s, $block) == 4096 or die "write: $!";
			my $got = 0;
			while ($got < 4096) {
				my $n = sysread($s, $back, 4096, length $back) or die "read: $!";
				$got += $n;
			}
			$sent .= $block;
		}
		$sent eq $back or die "what comes back differs";
	' "$cid" "$port"
}
if [ "$transport" ]; then
	check "the guest listens" guest_until guest_says 'guest: vsock listens'
	check "1 MiB through vhost_vsock and back" echo_through_vsock
	check "the guest sees the end" guest_until guest_says 'guest: vsock ended with 0'
else
	skip "vhost_vsock" "no modules vhost_vsock and vmw_vsock_virtio_transport"
fi
kill "$qemu_pid"
wait "$qemu_pid" 2> /dev/null
qemu_pid=
equal "nothing stays pinned" "$before" "$(pinned)"
check "the module can be unloaded" modprobe -r vhost_net
tap_end
