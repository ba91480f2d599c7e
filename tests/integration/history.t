#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The history is shared: a process that changes its name in a loop must not remove the events of other users from it. Its newest
# name is reported in any case, and the number of those that are not.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus;
use List::Util 'sum0';
use Test::More;

use constant NAMES => 10000;    # more than twice as much as the log holds

Forkbus->needs_root;
Forkbus->needs_connector;

my ($user, $other) = Forkbus::nobody;
my $broker = Forkbus->broker(source => 'connector', log_size => '1M');
my $live = $broker->subscribe({ uids => [$user, $other] });
$live->wait_ready;

Forkbus->as_user($other, [], sub { 0 });
my $victim = $live->wait_for(sub { $_->{type} eq 'exit' && $_->{uid} == $other }, 'the exit of another user')->{pid};

# The last name is set before the exit; then the process waits until it is reported although nothing else happens to it.
pipe my $end, my $hold or die "pipe: $!\n";
my $pid = fork // die "fork: $!\n";
if (!$pid) {
    close $hold;
    Forkbus::become($user);
    $0 = "name-$_" for 1 .. NAMES;
    sysread $end, my $byte, 1;
    $0 = 'at-the-end';
    POSIX::_exit(0);
}
close $end;
my $newest = $live->wait_for(sub { $_->{type} eq 'comm' && $_->{comm} eq 'name-' . NAMES }, 'the newest name');
is($newest->{pid}, $pid, 'the newest name is reported while the process waits');
cmp_ok($newest->{folded} // 0, '>', 0, 'and that it stands for others');
close $hold;
$live->wait_for(sub { $_->{type} eq 'exit' && $_->{pid} == $pid }, 'the exit');
waitpid $pid, 0;

my @events = $live->events;
my @names  = grep { $_->{type} eq 'comm' && $_->{pid} == $pid } @events;
cmp_ok(scalar @names, '<', NAMES / 2, 'not all names are reported');
is($names[-1]{comm}, 'at-the-end', 'the last one is, before the exit');
my $lost = sum0(map { $_->{count} // 0 } grep { $_->{type} eq 'lost' } $live->events);
cmp_ok(@names + sum0(map { $_->{folded} // 0 } @names), '>=', NAMES + 1 - $lost, 'all are counted') or diag("lost: $lost");
cmp_ok($broker->status->{log}{folded}, '>=', sum0(map { $_->{folded} // 0 } @names), 'in the status, too');

my $history = $broker->subscribe({ since => $broker->beginning }, uid => $other);
$history->catch_up($broker);
my @found = grep { $_->{type} eq 'exit' && $_->{pid} == $victim } $history->events;
is(scalar @found, 1, 'another user still has the older events');
is(scalar(grep { $_->{type} eq 'lost' && $_->{reason} eq 'expired' } $history->events), 0, 'and nothing has expired');
$broker->stop;
done_testing;
