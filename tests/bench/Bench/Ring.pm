# SPDX-License-Identifier: LGPL-2.1-or-later
#
# (a) The ring: what those who read the mapped log cost the broker, which does nothing for them but wake them.
package Bench::Ring;

use strict;
use warnings;
use Bench::Program;
use Bench::Report;
use List::Util 'max';

sub run {
    my ($class, $report, $effort) = @_;
    my @command = (Bench::Program->path('ring'), $effort->{runs}, $effort->{quick} ? 200000 : 1000000);
    open my $ring, '-|', @command or die "$command[0]: $!\n";
    my %cost;
    while (my $line = readline $ring) {
        next if $line !~ /^ *(\d+) readers: +([\d.]+) ns/;
        push @{ $cost{$1} }, $2;
        $report->say($line =~ s/\n//r);
    }
    close $ring or die "$command[0] has failed\n";
    $report->samples('ring', 'nsec', \%cost);
    my $one    = Bench::Report::median(@{ $cost{1} });
    my $spread = max(@{ $cost{1} }) / $one;
    $report->figure('ring', '1,000 readers, flat out: an event, to 1 reader', [map { $_ / $one } @{ $cost{1000} }],
        sprintf '<= %.3f', $spread);
    $report->figure('ring', '1 reader: an event, to none', Bench::Report::ratios(@cost{1, 0}));
    my %axes = (xlabel => 'readers', ylabel => 'ns of the broker an event', xtics => "'0' 0, '1' 1, '1000' 2");
    $report->plot(name => 'ring', title => 'Readers of the mapped log', %axes,
        lines => { readers => [map { [$_, Bench::Report::spread(@{ $cost{ (0, 1, 1000)[$_] } })] } 0 .. 2] });
}

1;
