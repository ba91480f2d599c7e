# SPDX-License-Identifier: LGPL-2.1-or-later
#
# (d) The same of the kernel module, in a machine of its own: what tests/bench/listening measured.
package Bench::Listening;

use strict;
use utf8;
use warnings;
use Bench::Report;
use FindBin '$Bin';
use Forkbus;

sub run {
    my ($class, $report, $effort) = @_;
    my @command = ("$Bin/listening", "--kernel=$effort->{kernel}", '--kinds=spawn,vfork');
    push @command, '--quick' if $effort->{quick};
    my $file = "$effort->{build}/bench/listening-$effort->{kernel}.json";
    $report->say("@command");
    my $status = system { $command[0] } @command;
    die "no kernel is available\n"                 if $status >> 8 == 77;
    die "$command[0] ended with status $status\n" if $status != 0;
    my $result = Forkbus::parse(Forkbus->read_file($file));
    $report->samples('listening', $effort->{kernel}, $result);
    for my $kind (@{ $result->{kinds} }) {
        my $of    = $result->{settings};
        my $short = $kind =~ s/ × 1$//r;
        $short =~ s/ × / x /;
        my $many = $result->{many}{$kind};
        spread($report, "$short: 100 subscribers, to 100 on the connector", $many->{100}, '>= 5');
        spread($report, "$short: ... that are a process each", $many->{'100-each'}, '>= 5');
        spread($report, "$short: 100 log readers, to 100 on the connector", $many->{'100-ring'});
        spread($report, "$short: 1,000 subscribers, to 1,000 on the connector", $many->{1000});
        spread($report, "$short: 1 subscriber, to nobody",     $of->{'module-1'}{$kind}{ratio});
        spread($report, "$short: module loaded, nobody listens, to nobody", $of->{module}{$kind}{ratio});
        idle($report, $short, map { $of->{$_}{$kind}{ratio} } 'module-1000-not', 'module-1-not');
    }
}

sub idle {
    my ($report, $kind, $many, $one) = @_;
    return if !$many || !$one || !$one->{median};
    my %ratio = map { ($_ => $many->{$_} / $one->{median}) } qw(median min max);
    spread($report, "$kind: 1,000 filtered, idle subscribers, to 1", \%ratio, '>= 0.95');
}

sub spread {
    my ($report, $name, $spread, $target) = @_;
    return if !$spread;
    $report->figure('listening', $name, [@$spread{qw(min median max)}], $target);
}

1;
