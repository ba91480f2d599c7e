#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The broker's socket overflows, and afterwards nothing happens on the CPU that filled it. The loss is reported all the same.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json slow);
use Test::More;

use constant BURST => slow() ? 8000 : 3000;

Forkbus->needs_root;
Forkbus->needs_connector;

my $broker = Forkbus->broker(source => 'connector', config => { Source => { SocketBuffer => slow() ? '1M' : '64K' } });
my $stream = $broker->subscribe({});
$stream->wait_ready;

$broker->signal('STOP');
Forkbus::Workload->start(arguments => [ 'burst=' . BURST ])->go->finish;
$broker->signal('CONT');

# This test starts and ends no process until the loss is reported. On a busy machine other programs do.
my $lost = $stream->wait_for(sub { $_->{type} eq 'lost' && $_->{detail} eq 'proc connector' }, 'the loss');
is($lost->{reason}, 'netlink', 'the loss is reported');
cmp_ok($lost->{count}, '>', 0, "with the number of messages: $lost->{count}");
cmp_ok($lost->{sinceUsec}, '<=', $lost->{untilUsec}, 'and the time');

# The gaps of all CPUs, which become known now, count the same messages. On a busy machine more may be lost at any time.
sub total_until {
    my ($cursor) = @_;
    my $seq = (split /:/, $cursor)[1];
    my $sum = 0;
    $sum += $_->{count}
      for grep { $_->{type} eq 'lost' && $_->{seq} <= $seq && $_->{detail} eq 'proc connector' } $stream->catch_up($broker, $seq);
    return $sum;
}
my @cpus = Forkbus->read_file('/proc/self/status') =~ /^Cpus_allowed_list:\t(.*)$/m ? split /,/, $1 : ();
for my $cpu (map { /^(\d+)-(\d+)$/ ? $1 .. $2 : $_ } @cpus) {
    system 'taskset', '-c', $cpu, 'true';
}
$stream->settle;
my $status = $broker->status;
is($status->{source}{lostMessages}, total_until($status->{cursor}), 'the status has the same number');
$broker->stop;
done_testing;
