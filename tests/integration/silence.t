#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Any program can make the proc connector stop sending events to all listeners. The broker notices this by the first exit that
# only taskstats reports, subscribes again, reports the lost events, and finds the processes that started meanwhile. No end of a
# process is missing: taskstats reports it.
#
# This affects all brokers of the machine, so no other test may run at the same time.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(is_exit_of json now_usec run slow);
use Test::More;

Forkbus->needs_root;
Forkbus->needs_connector;

my $silence = Forkbus->helper('silence');
my $broker  = Forkbus->broker(source => 'connector');
my $stream  = $broker->subscribe({});
$stream->wait_ready;

# A workload that includes long-lived processes.
sub holding {
    my ($count) = @_;
    my $workload = Forkbus::Workload->start(arguments => ["hold=$count", 'pause', 'release'])->go;
    my @pids;
    while ((my $reported = $workload->next)->{kind} ne 'pause') {
        push @pids, $reported->{pid};
    }
    return ($workload, @pids);
}

# The exits of a process that lived at a known time. One that only taskstats reports has the time at which it was noticed, and in
# a tool that can be late. Nothing else distinguishes it from one of the next process with its pid.
use constant NOTICED_USEC => slow() ? 20_000_000 : 2_000_000;

sub exits_of {
    my ($made) = @_;
    return grep {
             $_->{type} eq 'exit'
          && $_->{pid} == $made->{pid}
          && $_->{timeUsec} >= $made->{beginUsec} - 2000
          && $_->{timeUsec} <= $made->{endUsec} + NOTICED_USEC
    } $stream->events;
}

# Those of the processes that are not explained: no fork, and no loss at that time.
sub unexplained {
    my (@made) = @_;
    my %forked = map { $_->{pid} => 1 } grep { $_->{type} eq 'fork' } $stream->events;
    my @losses = grep { $_->{type} eq 'lost' && $_->{reason} eq 'unarmed' } $stream->events;
    return grep {
        my $made = $_;
        !$forked{ $made->{pid} } && !grep { $made->{endUsec} >= $_->{sinceUsec} && $made->{beginUsec} <= $_->{untilUsec} } @losses
    } @made;
}

# If another program made the kernel send events again first, it takes a second until an exit counts as missing.
sub wait_for_all {
    my (@made) = @_;
    return Forkbus->wait_until(sub {
        $stream->settle;
        return !unexplained(@made) && !grep { !exits_of($_) } @made;
    });
}

# @below: as an argument of the program
for my $below (0, 3) {
    my ($early, @old) = holding(2);
    my $loop = Forkbus::Workload->start(arguments => ['loop=2'])->go;
    $stream->wait_for(sub { $_->{type} eq 'exit' && $_->{ppid} == $loop->pid }, 'the loop') for 1 .. 20;
    my $begin = now_usec();
    my ($status, $out, $err) = run([$silence, $below]);
    is($status, 0, "the proc connector is silenced, $below below") or diag($err);
    my $silent = now_usec();

    # No event of these is sent.
    $early->go->finish;
    my ($late, @new) = holding(2);

    my $lost = $stream->wait_for(sub { $_->{type} eq 'lost' && $_->{reason} eq 'unarmed' }, 'the loss');
    ok($lost, 'the broker notices and logs it');
    my $noticed = now_usec();
    $stream->wait_for(sub { $_->{type} eq 'exit' && $_->{ppid} == $loop->pid }, 'the loop') for 1 .. 20;
    pass('and hears again');
    my @lived = grep { $_->{beginUsec} >= $begin } $loop->finish;
    $stream->settle;

    cmp_ok($lost->{sinceUsec}, '<=', $silent,  'the loss begins before');
    cmp_ok($lost->{untilUsec}, '<=', $noticed, 'and ends when it listened again');
    ok(!exists $lost->{count}, 'the count is unknown');
    ok(wait_for_all(@lived), 'each process ends, and has a fork, or lived in the time of a loss')
      or diag(json([unexplained(@lived)]));
    my @wrong = grep { exits_of($_) != 1 } @lived;
    is_deeply(\@wrong, [], 'each end is reported, once') or diag(json([map { ($_, exits_of($_)) } @wrong]));

    # Processes that started and ended meanwhile.
    my $gone = Forkbus->wait_until(sub {
        my $snapshot = $broker->subscribe({ snapshot => Cpanel::JSON::XS::true, pids => \@new });
        return ($snapshot->next->{type} // '') eq 'process';
    });
    ok($gone, 'processes that started meanwhile are found');
    $late->go->finish;
    my %left = map { $_ => 1 } @old, @new;
    delete @left{ map { $_->{pid} } grep { $_->{type} eq 'exit' } $stream->events };
    $stream->wait_for(sub { delete $left{ $_->{pid} } if $_->{type} eq 'exit'; !%left }, 'the exits of long-lived processes')
      if %left;
    pass('a process that ended meanwhile is reported as gone');
}

# Another program listens, and so ends a silence before the broker notices.
my ($known, @known) = holding(1);
$stream->settle;
my ($status, $out, $err) = run([$silence, 'brief']);
is($status, 0, 'a brief silence') or diag($err);
my @lived = map { Forkbus::parse($_) } split /\n/, $out;
$stream->wait_for(sub { $_->{type} eq 'lost' && $_->{reason} eq 'unarmed' }, 'the loss');
ok(wait_for_all(@lived), 'they end, and have a fork, or lived in the time of the loss')
  or diag(json([unexplained(@lived)]));
my @ends = map { exits_of($_) } @lived;
is(scalar @ends, scalar @lived, 'the ends of processes that lived only then are reported, by their records');
for my $key (qw(pid ppid uid gid comm startUsec status usage)) {
    is_deeply([grep { !exists $_->{$key} } @ends], [], "with $key") or diag(json(\@ends));
}
is_deeply([grep { $_->{comm} ne 'silence' || json($_->{status}) ne '{"code":0}' } @ends], [], 'the values are right');
$known->go->finish;
my $is_known = sub { $_->{type} eq 'exit' && $_->{pid} == $known[0] };
ok((grep { $is_known->() } $stream->events) || $stream->wait_for($is_known, 'its end'), 'and events continue');

# A broker that starts on a machine that is silenced.
$broker->stop;
($status) = run([$silence, 2]);
is($status, 0, 'silenced again, without a listener');
$broker->restart;
$stream = $broker->subscribe({});
$stream->wait_ready;
my @made = Forkbus::Workload->start(arguments => ['burst=50'])->go->finish;
$stream->settle;
my $processes = Forkbus::Processes->new($stream->events);
my @wrong = grep { join(' ', map { $_->{type} } $processes->of($_)) ne 'fork exit' } @made;
is_deeply(\@wrong, [], 'the broker that starts then hears all');
$broker->stop;
done_testing;
