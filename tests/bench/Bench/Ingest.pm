# SPDX-License-Identifier: LGPL-2.1-or-later
#
# (f) Ingest: what an event costs the broker that nobody has subscribed to.
package Bench::Ingest;

use strict;
use warnings;
use Bench::Peers;
use Bench::Program;
use Bench::Report;
use Forkbus;

use constant WANTED => 1e6;    # events a CPU second

# The bus alone: log, table, views.
sub bus {
    my ($peer, $count) = @_;
    return $count / $peer->publish($count)->{cpu};
}

# A recording that is read flat out: its JSON is decoded too.
sub replay {
    my ($file, $lines) = @_;
    my $broker = Forkbus->broker(source => "replay:$file\@flat", log_size => '64M');
    Forkbus->wait_until(sub { $broker->status->{source}{done} }) or die "the replay does not end\n";
    my $cpu = Bench::Program::cpu_of($broker->pid);
    $broker->end;
    return $lines / $cpu;
}

# The proc connector and taskstats, while processes are started: its time an event, and that of a program that only reads.
sub connector {
    my ($msec) = @_;
    my $broker = Forkbus->broker(source => 'connector', config => { Broker => { HeartbeatSec => '1h' } });
    my $reader = Bench::Program->start([Bench::Program->path('listeners'), 'connector', 1], ready => 1);
    my @pids   = ($broker->pid, $reader->pid);
    my @before = (map({ Bench::Program::cpu_of($_) } @pids), events($broker));
    Forkbus::run([Bench::Program->path('pulse'), 4000, $msec]);
    select undef, undef, undef, 0.05;
    my @after = (map({ Bench::Program::cpu_of($_) } @pids), events($broker));
    $broker->end;
    $reader->end;
    my @took = map { $after[$_] - $before[$_] } 0 .. 2;
    return { broker => $took[0] / $took[2], reader => $took[1] / $took[2], events => $took[2] };
}

sub events {
    my ($broker) = @_;
    return (split /:/, $broker->status->{cursor})[1];
}

sub run {
    my ($class, $report, $effort) = @_;
    my $peer = Bench::Peers->start('stream');
    my (@bus, @replay, @connector);
    my $recorded = Forkbus->read_file($effort->{lines}->());
    my $file     = Forkbus->write_file("$effort->{dir}/replay.jsonl", $recorded x 10);
    my $lines    = 10 * ($recorded =~ tr/\n//);
    bus($peer, 300000);
    for my $run (1 .. $effort->{runs}) {
        push @bus,    bus($peer, $effort->{quick} ? 200000 : 1000000);
        push @replay, replay($file, $lines);
        push @connector, connector($effort->{quick} ? 400 : 2000) if $> == 0;
        $report->say(sprintf 'ingest, run %d: %.0f events a CPU second; from a replay %.0f; from the connector %.0f', $run,
            $bus[-1], $replay[-1], @connector ? 1 / $connector[-1]{broker} : 0);
    }
    $peer->stop;
    $report->samples('ingest', 'events-a-cpu-second', { bus => \@bus, replay => \@replay, connector => \@connector });
    $report->figure('ingest', 'the bus: events a CPU second, to 1,000,000', [map { $_ / WANTED } @bus], '>= 1');
    $report->figure('ingest', 'a replay of JSON: the same',              [map { $_ / WANTED } @replay]);
    $report->figure('ingest', 'proc connector and taskstats at 8000/s: the same', [map { 1 / $_->{broker} / WANTED } @connector]);
    my @ratios = map { $_->{broker} / $_->{reader} } @connector;
    $report->figure('ingest', '... an event, to only reading the proc connector', \@ratios);
}

1;
