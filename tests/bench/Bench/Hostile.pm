# SPDX-License-Identifier: LGPL-2.1-or-later
#
# (i) Hostile: latency of one user's events while another user does what costs the broker most, with 512 connections, to that
# while the processors have as much else to do: programs that only spin, or the same attack on another broker.
package Bench::Hostile;

use strict;
use utf8;
use warnings;
use Bench::Program;
use Bench::Report;
use Forkbus;
use IO::Socket::UNIX;
use List::Util 'max';
use Time::HiRes 'time';

use constant { PROCESSES => 100, SPINNING => 2, ASKED => 50 };    # a second; as the attack and the broker

# The least time that a ratio is made of.
my %least = (p50 => 1, p99 => 1, answerMsec => 0.1);

my ($attacker, $other) = Forkbus::nobody();

sub as { return ('setpriv', "--reuid=$_[0]", "--regid=$_[0]", '--clear-groups', '--', @_[1 .. $#_]) }

# From a fork until its event is read, for processes of the other user.
sub measure {
    my ($broker, $programs, $msec) = @_;
    my $reader = Bench::Program->start([as($other, $programs->{latency}, 'stream', $broker->stream)], ready => 1);
    my @pulse  = as($other, $programs->{pulse}, PROCESSES);
    Forkbus::run([@pulse, 300]);
    $reader->tell('go');
    my ($status, $out) = Forkbus::run([@pulse, $msec]);
    die "@pulse: status $status\n" if $status != 0;
    # Events that are still on their way.
    select undef, undef, undef, 0.5;
    my $got = { %{ $reader->finish }, made => Forkbus::parse($out)->{processes}, answerMsec => ask($broker) };
    return $got;
}

# From connecting to the answer, for the other user: the median.
sub ask {
    my ($broker) = @_;
    pipe my $from, my $to or die "pipe: $!\n";
    Forkbus->as_user($other, undef, sub {
        my @times;
        for (1 .. ASKED) {
            my $began = time;
            my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $broker->stream) or return 1;
            $socket->syswrite("{\"query\":\"status\"}\n");
            readline $socket;
            push @times, time - $began;
        }
        syswrite $to, 1000 * Bench::Report::median(@times) . "\n";
        return 0;
    }) == 0 or die "no answer\n";
    return 0 + readline $from;
}

sub calm {
    my @spinning = map { Bench::Program->start([as($other, 'sh', '-c', 'while :; do :; done')]) } 1 .. SPINNING;
    my $got      = measure(@_);
    $_->end for @spinning;
    return $got;
}

# @victim: the broker that is attacked
sub attacked {
    my ($victim, @rest) = @_;
    my $attack = Forkbus::Attack->start($victim, uid => $attacker);
    my $got    = measure(@rest);
    $attack->stop;
    return $got;
}

sub beside {
    my $second = Forkbus::Feed->new->broker;
    my $got    = attacked($second, @_);
    $second->end;
    return $got;
}

sub run {
    my ($class, $report, $effort) = @_;
    die "needs root: the proc connector, and other users\n" if $> != 0;
    local $ENV{FORKBUSD_WRAPPER} = 'nice -n -5';    # as forkbusd.service
    my $dir      = Forkbus->directory;
    my %programs = map { $_ => Forkbus->installed(Bench::Program->path($_), $dir) } qw(latency pulse);
    my $msec = $effort->{quick} ? 1500 : 5000;
    my (%ratios, @samples);
    for my $run (1 .. $effort->{runs}) {
        my $broker = Forkbus->broker(source => 'connector');
        my %got    = (
            calm     => calm($broker, \%programs, $msec),
            beside   => beside($broker, \%programs, $msec),
            attacked => attacked($broker, $broker, \%programs, $msec),
        );
        my $turn = $broker->status->{longestTurn}{sinceStartUsec};
        push @samples, { %got, longestTurnUsec => $turn };
        for my $than (qw(calm beside)) {
            push @{ $ratios{$than}{$_} }, $got{attacked}{$_} / max($least{$_}, $got{$than}{$_}) for sort keys %least;
        }
        my $text = '%s: p50 %d µs, p99 %d, of %d of %d, answer %.1f ms';
        my @text = map { sprintf "$text;", $_, @{ $got{$_} }{qw(p50 p99 n made answerMsec)} } qw(calm beside attacked);
        $report->say("run $run: @text longest turn $turn");
        $broker->end;
    }
    $report->samples('hostile', 'usec', \@samples);
    $report->figure('hostile', 'p50 of another user, attacked to calm', $ratios{calm}{p50});
    $report->figure('hostile', 'p99 of another user, attacked to calm', $ratios{calm}{p99}, '<= 3');
    $report->figure('hostile', 'an answer to another user, attacked to calm', $ratios{calm}{answerMsec});
    $report->figure('hostile', 'p50, attacked to attack on another broker', $ratios{beside}{p50});
    $report->figure('hostile', 'p99, attacked to attack on another broker', $ratios{beside}{p99});
}

1;
