#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Trees of processes whose pids are used again at once, of processes that ended before the request, and of subscribers that
# read late: each gets the events of its processes, and of no others.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus;
use IPC::Open2;
use Test::More;

use constant { REUSED => 100, SLACK_USEC => 10000 };

Forkbus->needs_root;
Forkbus->needs_connector;

my $broker = Forkbus->broker(source => Forkbus::live_source());
my $all    = $broker->subscribe({});
$all->wait_ready;

my $pid  = open2(my $out, my $in, Forkbus->helper('successor'), REUSED);
my $root = readline $out;
chomp $root;
my $born = $all->wait_for(sub { $_->{type} eq 'fork' && $_->{pid} == $root }, 'the root');
my $tree = $broker->subscribe({ tree => 0 + $root });
my $late = $broker->subscribe({ tree => 0 + $root, types => ['exit'] });
$_->wait_ready for $tree, $late;
my $begin = $broker->status->{cursor};
syswrite $in, 'x';
my @reused = map { 0 + $_ } readline $out;
waitpid $pid, 0;
is($?, 0, 'pids were used again');
is(scalar @reused, REUSED, 'each one');

my $is_end = sub { my ($of) = @_; return sub { $_->{type} eq 'exit' && $_->{pid} == $of } };
my $end    = $all->wait_for($is_end->($pid), 'the end of the program');
my %of;
push @{ $of{ $_->{pid} } }, $_ for grep { defined $_->{pid} } $all->events;
my ($wrong, $near) = (0, 0);
for (@reused) {
    my @forks = grep { $_->{type} eq 'fork' } @{ $of{$_} };
    my @ends  = grep { $_->{type} eq 'exit' } @{ $of{$_} };
    $wrong++ if @forks != 2 || join(' ', map { $_->{status}{code} // '' } @ends) ne '1 42';
    $near++ if @forks == 2 && $forks[1]{startUsec} - $forks[0]{startUsec} <= SLACK_USEC;
}
is($wrong, 0, 'all of both are reported');
cmp_ok($near, '>', 0, "some were used again within a tick: $near");

my %is_reused = map { $_ => 1 } @reused;
my $of_tree   = sub {
    my ($subscriber) = @_;
    $subscriber->wait_for($is_end->($root), 'the end of the root');
    return [map { $_->{status}{code} } grep { $_->{type} eq 'exit' && $is_reused{ $_->{pid} } } $subscriber->events];
};
is_deeply($of_tree->($tree), [(1) x REUSED], 'a tree has the children of its members');
is_deeply($of_tree->($late), [(1) x REUSED], 'a subscriber that reads late gets the same');

# Now the root has ended.
my $past = $broker->subscribe({ tree => { pid => 0 + $root, startUsec => $born->{startUsec} }, since => $begin });
is_deeply($of_tree->($past), [(1) x REUSED], 'also one that asks for it afterwards');

# By pid and start.
my ($first, $second) = grep { $_->{type} eq 'fork' } @{ $of{ $reused[-1] } };
for ([$first, 1], [$second, 42]) {
    my ($fork, $code) = @$_;
    my $one = $broker->subscribe({ pids => { pid => $fork->{pid}, startUsec => $fork->{startUsec} }, since => $begin });
    $one->catch_up($broker, $end->{seq});
    is_deeply([map { $_->{status}{code} } grep { $_->{type} eq 'exit' } $one->events],
        [$code], "the process that ended with $code is found by its pid and start alone");
}

$broker->stop;
done_testing;
