#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Processes end in every way that is hard to follow, many at once, and their pids are reused, while a broker is stopped at random,
# loses messages, and scans /proc again and again. Each process is compared with what wait4(2) says of it. A second broker, with
# large buffers, must report every one of them completely.
#
#   FORKBUS_LONG=1                two minutes (make check-long)
#   FORKBUS_TORTURE_SECONDS=600   it takes so long
#   FORKBUS_TORTURE_SEED=4711     the same processes and pauses again; each run prints its seed
use strict;
use warnings;
use Cwd ();
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json slow);
use List::Util qw(any first max min);
use Test::More;
use Time::HiRes ();

use constant {
    ROUND_SEC  => 4,
    LOAD       => slow() ? 6 : 40,
    BUFFER     => slow() ? '1M' : '96K',
    TICK_USEC  => 10_000,                 # /proc cuts start times to it
    MIXED_USEC => 1_000_000,              # records were read long before
    CLOCK_USEC => 2_000,                  # the broker and the program read clocks at different times
};

my $seconds = $ENV{FORKBUS_TORTURE_SECONDS} // ($ENV{FORKBUS_LONG} ? 120 : 0);
plan skip_all => 'make check-long' if !$seconds;
Forkbus->needs_root;
Forkbus->needs_connector;

my $seed = $ENV{FORKBUS_TORTURE_SEED} // int(Time::HiRes::time() * 1000) % 1_000_000_000;
diag("FORKBUS_TORTURE_SEED=$seed");
srand $seed;

# A broker, and what it has reported: {events} by pid, in order, for the processes of this round.
sub watched {
    my ($name, $buffer) = @_;
    my %options = (log_size => '256M', config => { Source => { SocketBuffer => $buffer } });
    my $broker = Forkbus->broker(source => 'connector', %options);
    my $stream = $broker->subscribe({ types => [qw(fork exec exit id comm session lost)] });
    $stream->wait_ready;
    my %watched = (name => $name, broker => $broker, stream => $stream);
    return { %watched, ended => {}, lost => [], events => {}, seen => {} };
}

# Of all processes of the machine: each ends once, and nothing is reported of it afterwards.
sub take {
    my ($watched, $event) = @_;
    my ($type, $pid, $start) = @$event{qw(type pid startUsec)};
    push @{ $watched->{lost} }, $event if $type eq 'lost';
    return if !defined $pid;
    $watched->{offset} //= $event->{timeUsec} - $event->{bootUsec};
    push @{ $watched->{events}{$pid} }, $event;
    return if !defined $start;
    push @{ $watched->{wrong} }, ['is reported after its end', $event, $watched->{ended}{"$pid $start"}]
      if exists $watched->{ended}{"$pid $start"};
    $watched->{ended}{"$pid $start"} = $event->{seq} if $type eq 'exit';
}

sub read_all {
    my ($watched) = @_;
    my $stream = $watched->{stream};
    $stream->catch_up($watched->{broker});
    take($watched, $_) for $stream->events;
    $stream->forget;
}

# Which of the processes with its pid is an event about? Its start says it. Return: undef if it is none of them.
sub subject {
    my ($made, $start, $time) = @_;
    # /proc cuts starts to a tick.
    return (sort { ($time < $a->{bornAfterUsec}) <=> ($time < $b->{bornAfterUsec})
              || $b->{bornAfterUsec} <=> $a->{bornAfterUsec} }
          grep { $_->{bornAfterUsec} < $start + TICK_USEC && $_->{goneUsec} >= $start } @$made)[0]
      if defined $time && $start % TICK_USEC == 0;
    my @candidates = grep { $start >= $_->{bornAfterUsec} - TICK_USEC && $start <= $_->{goneUsec} } @$made;
    return (grep { $start >= $_->{bornAfterUsec} } @candidates)[-1] // $candidates[0];
}

# May messages about a process be missing?
sub is_excused {
    my ($watched, $made) = @_;
    my ($born, $gone) = map { $_ + $watched->{offset} } @$made{qw(bornAfterUsec goneUsec)};
    return any { $_->{sinceUsec} <= $gone + CLOCK_USEC && $_->{untilUsec} >= $born - CLOCK_USEC } @{ $watched->{lost} };
}

# May its records be taken for those of an earlier process with its pid, about which messages are missing? Then what it used is
# not known, nor is its status if the codes of its threads alone do not show it. In a tool the broker reads so slowly that this
# goes for all processes that it reads of together with a loss.
sub is_mixed {
    my ($watched, $made, @others) = @_;
    my $born = $made->{bornAfterUsec} + $watched->{offset};
    return 1 if slow() && any { $_->{untilUsec} > $born - MIXED_USEC } @{ $watched->{lost} };
    return any {
        $_ != $made && $_->{goneUsec} <= $made->{bornAfterUsec} + TICK_USEC
          && $_->{goneUsec} > $made->{bornAfterUsec} - MIXED_USEC
          && is_excused($watched, $_)
    } @others;
}

# Their threads end with different codes at once, by exit(2). Which of them began to do so last decides, and only /proc shows
# that, as long as the parent does not wait for the process.
my %may_lack_status = map { $_ => 1 } qw(race-exit race-exit-and-group leader-first ring among-threads);

sub status_of {
    my ($made) = @_;
    return { code => $made->{code} } if exists $made->{code};
    return { signal => $made->{signal}, coreDumped => $made->{coreDumped} ? Forkbus::true : Forkbus::false };
}

sub faults {
    my ($watched, $made, $others, @events) = @_;
    my @exits   = grep { $_->{type} eq 'exit' } @events;
    my $excused = is_excused($watched, $made);
    return 'has ' . @exits . ' ends' if @exits > 1 || (!@exits && (@events || !$excused));
    return () if !@exits;
    my $exit = $exits[0];
    my @wrong;
    push @wrong, 'has a wrong status'
      if $exit->{status} && json($exit->{status}) ne json(status_of($made));
    push @wrong, 'is reported dead before its end' if $exit->{bootUsec} < $made->{livedUsec} - CLOCK_USEC;
    push @wrong, 'has a wrong uid' if defined $exit->{uid} && $exit->{uid} != $made->{uid};
    my $faults = ($exit->{usage} // {})->{minorFaults};
    push @wrong, 'has wrong faults' if defined $faults && $faults != $made->{usage}{minorFaults};
    return @wrong if $excused;
    my $mixed = is_mixed($watched, $made, @$others);
    push @wrong, 'has no status' if !$exit->{status} && !$may_lack_status{ $made->{kind} } && !$mixed;
    push @wrong, 'has no faults' if !defined $faults && !$mixed;
    return @wrong;
}

# Events of a pid of ours at a time when only our process had it, with another identity.
sub strangers {
    my ($made, @events) = @_;
    my @strangers;
    for my $event (@events) {
        my $owner = first {
            $event->{bootUsec} > $_->{bornAfterUsec} + CLOCK_USEC && $event->{bootUsec} < $_->{livedUsec} - CLOCK_USEC
        } @$made;
        # An end whose message was lost is found late.
        next if $event->{type} eq 'exit' && !defined(($event->{usage} // {})->{elapsedUsec});
        push @strangers, $event if $owner && (subject($made, @$event{qw(startUsec bootUsec)}) // 0) != $owner;
    }
    return @strangers;
}

my (%count, %kinds);

sub compare {
    my ($watched, %by_pid) = @_;
    my $wrong = delete $watched->{wrong} // [];
    for my $pid (keys %by_pid) {
        my @events = grep { defined $_->{startUsec} } @{ $watched->{events}{$pid} // [] };
        my (%of, %first);
        # Events with one start are of one process.
        $first{ $_->{startUsec} } = min($_->{bootUsec}, $first{ $_->{startUsec} } // $_->{bootUsec}) for @events;
        push @{ $of{ (subject($by_pid{$pid}, $_->{startUsec}, $first{ $_->{startUsec} }) // next) + 0 } }, $_ for @events;
        push @$wrong, [ 'has the identity of another', $_, @{ $by_pid{$pid} } ] for strangers($by_pid{$pid}, @events);
        for my $made (@{ $by_pid{$pid} }) {
            my @its = @{ $of{ $made + 0 } // [] };
            $count{ $watched->{name} }{ is_excused($watched, $made) ? 'excused' : 'complete' }++;
            $count{ $watched->{name} }{'with status'}++ if grep { $_->{status} } @its;
            push @$wrong, [ $_, $made, @its, { losses => around($watched, $made) } ]
              for faults($watched, $made, $by_pid{$pid}, @its);
        }
    }
    return $wrong;
}

# The losses within a second of a process.
sub around {
    my ($watched, $made) = @_;
    my ($born, $gone) = map { $_ + $watched->{offset} } @$made{qw(bornAfterUsec goneUsec)};
    return [ grep { $_->{sinceUsec} <= $gone + 1_000_000 && $_->{untilUsec} >= $born - 1_000_000 } @{ $watched->{lost} } ];
}

# The first ones, and how often each of them occurs.
sub report {
    my ($wrong) = @_;
    my (%times, @first);
    for my $fault (@$wrong) {
        my $key = $fault->[0] . ($fault->[1]{kind} ? ": $fault->[1]{kind}" : '');
        push @first, $fault if !$times{$key}++;
    }
    diag(json(\%times));
    diag(json($_)) for splice @first, 0, 10;
}

# Does every process end, of which anything is reported?
sub all_end {
    my ($watched, %by_pid) = @_;
    for my $pid (keys %by_pid) {
        my %open;
        for my $event (grep { defined $_->{startUsec} } @{ $watched->{events}{$pid} // [] }) {
            $open{ $event->{startUsec} } = $event->{bootUsec};
            delete $open{ $event->{startUsec} } if $event->{type} eq 'exit';
        }
        return 0 if grep { subject($by_pid{$pid}, $_, $open{$_}) } keys %open;
    }
    return 1;
}

# How many messages the kernel has dropped on its socket of the proc connector, which has the number of the process.
sub dropped {
    my ($watched) = @_;
    my ($connector, $pid) = (11, $watched->{broker}->pid);
    my ($line) = grep { $_->[1] == $connector && $_->[2] == $pid }
      map { [split] } grep { /^\w+\s+\d/ } split /\n/, Forkbus->read_file('/proc/net/netlink');
    return $line ? $line->[8] : 0;
}

# Stop it until its socket overflows, and then for a moment, or for longer, again and again until the processes have ended.
sub disturb {
    my ($watched, $seconds) = @_;
    my $end    = Time::HiRes::time() + $seconds;
    my $before = dropped($watched);
    $watched->{broker}->signal('STOP');
    Forkbus->wait_until(sub { dropped($watched) > $before || Time::HiRes::time() > $end });
    $watched->{broker}->signal('CONT');
    while (Time::HiRes::time() < $end) {
        Time::HiRes::sleep(rand 0.4);
        $watched->{broker}->signal('STOP');
        Time::HiRes::sleep(rand(4) < 1 ? rand 0.3 : rand 0.05);
        $watched->{broker}->signal('CONT');
    }
}

my $witness  = watched('large buffers', '64M');
my $disturbed = watched('small buffers', BUFFER);
my $began    = Time::HiRes::time();
my $home     = Cwd::getcwd();
chdir Forkbus->directory;    # for cores
for my $round (0 .. 100_000) {
    last if $round > 0 && Time::HiRes::time() - $began >= $seconds;
    my $torture = Forkbus::Workload->start(
        program   => Forkbus->helper('torture'),
        arguments => [ $seed + $round, ROUND_SEC, LOAD ]
    )->go;
    disturb($disturbed, ROUND_SEC);
    my %by_pid;
    for my $made ($torture->finish) {
        push @{ $by_pid{ $made->{pid} } }, $made;
        $kinds{ $made->{kind} }++;
    }
    for my $watched ($witness, $disturbed) {
        ok(Forkbus->wait_until(sub { read_all($watched); return all_end($watched, %by_pid) }), 'all end');
        my $wrong = compare($watched, %by_pid);
        is(scalar @$wrong, 0, "seed $seed, round $round, $watched->{name}: " . keys(%by_pid) . ' pids, nothing is wrong')
          or report($wrong);
        $watched->{events} = {};
        $watched->{lost}   = [ @{ $watched->{lost} }[ max(0, @{ $watched->{lost} } - 50) .. $#{ $watched->{lost} } ] ];
    }
}
chdir $home;
ok(Forkbus->wait_until(sub { $disturbed->{broker}->status->{source}{resyncs} > 0 }), '/proc was scanned');
note(json({ kinds => \%kinds, %count, resyncs => $disturbed->{broker}->status->{source}{resyncs} }));
cmp_ok(scalar keys %kinds, '>=', 8, 'processes of ' . keys(%kinds) . ' kinds');
cmp_ok($count{'small buffers'}{excused} // 0, '>', 0, 'messages were lost');
$_->{broker}->stop($_->{name}) for $witness, $disturbed;
done_testing;
