#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of scripts/vm: what comes out of the VM, what makes it fail, and that nothing stays behind.
. "$(dirname "$0")/lib.sh"
vm=$top/scripts/vm

# expect STATUS COMMAND...: it ends with that status.
expect() {
	local want=$1 status=0
	shift
	"$@" > "$scratch/out" 2> "$scratch/err" < /dev/null || status=$?
	[ "$status" = "$want" ] || { echo "status $status, not $want"; cat "$scratch/out" "$scratch/err"; return 1; }
}

# One VM for what a command sees.
inside='
	echo to stdout; echo to stderr >&2; echo once more > /dev/stdout
	pwd
	touch /etc/x 2> /dev/null && echo etc is writable
	for d in /run /tmp /mnt /root /var/tmp; do touch $d/x || echo $d is not writable; done
	[ "$(id -u)" = 0 ] && command -v modprobe ip mount > /dev/null || echo no root, no tools
	modprobe vdpa && [ -d /sys/module/vdpa ] || echo no module
	[ -d /sys/kernel/debug/tracing ] && [ -d /sys/kernel/tracing/events ] || echo no tracing
	[ -t 0 ] && echo stdin is a terminal; cat
	seq 200000 | tee /tmp/numbers | cat; md5sum < /tmp/numbers >&2
	sleep 1000 & exit 7'
a_command() {
	local here=$scratch/here
	mkdir "$here"
	cd "$here" && expect 7 "$vm" -- bash -c "$inside" && cd / || return
	seq 200000 > "$scratch/numbers"
	cmp <(printf '%s\n' 'to stdout' 'once more' "$here"; cat "$scratch/numbers") "$scratch/out" &&
		cmp <(echo 'to stderr'; md5sum < "$scratch/numbers") "$scratch/err"
}

arguments() {
	expect 0 "$vm" --qemu '-device virtio-rng-pci -smp 3' --log "$scratch/log" -- printf '%s\n' "a  b" "c'd" '$e' '' '*' &&
		cmp <(printf '%s\n' "a  b" "c'd" '$e' '' '*') "$scratch/out" && grep -q '3 CPUs' "$scratch/log"
}

# interrupted SIGNAL: scripts/vm ends soon after that signal, with its QEMU.
interrupted() {
	local pid target dir i
	mark=mark-$1-$$
	setsid bash -c 'trap - INT; exec "$@"' - "$vm" -- bash -c "echo $mark; sleep 1000" > "$scratch/out" 2>&1 < /dev/null &
	pid=$!
	for ((i = 0; i < 600; i++)); do
		! grep -q "$mark" "$scratch/out" || break
		sleep 0.2
	done
	grep -q "$mark" "$scratch/out" || { echo "it didn't start"; return 1; }
	dir=$(grep -lF "$mark" "$top"/build/vm/*/command)
	dir=${dir%/command}
	# A terminal tells everyone, who else sends a signal means the script.
	target=$pid
	[ "$1" != INT ] || target=-$pid
	kill "-$1" -- "$target"
	wait "$pid"
	sleep 0.5
	! grep -lF "path=$dir" /proc/[0-9]*/cmdline 2> /dev/null || { echo "QEMU lives on"; return 1; }
	[ "$1" = KILL ] && rm -r "$dir" || [ ! -e "$dir" ]
}

# The clock counts instructions: one loop takes the same time in two VMs.
icount() {
	local loop='a=$EPOCHREALTIME; for ((i = 0; i < 200000; i++)); do :; done; b=$EPOCHREALTIME; echo $((${b/./} - ${a/./}))' first second
	first=$("$vm" --icount -- bash -c "$loop") && second=$("$vm" --icount -- bash -c "$loop") || return
	echo "$first us, $second us"
	[ $(((first - second) * 200 / first)) = 0 ]
}

# Every kind of report is seen, and what a healthy kernel says isn't one.
reports() {
	local line lines=0 missed=0
	while read -r line; do
		echo "[    1.000000] $line" > "$scratch/log"
		"$vm" --scan "$scratch/log" > /dev/null 2>&1 && { echo "missed: $line"; missed=1; }
		lines=$((lines + 1))
	done <<- 'END'
		BUG: kernel NULL pointer dereference, address: 0000000000000010
		kernel BUG at drivers/vhost/vdpa.c:100!
		WARNING: CPU: 0 PID: 1 at kernel/x.c:1 f+0x1/0x2
		WARNING: possible circular locking dependency detected
		WARNING: inconsistent lock state
		WARNING: suspicious RCU usage
		Oops: 0000 [#1] SMP
		Kernel panic - not syncing: Attempted to kill init!
		general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] SMP
		BUG: KASAN: use-after-free in f+0x1/0x2
		UBSAN: array-index-out-of-bounds in lib/x.c:1:2
		kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
		kmemleak: unreferenced object 0xffff888012345678 (size 64):
		INFO: task vdpa:123 blocked for more than 120 seconds.
		INFO: trying to register non-static key.
		rcu: INFO: rcu_sched self-detected stall on CPU
		BUG: sleeping function called from invalid context at mm/slab.h:1
		BUG: scheduling while atomic: a/1/0x00000002
		BUG: Bad page state in process a  pfn:12345
		watchdog: BUG: soft lockup - CPU#0 stuck for 22s!
		refcount_t: underflow; use-after-free.
		sysfs: cannot create duplicate filename '/bus/vdpa'
		list_add corruption. next->prev should be prev
		ODEBUG: free active (active state 0) object type: timer_list
		------------[ cut here ]------------
	END
	cat > "$scratch/log" <<- 'END'
		[    0.000000] kasan: KernelAddressSanitizer initialized
		[    0.000000] Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar
		[    0.000000] kmemleak: Kernel memory leak detector initialized (mem pool available: 15000)
		[    0.000000] rcu: RCU lockdep checking is enabled.
		[    0.000000] DEBUG mode
	END
	"$vm" --scan "$scratch/log" && [ $missed = 0 ] && [ $lines = 25 ]
}

# splat TEXT OPTION... -- COMMAND: it fails with 99 although COMMAND succeeds, and shows TEXT.
splat() {
	local text=$1
	shift
	expect 99 "$vm" "$@" && grep -q "$text" "$scratch/err" || { cat "$scratch/err"; return 1; }
}

# A VM that doesn't come to the command is booted a second time, not a third time.
no_boot() {
	VM_BOOT_LIMIT=1 expect 98 "$vm" -- true && cmp <(cut -d, -f1 "$scratch/err" | grep -v '^vm: |') - <<- 'END'
		vm: no command after 1 s
		vm: no command after 1 s again: given up
	END
}

usage() {
	fails_with "unknown option '--nonsense'" "$vm" --nonsense -- true &&
		fails_with 'no command' "$vm" --debug &&
		KERNEL_DIR=/nowhere fails_with "run 'make kernel'" "$vm" -- true
}

check 'output, status, folder, file systems, modules' a_command
check 'arguments reach the command and QEMU unchanged' arguments
check 'every kind of report is recognised' reports
check 'a command that never ends is given up' expect 98 "$vm" --timeout 20 -- sleep 1000
check 'a VM that does not boot is booted once more' no_boot
check 'a VM that ends early is no success' expect 98 "$vm" -- sh -c 'echo o > /proc/sysrq-trigger; sleep 100'
check 'a crash is no success' splat 'sysrq: Trigger a crash' -- sh -c 'echo c > /proc/sysrq-trigger; sleep 100'
check 'Ctrl-C leaves nothing running' interrupted INT
check 'SIGTERM leaves nothing running' interrupted TERM
check 'SIGKILL leaves nothing running' interrupted KILL
check 'with --icount, figures repeat' icount
export VM_LEAKS=no
check 'KASAN: a report makes it fail' splat 'BUG: KASAN: ' --debug -- sh -c 'modprobe test_kasan_module; true'
check 'UBSAN: a report makes it fail' splat 'UBSAN: ' --debug -- sh -c 'modprobe test_ubsan; true'
unset VM_LEAKS
check 'kmemleak: a leak makes it fail' splat 'kmemleak: unreferenced object' --debug -- modprobe kmemleak-test
check 'mistakes in the call give one line' usage
finish
