#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Under load: the cost of an event. The figures are for comparison, without limits; the test is that all events are reported.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json);
use List::Util qw(max sum);
use Test::More;

# Distinguishes our marker from another run's.
my $marker = "load-$$";

use constant { BURST => 2000, TIMES => 4, CROWD => 50 };

Forkbus->needs_root;
Forkbus->needs_connector;

# Return: how long they took, in seconds.
sub bursts {
    my $took = 0;
    for (1 .. TIMES) {
        my @made = Forkbus::Workload->start(arguments => ['burst=' . BURST])->go->finish;
        $took += (max(map { $_->{goneUsec} } @made) - $made[0]{bornAfterUsec}) / 1e6;
    }
    return $took;
}

# Start a process that reads the lines of all subscribers up to the marker's end. Return: a handle to read the number of
# lines of each.
sub read_beside {
    my (@streams) = @_;
    my $pid = open my $counts, '-|';
    defined $pid or die "fork: $!\n";
    return $counts if $pid;
    my %lines  = map { fileno $_->{socket} => $_->{buffer} =~ tr/\n// } @streams;
    my %socket = map { fileno $_->{socket} => $_->{socket} } @streams;
    my %tail   = map { $_ => '' } keys %socket;
    while (%socket) {
        my $bits = '';
        vec($bits, $_, 1) = 1 for keys %socket;
        select $bits, undef, undef, undef;
        for my $number (grep { vec $bits, $_, 1 } keys %socket) {
            my $count = sysread $socket{$number}, my $data, 1 << 18;
            next if !defined $count;
            $lines{$number} += $data =~ tr/\n//;
            $tail{$number} .= $data;
            delete $socket{$number} if $count == 0 || $tail{$number} =~ /"type":"exit",[^\n]*"comm":"$marker"[^\n]*\n/;
            $tail{$number} =~ s/.*\n//s;
        }
    }
    syswrite STDOUT, join '', map { "$_\n" } values %lines;
    POSIX::_exit(0);
}

sub events_of { return sum(values %{ $_[0]{events} }) }

my $alone = bursts();
for my $crowd (0, 1, CROWD) {
    my $broker  = Forkbus->broker(source => 'connector', config => { Limits => { EncodingCache => '32M' } });
    my @streams = map { $broker->subscribe({}) } 1 .. $crowd;
    $_->wait_ready for @streams;
    my $counts = read_beside(@streams);
    $_->close for @streams;

    # A subscriber that gets only the exits.
    my $end    = $broker->subscribe({ types => ['exit'], comm => $marker });
    my $before = $broker->status;
    my $cpu    = $broker->cpu;
    my $took   = bursts();
    my $pid    = fork // die "fork: $!\n";
    if (!$pid) {
        Forkbus->write_file('/proc/self/comm', $marker);
        POSIX::_exit(0);
    }
    waitpid $pid, 0;
    my $last  = $end->wait_for(sub { $_->{type} eq 'exit' && $_->{pid} == $pid }, 'the marker')->{seq};
    my $used  = $broker->cpu - $cpu;
    my $after = $broker->status;

    my $events  = events_of($after) - events_of($before);
    my $encoded = $after->{encoded}{events} - $before->{encoded}{events};
    my $size    = $after->{encoded}{bytes} - $before->{encoded}{bytes};
    cmp_ok($events, '>=', 2 * BURST * TIMES, "$crowd subscribers: all events are reported");
    is($after->{lost}{netlink}{times}, 0, 'and none is lost');
    diag(sprintf '%2d subscribers: %d processes/s (%d without a broker), %.2f us of CPU time an event, %.0f bytes of log, '
          . '%.0f bytes of JSON, encoded %.2f times, sent %.0f bytes an event; %d wake-ups; %s KiB of memory',
        $crowd, BURST * TIMES / $took, BURST * TIMES / $alone, 1e6 * $used / $events,
        ($after->{log}{used} - $before->{log}{used}) / $events, $encoded ? $size / $encoded : 0,
        $encoded / $events, ($after->{sentBytes} - $before->{sentBytes}) / $events,
        $after->{source}{wakeups} - $before->{source}{wakeups}, $broker->memory);
    my $reported  = $last - (split /:/, $before->{cursor})[1];
    my @short = grep { $_ < $reported } <$counts>;
    is_deeply(\@short, [], 'each is reported to everyone');
    $broker->stop("$crowd subscribers");
}
done_testing;
