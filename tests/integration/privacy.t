#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a privileged program does is private: with real setuid, setgid, unreadable and capable programs, with programs that drop
# their rights, and with daemons that become a user; live, from history, in snapshots and lists, on each face. The kernel is
# asked as well: its user sees no path in an event that the kernel does not show in /proc.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json run);
use Test::More;

Forkbus->needs_root;
Forkbus->needs_connector;

# dbus-daemon refuses users without a name in passwd.
my $user = getpwnam('nobody') // plan(skip_all => 'there is no user nobody');
my $group = 64778;
my $base  = Forkbus->directory;
my ($bus_kind) = Forkbus::Bus->kinds;
my $bus    = Forkbus::Bus->start($bus_kind);
my $broker = Forkbus->broker(source => 'connector', bus => 'system', env => $bus->env);
$bus->has_owner;

# --- the programs ----------------------------------------------------------------------------------------------------

my $secret = Forkbus->write_file("$base/secret", 'x' x 300_000);
my %program;
for my $kind (qw(own setuid setgid unreadable capable)) {
    mkdir "$base/$kind" or die "$base/$kind: $!\n";
    $program{$kind} = Forkbus->installed(Forkbus->helper('private'), "$base/$kind");
}
chown 0, $group, $secret, $program{setgid};
chmod 0640, $secret;
chmod 04755, $program{setuid};
chmod 02755, $program{setgid};
chmod 0711, $program{unreadable};
my ($given) = run([$program{own}, "give=$program{capable}"]);
my ($works) = run([$program{setuid}, "read=$secret"], uid => $user);
my %cannot = (
    (map { $_ => "no setuid programs in $base" } $works == 0 ? () : qw(setuid setgid)),
    (capable => "no file capabilities in $base") x !!($given != 0),
);

# [name, program, steps, shown while it holds: exe, shown at the exit: counters, user it starts as]
my @cases = (
    ['an own program',                    own        => ['hold', 'child', "read=$program{own}", 'hold'], 1, 1],
    ['a setuid program',                  setuid     => ["read=$secret", 'hold'], 0, 0],
    ['a setuid program without rights',   setuid     => ["read=$secret", 'drop', 'hold'], 0, 0],
    ['its child',                         setuid     => ["read=$secret", 'drop', 'hold', 'child', 'hold'], 0, 0],
    ['a setgid program',                  setgid     => ["read=$secret", 'hold'], 0, 0],
    ['a setgid program without rights',   setgid     => ["read=$secret", 'drop', 'hold'], 0, 0],
    ['an unreadable program',             unreadable => ['hold'], 0, 0],
    ['a program with capabilities',       capable    => ["read=$secret", 'hold'], 0, 0],
    ['the next program',                  setuid     => ["read=$secret", 'drop', "exec=$program{own}", 'hold'], 1, 0],
    ['the child of the next program', setuid => ["read=$secret", 'drop', "exec=$program{own}", 'hold', 'child', 'hold'], 1, 1],
    ['a daemon that became the user',     own        => ["read=$secret", "become=$user", 'hold'], 0, 0, 0],
    ['the program of such a daemon',      own        => ["become=$user", "exec=$program{own}", 'hold'], 1, 0, 0],
    ['the child of this program',         own        => ["become=$user", "exec=$program{own}", 'hold', 'child', 'hold'], 1, 1, 0],
);

# --- what each face shows --------------------------------------------------------------------------------------------

my @counters = qw(readChars writeChars);
my %live = map { $_ => $broker->subscribe({}, $_ ? (uid => $user) : ()) } 0, 1;
$_->wait_ready for values %live;
my $client = $bus->client(uid => $user);
my $signals = $client->subscribe({});
$client->wait_signal(sub { $_->{signal} eq 'Ready' });

# /proc may be read late: wait until the broker knows what the process runs. Return: its path, as root sees it.
sub path_of {
    my ($pid) = @_;
    my $path;
    $live{0}->settle;
    Forkbus->wait_until(sub { $path = ($broker->varlink->ask('GetProcess', { pid => $pid })->{process} // {})->{exe} });
    return $path;
}

sub plain { return Forkbus::BusClient::plain($_[0]) }

# A living process, as the user sees it.
sub living {
    my ($pid) = @_;
    my $link = $broker->varlink(uid => $user);
    my %shown = (
        'GetProcess by Varlink'    => $link->ask('GetProcess', { pid => $pid })->{process},
        'ListProcesses by Varlink' => $link->ask('ListProcesses', { filter => { pids => [$pid] } })->{processes}[0],
    );
    my $subscriber = $link->subscribe({ snapshot => Forkbus::true, filter => { pids => [$pid] } });
    $subscriber->wait_ready;
    ($shown{'a snapshot by Varlink'}) = grep { $_->{type} eq 'process' } @{ $link->{events} };
    my $stream = $broker->subscribe({ snapshot => Forkbus::true, pids => [$pid] }, uid => $user);
    $stream->wait_ready;
    ($shown{'a snapshot'}) = grep { $_->{type} eq 'process' } $stream->events;
    $shown{'GetProcess by D-Bus'}    = plain($client->call('GetProcess', 'u', $pid)->{reply}[0]);
    $shown{'ListProcesses by D-Bus'} = plain($client->call('ListProcesses', 'a{sv}', { pids => [$pid] })->{reply}[0][0][2]);
    return \%shown;
}

# May the user see what runs?
sub kernel_shows {
    my ($pid) = @_;
    return Forkbus->as_user($user, [], sub { defined readlink "/proc/$pid/exe" ? 0 : 1 }) == 0;
}

sub counted { return scalar grep { exists(($_[0]{usage} // {})->{$_}) } @counters }

my (%ended, %filtered);
for my $case (@cases) {
    my ($name, $kind, $steps, $exe, $usage, $as) = @$case;
  SKIP: {
        skip "$name: $cannot{$kind}", 5 if $cannot{$kind};
        my $process = Forkbus::Workload->start(program => $program{$kind}, arguments => $steps,
            defined $as ? () : (uid => $user));
        my $pid = $process->next->{pid};

        # A child has the path of its parent, if that was known then.
        for (2 .. grep { $_ eq 'hold' } @$steps) {
            path_of($pid);
            $pid = $process->go->next->{pid};
        }
        like(path_of($pid), qr{^\Q$base\E/}, "$name: root sees its path");
        my $shown = living($pid);
        my @wrong = grep { !$shown->{$_} || !!exists $shown->{$_}{exe} != !!$exe } sort keys %$shown;
        is_deeply(\@wrong, [], "$name: while it lives its path is " . ($exe ? 'shown' : 'withheld')) or diag(json($shown));
        ok(!$exe || kernel_shows($pid), 'the kernel shows no less');
        $process->go;
        is_deeply([$process->finish], [], 'it ends');
        $ended{$pid} = [$name, $exe, $usage, $live{0}->settle->{seq}];
    }
}

my $last = $live{0}->settle->{seq};
my %events = (live => [$live{1}->catch_up($broker, $last)]);
$live{0}->catch_up($broker, $last);
$events{history} = [$broker->subscribe({ since => $broker->beginning }, uid => $user)->catch_up($broker, $last)];
my $link = $broker->varlink(uid => $user)->subscribe({ since => $broker->beginning });
$events{'history by Varlink'} = [$link->catch_up($broker, $last)];
Forkbus->wait_until(sub { (split /:/, $client->get('Cursor', $signals))[1] >= $last }) or die "no signals to $last\n";
$events{'D-Bus'} = [map { Forkbus::BusClient::event_of($_) } $client->signals($signals)];

for my $way (sort keys %events) {
    my %exit = map { $_->{pid} => $_ } grep { $_->{type} eq 'exit' && $ended{ $_->{pid} } } @{ $events{$way} };
    my %wrong;
    for my $pid (keys %ended) {
        my ($name, $exe, $usage) = @{ $ended{$pid} };
        my $event = $exit{$pid} // {};
        my $as_it_should = !!exists $event->{exe} == !!$exe && counted($event) == ($usage ? @counters : 0);
        $wrong{$name} = $event if !$as_it_should;
    }
    is_deeply(\%wrong, {}, "$way: each exit has what is not private");
    my @paths = grep { ($_->{exe} // '') =~ m{^\Q$base\E/(?:setuid|setgid|unreadable|capable)/} } @{ $events{$way} };
    is_deeply(\@paths, [], "$way: no event has the path of a privileged program");
}
my %root = map { $_->{pid} => $_ } grep { $_->{type} eq 'exit' && $ended{ $_->{pid} } } $live{0}->events;
is_deeply([grep { !$root{$_}{exe} || counted($root{$_}) != @counters } keys %ended], [], 'root sees all of it');

# A filter must not show whether a field has a value that is withheld.
for my $filter ({ exe => "$base/setuid/*" }, { exe => '*' }) {
    my $found = $broker->subscribe({ since => $broker->beginning, %$filter }, uid => $user);
    my @without = grep { $_->{type} !~ /^(?:source|lost)$/ && !exists $_->{exe} } $found->catch_up($broker, $last);
    is_deeply(\@without, [], 'no filter finds an event by a field that is withheld: ' . json($filter));
}

# --- pids that are used again ----------------------------------------------------------------------------------------

SKIP: {
    skip $cannot{setuid}, 4 if $cannot{setuid};
    my $pid = $broker->pid - 1;
    $pid-- while -e "/proc/$pid";
    for my $round ([own => 1], [setuid => 0], [own => 1], [setuid => 0]) {
        my ($kind, $exe) = @$round;
        my $process = Forkbus::Workload->start(program => $program{own},
            arguments => ["clone=$pid", "become=$user", "exec=$program{$kind}", 'hold']);
        my $held = $process->next;
        if (!$held) {
            # The kernel does not give it, or another program has it now.
            eval { $process->finish };
            skip 'no pid can be chosen here', 1;
        }
        path_of($pid);
        my $shown = living($pid);
        my @wrong = grep { !$shown->{$_} || !!exists $shown->{$_}{exe} != !!$exe } sort keys %$shown;
        is_deeply(\@wrong, [], "a pid that is used again, $kind: the path of this process")
          or diag(json($shown), map { "\n" . json($_) } grep { ($_->{pid} // 0) == $pid } $live{0}->events);
        $process->go->finish;
        $live{0}->settle;
    }
}
$broker->stop;

# --- a group that loses its right ------------------------------------------------------------------------------------

my @groups = (64801, 64802);
my @member = (uid => $user, groups => [$groups[0]]);
my $other  = Forkbus->broker(source => 'connector', config => { Access => { Group => $groups[0] } });
sub sees_all { return $other->varlink(@_)->ask('GetProcess', { pid => 1 })->{process} ? 1 : 0 }
sub opens_log {
    my $groups = $_[0];
    return Forkbus->as_user($user, $groups, sub { open(my $log, '<', $other->log) ? 0 : 1 }) == 0 ? 1 : 0;
}
is_deeply([sees_all(@member), opens_log([$groups[0]])], [1, 1], 'a member of the group sees all, and opens the log');
my $open = $other->varlink(@member)->call('OpenRing');
my ($fd) = $open->receive_descriptors;
open my $ring, '<:raw', "/proc/self/fd/$fd" or die "descriptor $fd: $!\n";
my $epoch = (split /:/, $other->beginning)[0];

$other->configure({ Access => { Group => $groups[1] } });
$other->signal('HUP');
ok($other->says(qr/Group= is read when the broker starts/), 'a reload does not change the group, and says so');
is(sees_all(@member), 1, 'its members keep their rights');
$other->end;
sub content { seek $_[0], 0, 0; local $/ = undef; return readline $_[0] }
my $before = content($ring);
$other->restart;
my $watch = $other->subscribe({});
$watch->wait_ready;
$watch->settle;
is(content($ring), $before, 'after a restart who had the log open reads nothing new');
is_deeply([sees_all(@member), opens_log([$groups[0]])], [0, 0], 'the former group does not see all, nor open the log');
my @now = (uid => $user, groups => [$groups[1]]);
is_deeply([sees_all(@now), opens_log([$groups[1]])], [1, 1], 'the group that has the right does');
is((split /:/, $other->beginning)[0], $epoch, 'it is the same log');
$other->stop;
done_testing;
