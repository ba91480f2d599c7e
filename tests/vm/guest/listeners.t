#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Several listeners: the armed types are all types that any of them requested, and starting or stopping one does not disturb
# others.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Genl;
use Guest;
use Test::More;

ok(load(grace => 0), 'the module loads');
my @kprobes = grep { /forkbus/ } do { open my $list, '<', '/sys/kernel/debug/kprobes/list'; defined $list ? <$list> : () };
my $watcher = Genl->new;
is($watcher->status->{ARMED},     0, 'without a listener nothing is armed');
is($watcher->status->{RING_SIZE}, 0, 'and there is no ring');

my ($one, $two) = map { Genl->new(buffer => 32 << 20) } 1 .. 2;
$_->join_group for $one, $two;
$one->start(qw(fork exit));
is($watcher->status->{ARMED}, Genl::mask(qw(fork exit)), 'one listener');
$two->start(qw(exec exit chroot));
is($watcher->status->{ARMED}, Genl::mask(qw(fork exit exec chroot)), 'two: the types that either requested');
is($watcher->status->{LISTENERS}, 2, 'both are counted');
$two->start(qw(exec));
is($watcher->status->{ARMED}, Genl::mask(qw(fork exit exec)), 'START again: the last one counts');
$_->start('fork', 'exit', { ARGS => 5000 }) == 0 and fail('too many bytes of arguments') for $watcher;
isnt(($watcher->command('START', Genl::ACK))[0], 0, 'START without a mask is refused');
is($watcher->start(), 0, 'an empty mask is none');
is($watcher->stop, 0, '(and can be stopped)');

my @said;
{
    # A listener starts and stops all the time, while others listen.
    my $pid = fork // die;
    if (!$pid) {
        for (1 .. 200) {
            my $third = Genl->new;
            $third->join_group;
            $third->start($_ % 2 ? qw(fork exec exit id comm session chroot threads) : qw(chroot));
            $third->records(0.001);
        }
        POSIX::_exit(0);
    }
    @said = workload('burst=1500', ('spawn') x 50);
    waitpid $pid, 0;
}
my @of_one = $one->records(0.5);
my @of_two = $two->records(0.5);
is($one->{overruns} + $two->{overruns}, 0, 'no socket was overrun');
for ([one => @of_one], [two => @of_two]) {
    my ($name, @records) = @$_;
    my %exit  = exits(@records);
    my @holes = grep { $records[$_]{SEQ} != $records[ $_ - 1 ]{SEQ} + 1 } 1 .. $#records;
    is(scalar @holes, 0, "$name: no hole in " . @records . ' records');
    is(scalar(grep { !$exit{ $_->{pid} } } @said), 0, "$name: every exit is there");
    my %born = map { $_->{TGID} => 1 } grep { $_->{TYPE} eq 'fork' && !exists $_->{TID} } @records;
    is(scalar(grep { !$born{ $_->{pid} } } @said), 0, "$name: every fork too");
}
my @armed = grep { $_->{TYPE} eq 'armed' } @of_one;
cmp_ok(scalar @armed, '>', 100, 'each change is reported');
is($armed[-1]{MASK}, Genl::mask(qw(fork exit exec)), 'the last one: only the types of the first two again');

undef $one;
is($watcher->status->{ARMED}, Genl::mask('exec'), 'one leaves, the other stays');
child(sub { exec 'true' });
ok((grep { $_->{TYPE} eq 'exec' } $two->records(0.5)), 'and receives its types');
undef $two;
is($watcher->status->{ARMED}, 0, 'no listener is left');
undef $watcher;
ok(unload(), 'the module unloads');
done_testing;
