#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Listeners START and STOP while the module is unloaded: a late START must not arm a hook that is never disarmed. A hook that
# is left behind crashes the kernel after the module's memory is freed, so processes are started after each unload.
use strict;
use warnings;
use Errno 'ESHUTDOWN';
use FindBin '$Bin';
use lib $Bin;
use Genl;
use Guest;
use POSIX ();
use Test::More;
use Time::HiRes 'time';

use constant { ROUNDS => 10, LISTENERS => 4 };

# START and STOP until the module is being unloaded, which a refused START shows. Then one listener STOPs while another still
# has types armed. Ends with 1 if this STOP succeeded.
sub come_and_go {
    my ($stays, $leaves, $changes) = map { Genl->new } 1 .. 3;
    $_->start(qw(fork exec exit id session)) for $stays, $leaves;
    for (my $until = time + 20; time < $until;) {
        my $error = $changes->start(qw(fork exit chroot));
        return $leaves->stop == 0 ? 1 : 0 if $error == ESHUTDOWN;
        return 0 if $error;
        $changes->stop;
    }
    return 2;
}

my ($loaded, $unloaded, $late) = (0, 0, 0);
for (1 .. ROUNDS) {
    $loaded += load(ring => 64, grace => 0);
    my @listeners = map {
        my $pid = fork // die "fork: $!\n";
        POSIX::_exit(eval { come_and_go() } // 3) if !$pid;
        $pid
    } 1 .. LISTENERS;
    my $watcher = Genl->new;
    my $until   = time + 20;
    select undef, undef, undef, 0.02 until ($watcher->status // {})->{LISTENERS} >= 2 * LISTENERS || time > $until;
    $unloaded += unload();
    for (@listeners) {
        waitpid $_, 0;
        $late++ if $? >> 8 == 1;
    }
    workload('burst=50');
}
is($loaded,   ROUNDS, 'it was loaded ' . ROUNDS . ' times');
is($unloaded, ROUNDS, 'and unloaded, with any listeners');
cmp_ok($late, '>', 0, "a listener closed during unloading: $late times");
unlike(scalar(qx(dmesg)), qr/cannot be (?:dis)?armed/, 'this did not arm anything');
done_testing;
