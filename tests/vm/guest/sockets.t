#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A listener is a socket, not its port: ports are reused while the socket that had one is still being closed.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Genl;
use Guest;
use POSIX ();
use Test::More;

ok(load(grace => 0), 'the module loads');
my $watcher = Genl->new;

# Several processes close and open sockets with one and the same port, and START on each: a socket that is being closed must
# not take another one's START with it.
my $port = 1 << 20;
my $bad  = 0;
my @racers = map {
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        my $lost = 0;
        for (1 .. 500) {
            my $genl = eval { Genl->new(port => $port) } or next;
            my $armed = $genl->start('session') == 0 && $genl->status->{ARMED};
            select undef, undef, undef, 0.001;
            $lost++ if $armed && !$genl->status->{ARMED};
        }
        POSIX::_exit($lost ? 1 : 0);
    }
    $pid
} 1 .. 3;
for (@racers) {
    waitpid $_, 0;
    $bad++ if $?;
}
is($bad, 0, 'each socket keeps its START');
is($watcher->status->{LISTENERS}, 0, 'and takes it along');
is($watcher->status->{ARMED}, 0, 'nothing stays armed');

# A refused request changes nothing, and sends nothing again.
my $genl = Genl->new(buffer => 16 << 20);
$genl->join_group;
$genl->start('fork');
child(sub { 0 }) for 1 .. 5;
$genl->records(0.3);
isnt(($genl->command('START', Genl::ACK))[0], 0, 'START without a mask is refused');
isnt(($genl->command('START', Genl::ACK, MASK => 1 << 31))[0], 0, 'START with an unknown type is refused');
is_deeply([$genl->records(0.3)], [], 'and sends nothing again');
is($genl->status->{ARMED}, Genl::mask('fork'), 'the armed types stay');
undef $genl;
undef $watcher;
ok(unload(), 'the module unloads');
done_testing;
