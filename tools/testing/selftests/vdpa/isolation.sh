#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# isolation.sh TRACE MAPS: counts, from a trace of vhost_vdpa's events and /proc/PID/maps of QEMU,
# what was mapped in which address space: the guest's memory (the memfd backend), or QEMU's own.
# Prints mapped_ASID, guest_ASID, guest_bytes_ASID and shadow_ASID.
set -euo pipefail

perl - "$1" "$2" <<'END'
use strict;
my ($trace, $maps) = @ARGV;
my @guest;
open my $m, '<', $maps or die;
while (<$m>) {
	push @guest, [hex $1, hex $2] if /^([0-9a-f]+)-([0-9a-f]+) .*memory-backend-memfd/;
}
die "no guest memory in $maps\n" unless @guest;
my %n = map { ("mapped_$_", 0, "guest_$_", 0, "guest_bytes_$_", 0, "shadow_$_", 0) } 0, 1;
open my $t, '<', $trace or die;
while (<$t>) {
	next unless /vhost_vdpa_map:/;
	my %f = /(\w+)=(\S+)/g;
	my ($uaddr, $size, $asid) = (hex $f{uaddr}, hex $f{size}, $f{asid});
	my $is_guest = grep { $uaddr < $_->[1] && $uaddr + $size > $_->[0] } @guest;
	$n{"mapped_$asid"}++;
	$n{$is_guest ? "guest_$asid" : "shadow_$asid"}++;
	$n{"guest_bytes_$asid"} += $size if $is_guest;
}
print "$_=$n{$_}\n" for sort keys %n;
END
