#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# forkbus-notify with notification servers and brokers that start and end.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(run);
use Forkbus::Desktop;
use Test::More;

my $feed    = Forkbus::Feed->new;
my $broker  = $feed->broker;
my $desktop = Forkbus::Desktop->new;
my $notify;

sub ending { return Forkbus::Desktop::ending(@_) }
sub feed   { $feed->write(@_)->settle }

# Close all notifications, and reset the server.
sub clear {
    $desktop->order("close $_ 2") for sort keys %{ $desktop->screen };
    return $desktop->reported;
}

sub summaries {
    my $screen = $desktop->screen;
    return [map { $screen->{$_}{summary} } sort { $a <=> $b } keys %$screen];
}

# --- what a notification is ------------------------------------------------------------------------------------------

$desktop->serve('body', 'body-markup', 'actions');
$notify = $desktop->notify($broker);
feed(ending(comm => 'a<b>', exe => '/opt/"x" & <y>', pid => 4242));
my $shown = $desktop->shows(qr/^a/);
is_deeply(
    $shown,
    {
        call => 'Notify', name => 'forkbus-notify', replaces => 0, id => 1, icon => 'utilities-terminal', expire => -1,
        summary => 'a<b> is done after 1 min',
        body    => "CPU 3.0 s (5 %), up to 19 MiB\n/opt/&quot;x&quot; &amp; &lt;y&gt;, pid 4242 on pts/1",
        hints   => {
            urgency => 'y0', category => 'x-forkbus.process.exited', 'desktop-entry' => 'forkbus-notify',
            'sender-pid' => 'x' . $notify->pid, transient => 'b1'
        }
    },
    'a notification, its body escaped for a server that knows markup'
);
my $from = clear();
feed(ending(comm => 'no', status => { code => 1 }));
$shown = $desktop->shows(qr/^no failed with 1/, $from);
is_deeply([@{ $shown->{hints} }{qw(urgency transient)}, $shown->{icon}], ['y1', undef, 'dialog-warning'], 'a failure');
$from = clear();
feed(ending(comm => 'oh', status => { signal => 11, coreDumped => Forkbus::true() }));
$shown = $desktop->shows(qr/^oh crashed: SIGSEGV\ncore dumped/, $from);
is_deeply([@{ $shown->{hints} }{qw(urgency category transient)}, $shown->{icon}],
    ['y2', 'x-forkbus.process.crashed', undef, 'dialog-error'], 'a crash');
$from = clear();
feed(ending(comm => "caf\x{fffd}", commRaw => 'Y2Fm6Q==', exe => "/\x{1}\x{fffd}", exeRaw => 'LwHp'));
$shown = $desktop->shows(qr/^caf/, $from);
is($shown->{summary}, "caf\x{fffd} is done after 1 min", 'a name that is no UTF-8');
like($shown->{body}, qr{^/\x{fffd}\x{fffd}, pid}m, 'and a path');

# --- floods ----------------------------------------------------------------------------------------------------------

$from = clear();
feed(map { ending(comm => 'many', status => { code => $_ % 50 == 0 ? 1 : 0 }) } 1 .. 200);
$shown = $desktop->shows(qr/^198 commands ended$/m, $from);
ok($shown, 'if 200 processes end at once, two are shown and the rest is counted');
is($shown->{body} // '', "194 done, 4 failed\nmany (198)", 'by how they ended');
is($shown->{hints}{urgency} // '', 'y1', 'as urgent as the most urgent one');
my @flood  = $desktop->notices($from);
my %ids    = map { $_->{id} => 1 } @flood;
is(scalar keys %ids, 3, 'there were never more than three');
my @updates = grep { $_->{id} == $shown->{id} } @flood;
is_deeply([map { $_->{replaces} } @updates], [0, ($shown->{id}) x $#updates], 'the last one is replaced');
cmp_ok(scalar @updates, '<', 150, 'but not for each');
$desktop->order("close $flood[0]{id} 2");
feed(ending(comm => 'next'));
ok($desktop->shows(qr/^next is done/, $from), 'where one is closed there is room again');
$desktop->order("close $shown->{id} 1");
feed(ending(comm => 'after'));
ok($desktop->shows(qr/^after is done/, $from), 'a closed summary does not come back');
is(scalar keys %{ $desktop->screen }, 3, 'three again');
$from = clear();
$desktop->order('close 4711 1');

# --- refusals --------------------------------------------------------------------------------------------------------

$desktop->order('refuse');
feed(ending(comm => 'refused'));
ok($notify->says(qr/refused a notification: org\.forkbus\.test\.Refused/), 'a refusal of the server is logged');
$desktop->order('accept');
feed(ending(comm => 'accepted'));
ok($desktop->shows(qr/^accepted is done/, $from), 'and is not given up');

# --- other servers ---------------------------------------------------------------------------------------------------

$from = clear();
feed(ending(comm => 'seen'));
ok($desktop->shows(qr/^seen/, $from), 'something is on the screen');
$desktop->order('mute');
feed(ending(comm => 'unanswered'));
ok($desktop->shows(qr/^unanswered/, $from), 'one is not answered');
$desktop->stop_server('KILL');
ok($notify->says(qr/the notification server is gone/), 'the server is gone');
$from = $desktop->reported;
feed(ending(comm => 'waiting'));
feed(map { ending(comm => 'waits too', exe => '/<&>') } 1 .. 100);
$desktop->serve('body');
$shown = $desktop->shows(qr/^100 commands ended$/m, $from);
ok($shown, 'notifications from the time between waited for the new one') or diag($notify->stderr);
is_deeply([sort @{ summaries() }], ['100 commands ended', 'unanswered is done after 1 min', 'waiting is done after 1 min'],
    'and what was not answered, but not what had been seen');
is_deeply([map { $_->{replaces} } $desktop->notices($from)], [0, 0, 0], 'the ids of the old one mean nothing');
is(scalar(grep { ($_->{call} // '') eq 'GetCapabilities' } $desktop->said($from)), 1, 'its capabilities are queried');
clear();
feed(ending(comm => 'raw', exe => '/<&>'));
like($desktop->shows(qr/^raw/, $from)->{body}, qr{^/<&>, pid}m, 'without body-markup the body is text');
$desktop->stop_server;
$desktop->serve;
$from = clear();
feed(ending(comm => 'bare'));
is($desktop->shows(qr/^bare/, $from)->{body}, '', 'without bodies there is none');
$desktop->stop_server;

# --- reload ----------------------------------------------------------------------------------------------------------

$desktop->serve('body');
$from = clear();
ok($notify->reload("[Commands]\nMinElapsedSec=1s\n"), 'it reads its configuration again');
feed(ending(comm => 'fast', usage => { elapsedUsec => 2_000_000 }));
ok($desktop->shows(qr/^fast is done after 2.0 s/, $from), 'the new limit for long commands applies');
my $wrong = "[Commands]\n\nMinElapsedSec=1h\nScope=me\n";
ok($notify->reload($wrong, qr/the configuration is unchanged/), 'a wrong one is refused');
like($notify->stderr, qr/notify-1\.conf:4: \[Commands\] Scope=me: expected shell, terminal or all$/m, 'it says why');
feed(ending(comm => 'fast again', usage => { elapsedUsec => 2_000_000 }));
ok($desktop->shows(qr/^fast again is done/, $from), 'and all stays as it was');
clear();
ok($notify->reload("[Notifications]\nOnScreen=1\n[Commands]\nMinElapsedSec=1s\n"), 'one alone on the screen');
$from = $desktop->reported;
feed(map { ending(comm => 'single') } 1 .. 10);
ok($desktop->shows(qr/^10 commands ended$/m, $from), 'all are counted there');
is(scalar keys %{ $desktop->screen }, 1, 'one is on the screen');
clear();

# Quiet hours that include the current time.
my $hour  = (gmtime)[2];
my $quiet = sprintf '%02d:00-%02d:00', ($hour + 23) % 24, ($hour + 3) % 24;
ok($notify->reload("[Notifications]\nQuietHours=$quiet\n"), 'it is quiet');
$from = $desktop->reported;
feed(
    ending(comm => 'lullaby'),
    ending(comm => 'lullaby', status => { code => 1 }),
    ending(comm => 'nightmare', status => { signal => 6 })
);
ok($notify->reload("[Notifications]\nQuietHours=$quiet\nQuietCrashes=yes\n"), 'except for crashes');
feed(ending(comm => 'ghost', status => { signal => 6 }));
ok($desktop->shows(qr/^ghost crashed/, $from), 'those are shown');

ok($notify->reload(''), 'the night is over');
$shown = $desktop->shows(qr/^In quiet hours: /, $from);
is($shown->{summary}, 'In quiet hours: 2 commands ended, 1 crash', 'held notices are shown at once');
# Crashes come by a separate subscription.
like($shown->{body}, qr/^1 done, 1 failed\n(?:lullaby \(2\), nightmare|nightmare, lullaby \(2\))$/, 'by how they ended');
is(scalar(grep { $_->{summary} =~ /lullaby|nightmare/ } $desktop->notices($from)), 0, 'and not one by one');

# --- losses, and other brokers ----------------------------------------------------------------------------------------

$from = clear();
feed({ type => 'lost', reason => 'netlink', count => 3 }, { type => 'lost', reason => 'netlink', count => 4 });
ok($notify->says(qr/some process exits were missed \(netlink\)/), 'a loss is logged');
feed(ending(comm => 'found'));
ok($desktop->shows(qr/^found/, $from), 'it goes on');
is($notify->count(qr/were missed/), 1, 'and only once');
$broker->end('KILL');
ok($notify->says(qr/lost the broker at/), 'the broker is gone');
$broker->restart;
$feed->{lines} = 0;
feed(ending(comm => 'later'));
ok($desktop->shows(qr/^later/, $from), 'and reconnects');
feed(ending(comm => 'boom', status => { signal => 4 }));
ok($desktop->shows(qr/^boom/, $from), 'on both ways');
is(scalar(grep { $_->{summary} =~ /^(?:found|later|boom)/ } $desktop->notices($from)), 3, 'each is reported once');
is($notify->count(qr/were missed/), 1, 'no more was lost');
$notify->stop('the end');

# --- none yet --------------------------------------------------------------------------------------------------------

my $early = Forkbus->directory;
$notify = $desktop->notify($early, early => 1);
ok($notify->says(qr/there is no broker at \Q$early\E.*; waiting for it/), 'without a broker it waits');
my $late = Forkbus->broker(source => 'replay:/dev/null', dir => $early);
ok($notify->says(qr/listening to the broker at \Q$early\E/), 'until one starts');
$notify->stop('none yet', 'INT');
$late->stop('the late broker');

# No server runs, but the bus can start one when there is a notification; and a bus that ends.
$desktop->stop_server;
$desktop->offer('body');
$from   = $desktop->reported;
$notify = $desktop->notify($broker);
feed(ending(comm => 'waker'));
ok($desktop->shows(qr/^waker is done/, $from), 'a server is started by the bus');
is_deeply([map { $_->{did} // $_->{call} } $desktop->said($from)], [qw(start GetCapabilities Notify)], 'when it is needed');
$desktop->stop_bus;
$notify->is_ended('without a bus', 1);
like($notify->stderr, qr/lost the connection to the session bus/, 'it says why');
$broker->stop;
done_testing;
