#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the series as modules for Debian 11's own kernel: which are built for which kernel, which kernels are refused,
# that they come and go without a trace, and that none of them works together with one that was built for the kernel's own vhost.
. "$(dirname "$0")/lib.sh"
modules=$top/scripts/modules
stock=$top/build/stock/amd64
uname=$(cat "$stock/version")
kdir=$(readlink -f "$stock/lib/modules/$uname/build")

all='ifcvf mlx5_vdpa vdpa vdpa_mgmt vdpa_sim vdpa_sim_blk vdpa_sim_net vduse vhost vhost_iotlb vhost_net vhost_scsi'
all+=' vhost_vdpa vhost_vsock virtio_vdpa vringh'

# fake NAME [SED]: the headers of Debian's kernel, as another kernel's whose options went through SED. Prints its folder.
fake() {
	local dir=$scratch/$1
	cp -rs "$kdir" "$dir"
	# The links to Debian's tools are relative.
	ln -sfn "$kdir/scripts" "$dir/scripts"
	ln -sfn "$kdir/tools" "$dir/tools"
	rm "$dir/Makefile" "$dir/.config" "$dir/include/config/auto.conf" "$dir/include/generated/utsrelease.h"
	cp "$kdir/Makefile" "$dir/"
	sed "${2:-}" "$kdir/.config" > "$dir/.config"
	sed "${2:-}" "$kdir/include/config/auto.conf" > "$dir/include/config/auto.conf"
	echo "#define UTS_RELEASE \"5.10.0-$1\"" > "$dir/include/generated/utsrelease.h"
	echo "$dir"
}

# of_package KDIR: the modules that DKMS is told to build there by the package vdpa-cvq-dkms, none if it is to leave it alone.
of_package() {
	(
		kernel_source_dir=$1
		. "$top/debian/vdpa-cvq-dkms.dkms"
		[[ ! 5.10.0-1 =~ $BUILD_EXCLUSIVE_KERNEL ]] || printf '%s\n' "${BUILT_MODULE_NAME[@]}" | sort | xargs
	)
}

# built_for NAME KDIR LIST: exactly these modules are built, and the package would build the same.
built_for() {
	"$modules" --build "$2" > "$scratch/words" 2>&1 || { cat "$scratch/words"; return 1; }
	grep -xF "== for $1: $3" "$scratch/words" || { cat "$scratch/words"; return 1; }
	diff <(echo "$3") <(of_package "$2")
}

a_flavour() {
	local dir=$top/build/stock/$1
	built_for "$(cat "$dir/version")" "$(echo "$dir"/lib/modules/*/build)" "$2"
}

# With vhost built in, vhost_iotlb is, too, as VHOST selects it. Nothing can be built then, and why is said.
built_in() {
	local dir
	dir=$(fake built-in 's/^CONFIG_\(TUN\|TAP\|VHOST\|VHOST_NET\|VHOST_IOTLB\)=m/CONFIG_\1=y/')
	fails_with 'modules: 5.10.0-built-in can take none of the modules' "$modules" --build "$dir" &&
		grep -x 'VHOST is built into this kernel, and stays as it is' "$scratch/words" &&
		grep -x 'VHOST_IOTLB is built into this kernel, and stays as it is' "$scratch/words" &&
		grep -x 'VDPA needs VHOST_IOTLB = m && NET' "$scratch/words" && [ -z "$(of_package "$dir")" ] ||
		{ cat "$scratch/words"; return 1; }
}

# lacks OPTION NEEDS: so was said of that option of Kconfig in the last build.
lacks() { grep -x "== not for .*: $1 needs $2" "$scratch/words"; }

# What some modules need isn't there; they are left out, and why is said.
lacking() {
	local dir targets='TARGET_CORE\|TCM_.*\|\(LOOPBACK\|SBP\|ISCSI\|USB_GADGET\)_TARGET.*\|INFINIBAND_\(ISERT\|SRPT\)\|VHOST_SCSI'
	dir=$(fake few "/^CONFIG_\(.*VSOCK.*\|MLX5_.*\|$targets\)=/d; \$ a CONFIG_VHOST_RING=m")
	built_for 5.10.0-few "$dir" "$(tr ' ' '\n' <<< "$all" | grep -vxE 'vhost_vsock|vhost_scsi|mlx5_vdpa' | xargs)" &&
		lacks VHOST_VSOCK 'VHOST = m && VSOCKETS && VIRTIO_VSOCKETS_COMMON' && lacks VHOST_SCSI 'VHOST = m && TARGET_CORE' &&
		lacks MLX5_VDPA 'VDPA = m && MLX5_CORE' && lacks MLX5_VDPA_NET MLX5_VDPA &&
		[ "$(grep -c '^== not for' "$scratch/words")" = 4 ] || { cat "$scratch/words"; return 1; }
	# The vsock of VMware alone.
	dir=$(fake vmware '/^CONFIG_\(VIRTIO_VSOCKETS.*\|VHOST_VSOCK\|VSOCKETS_LOOPBACK\)=/d')
	built_for 5.10.0-vmware "$dir" "${all/ vhost_vsock}"
}

# source_with_series: Debian's common headers, with a header of the series. Prints the folder.
source_with_series() {
	local from=$stock/lib/modules/$uname/source/ to=$scratch/source
	mkdir -p "$to/include/uapi/linux"
	ln -s "$from"/* "$to/" 2> /dev/null
	ln -s "$from"/include/* "$to/include/" 2> /dev/null
	ln -s "$from"/include/uapi/* "$to/include/uapi/" 2> /dev/null
	ln -s "$from"/include/uapi/linux/* "$top/include/uapi/linux/vdpa.h" "$to/include/uapi/linux/" 2> /dev/null
	# Where this lies is where the source is.
	rm "$to/Makefile"
	cp "$from/Makefile" "$to/"
	echo "$to"
}

# refused: kernels that the modules don't fit, each with one clear line.
refused() {
	local dir
	MAKEFLAGS='PATCHLEVEL=19' fails_with 'modules: these modules are for Linux 5.10.y' "$modules" --build "$kdir" &&
		MAKEFLAGS='VERSION=6 PATCHLEVEL=1' fails_with 'modules: these modules are for Linux 5.10.y' "$modules" --build "$kdir" || return
	dir=$(fake no-versions '/^CONFIG_MODVERSIONS=/d')
	fails_with "has no CONFIG_MODVERSIONS" "$modules" --build "$dir" && [ -z "$(of_package "$dir")" ] || return
	dir=$(fake series)
	echo "include $(source_with_series)/Makefile" > "$dir/Makefile"
	fails_with 'has include/uapi/linux/vdpa.h: its vDPA is that of this series or of a later kernel' "$modules" --build "$dir" &&
		[ -z "$(of_package "$dir")" ] || return
	CC=false fails_with "the modules don't build for $uname" "$modules" --build "$kdir" &&
		fails_with "is no kernel's build folder" "$modules" --build /nowhere &&
		fails_with "build that kernel first" "$modules" --build "$top"
}

# come_and_go: what is installed goes without a trace; modprobe takes ours while they are there.
come_and_go() {
	local root=$scratch/root dir
	dir=$root/lib/modules/$uname
	mkdir -p "$dir"
	cp -r "$stock/lib/modules/$uname"/{kernel,modules.order,modules.builtin,modules.builtin.modinfo} "$dir/"
	depmod -b "$root" "$uname"
	tree() { (cd "$dir" && find . -type f | sort | xargs sha256sum); }
	tree > "$scratch/before"
	INSTALL_MOD_PATH=$root "$modules" --install "$kdir" || return
	[[ $(modinfo -b "$root" -k "$uname" -n vhost_net) = */updates/vdpa-cvq/* ]] || return
	# Of the running kernel, whose headers are gone.
	mkdir "$scratch/running"
	printf '#!/bin/sh\necho %s\n' "$uname" > "$scratch/running/uname"
	chmod +x "$scratch/running/uname"
	PATH=$scratch/running:$PATH INSTALL_MOD_PATH=$root "$modules" --uninstall || return
	[[ $(modinfo -b "$root" -k "$uname" -n vhost_net) = */kernel/drivers/vhost/vhost_net.ko ]] || return
	tree > "$scratch/after"
	cmp "$scratch/before" "$scratch/after" && [ ! -e "$dir/updates" ] &&
		INSTALL_MOD_PATH=$root "$modules" --uninstall "$kdir" || return
	# The package has its own there.
	install -D /dev/null "$dir/updates/dkms/vhost.ko"
	INSTALL_MOD_PATH=$root fails_with "vdpa-cvq-dkms has its modules in $dir/updates/dkms" "$modules" --install "$kdir" &&
		[ ! -e "$dir/updates/vdpa-cvq" ]
}

# A machine without a compiler is told what to run; one that has what the modules need, and neither apt nor QEMU, is asked for
# nothing.
tools() {
	local few=$scratch/path
	mkdir "$few" && ln -s /usr/bin/* /usr/sbin/* "$few/" 2> /dev/null
	rm -f "$few"/{id,make,gcc,dpkg*,apt*,qemu*}
	printf '#!/bin/sh\necho 1000\n' > "$few/id"
	chmod +x "$few/id"
	PATH=$few fails_with "there is no make; as root, run: $top/scripts/deps modules" "$modules" --build "$kdir" &&
		PATH=$few fails_with "missing: make gcc ; as root, run: $top/scripts/deps modules" "$top/scripts/deps" modules &&
		PATH=$few CC=a-compiler fails_with "missing: make ; as root" "$top/scripts/deps" modules || return
	ln -s "$(command -v make)" "$(command -v gcc)" "$few/"
	PATH=$few "$top/scripts/deps" modules > "$scratch/words" 2>&1 && [ ! -s "$scratch/words" ] || { cat "$scratch/words"; return 1; }
}

# parent GOAL ARG...: makes that of a parent driver outside of the kernel's tree, which is for both headers.
parent() {
	local dir=$scratch/parent
	mkdir -p "$dir"
	cat > "$dir/Kbuild" <<- 'END'
		LINUXINCLUDE := $(addprefix -I,$(SERIES)) $(LINUXINCLUDE)
		obj-m := parent.o
	END
	cat > "$dir/parent.c" <<- 'END'
		#include <linux/module.h>
		#include <linux/vdpa.h>

		#if defined(VDPA_PARENT_API) != IS_ENABLED(WANTED)
		#error "the wrong header"
		#endif

		#ifdef VDPA_PARENT_API
		static int set_map(struct vdpa_device *vdpa, unsigned int asid, struct vhost_iotlb *iotlb)
		#else
		static int set_map(struct vdpa_device *vdpa, struct vhost_iotlb *iotlb)
		#endif
		{
			return 0;
		}

		static const struct vdpa_config_ops ops = { .set_map = set_map };

		struct parent {
			struct vdpa_device vdpa;
		};

		static int __init parent_init(void)
		{
			struct parent *parent;

		#ifdef VDPA_PARENT_API
			parent = vdpa_alloc_device(struct parent, vdpa, NULL, &ops, 1, 1, 1, NULL);
		#else
			parent = vdpa_alloc_device(struct parent, vdpa, NULL, &ops, 1);
		#endif
			return IS_ERR(parent) ? PTR_ERR(parent) : -ENODEV;
		}
		module_init(parent_init);
		MODULE_LICENSE("GPL");
	END
	make -s -C "$kdir" M="$dir" CC="${CC:-gcc}" CONFIG_MODULE_SIG_ALL= "$@"
}

# parents: VDPA_PARENT_API tells the modules' header from the kernel's own. Nothing but that tells them apart here.
parents() {
	local ours=$top/build/modules/$uname
	parent modules SERIES="$ours/include $ours/include/uapi" KBUILD_EXTRA_SYMBOLS="$ours/Module.symvers" KCFLAGS=-DWANTED=1 &&
		[ -e "$scratch/parent/parent.ko" ] && parent clean && parent parent.o
}

# In the VM: modules of both kinds; neither takes the other's.
inside='
	own=/lib/modules/$(uname -r)/kernel/drivers/vhost ours=/lib/modules/$(uname -r)/updates/vdpa-cvq/drivers
	refused() {
		! insmod "$1" 2> /run/words && dmesg | grep "$2: disagrees about version of symbol" ||
			{ cat /run/words; echo "$1 was taken"; exit 1; }
	}
	insmod $own/vhost_iotlb.ko && insmod $own/vhost.ko && modprobe irqbypass || exit 1
	refused $ours/vhost/vhost_net.ko vhost_net
	refused $ours/vhost/vringh.ko vringh
	rmmod vhost vhost_iotlb || exit
	modprobe tun && modprobe vhost || exit
	refused $own/vhost_net.ko vhost_net
	modprobe vhost_vsock && modprobe vhost_net && modprobe vhost_scsi &&
		modprobe -a vdpa_sim_net virtio_vdpa vhost_vdpa ifcvf mlx5_vdpa
'
mixed() { "$top/scripts/vm" --stock amd64 -- bash -c "$inside"; }

# The modules are where make test has put them; what is built here for another kernel lies elsewhere.
check 'amd64: all modules' a_flavour amd64 "$all"
check 'cloud-amd64: all modules' a_flavour cloud-amd64 "$all"
check 'rt-amd64: all modules' a_flavour rt-amd64 "$all"
check "a parent driver for these modules and the kernel's own" parents
check 'a kernel with vhost built in' built_in
check 'kernels that lack what some modules need' lacking
check 'kernels that they are not for: one line each' refused
check 'they come and go without a trace' come_and_go
check 'what is missing on this machine' tools
check "the kernel's own modules and these don't mix" mixed
finish
