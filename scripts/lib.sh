# SPDX-License-Identifier: GPL-2.0
# Sourced by the scripts of this folder: where things are, and how to speak.
# shellcheck shell=bash

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$top/build
# The tree; scripts/tree --thin makes another one.
linux=$build/linux
# A git variable of the caller's (a hook's, say) must not reach the trees here.
unset "${!GIT_@}" 2>/dev/null || true
export PATH=$PATH:/usr/sbin:/sbin

# say WORD...: a line of progress.
say() { printf '== %s\n' "$*" >&2; }

# die WORD...: one line that says what to do, then the end.
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# need_space DIR MEBIBYTES: stop before a full disk does.
need_space() {
	local free
	mkdir -p "$1"
	free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
	[ "$free" -ge "$2" ] ||
		die "only $free MiB free in $1: $2 MiB are needed; free some space and try again"
}

# complaint LOG: what apt, or scripts/apt-suite, says is wrong, for a line of ours.
complaint() {
	sed -n 's/^apt-suite: //p' "$1" | tail -1 | grep . || grep -m1 -E '^(E|W):' "$1" || echo "see $1"
}

# any_tree: the tree, or, where there is none, the thin one, which is enough for the modules and the selftests.
any_tree() { if [ -e "$build/linux/.git" ] || [ ! -e "$build/thin/.git" ]; then echo "$build/linux"; else echo "$build/thin"; fi; }
