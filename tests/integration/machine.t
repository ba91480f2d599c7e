#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Processors are switched off and on, and the clock is set, while a broker runs: only in a virtual machine.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(now_usec run);
use POSIX ();
use Test::More;

plan(skip_all => 'changes the machine: only in a virtual one') if !$ENV{FORKBUS_VM_GUEST};
Forkbus->needs_root;
Forkbus->needs_connector;

use constant DAY_SEC => 86_400;

my $broker = Forkbus->broker(source => 'connector');
my $stream = $broker->subscribe({ types => ['exit'] });
$stream->wait_ready;

# Make processes that end at once with a status. Return: their pids.
sub make {
    my ($times, $status, @processor) = @_;
    my @pids;
    for (1 .. $times) {
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            exec 'taskset', '-c', $processor[0], 'sh', '-c', "exit $status" if @processor;
            POSIX::_exit($status);
        }
        waitpid $pid, 0;
        push @pids, $pid;
    }
    return @pids;
}

# Their exits: each once, with its status. Return: the events.
sub ended {
    my ($name, $status, @pids) = @_;
    my %seen;
    $stream->wait_for(sub {
        push @{ $seen{ $_->{pid} } }, $_ if $_->{type} eq 'exit';
        $_->{type} eq 'exit' && $_->{pid} == $pids[-1];
    }, "$name: the last exit");
    my @wrong = grep { @{ $seen{$_} // [] } != 1 || $seen{$_}[0]{status}{code} != $status } @pids;
    is("@wrong", '', "$name: each process ends once, with its status");
    return map { $seen{$_}[0] // () } @pids;
}

# --- processors -----------------------------------------------------------------------------------------------------------

my $online = '/sys/devices/system/cpu/cpu1/online';
SKIP: {
    skip 'there is one processor', 6 if !-w $online;
    ended('before', 3, make(20, 3, 1));
    for my $round (1, 2) {
        Forkbus->write_file($online, "0\n");
        ended("off, round $round", 4, make(20, 4));
        Forkbus->write_file($online, "1\n");
        my @events = ended("on again, round $round", 5, make(20, 5, 1));
        is(scalar(grep { !$_->{usage} } @events), 0, 'with their usage') if $broker->status->{source}{taskstats};
    }
}

# --- the clock ------------------------------------------------------------------------------------------------------------

my $begin = now_usec();
for my $days (1, -2, 1) {
    my ($status, undef, $error) = run(['date', '-s', '@' . (time + $days * DAY_SEC)], seconds => 1e6);
    is($status, 0, "the clock is set by $days days") or diag($error);
    my ($event) = ended('then', 6, make(1, 6));
    cmp_ok(abs($event->{timeUsec} - now_usec()), '<', 60e6, 'the time of an event is that of the clock');
    my $age = $event->{bootUsec} - $event->{startUsec};
    cmp_ok($age, '<', 60e6, 'and the age of a process is not changed');
    cmp_ok($age, '>=', 0, 'at all');
}
is(scalar(grep { $_->{type} eq 'lost' } $stream->events), 0, 'nothing is lost');
$broker->stop;
done_testing;
