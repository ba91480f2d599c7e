#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Types that are armed on request: only a subscriber that sees all processes arms them, at once, and they are disarmed late. So
# nobody causes many source events, which every subscriber gets.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(true);
use Test::More;

use constant GROUP => 64777;
use constant TURNS => 200;

Forkbus->needs_root;
Forkbus->needs_connector;

my ($user) = Forkbus::nobody;
my $broker = Forkbus->broker(source => 'connector', config => { Access => { Group => GROUP } });
my $victim = $broker->subscribe({ types => ['exit'], uids => [4242424] }, uid => $user);
$victim->wait_ready;

sub armed { return $broker->status->{source}{armed} }

# Subscribe and leave, again and again. Return: how many source events another subscriber got by that.
sub come_and_go {
    my (@who) = @_;
    $victim->forget;
    for my $turn (1 .. TURNS) {
        my $request = $turn % 2 ? { types => ['ptrace'] } : { types => ['coredump'], threads => true };
        my $subscriber = $broker->subscribe($request, @who);
        $subscriber->wait_ready;
        $subscriber->close;
    }
    $victim->catch_up($broker);
    return scalar grep { $_->{type} eq 'source' } $victim->events;
}

my $begin = Forkbus::now_usec();
is(come_and_go(uid => $user), 0, 'an ordinary user arms nothing');
unlike(armed(), qr/ptrace|coredump|threads/, 'as the status shows');
my $sources = come_and_go(uid => $user, groups => [GROUP]);
cmp_ok($sources, '>=', 2, 'a member of the group arms what its filters name');
my $seconds = (Forkbus::now_usec() - $begin) / 1e6;
cmp_ok($sources, '<=', 2 + 3 * $seconds / 10, 'but each type once in ten seconds, at most');
like(armed(), qr/\bcoredump ptrace threads\b/, 'they stay armed when the filters have gone');
ok(Forkbus->wait_until(sub { armed() !~ /ptrace/ }), 'and are disarmed later') or diag(armed());
my $disarmed = $victim->wait_for(sub { $_->{type} eq 'source' && $_->{armed} !~ /ptrace/ }, 'the event about it');
is($disarmed->{reason}, 'armed', 'which is reported, too');

$broker->configure({ Access => { Group => GROUP }, Source => { Armed => 'ptrace threads' } });
my $said = length $broker->stderr;
$broker->signal('HUP');
ok($broker->says(qr/configuration reloaded/, $said), 'the configuration arms some types');
like(armed(), qr/\bptrace threads$/, 'for all users');
my $stream = $broker->subscribe({ threads => true }, uid => $user);
$stream->wait_ready;
Forkbus->as_user($user, [], sub { system '/bin/true' });
my $own = $stream->wait_for(sub { $_->{type} eq 'exit' && $_->{comm} eq 'true' }, 'own events');
is($own->{uid}, $user, 'an ordinary user still gets the own ones');
$broker->stop;
done_testing;
