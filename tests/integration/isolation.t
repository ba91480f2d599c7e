#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Isolation under load: two users and root start processes of all kinds, and everything that each face shows to a user is
# compared with what root sees: no event, field or value of others, none missing, no other value. Short in "make check"; with
# FORKBUS_LONG for at least 60 s and a million events.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json parse slow true);
use Test::More;
use Time::HiRes 'time';

Forkbus->needs_root;
Forkbus->needs_connector;

my ($seconds, $enough, $count) = $ENV{FORKBUS_LONG} ? (60, 1_000_000, 1500) : (0, 0, 200);

# dbus-daemon refuses users without a name in passwd.
my @named = grep { defined getpwnam $_ } qw(nobody games mail man news lp);
plan(skip_all => 'there are no two ordinary users with names') if @named < 2;
my %uid = (a => scalar getpwnam($named[0]), b => scalar getpwnam($named[1]));

my $base = Forkbus->directory;
my ($bus_kind) = Forkbus::Bus->kinds;
my $bus    = Forkbus::Bus->start($bus_kind);
my $broker = Forkbus->broker(source => 'connector', bus => 'system', env => $bus->env);
$bus->has_owner;

# The programs are named after who starts them, and that of root is also setuid.
my %program;
for my $who (qw(a b root setuid)) {
    mkdir "$base/$who" or die "$base/$who: $!\n";
    my $copy = Forkbus->installed(Forkbus->helper('isolation'), "$base/$who");
    $program{$who} = "$base/$who/load-$who";
    rename $copy, $program{$who} or die "$copy: $!\n";
}
chmod 04755, $program{setuid};

# A process that becomes the user's, or that runs a setuid program, has a name that everyone sees in /proc; its path is private.
my %foreign = (a => qr{load-b|/root/load|/setuid/load}, b => qr{load-a|/root/load|/setuid/load});

# --- subscribers -----------------------------------------------------------------------------------------------------

# Its settle() shows where the log is; what root sees is read afterwards.
my $root = $broker->subscribe({ types => ['exit'], uids => [0] });
$root->wait_ready;
my (%stream, %link, %client, %signals);
for my $who (qw(a b)) {
    my @as = (uid => $uid{$who});
    $stream{$who} = $broker->subscribe({}, @as);
    $stream{$who}->wait_ready;
    $link{$who} = $broker->varlink(@as)->subscribe({});
    $link{$who}->wait_ready;
    $client{$who}  = $bus->client(@as);
    $signals{$who} = $client{$who}->subscribe({});
    $client{$who}->wait_signal(sub { $_->{signal} eq 'Ready' });
}

# --- comparison ------------------------------------------------------------------------------------------------------

my %private = map { $_ => 1 } qw(exe filename filenameCut args argsCut root);
my %counter = map { $_ => 1 } qw(readBytes writeBytes readChars writeChars);
my (%wrong, %checked, %shown, %withheld);

sub wrong {
    my ($what, $line) = @_;
    $wrong{$what} //= ref $line ? json($line) : $line;
}

# The fields that $from has and $to lacks; any other difference is wrong.
sub compare {
    my ($what, $from, $to, $line) = @_;
    for my $key (keys %$to) {
        my $same = exists $from->{$key} && json($from->{$key}) eq json($to->{$key});
        next if $same || $key eq 'usage';
        wrong("$what: $key is another, or foreign", $line);
    }
    return grep { !exists $to->{$_} } keys %$from;
}

# One event that a user got, as a line or as a hash.
sub check {
    my ($what, $who, $seen, $got, $reference) = @_;
    my $line = ref $got ? json($got) : $got;
    my $seq = number_of($got);
    return wrong("$what: reports a loss", $line) if !defined $seq;
    $checked{$what}++;
    wrong("$what: reports an event twice", $line) if $seen->{$seq}++;
    wrong("$what: names what is foreign", $line) if $line =~ $foreign{$who};
    my $whole = $reference->{$seq} // return wrong("$what: an event that root did not get", $line);
    return if $whole eq $line;
    my ($event, $all) = map { ref $_ ? $_ : parse($_) } $got, $whole;
    my @without = compare($what, $all, $event, $line);
    my $usage = $event->{usage} // {};
    my @uncounted = compare($what, $all->{usage} // {}, $usage, $line);
    my @missing = ((grep { !$private{$_} && $_ ne 'usage' } @without), grep { !$counter{$_} } @uncounted);
    wrong("$what: lacks @missing", $line) if @missing;
    $withheld{$_}++ for @without, @uncounted;
}

# Whose is an event of root's? By the uid, and of an id event the old uid.
sub owners {
    my ($line) = @_;
    return () if $line =~ /^\{"seq":\d+,"type":"(?:source|lost)"/;
    my %owner = map { $_ => 1 } $line =~ /"uid":(\d+)/g;
    return keys %owner;
}

# All events of a round, as one user got them by one face.
sub check_all {
    my ($what, $who, $got, $reference, $owned) = @_;
    my %seen;
    check($what, $who, \%seen, $_, $reference) for @$got;
    my @missing = grep { !$seen{$_} } @{ $owned->{ $uid{$who} } // [] };
    wrong("$what: " . @missing . ' own events are missing', $reference->{ $missing[0] }) if @missing;
    my @other = grep { !$owned->{by_seq}{$_}{ $uid{$who} } && $reference->{$_} && %{ $owned->{by_seq}{$_} } } keys %seen;
    wrong("$what: events of others", $reference->{ $other[0] }) if @other;
}

# Living processes, as hashes.
sub check_processes {
    my ($what, $who, @processes) = @_;
    $checked{$what} += @processes;
    for my $process (@processes) {
        wrong("$what: a process of another", $process) if $process->{uid} != $uid{$who};
        wrong("$what: names what is foreign", $process) if json($process) =~ $foreign{$who};
    }
}

sub plain { return Forkbus::BusClient::plain($_[0]) }

# Snapshots and lists while the load runs.
sub look {
    my ($who) = @_;
    my @as = (uid => $uid{$who});
    my $subscriber = $broker->subscribe({ snapshot => true }, @as);
    $subscriber->wait_ready;
    check_processes('a snapshot by the stream', $who, grep { $_->{type} eq 'process' } $subscriber->events);
    $subscriber->close;
    my $link = $broker->varlink(@as);
    check_processes('a list by Varlink', $who, @{ $link->ask('ListProcesses')->{processes} });
    $link->subscribe({ snapshot => true });
    $link->wait_ready;
    check_processes('a snapshot by Varlink', $who, grep { $_->{type} eq 'process' } @{ $link->{events} });
    $link->close;
    my $list = $client{$who}->call('ListProcesses', 'a{sv}', {})->{reply}[0];
    check_processes('a list by D-Bus', $who, map { plain($_->[2]) } @$list);
}

# --- rounds ----------------------------------------------------------------------------------------------------------

sub start_load {
    my @loads = map { [$_, $program{$_}, $count, $program{setuid}] } qw(a b);
    push @loads, ['root', $program{root}, $count, map { "$uid{$_}=$program{$_}" } qw(a b)];
    return map {
        my ($who, @command) = @$_;
        Forkbus::Workload->start(program => shift @command, arguments => \@command,
            $who eq 'root' ? () : (uid => $uid{$who}));
    } @loads;
}

sub history_of {
    my ($who, $since, $last) = @_;
    my $subscriber = $broker->subscribe({ since => $since }, uid => $uid{$who});
    my $lines = $subscriber->catch_up_lines($broker, $last);
    $subscriber->close;
    return $lines;
}

sub signals_of {
    my ($who, $last) = @_;
    Forkbus->wait_until(sub { (split /:/, $client{$who}->get('Cursor', $signals{$who}))[1] >= $last })
      or die "no signals to $last\n";
    my @signals = map { Forkbus::BusClient::event_of($_) } $client{$who}->signals($signals{$who});
    $client{$who}{signals} = [];
    return grep { $_->{type} ne 'ready' } @signals;
}

# Events that came in an earlier round, by way and user.
my %left;

sub number_of {
    my ($got) = @_;
    return ref $got ? $got->{seq} : $got =~ /^\{"seq":(\d+)/ ? $1 : undef;
}

# Return: the position after it.
sub round {
    my ($since) = @_;
    my ($first) = $since =~ /:(\d+)$/;
    my @loads = start_load();
    look($_) for qw(a b);
    $_->finish for @loads;
    my $last = $root->settle->{seq};
    my $end = ($since =~ s/:.*//r) . ":$last";
    my (%reference, %owned);
    $root->forget;
    my $whole = $broker->subscribe({ since => $since });
    for my $line (@{ $whole->catch_up_lines($broker, $last) }) {
        my ($seq) = $line =~ /^\{"seq":(\d+)/ or next;
        $reference{$seq} = $line;
        my @owners = owners($line);
        $owned{by_seq}{$seq} = { map { $_ => 1 } @owners };
        push @{ $owned{$_} }, $seq for $seq <= $last ? @owners : ();
    }
    $whole->close;
    $checked{'all by root'} += keys %reference;
    for my $who (qw(a b)) {
        my $then = $broker->varlink(uid => $uid{$who})->subscribe({ since => $since });
        my %got = (
            'live by the stream'    => $stream{$who}->catch_up_lines($broker, $last),
            'history by the stream' => history_of($who, $since, $last),
            'live by Varlink'       => [$link{$who}->catch_up($broker, $last)],
            'history by Varlink'    => [$then->catch_up($broker, $last)],
            'live by D-Bus'         => [signals_of($who, $last)],
        );
        $link{$who}->forget;
        for my $what (sort keys %got) {
            my @got = (@{ $left{$what}{$who} // [] }, grep { (number_of($_) // $last) > $first } @{ $got{$what} });

            # What came later already belongs to the next round: the clients of this test are processes, too.
            my ($now, $next) = ([], []);
            push @{ (number_of($_) // 0) > $last ? $next : $now }, $_ for @got;
            $left{$what}{$who} = $next if $what =~ /^live/;
            check_all($what, $who, $now, \%reference, \%owned);
        }
    }
    return $end;
}

# Without what they are compared with.
sub checked { my $sum = 0; $sum += $checked{$_} for grep { $_ ne 'all by root' } keys %checked; return $sum }

# In a tool the programs have ended before the broker asks for their paths.
my @private = slow() ? 'readChars' : qw(exe readChars);

my $begin = time;
my $at = $broker->status->{cursor};
my $rounds = 0;
do {
    $at = round($at);
    $rounds++;
} until %wrong || $rounds > 100
  || (time - $begin >= $seconds && checked() >= $enough && !grep { !$withheld{$_} } @private);
diag(sprintf '%d events and processes in %d rounds, %.0f s: %s', checked(), $rounds, time - $begin, json(\%checked));
diag('withheld: ' . json(\%withheld) . ', lost: ' . json($broker->status->{lost}));
is_deeply(\%wrong, {}, 'each user gets the own events with their values, and nothing of others');
ok($withheld{$_}, "$_ of privileged programs is withheld") for @private;
is_deeply([grep { !$checked{$_} } keys %checked], [], 'by each way');
$broker->stop;
done_testing;
