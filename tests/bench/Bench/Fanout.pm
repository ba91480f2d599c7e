# SPDX-License-Identifier: LGPL-2.1-or-later
#
# (a) Fan-out: deliveries for each second of the servers' processor time, and of the clock.
package Bench::Fanout;

use strict;
use warnings;
use Bench::Peers;
use Bench::Report;
use IO::Socket::UNIX;
use List::Util qw(max min uniq);

use constant LINES => 3000;    # that all peers carry, over and over

# The lines of the broker's stream.
sub record_lines {
    my ($path) = @_;
    my $peer   = Bench::Peers->start('stream');
    my $socket = IO::Socket::UNIX->new(Peer => $peer->stream) or die "${\$peer->stream}: $!\n";
    print {$socket} "\n";
    scalar readline $socket;    # ready
    $peer->{tasks}->ask(LINES . ' 0 1000 1');
    my $text = join '', map { scalar readline $socket } 1 .. LINES;
    $peer->stop;
    Bench::Report::write_file($path, $text);
    return length($text) / LINES;
}

my @all = qw(stream varlink dbus-face loop nats-server mosquitto mosquitto-tcp dbus-daemon dbus-broker);

# The cases in which the broker's stream is compared with others, with targets for a hundred subscribers.
my @against = (
    ['nats-server', '>= 5'],
    ['dbus-daemon', '>= 30'],
    ['dbus-broker'],
    ['mosquitto', '>= 30'],
    ['mosquitto-tcp'],
    ['loop', '>= 0.5'],
);

# The other faces, each compared with a similar peer: with the same number of sockets, or on the same bus.
my @faces = (['varlink', 'loop'], ['dbus-face', 'dbus-daemon']);

# Events as they come: so many a second, all that are due each tick (usec). A D-Bus has no more than some 40,000 deliveries in a
# second of processor time, and a thousand readers a million reads, so that they are given fewer of them. A quick run has those
# that are "quick".
my @to_loop = (['stream', 'loop'], ['varlink', 'loop']);
my @to_bus  = (['dbus-face', 'dbus-daemon']);
my @paces   = (
    { n => 1, rate => 1000,  tick => 1000, pairs => [@to_loop, @to_bus] },
    { n => 1, rate => 20000, tick => 5000, pairs => \@to_loop },
    { n => 10, rate => 1000,  tick => 1000, pairs => [@to_loop, @to_bus], quick => 1 },
    { n => 10, rate => 20000, tick => 5000, pairs => \@to_loop },
    {
        n     => 100, rate => 1000, tick => 1000, quick => 1,
        pairs => [(map { ['stream', $_] } qw(nats-server mosquitto dbus-daemon)), @to_loop]
    },
    { n => 100,  rate => 20000, tick => 5000,  pairs => [['stream', 'nats-server'], @to_loop], quick => 1 },
    { n => 100,  rate => 100,   tick => 10000, pairs => \@to_bus, quick => 1 },
    { n => 1000, rate => 100,   tick => 10000, pairs => [['stream', 'nats-server'], @to_loop] },
);
my %called = (
    'dbus-face'     => 'D-Bus face',
    'loop'          => 'a bare loop of write',
    'mosquitto'     => 'mosquitto, Unix',
    'mosquitto-tcp' => 'mosquitto, TCP',
    'nats-server'   => 'nats-server, TCP',
);
sub called { return $called{ $_[0] } // $_[0] }

sub start_all {
    my ($report, $lines, @names) = @_;
    my (%peers, %why);
    for my $name (@names) {
        $peers{$name} = eval { Bench::Peers->start($name, lines => $lines) };
        $why{$name} = $@ if !$peers{$name};
    }
    return (\%peers, \%why);
}

# The number of events that takes about this time: tried with more and more of them, which is also the warm-up.
sub enough {
    my ($peer, $n, $seconds) = @_;
    my $most = min(60000, 4e6 / $n);
    for (my $count = 50; ; $count *= 4) {
        my $wall = max(1e-4, $peer->publish(min($count, $most))->{wall});
        return $most if $count >= $most;
        return int max(30, min($most, $count * $seconds / $wall)) if $wall >= 0.25 * $seconds;
    }
}

# measure($peers, $why, $n, %options): runs, each with all peers in turn. Return: { peer => [results] }
sub measure {
    my ($report, $peers, $why, $n, %options) = @_;
    my (%results, %count);
    my $try = sub {
        my ($name, $code) = @_;
        return if !$peers->{$name} || $why->{$name};
        eval { $code->($peers->{$name}); 1 } or $why->{$name} = $@;
    };
    my @names = grep { $peers->{$_} } @{ $options{names} };
    delete @$why{@names};
    $try->($_, sub { $_[0]->subscribe($n) }) for @names;
    for my $name (@names) {
        $try->($name, sub {
            $_[0]->publish(50) if $options{count};    # what comes first is not counted
            $count{$name} = $options{count} // enough($_[0], $n, $options{seconds});
        });
    }
    for my $run (1 .. $options{runs}) {
        for my $name (@names) {
            $try->($name, sub {
                my $result = $_[0]->publish($count{$name}, %options);
                push @{ $results{$name} }, $result;
                my $text = 'fan-out to %4d, run %d: %-13s %9.0f a CPU second, %9.0f a second, %d of %d%s';
                $report->say(sprintf $text, $n, $run, $name, rate($result), wall($result), @$result{qw(deliveries wanted)},
                    $options{rate} ? " at $options{rate} events a second" : '');
            });
        }
    }
    $try->($_, sub { $_[0]->unsubscribe }) for @names;
    return \%results;
}

sub rate { return $_[0]{cpu} > 0 ? $_[0]{deliveries} / $_[0]{cpu} : 0 }
sub wall { return $_[0]{wall} > 0 ? $_[0]{deliveries} / $_[0]{wall} : 0 }

# A figure, "$where: one to another": the result of one divided by that of the other.
sub compare {
    my ($report, $results, $why, $where, $over, $under, %options) = @_;
    my $name = "$where: ${\called($over)} to ${\called($under)}";
    my $rate = $options{rate} // \&rate;
    for my $peer ($over, $under) {
        next if !$why->{$peer} && $results->{$peer} && @{ $results->{$peer} };
        return $report->skip('fanout', $name, called($peer) . ': ' . ($why->{$peer} // 'was not measured'), $options{target});
    }
    my $complete = min(map { $_->{wanted} ? $_->{deliveries} / $_->{wanted} : 0 } map { @{ $results->{$_} } } $over, $under);
    $name .= sprintf ' (%.0f%% came)', 100 * $complete if $complete < 0.99;
    return $report->figure('fanout', $name,
        Bench::Report::ratios(map { [map { $rate->($_) } @{ $results->{$_} }] } $over, $under), $options{target});
}

sub run {
    my ($class, $report, $effort) = @_;
    my $lines = "$effort->{dir}/lines.jsonl";
    my $bytes = record_lines($lines);
    $report->note(sprintf 'A line has %.0f bytes.', $bytes);
    my ($peers, $why) = start_all($report, $lines, @all);
    my %missing = %$why;
    my (%plot, %by_n);
    for my $n (1, 10, 100, 1000) {
        my @names = $n == 100 || !$effort->{quick} ? @all : qw(stream loop nats-server);
        my %why     = %missing;
        my $results = measure($report, $peers, \%why, $n, names => \@names, map { ($_ => $effort->{$_}) } qw(seconds runs));
        $report->samples('fanout', "flat-$n", $results);
        for my $name (keys %$results) {
            push @{ $plot{ called($name) } }, [$n, Bench::Report::spread(map { rate($_) } @{ $results->{$name} })];
        }
        $by_n{$n} = [$results, {%why}];
    }
    my @of_100 = ($report, @{ $by_n{100} });
    compare(@of_100, 'to 100', 'stream', $_->[0], target => $_->[1]) for @against;
    compare(@of_100, 'to 100', @$_) for @faces;
    for my $n (1, 10, 1000) {
        my @of = ($report, @{ $by_n{$n} }, "to $n");
        compare(@of, 'stream', $_) for qw(loop nats-server);
        next if $effort->{quick};
        compare(@of, @$_) for @faces;
    }
    compare(@of_100, 'to 100, by the clock', @$_, rate => \&wall) for ['stream', 'loop'], ['stream', 'nats-server'], @faces;
    paced($report, $effort, $peers, \%missing);
    $report->plot(name => 'fanout', title => 'Fan-out, flat out', xlabel => 'subscribers', log => 'xy',
        ylabel => 'deliveries a second of processor time', lines => \%plot);
    $_->stop for grep { $_ } values %$peers;
}

# Less can be done at once than where events come as fast as they go.
sub paced {
    my ($report, $effort, $peers, $missing) = @_;
    for my $pace (grep { $_->{quick} || !$effort->{quick} } @paces) {
        my ($n, $rate) = @$pace{qw(n rate)};
        my %why     = %$missing;
        my @names   = uniq(map { @$_ } @{ $pace->{pairs} });
        my $count   = max(20, $rate * $effort->{seconds});
        my $results = measure($report, $peers, \%why, $n, names => \@names, count => $count, rate => $rate,
            tick => $pace->{tick}, runs => $effort->{runs});
        $report->samples('fanout', "paced-$rate-$n", $results);
        compare($report, $results, \%why, "to $n at $rate/s", @$_) for @{ $pace->{pairs} };
    }
}

1;
