# SPDX-License-Identifier: GPL-2.0
# Sourced by the shell tests: TAP output, the simulator, cleaning up.
# shellcheck shell=bash

dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Programs that are built lie beside the scripts, unless they were built elsewhere.
out=${OUTPUT:-$dir}
export PATH=$PATH:/usr/sbin:/sbin
VDPA=${VDPA:-vdpa}

tap_begun=
tap_count=0
tap_failed=0
tap_skipped=0

tap_begin() { tap_begun=yes; echo "TAP version 13"; }

pass() { tap_count=$((tap_count + 1)); echo "ok $tap_count $*"; }

fail() {
	tap_count=$((tap_count + 1))
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count $*"
}

# skip NAME REASON
skip() {
	tap_count=$((tap_count + 1))
	tap_skipped=$((tap_skipped + 1))
	echo "ok $tap_count $1 # SKIP $2"
}

# check NAME COMMAND...: COMMAND has to succeed.
check() {
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then
		pass "$name"
	else
		fail "$name"
		printf '# %s\n' "command: $*" "${output//$'\n'/$'\n'# }"
	fi
}

# refuse NAME PATTERN COMMAND...: COMMAND has to fail, and to say PATTERN.
refuse() {
	local name=$1 pattern=$2 output
	shift 2
	if output=$("$@" 2>&1); then
		fail "$name"
		echo "# succeeded: $*"
	elif ! grep -qiE -- "$pattern" <<< "$output"; then
		fail "$name"
		printf '# %s\n' "command: $*" "said: ${output//$'\n'/$'\n'# }" "not: $pattern"
	else
		pass "$name"
	fi
}

# equal NAME WANT GOT
equal() {
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1"
		printf '# want: %s\n# got:  %s\n' "${2//$'\n'/$'\n'# }" "${3//$'\n'/$'\n'# }"
	fi
}

# contains NAME PATTERN TEXT
contains() {
	if grep -qE -- "$2" <<< "$3"; then
		pass "$1"
	else
		fail "$1"
		printf '# no match for: %s\n# in: %s\n' "$2" "${3//$'\n'/$'\n'# }"
	fi
}

# lacks NAME PATTERN TEXT
lacks() {
	if grep -qE -- "$2" <<< "$3"; then
		fail "$1"
		printf '# matches: %s\n# in: %s\n' "$2" "${3//$'\n'/$'\n'# }"
	else
		pass "$1"
	fi
}

note() { printf '# %s\n' "$@"; }

tap_end() {
	echo "1..$tap_count"
	note "passed $((tap_count - tap_failed - tap_skipped)), failed $tap_failed, skipped $tap_skipped"
	[ $tap_failed = 0 ] || exit 1
	[ $tap_count -gt $tap_skipped ] || exit 4
	exit 0
}

# skip_all REASON: there is nothing to test here.
skip_all() {
	[ -n "$tap_begun" ] || tap_begin
	echo "1..0 # SKIP $*"
	exit 4
}

need_root() { [ "$(id -u)" = 0 ] || skip_all "needs root"; }

need() {
	local tool
	for tool in "$@"; do
		command -v "$tool" > /dev/null || skip_all "no program '$tool'"
	done
}

# sim_load [PARAMETER...]: the simulator with these parameters, no device left from before.
sim_load() {
	[ -z "${VDPA_DEVICE:-}" ] || skip_all "needs to add devices of the simulator"
	modprobe -q vhost_vdpa || skip_all "no module vhost_vdpa"
	modprobe -rq vdpa_sim_net || true
	modprobe -rq vdpa_sim_blk || true
	modprobe -rq vdpa_sim || true
	modprobe -q vdpa_sim "$@" || skip_all "no module vdpa_sim"
	modprobe -q vdpa_sim_net || true
}

# vhost_dev NAME: the path of its character device.
vhost_dev() {
	local node
	for node in "/sys/bus/vdpa/devices/$1"/vhost-vdpa-*; do
		[ -e "$node" ] && echo "/dev/${node##*/}"
	done
}

# pinned: the pages that are pinned for long now, all over the machine.
pinned() {
	echo 1 > /proc/sys/vm/stat_refresh
	awk '/^nr_foll_pin_acquired/ { a = $2 } /^nr_foll_pin_released/ { r = $2 }
	     END { print a - r }' /proc/vmstat
}

# trace_lost TRACEFS: the events that its buffers had no room for, since they were emptied.
trace_lost() {
	awk -F: '/^(overrun|commit overrun|dropped events):/ { n += $2 } END { print n }' "$1"/per_cpu/cpu*/stats
}

# c_code DOCUMENT: its blocks of C, one after the other: '.. code-block:: c' and what is indented.
c_code() {
	awk '
		/^\.\. code-block:: c$/ { code = 1; next }
		code && /^[^ \t]/ { code = 0 }
		code && /^[ \t]+:/ { next }
		code { sub(/^(\t|    |   )/, ""); print }
	' "$1"
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@" > /dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}
