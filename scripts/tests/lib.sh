# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced by the tests of this folder: TAP output, and a toy repository to work on.
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
unset "${!GIT_@}" "${!VM_@}" KERNEL_DIR LINUX 2> /dev/null || true
tests=0 failures=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP

# check NAME COMMAND ARG...: one test; the command's output is shown when it fails.
check() {
	local name=$1 result=ok
	shift
	"$@" > "$scratch/output" 2>&1 || result='not ok'
	tests=$((tests + 1))
	echo "$result $tests - $name"
	[ "$result" = ok ] || { failures=$((failures + 1)); sed 's/^/# /' "$scratch/output"; }
}

# skip NAME WHY
skip() {
	tests=$((tests + 1))
	echo "ok $tests - $1 # SKIP $2"
}

# fails_with TEXT COMMAND ARG...: it fails, its last words are one line with TEXT in it.
fails_with() {
	local text=$1
	shift
	if "$@" > "$scratch/words" 2>&1; then
		echo "'$*' succeeded"
		return 1
	fi
	tail -1 "$scratch/words" | grep -F -e "$text" > /dev/null ||
		{ echo "no '$text' at the end of:"; cat "$scratch/words"; return 1; }
}

# finish: the plan, and the exit status.
finish() {
	echo "1..$tests"
	[ "$failures" = 0 ]
}

# toy DIR: a repository like this one, with an empty series and the folder toys, on a kernel of four files.
toy() {
	local repo=$1 linux=$1.linux
	mkdir -p "$repo/patches" "$linux/drivers/toy"
	cp -r "$top/scripts" "$top/Makefile" "$repo/"
	printf 'VERSION = 5\nPATCHLEVEL = 10\nSUBLEVEL = 1\n' > "$linux/Makefile"
	seq 1 60 > "$linux/drivers/toy/core.c"
	seq 100 160 > "$linux/drivers/toy/old.c"
	seq 200 260 > "$linux/drivers/toy/replaced.c"
	: > "$repo/patches/series"
	printf 'Version: 5.10.1-1\nSHA256: none\n' > "$repo/patches/BASE"
	mkdir "$repo/patches/toys"
	printf 'Toys for 5.10\n\nThey are for children.\n' > "$repo/patches/toys/COVER"
	git init -q "$repo"
	git -C "$repo" config user.name 'A Tester'
	git -C "$repo" config user.email tester@example.org
}
