#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs every command of the documents, and compares what it prints with what the document says. A
# command is a line of a literal block ('::') that begins with '# '; the lines below it are its
# output, in which '...' stands for anything; as the last line, for any number of lines.
# Environment: DOCUMENTS, the folder, if it isn't found.
. "$(dirname "$0")/lib.sh"

need_root
need "$VDPA" ip perl gcc mkfs.ext4
documents=${DOCUMENTS:-$dir/../../../../Documentation}
[ -e "$documents/admin-guide/vdpa.rst" ] || skip_all "no document: set DOCUMENTS"
modprobe -qn virtio_vdpa || skip_all "no module virtio_vdpa"

# extract FILE: the literal blocks, without their indentation; other blocks aren't run.
extract() {
	awk '
		/^[^ \t].*::$/ || /^::$/ { if ($0 !~ /^\.\. /) { block = 1; next } }
		block && /^[^ \t]/ { block = 0 }
		block && /^\t/ { print substr($0, 2) }
	' "$1"
}

# matches PATTERN TEXT: whether the text is what the document says.
matches() {
	local pattern=$1 rest
	[ "$pattern" ] || { [ -z "$2" ]; return; }
	# Everything is literal but the dots.
	pattern=$(sed -e 's/[][\\^$*+?(){}|]/\\&/g' -e 's/\./\\./g' -e 's/\\\.\\\.\\\./.*/g' <<< "$pattern")
	# Dots that are the last line stand for any number of lines.
	rest=$(sed -z -e 's/\n\.\*\n$/(\\n.*)?/' -e 's/\n$//' <<< "$pattern")
	perl -e 'exit($ARGV[1] =~ /\A(?:$ARGV[0])\n?\z/s ? 0 : 1)' "$rest" "$2"
}

# run FILE LEAST: its commands, at least so many, one after the other, in one shell of their own.
run() {
	local line command='' want='' n=0
	note "$1"
	sim_load
	modprobe -rq vdpa_sim_net
	modprobe -rq vhost_vdpa
	coproc RUNNER { bash 2>&1; }
	while IFS= read -r line; do
		if [[ $line == '# '* ]]; then
			[ -z "$command" ] || one
			command=${line#'# '} want=''
			n=$((n + 1))
		else
			want+=${want:+$'\n'}$line
		fi
	done < <(extract "$1"; echo)
	want=${want%$'\n'}
	[ -z "$command" ] || one
	note "$n commands"
	eval "exec ${RUNNER[1]}>&-"
	wait "$RUNNER_PID" 2> /dev/null
	clean
	[ $n -ge "$2" ] && pass "the document has its commands" || fail "the document has its commands"
}

# one: the command that run is at.
one() {
	local got='' line status=''
	printf '%s\necho "@@status $?"\n' "$command" >&"${RUNNER[1]}"
	# A daemon needs a moment.
	[[ $command != *'&' ]] || sleep 3
	while IFS= read -t 120 -r line <&"${RUNNER[0]}"; do
		[[ $line == '@@status '* ]] && { status=${line#* }; break; }
		got+=${got:+$'\n'}${line%% }
	done
	want=${want%%+($'\n')}
	if [ "$status" = 0 ] && matches "$want" "$got"; then
		pass "$command"
	else
		fail "$command (status ${status:-none})"
		printf '# %s\n' "wanted:" "${want//$'\n'/$'\n'# }" "got:" "${got//$'\n'/$'\n'# }"
	fi
}

clean() {
	echo 1 > /sys/bus/vdpa/drivers_autoprobe
	"$VDPA" dev del vdpa0
	"$VDPA" dev del disk0
	modprobe -rq virtio_vdpa
} 2> /dev/null

shopt -s extglob
tap_begin
trap 'clean; rm -rf "$work"' EXIT
work=$(mktemp -d)
PATH=${VDPA%/*}:$PATH
cd "$out" || exit
run "$documents/admin-guide/vdpa.rst" 30
run "$documents/userspace-api/vhost-vdpa.rst" 7

if modprobe -qn vduse; then
	modprobe -q virtio_blk
	c_code "$documents/userspace-api/vduse.rst" > "$work/ramdisk.c"
	gcc ${HEADERS:+-I"$HEADERS"} -o "$work/ramdisk" "$work/ramdisk.c"
	PATH=$work:$PATH
	run "$documents/userspace-api/vduse.rst" 6
else
	skip "vduse.rst" "no module vduse"
fi
tap_end
