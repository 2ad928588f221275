#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the repository's own files: the scripts, and that series, whole files and MAINTAINERS agree.
. "$(dirname "$0")/lib.sh"
cd "$top" || exit

shell() {
	local files
	mapfile -t files < <(git ls-files -co --exclude-standard scripts tools .ci | while read -r f; do
		[ ! -f "$f" ] || ! head -1 "$f" | grep -qE '^#!/bin/(ba)?sh' || echo "$f"; done)
	[ ${#files[@]} -gt 5 ] && shellcheck -x "${files[@]}"
}

# Each entry is in patches/series once, and nothing else is in patches/.
entries() {
	diff <(sed 's/#.*//; s/[[:space:]]*$//; /^$/d' patches/series | sort) <(find patches -name '*.patch' -printf '%f\n' | sort)
}

# Each whole file is carried by one entry, and each carried file is here.
carried() {
	diff <(for f in patches/*.patch; do sed '/^---$/,$d' "$f" | sed -n 's/^Carries: *//p'; done | sort) \
		<(git ls-files -co --exclude-standard drivers include tools Documentation net lib | sort)
}

maintainers() {
	[ -s MAINTAINERS ] && scripts/tree && awk -v entry="$(cat MAINTAINERS)" '
		{ text = text $0 "\n" }
		END { exit index(text, "\n" entry "\n\n") == 0 }' build/linux/MAINTAINERS
}

# Nothing here names a mirror or a folder of one machine.
places() {
	! git grep -nIE 'deb\.debian\.org|ftp\.[a-z.]*debian|/work/|/home/' -- . ':!scripts/tests/lint.sh' ':!tools/testing/selftests'
}

license() {
	local file bad=0
	while read -r file; do
		head -3 "$file" | grep -q SPDX-License-Identifier || { echo "$file"; bad=1; }
	done < <(git ls-files scripts drivers include tools .ci Makefile | grep -vE '/(settings|config)$')
	[ $bad = 0 ]
}

ci() { [ -x .ci/run ] && grep -q 'make test' .ci/run && grep -q 'make test' README.md; }

check 'shellcheck has nothing to say' shell
check 'patches/series and patches/ agree' entries
check 'every whole file is carried by one entry' carried
check 'MAINTAINERS is what the series adds' maintainers
check 'no place of one machine is named' places
check 'every file names its license' license
check 'CI runs the command of the README' ci
finish
