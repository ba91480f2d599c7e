#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Attaching to a process is reported after the change, when the process and its parent may have been reaped and freed. Then there
# is nothing to report. A kernel with KASAN shows whether the probe reads freed memory: see tests/vm/debug.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Genl;
use Guest;
use Test::More;

use constant ROUNDS => 20;

# There, timers and RCU are served by threads, which the realtime process would hold, too.
plan skip_all => 'the kernel has PREEMPT_RT' if -e '/sys/kernel/realtime';
# In other kernels it would show nothing, and the realtime process can hold a grace period of RCU.
plan skip_all => 'the kernel has no KASAN' if system q(grep -q ' kasan_report$' /proc/kallsyms);

# A realtime process holds the tracer.
system 'sysctl', '-qw', 'kernel.sched_rt_runtime_us=-1';
ok(load(), 'the module loads');
my $genl = Genl->new(buffer => 16 << 20);
$genl->join_group;
is($genl->start('ptrace'), 0, 'START');
my $program = "$Bin/../../../build/tests/vm/reaped-tracee";
chomp(my $held = qx($program @{[ROUNDS]}));
is($?, 0, 'processes are attached to, and reaped');
cmp_ok($held, '>', 0, "before it was reported: $held times");
my @ptrace = grep { $_->{TYPE} eq 'ptrace' } $genl->records(0.5);
cmp_ok(scalar @ptrace, '<=', ROUNDS - $held, 'of these nothing is reported');
undef $genl;
ok(unload(), 'the module unloads');
done_testing;
