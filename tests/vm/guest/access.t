#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Only processes with CAP_NET_ADMIN in the initial user namespace may listen.
use strict;
use warnings;
use Errno qw(EPERM ENOENT EACCES);
use FindBin '$Bin';
use lib $Bin;
use Genl;
use Guest;
use Test::More;

ok(load(), 'the module loads');
my $genl = Genl->new;
ok($genl->{family}, 'the family is there');
is($genl->{version}, 1, 'in version 1');

my $user = 65534;
is(by_user($user, sub { Genl->new->join_group }), EPERM, 'an ordinary user may not join the group');
for my $command (qw(START STOP STATUS)) {
    is(by_user($user, sub { (Genl->new->command($command, Genl::ACK, $command eq 'START' ? (MASK => 4) : ()))[0] }),
        EPERM, "nor send $command");
}
is(by_user($user, sub { (Genl->new->replay(0))[0] }), EPERM, 'nor ask for a REPLAY');

# Root of a user namespace has all capabilities there, and none in the initial one.
sub in_namespace {
    my ($unshare, $code) = @_;
    return system('setpriv', "--reuid=$user", "--regid=$user", '--clear-groups', 'unshare', @$unshare, $^X, "-I$Bin", '-MGenl',
        '-e', $code) >> 8;
}
is(in_namespace(['-Ur'], 'exit Genl->new->join_group'), EPERM, 'root of a user namespace may not join');
is(in_namespace(['-Ur'], 'exit Genl->new->start("fork")'), EPERM, 'nor START');
is(in_namespace(['-Urn'], 'exit Genl->new->{family}'), 0, 'another network namespace has no such family');

# The number of the group can be guessed there, but nothing is received.
is($genl->join_group,  0, 'root joins');
is($genl->start('fork'), 0, 'and starts');
is(in_namespace(['-Urn'], <<"EOF2"), 0, 'a socket that joins it in another network namespace receives nothing');
my \$g = Genl->new; \$g->{group} = $genl->{group}; \$g->{family} = $genl->{family};
\$g->join_group; system("true") for 1 .. 5;
exit scalar(my \@records = \$g->records(1));
EOF2
cmp_ok(scalar($genl->records(0.5)), '>=', 5, 'while root heard it all');
undef $genl;

# Nor do records count as sent because of it while the listener is away: they are kept for the listener's return.
load(grace => 600);
is(Genl->new->start('fork'), 0, 'root starts, and leaves');
$genl = Genl->new(buffer => 16 << 20);
is(in_namespace(['-Urn'], <<"EOF3"), 0, 'a stranger joins elsewhere while something happens');
my \$g = Genl->new; \$g->{group} = $genl->{group}; \$g->{family} = $genl->{family};
\$g->join_group; system("true") for 1 .. 5;
exit scalar(my \@records = \$g->records(1));
EOF3
is($genl->status->{SENT}, 0, 'nothing counts as sent');
$genl->join_group;
$genl->start('fork');
my @records = $genl->records(0.5);
is($records[0]{SEQ}, 1, 'a listener that comes back gets all of it');
cmp_ok(scalar @records, '>=', 6, 'from the armed types to the last event');
undef $genl;

# Nor while a listener has sent START and has not joined yet.
load();
$genl = Genl->new(buffer => 16 << 20);
is($genl->start('fork'), 0, 'root starts, and has not joined');
is(in_namespace(['-Urn'], <<"EOF4"), 0, 'a stranger joins elsewhere while something happens');
my \$g = Genl->new; \$g->{group} = $genl->{group}; \$g->{family} = $genl->{family};
\$g->join_group; system("true") for 1 .. 5;
exit scalar(my \@records = \$g->records(1));
EOF4
is($genl->status->{SENT}, 0, 'nothing counts as sent');
$genl->join_group;
$genl->start('fork');
@records = $genl->records(0.5);
is($records[0]{SEQ}, 1, 'when it joins, it gets all of it');

# A listener whose queue is full counts: it gets the records again by REPLAY, and they are history.
my $full = Genl->new(buffer => 2048);
$full->join_group;
$full->start('fork', 'exit');
undef $genl;
workload('burst=200');
my $status = Genl->new->status;
is($status->{SENT}, $status->{LAST}, 'what does not fit in the queue of the only listener counts as sent');
undef $full;

ok(unload(), 'the module unloads');
done_testing;
