#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The module in a kernel with debugging checks, with all kinds of events at the same time, while listeners come and go, and
# while it is loaded and unloaded. The result is the kernel's findings; only order and form of the records are checked.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin, "$Bin/..";
use Genl;
use Guest;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Watch;

use constant {
    PROCESSES => $ENV{FORKBUS_STORM_PROCESSES} // 20000,
    ROUNDS    => $ENV{FORKBUS_STORM_ROUNDS}    // 30,
    WORKERS   => 6,
    LISTENERS => 5,

    PATIENCE_SEC => 10,
};

my @types = qw(fork exec exit id comm session chroot coredump ptrace threads);

sub any { return int rand $_[0] }

# Listeners

# The next random action. There may be no answer, since the buffer of the socket may be full.
sub act {
    my ($genl, $count) = @_;
    my $what = any(24);
    if ($what < 14) {
        my $last    = 0;
        my @records = $genl->records(0.05, sub { ++$last > 500 });
        $count->{records} += @records;
        $count->{lost} += $_->{COUNT} for grep { $_->{TYPE} eq 'lost' } @records;
        for my $record (@records) {
            die "number $record->{SEQ} after $count->{seq}\n" if $record->{SEQ} <= $count->{seq};
            $count->{seq} = $record->{SEQ};
        }
    } elsif ($what < 20) {
        my $status = $genl->status or return;
        my ($errno, $head, @records) =
          $genl->replay($what < 16 ? 0 : any($status->{LAST} + 1), any(2) ? (INSTANCE => $status->{INSTANCE}) : ());
        return if $errno;
        $count->{replayed} += @records;
        for my $i (1 .. $#records) {
            die "replayed $records[$i]{SEQ} after $records[$i - 1]{SEQ}\n" if $records[$i]{SEQ} <= $records[$i - 1]{SEQ};
        }
    } elsif ($what < 23) {
        $genl->start((grep { any(3) } @types), { ARGS => any(2) * any(4097) });
        $count->{starts}++;
    } else {
        $genl->stop;
        sleep rand 0.5;
    }
}

# Sometimes no listener reads, long enough to fill the ring on a machine that starts only ten processes a second.
sub quiet { return time % 60 < 20 }

# One listener after the other, until a signal to end: some join, some are slow, some have small buffers, most just disappear.
sub listen_on {
    my ($number, $out) = @_;
    my %count = map { $_ => 0 } qw(sockets records replayed starts lost overruns unanswered);
    my $ended = 0;
    local $SIG{TERM} = sub { $ended = 1 };
    local $SIG{ALRM} = sub { die "no answer in time\n" };
    srand $number;
    while (!$ended) {
        $count{seq} = 0;
        my $fine = eval {
            alarm PATIENCE_SEC;
            my $genl = Genl->new(buffer => (4096, 65536, 8 << 20)[any(3)]);
            die "no answer: no family\n" if !$genl->{family};
            $count{sockets}++;
            my $joined = any(4) && !quiet();
            $genl->join_group if $joined;
            $genl->start('fork', grep { any(2) } @types) if any(4);
            for (0 .. any(20)) {
                last if $ended || ($joined && quiet());
                alarm PATIENCE_SEC;
                act($genl, \%count);
            }
            $genl->stop if any(3) == 0;
            alarm 0;
            $count{overruns} += $genl->{overruns};
            1;
        };
        alarm 0;
        next if $fine;
        if ($@ !~ /^(?:no answer|Interrupted)/) {
            print {$out} "bad $number: $@";
            last;
        }
        $count{unanswered}++;
        sleep 0.1;
    }
    delete $count{seq};
    print {$out} map { "$_ $count{$_}\n" } sort keys %count;
}

# Background processes; the numbers in their final output are added up by name.
sub start {
    my ($work) = @_;
    my $pid = open my $out, '-|';
    defined $pid or die "fork: $!\n";
    if (!$pid) {
        $work->(\*STDOUT);
        STDOUT->flush;
        POSIX::_exit(0);
    }
    return { pid => $pid, out => $out };
}

sub end {
    my ($sum, @processes) = @_;
    kill 'TERM', map { $_->{pid} } @processes;
    for my $process (@processes) {
        for my $line (readline $process->{out}) {
            if ($line =~ /^([\w-]+) (\d+)$/) {
                $sum->{$1} += $2;
            } elsif ($line =~ /^#/) {
                diag $line;
            } else {
                push @{ $sum->{bad} }, $line;
            }
        }
        close $process->{out} or push @{ $sum->{bad} }, "a process ended with $?\n";
    }
}

sub storm {
    my ($processes) = @_;
    return start(sub {
        chdir '/tmp/storm' or die;
        # Listeners need their share.
        exec 'nice', "$Bin/../../../../build/tests/vm/storm", WORKERS, $processes;
    });
}

sub reported {
    my ($sum, @names) = @_;
    return join ', ', map { ($sum->{$_} // 0) . " $_" } @names;
}

# A crash may write a file, or start a program, whose processes are reported, too.
sub dump_cores {
    my ($pattern) = @_;
    open my $file, '>', '/proc/sys/kernel/core_pattern' or return;
    print {$file} "$pattern\n";
}

sub gone { return !loaded() || system('rmmod forkbus 2>/dev/null') == 0 }

mkdir '/tmp/storm';
chmod 0777, '/tmp/storm';
is(debug_locks(), 1, 'lockdep looks');
forget();

# All at once, in a ring that is too small.
my $begin = time;
ok(load(ring => 64, grace => 1), 'the module is loaded');
# This socket has forks and exits armed all the time without joining the group; unread records fill the ring.
my $steady = Genl->new(buffer => 65536);
is($steady->start('fork', 'exit'), 0, 'births and ends are armed');
my @listeners = map { my $number = $_; start(sub { listen_on($number, @_) }) } 1 .. LISTENERS;
my $storm     = storm(PROCESSES);
my %first;
{
    my $bits = '';
    vec($bits, fileno $storm->{out}, 1) = 1;
    for (my $round = 0; !select my $ready = $bits, undef, undef, 2; $round++) {
        dump_cores($round % 2 ? '/tmp/storm/core' : '|/bin/true %p');
        parameter('grace', any(3));
        $steady->start('fork', 'exit', grep { any(2) } @types);
    }
}
end(\%first, $storm);
my $genl   = Genl->new(buffer => 8 << 20);
my $status = $genl->status;
end(\%first, @listeners);
my $took = time - $begin;
diag sprintf 'storm: %s; %.0f s, %.0f processes/s', reported(\%first, qw(processes threads execs)), $took,
  $first{processes} / $took;
diag 'listeners: ', reported(\%first, qw(sockets starts records replayed lost overruns unanswered));
my %lost = %{ $status->{LOST} // {} };
diag 'module: ', join ', ', "$status->{LAST} numbers", map { "lost $lost{$_} $_" } sort keys %lost;
cmp_ok($first{processes}, '>=', PROCESSES, 'so many processes were made');
cmp_ok($status->{LAST},   '>=', 2 * PROCESSES, 'births and ends were seen');
cmp_ok($first{records},   '>',  0,         'and reported');
cmp_ok($first{replayed},  '>',  0,         'and reported again');
ok(scalar %lost, 'and some lost');
is_deeply($first{bad} // [], [], 'in order, and well formed');
undef $genl;
undef $steady;
my @leaks = leaks();
is_deeply(\@leaks, [], 'nothing is leaked while it is loaded');

# The module is loaded and unloaded meanwhile.
$begin     = time;
@listeners = map { my $number = $_; start(sub { listen_on($number, @_) }) } 11 .. 12;
$storm     = storm(1e9);
my (%second, @bad);
for my $round (1 .. ROUNDS) {
    my $own = Genl->new(buffer => 1 << 20);
    if ($own->{family}) {
        $own->join_group;
        $own->start(@types);
        eval { $own->records(0.05 * any(10), sub { 1 }) };
    }
    undef $own if $round % 3 == 0;
    my $tries = 0;
    # A listener that requested a replay holds the module meanwhile.
    sleep 0.05 while !gone() && $tries++ < 200;
    push @bad, "round $round: not unloaded" if loaded();
    push @bad, "round $round: not loaded"   if !load(ring => 64 << $round % 2, grace => $round % 3);
}
end(\%second, $storm, @listeners);
diag sprintf 'coming and going: %d times in %.0f s, %s; listeners: %s', ROUNDS, time - $begin,
  reported(\%second, qw(processes threads execs)), reported(\%second, qw(sockets starts records replayed unanswered));
is_deeply([@bad, @{ $second{bad} // [] }], [], 'it was loaded and unloaded ' . ROUNDS . ' times under load');
my $tries = 0;
sleep 0.1 while !gone() && $tries++ < 100;
ok(!loaded(), 'and is gone');

# The result.
@leaks = leaks();
is_deeply(\@leaks, [], 'nothing is leaked');
is_deeply([stuck()], [], 'no process is stuck');
is_deeply([complaints()], [], 'the kernel log holds no complaint');
is(taints(), 0, 'the kernel is not tainted');
is(debug_locks(), 1, 'lockdep looked to the end');
diag qx(grep debug_locks /proc/lockdep_stats);
done_testing;
