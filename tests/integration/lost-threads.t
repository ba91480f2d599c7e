#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The broker loses messages while threads of processes start and end, also some forks of processes and threads: no process is
# reported as ended too early, and each one ends once.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json slow);
use Test::More;

# A broker under valgrind gets less load, or it would never catch up.
use constant {
    BURST  => slow() ? 8000 : 3000,
    BUFFER => slow() ? '1M' : '64K',
    HELD   => slow() ? 1    : 3,
    ROUNDS => slow() ? 1    : 3,
};

Forkbus->needs_root;
Forkbus->needs_connector;

my $broker = Forkbus->broker(source => 'connector', config => { Source => { SocketBuffer => BUFFER } });
my $stream = $broker->subscribe({ types => ['exit'] });
$stream->wait_ready;

sub holding {
    my $workload = Forkbus::Workload->start(arguments => [ 'hold-threads=' . HELD, 'pause', 'release' ])->go;
    my @pids;
    while ((my $reported = $workload->next)->{kind} ne 'pause') {
        push @pids, $reported->{pid};
    }
    return ($workload, @pids);
}

# Living processes that start threads: some are older than the loss, some start during it.
my ($old, @pids) = holding();
my @workloads = $old;
for my $round (1 .. ROUNDS) {
    $stream->settle;
    my ($lost, $resyncs) = @{ $broker->status->{source} }{qw(lostMessages resyncs)};
    $broker->signal('STOP');
    Forkbus::Workload->start(arguments => [ 'burst=' . BURST ])->go->finish;
    my ($young, @young) = holding();
    push @workloads, $young;
    push @pids,      @young;
    $broker->signal('CONT');
    ok(Forkbus->wait_until(sub { $broker->status->{source}{lostMessages} > $lost }), "round $round: messages are lost");

    # Threads start and end while the broker scans /proc.
    my $messages = $broker->status->{source}{messages};
    ok(
        Forkbus->wait_until(
            sub {
                my $now = $broker->status->{source};
                return $now->{messages} > $messages + 200 && $now->{resyncs} > $resyncs;
            }
        ),
        'and the table is read again'
    );
}

my %ours = map { $_ => [] } @pids;

# An event of a loss belongs to no process.
sub exits {
    return grep { $_->{type} eq 'exit' && $ours{ $_->{pid} } } $stream->events;
}

$stream->settle;
is_deeply([exits()], [], 'no living process is reported as ended');

my @made = map { $_->go->finish } @workloads;
$stream->wait_for(
    sub {
        push @{ $ours{ $_->{pid} } }, $_ if $_->{type} eq 'exit' && $ours{ $_->{pid} };
        return !grep { !@$_ } values %ours;
    },
    'the ends of all'
);
$stream->settle;
my %exits;
$exits{ $_->{pid} }++ for exits();
is_deeply(\%exits, { map { $_ => 1 } @pids }, 'each ends once');
is(scalar(grep { $_->{code} == 42 } @made), scalar @pids, 'with a status');
is_deeply([ grep { $_->{status} && json($_->{status}) ne json({ code => 42 }) } map { @$_ } values %ours ],
    [], 'which is right, if it is known');
$broker->stop;
done_testing;
