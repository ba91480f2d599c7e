# SPDX-License-Identifier: LGPL-2.1-or-later
#
# (b) Tenants: what an event costs the broker where each subscriber wants the events of one user.
package Bench::Tenants;

use strict;
use warnings;
use Bench::Peers;
use Bench::Report;

# The users of the events: only the first tenant, while the others wait; or all in turn, process by process, so that hardly any
# events can be sent together.
my @kinds = (
    { name => 'one',   text => 'events of one of them', users => sub { 1 } },
    { name => 'all',   text => 'events of all in turn', users => sub { $_[0] } },
    { name => 'paced', text => 'of all in turn, 20000/s', users => sub { $_[0] }, rate => 20000, tick => 5000 },
);

# Subscribers whose filters do not match, each in another way.
my %idle = (
    'one process each' => '{"pids":[{"pid":%u,"startUsec":1}]}',
    'a rare type'      => '{"types":["ptrace"],"comm":"%u"}',
);

sub start {
    my ($n, $request) = @_;
    my $broker = Bench::Peers->start('stream');
    $broker->subscribe($n, request => $request);
    return $broker;
}

sub idle {
    my ($report, $effort, $what) = @_;
    my %brokers = map { $_ => start($_, $idle{$what}) } 1, 1000;
    my $count   = 60000 * $effort->{seconds};
    my %cost;
    for my $run (0 .. $effort->{runs}) {
        for my $n (1, 1000) {
            my $result = $brokers{$n}->publish($count, wanted => 0);
            next if $run == 0;
            push @{ $cost{$n} }, 1e9 * $result->{cpu} / $count;
            $report->say(sprintf '%d that want %s, run %d: %.0f ns an event', $n, $what, $run, $cost{$n}[-1]);
        }
    }
    $_->stop for values %brokers;
    $report->samples('tenants', "nsec-idle, $what", \%cost);
    $report->figure('tenants', "1000 that want $what: an event, to 1", Bench::Report::ratios(@cost{ 1000, 1 }));
}

sub run {
    my ($class, $report, $effort) = @_;
    my @counts  = (1, 100, 1000);
    my %brokers = map { $_ => start($_, '{"uids":[%u]}') } @counts;
    my (%cost, %plot);
    for my $kind (@kinds) {
        my $count = $kind->{rate} ? $kind->{rate} * $effort->{seconds} : 60000 * $effort->{seconds};
        for my $run (0 .. $effort->{runs}) {
            for my $n (@counts) {
                my %task   = (wanted => $count, users => $kind->{users}->($n), %$kind{qw(rate tick)});
                my $result = $brokers{$n}->publish($count, %task);
                next if $run == 0;
                push @{ $cost{ $kind->{name} }{$n} }, 1e9 * $result->{cpu} / $count;
                $report->say(sprintf '%d tenants, %s, run %d: %.0f ns an event, %d of %d', $n, $kind->{text}, $run,
                    $cost{ $kind->{name} }{$n}[-1], @$result{qw(deliveries wanted)});
            }
        }
        my $of = $cost{ $kind->{name} };
        $report->samples('tenants', "nsec-$kind->{name}", $of);
        for my $n (100, 1000) {
            $report->figure('tenants', "$n, $kind->{text}: an event, to 1 tenant", Bench::Report::ratios($of->{$n}, $of->{1}),
                $n == 1000 ? '<= 2' : undef);
        }
        $plot{ $kind->{text} } = [map { [$_, Bench::Report::spread(@{ $of->{$_} })] } @counts];
    }
    $report->plot(name => 'tenants', title => 'Subscribers that want one user each', xlabel => 'subscribers', log => 'x',
        ylabel => 'ns of the broker an event', lines => \%plot);
    $_->stop for values %brokers;
    idle($report, $effort, $_) for sort keys %idle;
}

1;
