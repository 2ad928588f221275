#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of what a user reads when the machine isn't as it should be: one line that says what to do.
. "$(dirname "$0")/lib.sh"

repo=$scratch/repo
toy "$repo"
chmod 755 "$scratch"

# A mirror that can't be reached.
offline() { http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 "$@"; }

# stub PROGRAM TEXT: a program of that name that says something else.
stub() {
	mkdir -p "$scratch/bin"
	printf '#!/bin/sh\n%s\n' "$2" > "$scratch/bin/$1"
	chmod +x "$scratch/bin/$1"
}

# one_line: as fails_with, and what was said is the progress ('== ...') and one line.
one_line() {
	fails_with "$@" && [ "$(grep -cv '^== ' "$scratch/words")" = 1 ] || { cat "$scratch/words"; return 1; }
}

no_suite() { one_line "the suite bullseye-security can't be reached" offline "$repo/scripts/tree"; }

no_old_qemu() {
	stub qemu-system-x86_64 'echo "QEMU emulator version 7.2.0 (Debian)"'
	PATH=$scratch/bin:$PATH one_line "QEMU 8.1 or newer can't be installed: the suite " offline "$repo/scripts/deps" run
}

no_root() {
	stub dpkg-query 'echo unknown'
	PATH=$scratch/bin:$PATH one_line 'as root, run: make -C ' setpriv --reuid 65534 --clear-groups env HOME=/ "$repo/scripts/deps" run
}

quiet() {
	local output
	output=$("$top/scripts/deps" test 2>&1) && [ -z "$output" ] || { echo "$output"; return 1; }
	offline "$top/scripts/deps" test
}

full_disk() {
	mkdir "$scratch/small"
	# In a mount namespace of its own.
	# shellcheck disable=SC2016
	one_line 'free some space and try again' unshare -m bash -c '
		mount -t tmpfs -o size=20m small "$1" && cp -r "$2/." "$1" && "$1/scripts/tree"' - "$scratch/small" "$repo"
}

bad_download() {
	mkdir -p "$repo/build/download"
	echo nonsense > "$repo/build/download/linux-source-5.10_5.10.1-1_all.deb"
	fails_with "hasn't the SHA-256 of patches/BASE: delete it and try again" "$repo/scripts/tree" || return
	sed -i "s/^SHA256: .*/SHA256: $(echo nonsense | sha256sum | cut -d' ' -f1)/" "$repo/patches/BASE"
	fails_with "doesn't unpack: delete it and try again" "$repo/scripts/tree" || return
	rm "$repo"/build/download/*.deb
}

no_tree() {
	one_line "run 'make tree'" "$repo/scripts/refresh" && one_line "run 'make kernel'" "$repo/scripts/vm" -- true
}

check 'a suite that cannot be reached' no_suite
check 'a QEMU that is too old, and no network' no_old_qemu
if [ "$(id -u)" = 0 ]; then
	check 'not root' no_root
	if unshare -m true 2> /dev/null; then
		check 'a full disk' full_disk
	else
		skip 'a full disk' 'no mount namespaces here'
	fi
else
	skip 'not root' 'needs root'
	skip 'a full disk' 'needs root'
fi
check 'a download that is broken' bad_download
check 'no tree, no kernel yet' no_tree
check 'nothing to install: silent, without network' quiet
finish
