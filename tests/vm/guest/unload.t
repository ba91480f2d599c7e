#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The module is loaded and unloaded under load, with joined listeners. The host checks the kernel log for problems.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Genl;
use Guest;
use Test::More;

my $load = fork // die;
if (!$load) { workload('burst=200') while 1 }

my ($loads, $reported, $instances) = (0, 0, 0);
my (%instance, @bad);
for my $round (1 .. 50) {
    $loads += load(ring => 64 << $round % 4, grace => $round % 3);
    my $genl = Genl->new(buffer => 8 << 20);
    push @bad, "round $round: no family" if !$genl->{family};
    $genl->join_group;
    $genl->start(qw(fork exec exit id comm session threads));
    $instance{ $genl->status->{INSTANCE} }++;
    my @records = $genl->records(0.2, sub { 1 });
    $reported++ if @records;
    push @bad, "round $round: begins with $records[0]{SEQ}" if @records && $records[0]{SEQ} != 1;
    # Every second time it is unloaded while this socket is joined and started.
    undef $genl if $round % 2;
    push @bad, "round $round: not unloaded" if !unload();
    if ($genl) {
        my @rest = map { eval { $genl->records(0.01) } } 1 .. 3;
        push @bad, "round $round: a family that is gone answers" if eval { $genl->status };
    }
}
kill 'KILL', $load;
waitpid $load, 0;
system 'pkill', '-KILL', 'workload';
is($loads, 50, 'it was loaded 50 times');
is($reported,  50, 'and events were reported each time');
is(scalar keys %instance, 50, 'each time as another instance');
is_deeply(\@bad, [], 'and unloaded, joined or not');
ok(!loaded(), 'it is gone');

# netlink holds the module while a REPLAY is unfinished.
load();
my ($genl, $asker) = map { Genl->new(buffer => 16 << 20) } 1 .. 2;
$genl->start(qw(fork exit));
workload('burst=2000');
$asker->send_message($asker->{family}, 4, Genl::DUMP, Genl::attributes('A', FROM => 0));
undef $genl;
isnt(system('rmmod forkbus 2>/dev/null'), 0, 'it is held by a REPLAY that nobody reads');
undef $asker;
ok(unload(), '... and unloads when the socket is closed');
done_testing;
