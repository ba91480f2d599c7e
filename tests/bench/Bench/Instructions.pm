# SPDX-License-Identifier: LGPL-2.1-or-later
#
# (h) Instructions an event, exact, and independent of the machine's load: compared with the recorded ones
# (instructions.json), so that a change shows.
package Bench::Instructions;

use strict;
use warnings;
use Bench::Peers;
use Bench::Program;
use Bench::Report;
use FindBin '$Bin';
use Forkbus;
use POSIX ();

use constant { FEW => 960, MORE => 2880 };    # both are whole lives of processes, and whole batches

my @parts = (
    [encode => 'encode'], [match => 'match with a filter'], [append => 'append to the log'], [apply => 'apply to the table'],
    [publish => 'all of it, nobody wants it'], [one => 'all of it, 1 subscriber'],
    [hundred => 'all of it, 100 subscribers'], [tenants => 'all of it, 1,000 tenants, 1 wants it'],
    [tree => 'all of it, 1 subscriber of a tree'], [trees => 'all of it, 1,000 trees, 1 has it'],
    [nested => 'all of it, 1,000 nested trees, 1 has it'],
);

sub begin {
    my ($part, $times) = @_;
    my $valgrind = Bench::Peers::program('valgrind');
    my @command  = ($valgrind, '--tool=callgrind', '--callgrind-out-file=/dev/null', Bench::Program->path('cost'), $part, $times);
    my $pid      = open(my $reported, '-|') // die "fork: $!\n";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT or POSIX::_exit(126);
        { no warnings 'exec'; exec @command; }
        POSIX::_exit(127);
    }
    return $reported;
}

sub count {
    my ($reported) = @_;
    my $text = do { local $/ = undef; readline $reported };
    return close($reported) && $text =~ /Collected : (\d+)/ ? $1 : die "valgrind: $text\n";
}

# What the beginning and the end take is in both; they run side by side, as no clock counts.
sub each_event {
    my ($part) = @_;
    my ($few, $more) = map { begin($part, $_) } FEW, MORE;
    return (count($more) - count($few)) / (MORE - FEW);
}

sub run {
    my ($class, $report, $effort) = @_;
    my $path      = "$Bin/instructions.json";
    my $reference = -e $path ? Forkbus::parse(Forkbus->read_file($path)) : {};
    my $nothing   = each_event('nothing');
    my %counts;
    for (@parts) {
        my ($part, $text) = @$_;
        $counts{$part} = sprintf('%.1f', each_event($part) - $nothing) + 0;
        $report->say("instructions: $text: $counts{$part}");
        my $was = $reference->{instructions}{$part};
        $report->figure('instructions', sprintf('%s: %.0f', $text, $counts{$part}),
            [$was ? $counts{$part} / $was : 1]);
    }
    for my $what (qw(trees nested)) {
        $report->figure('instructions', "1,000 $what, to 1 tree", [$counts{$what} / $counts{tree}], '<= 2');
    }
    my ($compiler) = split /\n/, qx(cc --version);
    my $now = { compiler => $compiler, instructions => \%counts };
    $report->samples('instructions', 'each', $now);
    $report->note("The instructions written down are of another compiler, $reference->{compiler}.")
      if ($reference->{compiler} // $compiler) ne $compiler;
    Bench::Report::write_file($path, JSON::PP->new->canonical->pretty->indent_length(1)->encode($now)) if $effort->{write_down};
}

1;
