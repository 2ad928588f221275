#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the package vdpa-cvq-dkms itself: that it is built from the tree, what is in it, what lintian says. deb.sh installs it.
. "$(dirname "$0")/lib.sh"
work=$top/build/deb

package() { "$top/scripts/deb" && deb=$(echo "$top"/build/vdpa-cvq-dkms_*_all.deb) && [ -e "$deb" ]; }

named() {
	local base
	base=$(git -C "$top/build/linux" config vdpa.version)
	[[ $(dpkg-deb -f "$deb" Version) =~ ^"${base%%-*}"\+cvq[0-9]+$ ]]
}

clean() {
	local output changes
	changes=$work/vdpa-cvq_$(dpkg-deb -f "$deb" Version)_$(dpkg --print-architecture).changes
	output=$(lintian --fail-on error,warning,info,pedantic -I --pedantic --allow-root "$changes" 2>&1)
	local status=$?
	echo "$output"
	[ $status = 0 ] && ! grep -qE '^[EWIP]:' <<< "$output"
}

# By another user, elsewhere, later.
repeats() {
	local first
	first=$(sha256sum < "$deb")
	(umask 077 && TZ=Asia/Kathmandu LC_ALL=C "$top/scripts/deb") && [ "$(sha256sum < "$deb")" = "$first" ]
}

# The rule of udev, the drop-in of systemd and the limits are examples; none is where it would be in force.
off() {
	local file
	dpkg-deb -c "$deb" | awk '{ print $6 }' > "$scratch/files"
	for file in 60-vhost-vdpa.rules vdpa-memlock.conf vdpa-limits.conf; do
		grep -x "./usr/share/doc/vdpa-cvq-dkms/examples/$file" "$scratch/files" || { echo "no $file"; return 1; }
	done
	! grep -E '^\./(etc|lib|usr/lib|run)/' "$scratch/files"
}

check 'make deb' package
check 'its version is that of the base and the series' named
check 'lintian has nothing to say' clean
check 'made again, it is the same' repeats
check 'the examples are off' off
finish
