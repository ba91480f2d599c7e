#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Two hundred subscribers with different filters get exactly the events that a model of the filter predicts; equal filters
# share a view, and an event is encoded once for all of its subscribers.
use strict;
use warnings;
use utf8;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json);
use Test::More;

use constant {
    SUBSCRIBERS => 200,
    EQUAL       => 100,     # with equivalent filters that are written differently
    PROCESSES   => 60,
    EVENTS      => 4000,
    BATCH       => 500,
    SECOND      => 1000000,
    TICK_USEC   => 10000,   # start times from /proc are multiples of it, and differ from the right ones by at most this
};

srand 20040316;             # the same events every time

sub one_of { return $_[rand @_] }

# An invented machine.
my @comms   = ('sh', 'make', 'cc1', 'ld', 'a*b', 'кот', "x\ny");
my @exes    = ('/bin/sh', '/usr/bin/make', '/usr/lib/gcc/cc1', '/usr/bin/ld', '/opt/[x]/y');
my @cgroups = ('/', '/system.slice/cron.service', '/user.slice/user-1000.slice/session-1.scope');
my @units   = (undef, 'cron.service', 'session-1.scope');
my @uids    = (0, 1000, 1001, 65534);
my ($clock, $next_pid) = (1_000 * SECOND, 100);
my @living;

sub identity_of {
    my ($process) = @_;
    return map { $_ => $process->{$_} }
      grep { defined $process->{$_} } qw(pid startUsec ppid parentStartUsec uid gid euid egid comm cgroup unit);
}

sub event {
    my ($type, $process, %more) = @_;
    $clock += int rand 1000;
    return { type => $type, timeUsec => 1_700_000_000 * SECOND + $clock, bootUsec => $clock, identity_of($process), %more };
}

sub make_fork {
    # All ids are known, so that no program counts as privileged: fields of those are withheld, which access.t tests.
    my $init   = { pid => 1, startUsec => 1, uid => 0, gid => 0, euid => 0, egid => 0, comm => 'init', cgroup => '/' };
    my $parent = @living ? one_of(@living) : $init;
    my $where  = int rand @cgroups;
    my $child  = {
        %$parent,
        pid             => $next_pid++,
        startUsec       => ($clock += 2 * TICK_USEC),
        ppid            => $parent->{pid},
        parentStartUsec => $parent->{startUsec},
        cgroup          => $cgroups[$where],
        unit            => $units[$where]
    };
    @$child{qw(uid euid gid egid)} = (one_of(@uids)) x 4 if rand() < 0.3;
    push @living, $child;
    return event('fork', $child);
}

sub make_event {
    return make_fork() if @living < PROCESSES;
    my $process = one_of(@living);
    my $what    = rand;
    if ($what < 0.2) {
        $process->{comm} = one_of(@comms);
        return event('exec', $process, exe => one_of(@exes));
    } elsif ($what < 0.3) {
        return event('comm', $process, comm => $process->{comm} = one_of(@comms));
    } elsif ($what < 0.4) {
        my %old = map { $_ => $process->{$_} // 0 } qw(uid gid euid egid);
        @$process{qw(uid euid)} = (one_of(@uids)) x 2;
        return event('id', $process, old => \%old);
    } elsif ($what < 0.5) {
        return event('session', $process, session => $process->{pid});
    } elsif ($what < 0.7) {
        return event(one_of('fork', 'exit'), $process, tid => 1_000_000 + int rand 1000);
    }
    @living = grep { $_ != $process } @living;
    my $status = one_of({ code => 0 }, { code => 1 + int rand 255 },
        { signal => one_of(9, 11, 15), coreDumped => one_of(Cpanel::JSON::XS::true, Cpanel::JSON::XS::false) });
    return event('exit', $process, status => $status, usage => { elapsedUsec => int rand 10 * SECOND });
}

# Random values of a filter.
my %makers = (
    types => sub { return [map { one_of(qw(fork exec exit id comm session)) } 0 .. rand 3] },
    pids  => sub {
        return [
            map {
                my $process = one_of(@living);
                my $start   = $process->{startUsec};
                one_of($process->{pid}, map { { pid => $process->{pid}, startUsec => $_ } } $start, $start - $start % TICK_USEC)
            } 0 .. rand 5
        ];
    },
    tree           => sub { my $process = one_of(@living); return one_of($process->{pid}, { pid => $process->{pid} }) },
    uids           => sub { return [map { one_of(@uids, 4242) } 0 .. rand 2] },
    comm           => sub { return one_of('*', 's?', ['cc1', 'l[a-d]'], 'a\\*b', '[!a-m]*', "x\n*", '*к*') },
    exe            => sub { return one_of('/usr/*', ['*/sh', '*/ld'], '/opt/\\[x]/?', '/usr/lib/gcc/cc1') },
    cgroup         => sub { return one_of('/', '*cron*', '/user.slice/*') },
    unit           => sub { return one_of('*', 'cron.service', '*.scope') },
    status         => sub { return one_of('any', 'success', 'failure', 'signal', ['success', 'signal']) },
    minElapsedUsec => sub { return int rand 10 * SECOND },
    threads        => sub { return Cpanel::JSON::XS::true },
);

sub make_filter {
    my @keys = sort keys %makers;
    my %filter;
    for (0 .. rand 3) {
        my $key = one_of(@keys);
        $filter{$key} //= $makers{$key}->();
    }
    return \%filter;
}

# The model.
sub list { return ref $_[0] eq 'ARRAY' ? @{ $_[0] } : $_[0] }

my %pattern;    # by glob

sub glob_pattern {
    my ($glob) = @_;
    return $pattern{$glob} //= make_pattern($glob);
}

sub make_pattern {
    my ($glob) = @_;
    my $pattern = '';
    while ($glob =~ /\G(?:\\(.)|(\*)|(\?)|\[(!?)([^\]]+)\]|(.))/gs) {
        $pattern .=
            defined $1 ? quotemeta $1
          : defined $2 ? '.*'
          : defined $3 ? '.'
          : defined $5 ? '[' . ($4 ? '^' : '') . "$5]"
          :              quotemeta $6;
    }
    return qr/\A$pattern\z/s;
}

sub glob_matches {
    my ($globs, $text) = @_;
    return 0 if !defined $text;
    utf8::encode($text);
    for my $glob (list($globs)) {
        my $bytes = $glob;
        utf8::encode($bytes);
        return 1 if $text =~ glob_pattern($bytes);
    }
    return 0;
}

sub status_matches {
    my ($wanted, $status) = @_;
    my $signal = exists $status->{signal};
    my $code   = $status->{code} // 0;
    return $wanted eq 'any' || ($wanted eq 'success' && !$signal && $code == 0)
      || ($wanted eq 'failure' && ($signal || $code != 0)) || ($wanted eq 'signal' && $signal);
}

# A bare pid means the process that has it now.
sub resolve {
    my ($filter) = @_;
    my %start = map { $_->{pid} => $_->{startUsec} } @living;
    my $one   = sub {
        my $pid = ref $_[0] ? $_[0]{pid} : $_[0];
        return { pid => $pid, startUsec => $start{$pid}, ref $_[0] ? %{ $_[0] } : () };
    };
    my %resolved = %$filter;
    $resolved{pids} = [map { $one->($_) } list($filter->{pids})] if $filter->{pids};
    if ($filter->{tree}) {
        my $root = $one->($filter->{tree});
        $resolved{members} = { "$root->{pid}:$root->{startUsec}" => 1 };
        for my $process (sort { $a->{startUsec} <=> $b->{startUsec} } @living) {
            take_into_tree($resolved{members}, event('fork', $process));
        }
    }
    return \%resolved;
}

sub take_into_tree {
    my ($members, $event) = @_;
    my $self = "$event->{pid}:$event->{startUsec}";
    $members->{$self} = 1
      if $event->{type} eq 'fork' && !exists $event->{tid} && $members->{"$event->{ppid}:$event->{parentStartUsec}"};
    return $members->{$self};
}

sub same_start {
    my ($process, $event) = @_;
    my ($one, $other) = map { $_->{startUsec} } $process, $event;
    return $one == $other || (($one % TICK_USEC == 0 || $other % TICK_USEC == 0) && abs($one - $other) <= TICK_USEC);
}

sub wanted {
    my ($filter, $event) = @_;
    my $member = !$filter->{members} || take_into_tree($filter->{members}, $event);
    return 1 if $event->{type} =~ /^(?:source|lost)$/;
    return 0 if !$member || (exists $event->{tid} && !$filter->{threads});
    return 0 if $filter->{types} && !grep { $_ eq $event->{type} } list($filter->{types});
    return 0
      if $filter->{pids}
      && !grep { $_->{pid} == $event->{pid} && same_start($_, $event) } @{ $filter->{pids} };
    return 0
      if $filter->{uids}
      && !grep { $_ == $event->{uid} || ($event->{old} && $_ == $event->{old}{uid}) } list($filter->{uids});
    for my $key (qw(comm exe cgroup unit)) {
        return 0 if $filter->{$key} && !glob_matches($filter->{$key}, $event->{$key});
    }
    return 0
      if $filter->{status} && !($event->{status} && grep { status_matches($_, $event->{status}) } list($filter->{status}));
    return 0 if defined $filter->{minElapsedUsec} && ($event->{usage}{elapsedUsec} // -1) < $filter->{minElapsedUsec};
    return 1;
}

# A normal form, which is equal for equivalent filters.
sub normal_form {
    my ($filter) = @_;
    my %normal;
    for my $key (keys %$filter) {
        my %values = map { json(ref $_ eq 'HASH' && !defined $_->{startUsec} ? $_->{pid} : $_) => 1 } list($filter->{$key});
        $normal{$key} = [sort keys %values];
    }
    return json(\%normal);
}

# An equivalent filter: duplicates, another order, a single value as a list.
sub reworded {
    my ($filter) = @_;
    my %other = %$filter;
    for my $key (grep { exists $other{$_} } qw(types uids comm exe cgroup unit status)) {
        my @values = list($other{$key});
        $other{$key} = [reverse @values, $values[0]];
    }
    return \%other;
}

# --- the test -------------------------------------------------------------------------------------------------------

my $feed = Forkbus::Feed->new(
    log_size => '16M',
    config   => { Limits => { EncodingCache => '64M', ConnectionsPerUser => 1000 } }
);
my $broker = $feed->broker;
$feed->write(map { make_fork() } 1 .. PROCESSES);
$feed->settle;
is($broker->status->{processes}, PROCESSES, 'the table has the living processes');

my $all = $broker->subscribe({ threads => Cpanel::JSON::XS::true });
my %distinct = (normal_form({ threads => Cpanel::JSON::XS::true }) => 1);
my @subscribers;
while (@subscribers < SUBSCRIBERS) {
    my $filter = make_filter();
    next if $distinct{ normal_form($filter) }++;
    push @subscribers, { request => $filter };
}
push @subscribers, { request => {}, uid => $_ } for $> == 0 ? (1000, 65534) : ();

my @equal = grep { !defined $_->{uid} } @subscribers;
push @subscribers, map { { request => reworded($equal[$_]{request}), same => $equal[$_] } } 0 .. EQUAL - 1;
for my $subscriber (@subscribers) {
    my @user = defined $subscriber->{uid} ? (uid => $subscriber->{uid}) : ();
    $subscriber->{stream} = $broker->subscribe($subscriber->{request}, @user);
    $subscriber->{filter} = resolve($subscriber->{request});
    $subscriber->{lines}  = [];
}
$_->wait_ready for $all, map { $_->{stream} } @subscribers;
my $before = $broker->status;
is($before->{subscribers}, 1 + @subscribers, 'all are subscribers');
is($before->{views}, 1 + @subscribers - EQUAL, 'equal filters share a view') or diag(json($before));
cmp_ok($before->{views}, '<', $before->{subscribers}, 'so there are fewer views than subscribers');

my $from = $feed->settle;
my %line;    # by number
for (1 .. EVENTS / BATCH) {
    $feed->write(map { make_event() } 1 .. BATCH);
    my $last = $feed->settle;
    $line{ Forkbus::Subscriber::place_of($_) } = $_ for @{ $all->catch_up_lines($broker, $last) };
    push @{ $_->{lines} }, @{ $_->{stream}->catch_up_lines($broker, $last) } for @subscribers;
}
my $after  = $broker->status;
my @events = map { Forkbus::parse($line{$_}) } grep { $_ > $from } sort { $a <=> $b } keys %line;
is(scalar @events, EVENTS, 'the subscriber without a filter gets all');
is_deeply([map { $_->{seq} } @events], [$from + 1 .. $from + EVENTS], 'without a hole');

# Compute how many encodings one view for each filter causes, and how many lines are sent.
my ($count, $size, $lines) = (0, 0, 0);
my $add = sub {
    my ($same, @passed) = @_;
    $lines += @passed;
    return if $same;
    $count += @passed;
    $size  += length($_) + 1 for @passed;
};
$add->(undef, map { $line{ $_->{seq} } } @events);
my @wrong;
for my $subscriber (@subscribers) {
    my $uid      = $subscriber->{uid};
    my @visible  = grep { !defined $uid || $_->{uid} == $uid || ($_->{old} && $_->{old}{uid} == $uid) } @events;
    my @expected = map { $line{ $_->{seq} } } grep { wanted($subscriber->{filter}, $_) } @visible;
    my @got = grep { Forkbus::Subscriber::place_of($_) > $from } @{ $subscriber->{lines} };
    $add->($subscriber->{same}, @expected);
    $subscriber->{passed} = @expected;
    push @wrong, json($subscriber->{request}) . ': ' . @got . ' of ' . @expected if "@got" ne "@expected";
}
ok(!@wrong, 'each subscriber gets exactly its events') or diag(join "\n", @wrong);
my $busy = grep { $_->{passed} > 0 } @subscribers;
cmp_ok($busy, '>', SUBSCRIBERS / 2, 'which most of them have: ' . $busy);

my %encoded = map { $_ => $after->{encoded}{$_} - $before->{encoded}{$_} } qw(events bytes);
is($encoded{events}, $count, "an event is encoded once for a view: $count times, for $lines lines");
is($encoded{bytes},  $size,  'into as many bytes as were sent for it');
is($after->{lost}{slow}{times}, 0, 'no subscriber lost anything');

$_->{stream}->close for @subscribers;
$all->close;
ok(Forkbus->wait_until(sub { my $status = $broker->status; $status->{views} == 0 && $status->{subscribers} == 0 }),
    'views go with their subscribers');
$broker->stop;
done_testing;
