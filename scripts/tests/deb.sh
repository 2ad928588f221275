#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the package vdpa-cvq-dkms in a Debian 11: DKMS builds for the kernels that it is for, when it is installed, when a
# kernel comes, when it is upgraded; and it goes without a trace. Then in the VM, with the kernel of that Debian: its modules
# load, the examples work, and the kernel's own modules come back when the package is removed while its own are in use.
# package.sh has those that need no Debian 11.
#
# Debian 11 is made once, build/deb/root (200 MB of packages, from the mirror that apt has): with the kernel of scripts/stock, the
# headers of an older 5.10, and what looks like kernels that the package is not for. It stays as it is, what the tests change goes
# to an overlay.
. "$(dirname "$0")/lib.sh"
work=$top/build/deb
root=$work/root
debian=$work/test
dkms=vdpa-cvq

# in_debian COMMAND...
in_debian() {
	chroot "$debian" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive INITRD=No LC_ALL=C.UTF-8 HOME=/root "$@"
}

# get PACKAGE...: to where scripts/stock keeps its own.
get() { (cd "$top/build/download" && "$top/scripts/apt-suite" bullseye-security apt-get download -qq "$@"); }

# find_kernels: sets kernel (that of scripts/stock), later (which the tests install later), older (for which headers are enough,
# empty if the mirror has none).
find_kernels() {
	if [ ! -e "$work/kernels" ]; then
		"$top/scripts/stock" && mkdir -p "$work" || return
		kernel=$(cut -d' ' -f2 "$top/build/stock/amd64/version")
		later=${kernel%-amd64}-cloud-amd64
		older=$("$top/scripts/apt-suite" bullseye-security \
			apt-cache search --names-only '^linux-headers-5\.10\.0-[0-9]*-cloud-amd64$' |
			sed 's/ .*//; s/^linux-headers-//' | grep -vx "$later" | sort -V | tail -1)
		# The signed image goes missing from mirrors at times; the other is the same.
		get "linux-headers-$later" && { get "linux-image-$later" || get "linux-image-$later-unsigned"; } || return
		get "linux-headers-$older" "linux-headers-${older%-cloud-amd64}-common" || older=
		echo "$kernel $later $older" > "$work/kernels"
	fi
	read -r kernel later older < "$work/kernels"
}

# Made up; made_up says what is with them.
foreign='6.1.0-48-amd64 5.10.0-1-no-versions 5.10.0-1-built-in 5.10.0-1-vendor'

# packages_of KERNEL: the files.
packages_of() {
	find "$top/build/download" -maxdepth 1 -name "linux-*-$1_*.deb" -o -maxdepth 1 -name "linux-image-$1-unsigned_*.deb"
}

# made_up KERNEL [SED]: its headers are those of Debian's kernel, with options that went through SED.
made_up() {
	local from=/usr/src/linux-headers-$kernel to=/usr/src/linux-headers-$1 file
	chroot "$root" cp -rs "$from" "$to" && mkdir -p "$root/lib/modules/$1" && ln -s "$to" "$root/lib/modules/$1/build" &&
		touch "$root/boot/config-$1" || return
	for file in .config include/config/auto.conf; do
		rm "$root$to/$file" && sed "${2:-}" "$root$from/$file" > "$root$to/$file" || return
	done
}

# made_up_kernels: a later one; one that can't tell our modules from its own; one with vhost built in; one with a later vDPA, whose
# headers lie in two folders, as Debian's.
made_up_kernels() {
	local source=/usr/src/linux-headers-5.10.0-1-common
	made_up 6.1.0-48-amd64 && made_up 5.10.0-1-no-versions '/^CONFIG_MODVERSIONS=/d' &&
		made_up 5.10.0-1-built-in 's/^CONFIG_\(TUN\|TAP\|VHOST\|VHOST_NET\|VHOST_IOTLB\)=m/CONFIG_\1=y/' && made_up 5.10.0-1-vendor &&
		install -D -m 644 "$top/include/uapi/linux/vdpa.h" "$root$source/include/uapi/linux/vdpa.h" &&
		ln -s "$source" "$root/lib/modules/5.10.0-1-vendor/source"
}

make_debian() {
	local debs include
	find_kernels || return
	[ ! -e "$root/root/made" ] || return 0
	mapfile -t debs < <(packages_of "$kernel"; packages_of "${kernel%-amd64}-common"
		find "$top/build/download" -maxdepth 1 -name 'linux-kbuild-5.10_*.deb'
		[ -z "$older" ] || { packages_of "$older"; packages_of "${older%-cloud-amd64}-common"; })
	include=dkms,udev,systemd,openssl,initramfs-tools,linux-base,libelf1,linux-compiler-gcc-10-x86
	rm -rf "$root" && "$top/scripts/apt-suite" bullseye apt-config dump > /dev/null &&
		INITRD=No mmdebstrap --mode=root --variant=apt --dpkgopt=force-unsafe-io --include="$include" \
			--customize-hook='mkdir "$1/root/kernels" "$1/root/later"' --customize-hook="copy-in ${debs[*]} /root/kernels" \
			--customize-hook="copy-in $(packages_of "$later" | xargs) /root/later" \
			--customize-hook='chroot "$1" sh -c "dpkg -i /root/kernels/*.deb"' \
			bullseye "$root" "$top"/build/apt/bullseye{,-security}/sources/00-*.list || return
	rm -r "$root/root/kernels"
	made_up_kernels && { [ -z "$older" ] || chroot "$root" depmod "$older"; } && touch "$root/root/made"
}

# The overlay is in this mount namespace, and gone with it.
mount_debian() {
	rm -rf "$work/overlay"
	mkdir -p "$work"/overlay/{upper,work} "$debian" &&
		mount -t overlay -o "lowerdir=$root,upperdir=$work/overlay/upper,workdir=$work/overlay/work" overlay "$debian" &&
		mount -t proc proc "$debian/proc" && mount --bind /dev "$debian/dev"
}

# trace: what is in the file systems' parts that a package may write to.
trace() {
	(
		cd "$debian" && find boot etc lib/ opt srv usr var/lib/dkms var/spool -name '__pycache__' -prune -o \
			-printf '%y %m %u:%g %p %l\n' | sort &&
			find etc lib/modules/ -type f -path '*modules*' -exec md5sum {} + | sort -k 2
	)
}

# package: sets deb, what make deb makes from the tree as it is.
package() { "$top/scripts/deb" && deb=$(echo "$top"/build/vdpa-cvq-dkms_*_all.deb) && [ -e "$deb" ]; }

version_of() { dpkg-deb -f "$1" Version; }

# install_deb FILE: as a user does; what is said is kept in $scratch/said.
install_deb() {
	cp "$1" "$debian/root/" && in_debian apt-get install -y "/root/${1##*/}" > "$scratch/said" 2>&1 ||
		{ cat "$scratch/said"; return 1; }
}

# built KERNEL: all modules that were built for it are installed, in updates, and the kernel's modprobe takes them and finds what
# they need. They are those that Kconfig gives, of which the log tells.
built() {
	local updates=$debian/lib/modules/$1/updates/dkms log file
	log=$(echo "$debian/var/lib/dkms/$dkms/"*"/$1/x86_64/log/make.log")
	diff <(sed -n 's,^ *LD \[M\] .*/\([^/]*\.ko\)$,\1,p' "$log" | sort) <(find "$updates" -type f -printf '%f\n' | sort) || return
	for file in vdpa vhost vhost_net vhost_vdpa vdpa_sim_net virtio_vdpa; do
		[ -e "$updates/$file.ko" ] || return
	done
	[ -e "$debian/lib/modules/$1/kernel" ] || return 0
	in_debian modprobe -S "$1" -a --show-depends vhost_vdpa vhost_net vhost_vsock vdpa_sim_net virtio_vdpa > "$scratch/depends" &&
		! grep -E '/kernel/drivers/(vhost|vdpa)/' "$scratch/depends" &&
		! in_debian depmod -n -e -E "/lib/modules/$1/build/Module.symvers" "$1" 2>&1 > /dev/null | grep -E 'vdpa|vhost|vringh'
}

# not_built KERNEL
not_built() {
	[ -d "$debian/lib/modules/$1" ] && [ ! -e "$debian/lib/modules/$1/updates" ] &&
		[ ! -e "$(echo "$debian/var/lib/dkms/$dkms/"*"/$1")" ] || { echo "built for $1"; return 1; }
}

installs() { install_deb "$deb" && built "$kernel" && { [ -z "$older" ] || built "$older"; }; }

# apt has nothing to complain about, and the package is configured.
refuses() {
	local version
	for version in $foreign; do not_built "$version" || return; done
	[ "$(grep -cx Skipped. "$scratch/said")" = "$(wc -w <<< "$foreign")" ] || { cat "$scratch/said"; return 1; }
	[ -z "$(in_debian dpkg --audit)" ] && [ "$(in_debian dpkg-query -W -f '${db:Status-Status}' vdpa-cvq-dkms)" = installed ]
}

kernel_comes() {
	in_debian sh -c 'dpkg -i /root/later/*.deb' && built "$later" && built "$kernel"
}

kernel_goes() {
	in_debian apt-get purge -y "linux-image-$later*" "linux-headers-$later" && [ ! -e "$debian/lib/modules/$later" ] &&
		[ ! -e "$(echo "$debian/var/lib/dkms/$dkms/"*"/$later")" ]
}

# make_next: a next version, whose vdpa says that it is one; next_deb: the file.
make_next() {
	rm -rf "$work/next" && mkdir "$work/next" && cp -r "$work/vdpa-cvq" "$work/next/" && (
		cd "$work/next/vdpa-cvq" && sed -i '1s/+cvq[0-9]*)/+cvq999)/' debian/changelog &&
			echo 'MODULE_VERSION("next");' >> modules/drivers/vdpa/vdpa.c && dpkg-buildpackage -b -us -uc
	)
}
next_deb() { echo "$work"/next/vdpa-cvq-dkms_*_all.deb; }

upgrades() {
	local version file
	version=$(version_of "$deb")
	install_deb "$(next_deb)" && built "$kernel" && { [ -z "$older" ] || built "$older"; } || return
	for file in "$debian"/lib/modules/*/updates/dkms/vdpa.ko; do
		[ "$(modinfo -F version "$file")" = next ] || { echo "$file is not the new one"; return 1; }
	done
	[ "$(echo "$debian/usr/src/$dkms-"*)" = "$debian/usr/src/$dkms-${version%+*}+cvq999" ] &&
		[ ! -e "$debian/var/lib/dkms/$dkms/$version" ]
}

# README.Debian, "Secure Boot": the lines that it gives for Debian 11.
signs() {
	local readme=$debian/usr/share/doc/vdpa-cvq-dkms/README.Debian
	in_debian sh -ec "$(sed -n '/^    openssl/,/^    chmod/p' "$readme")" &&
		sed -n 's/^ *\(sign_tool=.*\)/\1/p' "$readme" >> "$debian/etc/dkms/framework.conf" &&
		grep -q '^sign_tool=' "$debian/etc/dkms/framework.conf" &&
		in_debian dpkg-reconfigure vdpa-cvq-dkms && built "$kernel" &&
		[ "$(modinfo -F signer "$debian/lib/modules/$kernel/updates/dkms/vhost.ko")" = 'modules of this machine' ]
	local status=$?
	sed -i '/^sign_tool=/d' "$debian/etc/dkms/framework.conf"
	rm -f "$debian"/root/mok.*
	return $status
}

goes() {
	in_debian apt-get purge -y vdpa-cvq-dkms && trace > "$scratch/after" && diff "$scratch/before" "$scratch/after"
}

# In the VM, in Debian 11 again, on an overlay in memory.
in_vm() {
	mkdir -p /mnt/overlay && mount -t tmpfs memory /mnt/overlay && mkdir /mnt/overlay/{upper,work,debian} && modprobe overlay &&
		mount -t overlay -o "lowerdir=$debian,upperdir=/mnt/overlay/upper,workdir=/mnt/overlay/work" overlay /mnt/overlay/debian || return
	debian=/mnt/overlay/debian
	mount -t proc proc "$debian/proc" && mount -t sysfs sys "$debian/sys" && mount --bind /dev "$debian/dev" &&
		mount -t tmpfs run "$debian/run" && mount -t cgroup2 cgroup "$debian/sys/fs/cgroup"
}

# ours MODULE...: they are loaded, and come from outside of the kernel's tree; theirs: they are the kernel's own.
ours() { local m; for m; do grep -q O "/sys/module/$m/taint" || return; done; }
theirs() { local m; for m; do [ -e "/sys/module/$m/taint" ] && ! grep -q O "/sys/module/$m/taint" || return; done; }

loads() {
	in_debian modprobe -a vhost_net vhost_vsock vhost_vdpa vdpa_sim_net &&
		ours vhost_iotlb vhost vhost_net vhost_vsock vdpa vhost_vdpa vdpa_sim vdpa_sim_net
}

# doctor PATTERN...: vdpa-doctor says that exactly these things are missing; in $scratch/said is all that it says.
doctor() {
	local found pattern
	in_debian sh -c 'ulimit -l unlimited; vdpa-doctor' > "$scratch/said"
	found=$(grep '^MISSING' "$scratch/said")
	for pattern; do grep -q "$pattern" <<< "$found" || { cat "$scratch/said"; return 1; }; done
	[ "$(wc -l <<< "$found")" = $# ] || { cat "$scratch/said"; return 1; }
}

# Debian 11 has no vdpa and no QEMU that is new enough: the one that is added with is this machine's.
doctor_says() {
	doctor ' QEMU' " device: .*no program 'vdpa'" && grep -q '^ok  *modules: the series' "$scratch/said" &&
		vdpa dev add name vdpa0 mgmtdev vdpasim_net && doctor ' QEMU' && grep -q '^ok .*vdpa0: 2 groups' "$scratch/said"
}

node() { in_debian stat -c '%G %a' /dev/vhost-vdpa-0; }
device_again() { vdpa dev del vdpa0; vdpa dev add name vdpa0 mgmtdev vdpasim_net && udevadm settle; }

# It does nothing in a chroot unless it is told to.
udevadm() { in_debian env SYSTEMD_IGNORE_CHROOT=1 udevadm "$@"; }

# udev with its own rules, then with ours too.
rule() {
	in_debian /lib/systemd/systemd-udevd --daemon && device_again && [ "$(node)" = 'root 600' ] || { node; return 1; }
	mkdir -p "$debian/etc/udev/rules.d"
	cp "$debian/usr/share/doc/vdpa-cvq-dkms/examples/60-vhost-vdpa.rules" "$debian/etc/udev/rules.d/" && udevadm control --reload &&
		device_again && [ "$(node)" = 'kvm 660' ] || { node; return 1; }
	chown root:root /dev/vhost-vdpa-0 && chmod 600 /dev/vhost-vdpa-0 &&
		in_debian env SYSTEMD_IGNORE_CHROOT=1 sh -c \
			"$(sed -n 's/^#\t\(udevadm .*\)/\1/p' "$debian/etc/udev/rules.d/60-vhost-vdpa.rules")" &&
		udevadm settle && [ "$(node)" = 'kvm 660' ] || { node; return 1; }
}

# The drop-in, on a service. What systemd doesn't understand, it says.
verified() {
	local dropin=$debian/etc/systemd/system/guest.service.d said
	mkdir -p "$dropin" && printf '[Service]\nExecStart=/bin/true\n' > "$debian/etc/systemd/system/guest.service" &&
		cp "$debian/usr/share/doc/vdpa-cvq-dkms/examples/vdpa-memlock.conf" "$dropin/" || return
	[ "$#" = 0 ] || sed -i "$1" "$dropin/vdpa-memlock.conf"
	said=$(in_debian systemd-analyze verify --man=no guest.service 2>&1)
	local status=$?
	rm -r "$dropin" "$debian/etc/systemd/system/guest.service"
	echo "$said"
	[ $status = 0 ] && [ -z "$said" ]
}
drop_in() { verified && ! verified 's/LimitMEMLOCK/LimitMEMLOK/' && ! verified 's/infinity/as much as you like/'; }

# open_device_works: the one that this shell has open as 7.
open_device_works() {
	vdpa dev show vdpa0 && perl -e '
		open(my $f, "+<&=", 7) or die $!;
		my $groups = pack("L", 0);
		defined(ioctl($f, 0x8004af81, $groups)) or die $!;	# VHOST_VDPA_GET_GROUP_NUM
		exit(unpack("L", $groups) != 2)'
}

# The upgrade, while a program has a device open: what is loaded works on, vdpa-doctor says so, and what it advises brings the new
# modules. Emulated, a build takes long, so it is for the running kernel only, without debugging information and without what has
# no part in this. Sets took.
upgraded_in_use() {
	local folder began=$SECONDS
	for folder in "$debian"/lib/modules/*; do
		[ "${folder##*/}" = "$(uname -r)" ] || rm -r "$folder" || return
	done
	sed -i '/^CONFIG_\(DEBUG_INFO\|MLX5_CORE\|PCI_MSI\|TARGET_CORE\)=/d' \
		"$debian/usr/src/linux-headers-$(uname -r)"/{.config,include/config/auto.conf} || return
	exec 7<> /dev/vhost-vdpa-0
	install_deb "$(next_deb)" && open_device_works && ours vhost vdpa vhost_vdpa &&
		doctor ' QEMU' ' modules: .*vdpa.*: what is loaded is another version'
	local status=$?
	exec 7>&-
	took=$((SECONDS - began))
	[ $status = 0 ] && [ ! -e /sys/module/vdpa/version ] &&
		in_debian sh -c "$(sed -n 's/^ *do: as root: \(rmmod\)/\1/p' "$scratch/said")" &&
		[ "$(cat /sys/module/vdpa/version)" = next ] && ours vhost vdpa vhost_vdpa vdpa_sim_net || { cat "$scratch/said"; return 1; }
	vdpa dev add name vdpa0 mgmtdev vdpasim_net && udevadm settle && doctor ' QEMU'
}

removed_in_use() {
	exec 7<> /dev/vhost-vdpa-0
	in_debian apt-get purge -y vdpa-cvq-dkms && open_device_works && ours vhost vhost_vdpa
	local status=$?
	exec 7>&-
	vdpa dev del vdpa0 && rmmod vdpa_sim_net vdpa_sim vringh vhost_vdpa vdpa_mgmt vdpa &&
		in_debian modprobe -r vhost_net vhost_vsock vhost && in_debian modprobe -a vhost_net vhost_vsock &&
		theirs vhost vhost_net vhost_vsock && ! in_debian modprobe vhost_vdpa && return $status
}

if [ "${1:-}" = --inside ]; then
	tests=$2
	check 'Debian 11 in the VM' in_vm
	check 'the modules load' loads
	check 'vdpa-doctor' doctor_says
	check 'the udev rule' rule
	check 'the drop-in' drop_in
	check 'upgraded while in use' upgraded_in_use
	echo "# the upgrade in the VM: ${took:-?} s"
	check 'removed while in use' removed_in_use
	finish
	exit
fi
[ "$(id -u)" = 0 ] || { echo '1..0 # SKIP needs root'; exit 4; }
[ "${1:-}" = --mounted ] || exec unshare -m "$0" --mounted
start=$SECONDS
check 'make deb' package
check 'a next version' make_next
check 'a Debian 11' make_debian
[ -e "$root/root/made" ] && mount_debian && trace > "$scratch/before" || { finish; exit 1; }
check 'it installs, for every 5.10' installs
check 'other kernels are left alone' refuses
echo "# before the VM: $((SECONDS - start)) s"
umount "$debian/proc" "$debian/dev"
"$top/scripts/vm" --stock -- "$0" --inside "$tests" > "$scratch/inside" 2>&1
status=$?
grep -v '^1\.\.' "$scratch/inside"
tests=$(sed -n 's/^1\.\.//p' "$scratch/inside" | grep . || echo "$tests")
failures=$((failures + (status != 0)))
mount -t proc proc "$debian/proc" && mount --bind /dev "$debian/dev"
echo "# with the VM: $((SECONDS - start)) s"
check 'a kernel is installed later' kernel_comes
check 'a kernel is removed' kernel_goes
check 'an upgrade' upgrades
check 'signed, as README.Debian says' signs
check 'it goes without a trace' goes
echo "# in all: $((SECONDS - start)) s"
finish
