# SPDX-License-Identifier: LGPL-2.1-or-later
#
# (a) The ring: what those who read the mapped log cost the broker, which does nothing for them but wake them.
package Bench::Ring;

use strict;
use warnings;
use Bench::Program;
use Bench::Report;
use List::Util 'max';

my @readers = (0, 1, 10, 100, 1000);
my @paces   = ('flat out', '20000/s', '1000/s');

sub thousands { return $_[0] =~ s/^(\d+)(\d{3})$/$1,$2/r }

sub run {
    my ($class, $report, $effort) = @_;
    my @command = (Bench::Program->path('ring'), $effort->{runs}, $effort->{quick} ? 500000 : 2000000, 1000 * $effort->{seconds});
    open my $ring, '-|', @command or die "$command[0]: $!\n";
    my (%cost, %wakes);
    while (my $line = readline $ring) {
        my ($n, $pace, $nsec, $wakes) = $line =~ /^ *(\d+) readers, ([^:]+): +([\d.]+) ns an event, +([\d.]+) wakes/ or next;
        push @{ $cost{$pace}{$n} },  $nsec;
        push @{ $wakes{$pace}{$n} }, $wakes;
        $report->say($line =~ s/\n//r);
    }
    close $ring or die "$command[0] has failed\n";
    $report->samples('ring', 'nsec',  \%cost);
    $report->samples('ring', 'wakes', \%wakes);
    figures($report, $_, $cost{$_}, $wakes{$_}) for @paces;
    my %axes = (xlabel => 'readers', ylabel => 'ns of the broker an event', log => 'xy');
    my %lines;
    for my $pace (@paces) {
        $lines{$pace} = [map { [$_, Bench::Report::spread(@{ $cost{$pace}{$_} })] } grep { $_ > 0 } @readers];
    }
    $report->plot(name => 'ring', title => 'Readers of the mapped log', %axes, lines => \%lines);
}

sub figures {
    my ($report, $pace, $cost, $wakes) = @_;
    my $one = Bench::Report::median(@{ $cost->{1} });
    my $spread = max(@{ $cost->{1} }) / $one;
    for my $n (reverse grep { $_ > 1 } @readers) {
        my $target = $n == 1000 && $pace eq 'flat out' ? sprintf '<= %.3f', $spread : undef;
        $report->figure('ring', "${\thousands($n)} readers, $pace: an event, to 1 reader", [map { $_ / $one } @{ $cost->{$n} }],
            $target);
    }
    $report->figure('ring', "1 reader, $pace: an event, to none", Bench::Report::ratios(@$cost{ 1, 0 }));
    # Of those who are woken most.
    my @most = map {
        my $run = $_;
        max(map { $wakes->{$_}[$run] } @readers)
    } 0 .. $#{ $wakes->{1} };
    $report->figure('ring', "a reader, $pace: wakes a second, to 1,000", [map { $_ / 1000 } @most], '<= 1');
}

1;
