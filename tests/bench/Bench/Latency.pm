# SPDX-License-Identifier: LGPL-2.1-or-later
#
# (c) Latency: from a fork's own time to when a subscriber has read of it, beside a program that reads the proc connector itself,
# at the same time.
package Bench::Latency;

use strict;
use utf8;
use warnings;
use Bench::Program;
use Bench::Report;
use Forkbus;
use List::Util 'max';

# Events a second (a process has two), the most that the ratios of p50 and p99 may be.
my @paces = ([100], [1000, '<= 3', '<= 5'], [20000]);
my @points = (['p50', 1], ['p99', 2], ['p999']);

sub measure {
    my ($broker, $rate, $msec) = @_;
    my @readers = map { Bench::Program->start([Bench::Program->path('latency'), @$_], ready => 1) }
      ['connector'], ['stream', $broker->stream];
    my @pulse = (Bench::Program->path('pulse'), $rate / 2);
    Forkbus::run([@pulse, 100]);
    $_->tell('go') for @readers;
    my ($status, $out) = Forkbus::run([@pulse, $msec]);
    die "@pulse: status $status\n" if $status != 0;
    my $made = Forkbus::parse($out);
    # Events that are still on their way.
    select undef, undef, undef, 0.05;
    my %result = (connector => $readers[0]->finish, stream => $readers[1]->finish, pulse => $made);
    return \%result;
}

# The actual number of events a second.
sub done { return 2e6 * $_[0]{pulse}{processes} / $_[0]{pulse}{usec} }

sub run {
    my ($class, $report, $effort) = @_;
    die "needs root: the proc connector\n" if $> != 0;
    my $broker = Forkbus->broker(source => 'connector', config => { Broker => { HeartbeatSec => '1h' } });
    my %plot;
    for my $pace (@paces) {
        my ($rate, @targets) = @$pace;
        my (%of, @samples);
        for my $run (1 .. $effort->{runs}) {
            my $got = measure($broker, $rate, 1000 * ($effort->{quick} ? 0.4 : 3));
            push @samples, $got;
            push @{ $of{$_} }, $got->{stream}{$_} / max(1, $got->{connector}{$_}) for map { $_->[0] } @points;
            my $text = 'latency at %d events/s, run %d: p50 %d µs, p99 %d, p99.9 %d; proc connector %d, %d, %d; %.0f done';
            $report->say(sprintf $text, $rate, $run,
                (map { @{ $got->{$_} }{qw(p50 p99 p999)} } qw(stream connector)), done($got));
        }
        $report->samples('latency', $rate, \@samples);
        my $done = Bench::Report::median(map { done($_) } @samples);
        my $at   = $rate == 100 ? 'idle (100/s)' : "at $rate/s";
        $at .= sprintf ' (%d)', $done if $done < 0.95 * $rate;
        for my $point (@points) {
            my ($name, $target) = @$point;
            $report->figure('latency', "$at, ${\($name =~ s/999/99.9/r)}: stream to proc connector", $of{$name},
                $target ? $targets[$target - 1] : undef);
            for my $who ('stream', 'connector') {
                my @values = map { $_->{$who}{$name} } @samples;
                push @{ $plot{ ($who eq 'stream' ? 'stream ' : 'proc connector ') . ($name =~ s/999/99.9/r) } },
                  [$rate, map { max(1, $_) } Bench::Report::spread(@values)];
            }
        }
    }
    $broker->end;
    $report->plot(name => 'latency', title => 'From a fork to its reader', xlabel => 'events a second', ylabel => 'µs',
        log => 'xy', lines => \%plot);
}

1;
