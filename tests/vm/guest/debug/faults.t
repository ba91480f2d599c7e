#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A module with faults (tests/vm/debug/fault.c) shows that each check of the kernel works.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Test::More;
use Watch;

sub fault {
    my ($what) = @_;
    system "dmesg -C; insmod $Bin/../../../../fault.ko what=$what 2>/dev/null";
    return join '', complaints();
}

sub seen {
    my ($what, $pattern) = @_;
    like(fault($what), $pattern, "seen: $what");
}

is(debug_locks(), 1, 'lockdep looks');
is(taints(), 0, 'the kernel is not tainted');
is_deeply([complaints()], [], 'nor complains');
forget();

seen('sleep',  qr/sleeping function called from invalid context/);
seen('rcu',    qr/suspicious RCU usage/i);
seen('cpu',    qr/BUG: using smp_processor_id\(\) in preemptible/);
seen('object', qr/ODEBUG: free active/);
isnt(taints(), 0, 'the kernel is tainted');
fault('leak');
like(join('', leaks()), qr/size 512.*comm "insmod"/s, 'seen: leak');

# From here on lockdep is disabled.
seen('nesting', qr/Invalid wait context/);
is(debug_locks(), 0, 'lockdep has stopped');
seen('free', qr/KASAN: slab-use-after-free/);
seen('ring', qr/KASAN: vmalloc-out-of-bounds/);
done_testing;
