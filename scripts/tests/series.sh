#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of make tree, make refresh and make series on a toy kernel: round trips, and what is refused.
. "$(dirname "$0")/lib.sh"

repo=$scratch/repo
toy "$repo"
export LINUX=$repo.linux
linux=$repo/build/linux
d=drivers/toy
export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x@example.org GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x@example.org

# commit MESSAGE: everything in build/linux.
commit() { git -C "$linux" add -A && git -C "$linux" commit -qm "$1"; }

# state: the trees and messages of the series.
state() { git -C "$linux" log --reverse --format='%T %B' base..HEAD; }

# amend SUBJECT COMMAND: changes the commit of that subject, and rebases the rest onto it.
amend() {
	local target tip
	target=$(git -C "$linux" log --format=%H --grep="^$1\$" base..HEAD) tip=$(git -C "$linux" rev-parse HEAD)
	git -C "$linux" checkout -q --detach "$target" &&
		(cd "$linux" && eval "$2") &&
		git -C "$linux" commit -qa --amend --no-edit &&
		git -C "$linux" rebase -q --onto HEAD "$target" "$tip" &&
		git -C "$linux" checkout -q -B series HEAD
}

build_series() {
	"$repo/scripts/tree" || return
	(
		cd "$linux" || exit
		sed -i 's/^30$/thirty/' $d/core.c && commit 'toy: spell a number

For the test.' || exit
		seq 1 40 > $d/new.c && chmod +x $d/new.c && sed -i 's/^5$/five/' $d/core.c && commit 'toy: bring a driver

It comes whole.

Carries: drivers/toy/new.c' || exit
		sed -i 's/^210$/two hundred and ten/' $d/replaced.c && commit 'toy: keep the old one building' || exit
		git rm -q $d/old.c && seq 300 340 > $d/replaced.c && commit 'toy: replace and remove

Carries: drivers/toy/replaced.c
Removes: drivers/toy/old.c' || exit
		sed -i 's/^20$/twenty/' $d/new.c && sed -i 's/^320$/x/' $d/replaced.c && sed -i 's/^50$/fifty/' $d/core.c &&
			commit 'toy: change all of them'
	) && "$repo/scripts/refresh"
}

# The whole files are what the tree has at its end, the patches don't hold them.
whole_files() {
	cmp "$repo/$d/new.c" "$linux/$d/new.c" && [ -x "$repo/$d/new.c" ] && cmp "$repo/$d/replaced.c" "$linux/$d/replaced.c" &&
		[ ! -e "$repo/$d/core.c" ] && ! grep -l -e '--- a/drivers/toy/old.c' "$repo"/patches/* &&
		! grep new.c "$repo/patches/toy-bring-a-driver.patch" | grep -v Carries &&
		grep -q '^+++ b/drivers/toy/new.c' "$repo/patches/toy-change-all-of-them.patch"
}

# again: the same trees and messages come out of the files here alone.
again() {
	state > "$scratch/before"
	rm -rf "$repo/build"
	"$repo/scripts/tree" && state > "$scratch/after" && diff "$scratch/before" "$scratch/after"
}

same_commits() {
	local first
	first=$(git -C "$linux" rev-parse HEAD)
	rm -rf "$repo/build"
	"$repo/scripts/tree" && [ "$first" = "$(git -C "$linux" rev-parse HEAD)" ]
}

nothing_to_do() {
	touch -d '1 hour ago' "$linux/$d/core.c" "$linux/.git/HEAD"
	local before
	before=$(stat -c '%Y %i' "$linux/$d/core.c" "$linux/.git/HEAD")
	"$repo/scripts/tree" && [ "$before" = "$(stat -c '%Y %i' "$linux/$d/core.c" "$linux/.git/HEAD")" ]
}

# A carried file changes in an early commit, a patched one in a late commit.
edit_both_ends() {
	amend 'toy: bring a driver' "sed -i 's/^3\$/three/' $d/new.c" &&
		amend 'toy: change all of them' "sed -i 's/^55\$/fifty-five/' $d/core.c" &&
		"$repo/scripts/refresh" && again && grep -q '^three$' "$repo/$d/new.c" &&
		git -C "$linux" show HEAD~3:$d/new.c | grep -q '^three$' &&
		grep -q fifty-five "$repo/patches/toy-change-all-of-them.patch"
}

# Groups of patches/series stay where their entries are.
comments() {
	sed -i -e '1i # Toys for 5.10\n#\n# They are for children.\n' -e '/bring/i # The driver' "$repo/patches/series"
	"$repo/scripts/tree" && git -C "$linux" commit -q --amend -m 'toy: change everything' && "$repo/scripts/refresh" && again &&
		[ "$(grep -n -A1 '^# The driver' "$repo/patches/series" | tail -1)" = "7-toy-bring-a-driver.patch" ] &&
		[ "$(tail -1 "$repo/patches/series")" = toy-change-everything.patch ] && [ ! -e "$repo/patches/toy-change-all-of-them.patch" ]
}

# An edit of a whole file here reaches the end of the tree, and every earlier version.
edit_here() {
	sed -i 's/^38$/thirty-eight/' "$repo/$d/new.c"
	"$repo/scripts/tree" && git -C "$linux" show HEAD~3:$d/new.c | grep -q thirty-eight && again
}

trailers_by_themselves() {
	seq 7 > "$linux/$d/late.c"
	git -C "$linux" rm -q $d/core.c
	commit 'toy: one more file' && "$repo/scripts/refresh" && cmp "$linux/$d/late.c" "$repo/$d/late.c" &&
		grep -qx "Carries: $d/late.c" "$repo/patches/toy-one-more-file.patch" &&
		grep -qx "Removes: $d/core.c" "$repo/patches/toy-one-more-file.patch" && "$repo/scripts/tree" &&
		git -C "$linux" reset -q --hard HEAD~ && "$repo/scripts/refresh" && [ ! -e "$repo/$d/late.c" ] && again
}

mails() {
	local clone=$scratch/clone
	"$repo/scripts/export" && rm -rf "$clone" && git clone -q "$linux" "$clone" && git -C "$clone" checkout -q --detach base &&
		git -C "$clone" am -q "$repo"/build/series/*.patch &&
		[ "$(git -C "$clone" rev-parse "HEAD^{tree}")" = "$(git -C "$linux" rev-parse "HEAD^{tree}")" ] &&
		[ "$(git -C "$clone" log --format=%T base..)" = "$(git -C "$linux" log --format=%T base..)" ] &&
		[ "$(git -C "$clone" log --format=%s%an base..)" = "$(git -C "$linux" log --format='%sA Tester' base..)" ] &&
		git -C "$clone" log -1 | grep -q 'Signed-off-by: A Tester <tester@example.org>' &&
		! git -C "$clone" log | grep -E 'Carries:|Removes:' &&
		grep -q '^Subject: \[PATCH 5.10 0/5\] Toys for 5.10' "$repo/build/series/0000-cover-letter.txt" &&
		grep -q '^They are for children.' "$repo/build/series/0000-cover-letter.txt" &&
		grep -q '^The driver' "$repo/build/series/0000-cover-letter.txt"
}

#X
unrefreshed_commit() {
	seq 3 > "$linux/$d/more.c"
	commit 'toy: unrefreshed' && "$repo/scripts/tree" && [ -e "$linux/$d/more.c" ] &&
		echo '# x' >> "$repo/patches/series" && "$repo/scripts/tree" &&
		echo 99 >> "$repo/$d/new.c" &&
		fails_with "run 'make refresh'" "$repo/scripts/tree" && [ -e "$linux/$d/more.c" ] &&
		git -C "$linux" reset -q --hard HEAD~ && sed -i '$d' "$repo/$d/new.c"
}

uncommitted() {
	echo x >> "$linux/$d/new.c" && echo 99 >> "$repo/$d/new.c" &&
		fails_with 'not committed' "$repo/scripts/tree" && fails_with 'not committed' "$repo/scripts/refresh" &&
		git -C "$linux" checkout -q . && sed -i '$d' "$repo/$d/new.c"
}

both_sides() {
	"$repo/scripts/tree" && sed -i 's/^39$/here/' "$repo/$d/new.c" && sed -i 's/^38$/there/; s/^thirty-eight$/there/' "$linux/$d/new.c" &&
		commit 'toy: conflict' && fails_with 'changed both here and in build/linux' "$repo/scripts/refresh" &&
		git -C "$linux" reset -q --hard HEAD~ && sed -i 's/^here$/39/' "$repo/$d/new.c"
}

broken_patch() {
	cp "$repo/patches/toy-spell-a-number.patch" "$scratch/keep"
	sed -i 's/^-30$/-31/' "$repo/patches/toy-spell-a-number.patch"
	fails_with "patches/toy-spell-a-number.patch doesn't apply" "$repo/scripts/tree" || return
	cp "$scratch/keep" "$repo/patches/toy-spell-a-number.patch"
}

broken_whole_file() {
	sed -i 's/^twenty$/twenty-one/' "$repo/$d/new.c"
	fails_with "patches/toy-change-everything.patch: its hunks on carried files don't go backwards" "$repo/scripts/tree" || return
	sed -i 's/^twenty-one$/twenty/' "$repo/$d/new.c"
}

missing_whole_file() {
	mv "$repo/$d/new.c" "$scratch/keep"
	fails_with "carries drivers/toy/new.c, which is not in the repository" "$repo/scripts/tree" || return
	mv "$scratch/keep" "$repo/$d/new.c"
}

wrong_version() {
	sed -i 's/PATCHLEVEL = 10/PATCHLEVEL = 11/' "$repo.linux/Makefile"
	fails_with "is Linux 5.11, not a Linux 5.10.y tree" "$repo/scripts/tree" || return
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

no_identity() {
	git -C "$repo" config --unset user.name
	HOME=$scratch XDG_CONFIG_HOME=$scratch fails_with 'set user.name and user.email' "$repo/scripts/export"
}

check 'a series made in build/linux is written back' build_series
check 'whole files are stored whole, and in no patch' whole_files
check 'the tree made anew has the same trees and messages' again
check 'equal files give equal commits' same_commits
check 'nothing is done when nothing has changed' nothing_to_do
check 'a whole file changed early and a patched file changed late round-trip' edit_both_ends
check 'comments of patches/series stay with their entries' comments
check 'a whole file edited here reaches every version' edit_here
check 'new and deleted files get their trailers' trailers_by_themselves
check 'the exported series applies with git am, and gives the same trees' mails
check 'a commit that is not refreshed is kept' unrefreshed_commit
check 'changes that are not committed are kept' uncommitted
check 'a whole file changed on both sides is refused' both_sides
check 'an entry that does not apply is named' broken_patch
check 'an entry that does not go backwards is named' broken_whole_file
check 'a whole file that is missing is named' missing_whole_file
check 'a wrong LINUX= gives one line' wrong_version
check 'LINUX= takes a git clone' from_git
check 'no git identity gives one line' no_identity
finish
