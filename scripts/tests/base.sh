#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the base: where it comes from, what making the tree needs, and the move to the next one.
. "$(dirname "$0")/lib.sh"

repo=$scratch/repo
toy "$repo"
linux=$repo/build/linux
d=drivers/toy
export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x@example.org GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x@example.org
chmod 755 "$scratch"

# says TEXT COMMAND ARG...: it succeeds, and says that.
says() {
	local text=$1
	shift
	"$@" > "$scratch/words" 2>&1 && grep -F -e "$text" "$scratch/words" > /dev/null || { cat "$scratch/words"; return 1; }
}

# A mirror of packages made here stands in for apt.
store=$scratch/store
mkdir "$store"
cat > "$repo/scripts/apt-suite" <<- END
	#!/bin/bash
	[ "\$1" != --fresh ] || shift
	case \$2 in
	apt-get) cp "$store/linux-source-5.10_\${5#*=}_all.deb" . ;;
	*) case \$3 in
		madison) ls -r "$store" | sed 's/^\\(.*\\)_\\(.*\\)_all.deb/ \\1 | \\2 | somewhere/' ;;
		show) echo "SHA256: \$(sha256sum < "$store/linux-source-5.10_\${4#*=}_all.deb" | cut -d' ' -f1)" ;;
		esac ;;
	esac
END

# kernel DIR SUBLEVEL [SED]: the toy kernel as the next version.
kernel() {
	cp -r "$repo.linux" "$1" && sed -i "s/SUBLEVEL = .*/SUBLEVEL = $2/" "$1/Makefile" && sed -i "${3:-}" "$1/$d/core.c"
}

# package SUBLEVEL: as Debian's of that kernel.
package() {
	local root=$scratch/package
	mkdir -p "$root/DEBIAN" "$root/usr/src" && kernel "$scratch/linux-source-5.10" "$1" &&
		tar -C "$scratch" -cJf "$root/usr/src/linux-source-5.10.tar.xz" linux-source-5.10 &&
		printf 'Package: linux-source-5.10\nVersion: 5.10.%s-1\nArchitecture: all\nMaintainer: x <x@y>\nDescription: x\n' "$1" > "$root/DEBIAN/control" &&
		dpkg-deb -Znone -b "$root" "$store/linux-source-5.10_5.10.$1-1_all.deb" > /dev/null && rm -r "$root" "$scratch/linux-source-5.10"
}

# pin SUBLEVEL: in patches/BASE, with the checksum that the package has.
pin() {
	printf 'Version: 5.10.%s-1\nSHA256: %s\n' "$1" "$(sha256sum < "$store/linux-source-5.10_5.10.$1-1_all.deb" | cut -d' ' -f1)" > "$repo/patches/BASE"
}

tags() { git -C "$linux" tag --list 'base*' | paste -sd' '; }

pinned() {
	package 1 && package 2 && pin 1 && says 'entries on Linux 5.10.1-1' "$repo/scripts/tree" && [ "$(tags)" = 'base base-5.10.1-1' ] &&
		! grep -F ', not ' "$scratch/words"
}

another_pin() {
	pin 2 && says 'entries on Linux 5.10.2-1' "$repo/scripts/tree" && [ "$(tags)" = 'base base-5.10.1-1 base-5.10.2-1' ] &&
		git -C "$linux" show base-5.10.1-1:Makefile | grep -q 'SUBLEVEL = 1' && grep -q 'SUBLEVEL = 2' "$linux/Makefile"
}

wrong_checksum() {
	rm -rf "$repo/build" && sed -i 's/^SHA256: .*/SHA256: 0123/' "$repo/patches/BASE" &&
		fails_with "hasn't the SHA-256 of patches/BASE: delete it" "$repo/scripts/tree" && pin 2
}

gone() {
	sed -i 's/^Version: .*/Version: 5.10.1-9/' "$repo/patches/BASE" && says 'on Linux 5.10.2-1, not 5.10.1-9 as in patches/BASE' "$repo/scripts/tree" &&
		grep -qF "bullseye-security doesn't have linux-source-5.10 5.10.1-9 any more: taking the newest there, 5.10.2-1" "$scratch/words" &&
		"$repo/scripts/tree" > "$scratch/words" 2>&1 && [ ! -s "$scratch/words" ]
}

newest() {
	"$repo/scripts/fetch-linux" --pin && cp "$repo/patches/BASE" "$scratch/base" && pin 2 && diff "$repo/patches/BASE" "$scratch/base"
}

wrong_version() {
	sed -i 's/PATCHLEVEL = 10/PATCHLEVEL = 11/' "$repo.linux/Makefile"
	fails_with "is Linux 5.11.1, not a Linux 5.10.y tree" "$repo/scripts/tree" || return
	sed -i 's/PATCHLEVEL = 11/PATCHLEVEL = 10/' "$repo.linux/Makefile"
	LINUX=$scratch/nothing fails_with 'is no folder' "$repo/scripts/tree" &&
		LINUX=$scratch fails_with 'not a Linux 5.10.y tree' "$repo/scripts/tree"
}

from_git() {
	local tree
	"$repo/scripts/tree"
	tree=$(git -C "$linux" rev-parse "HEAD^{tree}")
	git init -q "$repo.linux" && git -C "$repo.linux" add -A && git -C "$repo.linux" commit -qm 'Linux 5.10.1' && rm -rf "$repo/build" &&
		"$repo/scripts/tree" && [ "$tree" = "$(git -C "$linux" rev-parse "HEAD^{tree}")" ] &&
		echo x >> "$repo.linux/Makefile" && fails_with "aren't committed" "$repo/scripts/tree"
}


# The series for the moves: a line changed in a file of the base, and a file that is carried.
a_series() {
	rm -rf "$repo/build" "$repo.linux/.git"
	sed -i '/^x$/d' "$repo.linux/Makefile"
	pin 1 && "$repo/scripts/tree" || return
	sed -i 's/^30$/thirty/' "$linux/$d/core.c" && seq 9 > "$linux/$d/new.c" && git -C "$linux" add -A &&
		git -C "$linux" commit -qm $'toy: spell a number\n\nFolder: toys' && "$repo/scripts/refresh"
}

next_base() {
	kernel "$scratch/next" 2 's/^2$/two/' && LINUX=$scratch/next says "on Linux 5.10.2, not 5.10.1-1 as in patches/BASE" "$repo/scripts/tree" &&
		grep -qx two "$linux/$d/core.c" && grep -qx thirty "$linux/$d/core.c" && [ "$(tags)" = 'base base-5.10.1 base-5.10.2' ]
}

# The steps that a conflict prints are those that are done here.
conflict() {
	local steps
	kernel "$scratch/third" 3 's/^30$/31/'
	export LINUX=$scratch/third
	fails_with "make -C $repo refresh" "$repo/scripts/tree" && fails_with "make -C $repo refresh" "$repo/scripts/tree" || return
	cat "$scratch/words"
	grep -qF "patches/toys/toy-spell-a-number.patch doesn't apply" "$scratch/words" || return
	mapfile -t steps < <(sed -n 's/^    //p' "$scratch/words")
	[ ${#steps[@]} = 3 ] || return
	(
		eval "${steps[0]}" && [ "$PWD" = "$linux" ] || exit
		eval "${steps[1]}" && exit 1
		git show base:$d/core.c | sed 's/^31$/thirty-one/' > $d/core.c && git add $d/core.c && GIT_EDITOR=true git rebase --continue &&
			eval "${steps[2]}"
	) && grep -qx -e '-31' "$repo/patches/toys/toy-spell-a-number.patch" && cmp <(seq 9) "$repo/$d/new.c" &&
		git -C "$linux" show base-5.10.2:Makefile | grep -q 'SUBLEVEL = 2' &&
		rm -rf "$repo/build" && "$repo/scripts/tree" && grep -qx thirty-one "$linux/$d/core.c"
}

# Without a tree on the old base, there is nothing to rebase.
conflict_at_first() {
	rm -rf "$repo/build"
	LINUX=$scratch/next fails_with "first: 'make tree' without LINUX=" "$repo/scripts/tree"
}

# tools: a folder with these programs only: no apt, dpkg, compiler, QEMU, Python.
tools=$scratch/tools
tools() {
	local name
	mkdir "$tools"
	for name in awk basename bash cat chmod cmp cp cut date df dirname env find fold git grep head id ln ls make mkdir mktemp mv \
		paste readlink rm rmdir sed sh sha256sum sort stat tail touch tr true uniq wc xargs; do
		ln -s "$(readlink -f "$(type -P "$name")")" "$tools/$name"
	done
}

# bare COMMAND ARG...: with those programs only, and without rights.
bare() {
	setpriv --reuid 65534 --regid 65534 --clear-groups env -i "PATH=$tools" HOME=/nonexistent "LINUX=${LINUX:-}" "$@"
}

few_tools() {
	local other=$scratch/other
	tools && mkdir "$other" && cp -r "$repo/." "$other" && rm -rf "$other/build" "$other/scripts/apt-suite" &&
		chown -R 65534 "$other" || return
	bare bash -c '! type gcc && ! type apt-get && ! type dpkg && ! type qemu-system-x86_64 && ! type python3' 2> /dev/null &&
		bare make -C "$other" tree && grep -qx thirty-one "$other/build/linux/$d/core.c" &&
		bare make -C "$other" refresh && diff -r "$repo/patches" "$other/patches" &&
		bare make -C "$other" series && [ -s "$other/build/series/toys/0001-toy-spell-a-number.patch" ] || return
	rm "$scratch/tools/git"
	fails_with 'there is no git; as root, run: make -C ' bare "$other/scripts/tree"
}

check 'the pinned version is taken' pinned
check 'another pinned version makes another base, and the old one stays' another_pin
check 'a package that is not the pinned one is refused' wrong_checksum
check 'when the pinned version is gone, the newest is taken' gone
check '--pin names the newest version' newest
export LINUX=$repo.linux
check 'a wrong LINUX= gives one line' wrong_version
check 'LINUX= takes a git clone' from_git
check 'a series on LINUX=' a_series
check 'a next base that fits' next_base
check 'a next base that conflicts: the steps that are printed work' conflict
check 'a base that conflicts, without a tree on the old one' conflict_at_first
if [ "$(id -u)" = 0 ]; then
	check 'tree, refresh, series: git and the source only, no rights' few_tools
else
	skip 'tree, refresh, series: git and the source only, no rights' 'needs root'
fi
finish
