# SPDX-License-Identifier: LGPL-2.1-or-later
#
# (g) From the start to the first event; and how long a snapshot of ten thousand processes takes.
package Bench::Start;

use strict;
use warnings;
use Bench::Peers;
use Bench::Program;
use Bench::Report;
use Forkbus;
use IO::Socket::UNIX;
use Time::HiRes 'time';

use constant CROWD => 10000;

# Seconds until forkbusd has sent an event to a subscriber.
sub forkbusd {
    my $dir   = Forkbus->directory;
    my $began = time;
    my @options = ("--runtime-dir=$dir/run", '--config=/dev/null', '--bus=none', '--source=connector', '--log-size=4M');
    my $broker  = Bench::Program->start([Forkbus->forkbusd, '--foreground', @options]);
    my $socket;
    Time::HiRes::sleep(0.0002) until $socket = IO::Socket::UNIX->new(Peer => "$dir/run/stream") or time > $began + 10;
    $broker->fail('does not listen') if !$socket;
    print {$socket} "\n";
    while (my $line = readline $socket) {
        last if $line =~ /"type":"fork"/;
    }
    my $took = time - $began;
    $broker->end;
    return $took;
}

sub forkstat {
    my $program = Bench::Peers::program('forkstat');
    my $began   = time;
    my $tool    = Bench::Program->start([$program, '-l', '-e', 'fork']);
    1 until $tool->line =~ /fork/;
    my $took = time - $began;
    $tool->end;
    return $took;
}

# Seconds until all processes are reported.
sub snapshot {
    my ($broker) = @_;
    my $began  = time;
    my $socket = IO::Socket::UNIX->new(Peer => $broker->stream) or die "${\$broker->stream}: $!\n";
    my ($got, $data) = (0, '');
    print {$socket} "{\"snapshot\":true}\n";
    until ($data =~ /"type":"ready"/) {
        $got += $data =~ tr/\n//;
        $data = substr $data, 1 + rindex $data, "\n";
        sysread $socket, $data, 1 << 18, length $data or die "the snapshot ends early\n";
    }
    $got += $data =~ tr/\n//;
    return (time - $began, $got);
}

sub run {
    my ($class, $report, $effort) = @_;
    die "needs root: the proc connector\n" if $> != 0;
    first_event($report, $effort);
    my $crowd = Bench::Program->start([Bench::Program->path('crowd'), CROWD], ready => 1);
    my (@snapshots, @reads, $processes);
    my $broker = Forkbus->broker(source => 'connector', config => { Broker => { HeartbeatSec => '1h' } });
    snapshot($broker);
    for my $run (1 .. $effort->{runs}) {
        my ($took, $got) = snapshot($broker);
        my $read = $crowd->ask('read');
        push @snapshots, $took;
        push @reads,     $read->{usec} / 1e6;
        $report->say(sprintf 'snapshot, run %d: %.1f ms for %d processes; to read /proc %.1f ms for %d', $run, 1000 * $took, $got,
            $read->{usec} / 1000, $read->{processes});
    }
    $broker->end;
    $crowd->finish;
    $report->samples('start', 'snapshot', { snapshot => \@snapshots, proc => \@reads });
    $report->figure('start', 'snapshot of 10,000 processes, to reading /proc once', Bench::Report::ratios(\@snapshots, \@reads));
}

sub first_event {
    my ($report, $effort) = @_;
    my (@own, @other, $why);
    my $pulse = Bench::Program->start([Bench::Program->path('pulse'), 2000, 600000]);
    for my $run (1 .. $effort->{runs}) {
        push @own, forkbusd();
        push @other, $why ? () : eval { forkstat() } // do { $why = $@; () };
        $report->say(sprintf 'start, run %d: %.1f ms to the first event; forkstat %s', $run, 1000 * $own[-1],
            $why ? 'is unavailable' : sprintf '%.1f', 1000 * $other[-1]);
    }
    $pulse->end;
    $report->samples('start', 'first-event', { forkbusd => \@own, forkstat => \@other });
    my $name = 'start to first event, to forkstat';
    return $report->skip('start', $name, $why) if $why;
    $report->figure('start', $name, Bench::Report::ratios(\@own, \@other));
}

1;
