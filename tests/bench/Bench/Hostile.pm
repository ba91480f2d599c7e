# SPDX-License-Identifier: LGPL-2.1-or-later
#
# (i) Hostile: latency of one user's events while another user does what costs the broker most, with 512 connections, to that
# while the processors have as much else to do.
package Bench::Hostile;

use strict;
use utf8;
use warnings;
use Bench::Program;
use Bench::Report;
use Forkbus;
use List::Util 'max';

use constant { CONNECTIONS => 512, PROCESSES => 100, SPINNING => 2 };    # a second; as the attack and the broker

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
    return { %{ $reader->finish }, made => Forkbus::parse($out)->{processes} };
}

sub calm {
    my @spinning = map { Bench::Program->start([as($other, 'sh', '-c', 'while :; do :; done')]) } 1 .. SPINNING;
    my $got      = measure(@_);
    $_->end for @spinning;
    return $got;
}

sub attacked {
    my ($broker, $programs, @rest) = @_;
    my @command = as($attacker, $programs->{hostile}, $broker->dir, CONNECTIONS, $programs->{own});
    my $attack  = Bench::Program->start(\@command, ready => 1);
    my $got     = measure($broker, $programs, @rest);
    $attack->finish;
    return $got;
}

sub run {
    my ($class, $report, $effort) = @_;
    die "needs root: the proc connector, and other users\n" if $> != 0;
    my $dir      = Forkbus->directory;
    my %programs = map { $_ => Forkbus->installed(Bench::Program->path($_), $dir) } qw(latency pulse);
    $programs{hostile} = Forkbus->installed(Forkbus->helper('hostile'), $dir);
    my $msec = $effort->{quick} ? 1500 : 5000;
    my (%ratios, @samples);
    for my $run (1 .. $effort->{runs}) {
        my $broker = Forkbus->broker(source => 'connector');
        $programs{own} = "$dir/own-$run";
        mkdir $programs{own} and chown $attacker, $attacker, $programs{own} or die "$programs{own}: $!\n";
        my $calm     = calm($broker, \%programs, $msec);
        my $attacked = attacked($broker, \%programs, $msec);
        my $turn     = $broker->status->{longestTurn}{sinceStartUsec};
        push @samples, { calm => $calm, attacked => $attacked, longestTurnUsec => $turn };
        push @{ $ratios{$_} }, $attacked->{$_} / max(1, $calm->{$_}) for qw(p50 p99);
        my $text = 'run %d: calm p50 %d µs, p99 %d, of %d of %d; attacked %d, %d, of %d of %d; longest turn %d';
        $report->say(sprintf $text, $run, (map { @{$_}{qw(p50 p99 n made)} } $calm, $attacked), $turn);
        $broker->end;
    }
    $report->samples('hostile', 'usec', \@samples);
    $report->figure('hostile', 'p50 of another user, attacked to calm', $ratios{p50});
    $report->figure('hostile', 'p99 of another user, attacked to calm', $ratios{p99}, '<= 3');
}

1;
