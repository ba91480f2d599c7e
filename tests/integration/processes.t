#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Real processes, started in many ways: every one is seen exactly once, in the order fork, exec, exit, with the right ids and
# status, and with the usage that wait4(2) returns.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(now_usec json slow);
use List::Util qw(max min);
use MIME::Base64 'decode_base64';
use Test::More;

Forkbus->needs_root;
Forkbus->needs_connector;

use constant {
    PAGE => 4096,

    # The kernel counts the CPU time of a thread in ticks: each time that it runs, it may be charged a tick too much or too
        # little. A tick is 10 ms at most (CONFIG_HZ=100), and the number of context switches shows how often it ran.
    TICK_USEC => 10000,

    # The peak of memory is read a moment before wait4's, from counters of which each CPU may hold back a part.
    RSS_KIB_PER_CPU => 80,
};

my $module = Forkbus::live_source() eq 'module';
my $cpus   = () = Forkbus->read_file('/proc/cpuinfo') =~ /^processor\s*:/mg;
my $broker = Forkbus->broker(source => 'connector');
my $all    = $broker->subscribe({});
$all->wait_ready;

my $dir = Forkbus->directory;
chdir $dir or die "$dir: $!\n";
$ENV{ASAN_OPTIONS} = 'detect_leaks=0';
my @kinds = (
    qw(burst=2000 signals shebang leader-first exit-from-thread exec-from-thread killed-threads=50 names orphan chain),
    (qw(vfork spawn failed-exec)) x 20,
    qw(ignored session cpu=100 cpu-threads=60 pages storage sleep ids=65534 burst=256),
);
my $begin    = now_usec();
my $workload = Forkbus::Workload->start(arguments => \@kinds);
my $born     = $all->wait_for(sub { $_->{type} eq 'exec' && $_->{pid} == $workload->pid }, 'the exec of the workload');
my $is_born  = sub { ($_[0]{pid} // 0) == $born->{pid} && $_[0]{startUsec} == $born->{startUsec} };
my $tree     = $broker->subscribe({ tree => { pid => $born->{pid}, startUsec => $born->{startUsec} } });
my $threads  = $broker->subscribe({ tree => $born->{pid}, threads => Cpanel::JSON::XS::true });
$_->wait_ready for $tree, $threads;
my @made = $workload->go->finish;
my $end  = now_usec();
my $last = $all->wait_for(sub { $_->{type} eq 'exit' && $is_born->($_) }, 'the exit of the workload')->{seq};

my $processes = Forkbus::Processes->new($all->events);

# Return: errors in the events of one process.
sub complaints {
    my ($made) = @_;
    my @events = $processes->of($made);
    my @wrong;
    my $check = sub {
        my ($fine, $what) = @_;
        push @wrong, "$made->{kind} $made->{pid}: $what" if !$fine;
    };

    my $types = join ' ', map { $_->{type} } grep { $_->{type} =~ /^(?:fork|exec|exit)$/ } @events;
    my $wanted = join ' ', 'fork', ('exec') x $made->{execs}, 'exit';
    $check->($types eq $wanted, "reported as '$types', not as '$wanted'");
    return @wrong if $types ne $wanted;
    my ($fork, $exit) = @events[0, -1];
    $check->($fork->{type} eq 'fork' && $exit->{type} eq 'exit', 'there is an event before the fork or after the exit');
    # The module takes it from the task, which is created a moment before its fork is reported.
    my $early = $fork->{bootUsec} - $fork->{startUsec};
    $check->($module ? $early >= 0 && $early < 1e6 : $early == 0, "it starts $early us before its fork");
    for my $event (@events) {
        $check->(($event->{startUsec} // -1) == $fork->{startUsec}, "the $event->{type} has another start than the fork");
        $check->($event->{timeUsec} > $begin - 50000 && $event->{timeUsec} < $end + 50000, "$event->{type}: timeUsec");
        $check->(!exists $event->{tid}, "the $event->{type} is of a thread");
        my $ids = join ' ', map { $event->{$_} // '-' } qw(uid euid gid egid);
        $check->($ids eq '0 0 0 0', "$event->{type}: ids $ids") if $made->{kind} ne 'ids';
    }
    $check->($fork->{ppid} == $made->{ppid}, "forked by $fork->{ppid}, not by $made->{ppid}");
    my $parent = $processes->exactly($fork->{ppid}, $fork->{parentStartUsec});
    $check->($parent, 'parentStartUsec is not of its parent');
    my $last_ppid = $made->{lastPpid} // $made->{ppid};
    $check->($exit->{ppid} == $last_ppid, "ended as child of $exit->{ppid}, not of $last_ppid");

    my $status = json($exit->{status});
    my $right  = json(
        exists $made->{code} ? { code => $made->{code} } : { signal => $made->{signal}, coreDumped => $made->{coreDumped} });
    $check->($status eq $right, "status $status, not $right");
    push @wrong, usage_complaints($made, $exit->{usage}) if $made->{usage};
    return @wrong;
}

my %seen;      # figures for people
my @stolen;    # processes that lost their CPU to the host at the end, which the guest counts as their time

sub usage_complaints {
    my ($made, $reported) = @_;
    my $real = $made->{usage};
    my @wrong;
    my $check = sub {
        my ($fine, $key, $real_value) = @_;
        push @wrong, "$made->{kind} $made->{pid}: $key $reported->{$key}, wait4: " . ($real_value // $real->{$key}) if !$fine;
    };
    my @keys = qw(userUsec systemUsec elapsedUsec maxRssKib minorFaults majorFaults voluntarySwitches
      involuntarySwitches readBytes writeBytes readChars writeChars);
    # If a process has waited for children, the module cannot distinguish its characters from theirs.
    @keys = grep { !/Chars/ } @keys if $made->{kind} eq 'chain' && Forkbus::live_source() eq 'module';
    my @missing = grep { !defined $reported->{$_} } @keys;
    return "$made->{kind} $made->{pid}: without @missing" if @missing;
    my $lived = $made->{goneUsec} - $made->{bornAfterUsec};
    $check->($reported->{elapsedUsec} <= $lived + 2, 'elapsedUsec', $lived);

    # wait4 includes the usage of the process' children, the event does not.
    return @wrong if $made->{kind} eq 'chain';
    $check->($reported->{$_} == $real->{$_}, $_) for qw(minorFaults majorFaults);

    # Exact, too, except for files that the exit itself closes after the usage was read: this may read or dirty some pages of
        # the file system. Later context switches are only in wait4's usage.
    for my $key (qw(readBytes writeBytes)) {
        my $late = $real->{$key} - $reported->{$key};
        my $most = $made->{kind} =~ /core|spawn|storage|shebang|exec/ ? 4 * PAGE : 0;
        $check->($late >= 0 && $late % PAGE == 0 && $late <= $most, $key);
        $seen{"pages in $key that came too late"} += $late / PAGE;
    }
    $check->($reported->{$_} <= $real->{$_}, $_) for qw(voluntarySwitches involuntarySwitches);
    my $switches = $real->{voluntarySwitches} - $reported->{voluntarySwitches};
    $seen{'voluntary switches unreported, at most'} = max($switches, $seen{'voluntary switches unreported, at most'} // 0);

    my $cpu   = $reported->{userUsec} + $reported->{systemUsec};
    my $slack = TICK_USEC * ($made->{threads} + $real->{voluntarySwitches} + $real->{involuntarySwitches});
    $check->($made->{kind} ne 'storage' || $reported->{writeBytes} >= 262144, 'writeBytes');
    if ($ENV{FORKBUS_VM_GUEST} && $cpu < $real->{cpuUsec} - $slack) {
        push @stolen, "$made->{kind} $made->{pid}: $cpu of $real->{cpuUsec} us";
    } else {
        $check->(abs($cpu - $real->{cpuUsec}) <= $slack, 'userUsec', "$real->{cpuUsec} in all");
    }

    # A child of vfork has its parent's memory until it calls exec, and wait4 has the maximum of all programs that it ran.
    return @wrong if $made->{kind} eq 'vfork' || $made->{kind} eq 'failed-exec';
    my $low = $real->{maxRssKib} - $reported->{maxRssKib};
    $check->($low >= 0, 'maxRssKib');
    $check->($low <= RSS_KIB_PER_CPU * max($cpus, 2), 'maxRssKib') if !$made->{execs};
    return @wrong;
}

my (%by_kind, @order);
for my $made (@made) {
    push @order, $made->{kind} if !exists $by_kind{ $made->{kind} };
    push @{ $by_kind{ $made->{kind} } }, $made;
}
for my $kind (@order) {
    my @wrong = map { complaints($_) } @{ $by_kind{$kind} };
    ok(!@wrong, "$kind: " . @{ $by_kind{$kind} } . ' of them') or diag(join "\n", @wrong[0 .. min($#wrong, 19)]);
}
cmp_ok(scalar @stolen, '<=', @made / 200, 'all of their time is reported, unless the host took it') or diag(join "\n", @stolen);
is(scalar @made, @{ $by_kind{burst} } + @made - 2256, 'the burst was 2,256 processes');
cmp_ok(scalar(grep { $_->{coreDumped} } @made), '>', 0, 'some dumped core')
  if Forkbus->read_file('/proc/sys/kernel/core_pattern') =~ /^core/ && !slow();
diag("$_: $seen{$_}") for sort keys %seen;

# Tests of properties with a single process each.
my %exit = map { $_ => ($processes->of($by_kind{$_}[0]))[-1] } grep { @{ $by_kind{$_} } == 1 } keys %by_kind;
cmp_ok($exit{sleep}{usage}{elapsedUsec}, '>=', 49990, 'a process that slept 50 ms lived that long');
cmp_ok($exit{pages}{usage}{minorFaults}, '>=', 1000, 'a process that touched 1,000 pages has as many faults');
cmp_ok($exit{cpu}{usage}{userUsec} + $exit{cpu}{usage}{systemUsec}, '>', 0, '100 ms of computing are CPU time');
is($exit{'exec-from-thread'}{status}{code}, 9, "a process in which a thread called exec ends with that program's code");
is($exit{'leader-first'}{status}{code}, 7, 'whose leader ends first ends with the code of the last thread');

# Names: raw bytes come back.
my @wrong;
for my $made (@{ $by_kind{name} }) {
    my $name = pack 'H*', $made->{comm};
    for my $event (grep { $_->{type} =~ /^(?:comm|exit)$/ } $processes->of($made)) {
        my $reported = exists $event->{commRaw} ? decode_base64($event->{commRaw}) : $event->{comm};
        utf8::encode($reported) if !exists $event->{commRaw};
        push @wrong, "$event->{type}: $event->{comm} for $made->{comm}" if $reported ne $name;
    }
    my $comms = grep { $_->{type} eq 'comm' } $processes->of($made);
    push @wrong, "$made->{comm}: $comms comm events" if $comms != 1;
}
ok(!@wrong, 'names of any bytes are reported as they are') or diag(join "\n", @wrong);
for my $event (grep { $_->{type} eq 'exec' } $processes->of($by_kind{shebang}[0]), $exit{shebang}) {
    is($event->{comm}, 'script', "a script's $event->{type} has the name of the script") if exists $event->{comm};
}

# Identity.
my @ids = map { [@$_{qw(uid euid gid egid)}, @{ $_->{old} }{qw(uid euid gid egid)}] }
  grep { $_->{type} eq 'id' } $processes->of($by_kind{ids}[0]);
is_deeply(
    [map { [map { $_ // '-' } @$_] } @ids],
    [
        [0,     0,     65534, 65534, 0,     0,     0,     0],
        [65534, 65534, 65534, 65534, 0,     0,     65534, 65534],
        [0,     0,     65534, 65534, 65534, 65534, 65534, 65534],
    ],
    'changes of ids are reported with what was before'
) or diag(json(\@ids));
my ($session) = grep { $_->{type} eq 'session' } $processes->of($by_kind{session}[0]);
is($session->{session}, $by_kind{session}[0]{pid}, 'a new session is reported');

# Exactly the processes that were started.
my %made = map { my ($fork) = $processes->of($_); $fork ? ("$fork->{pid}/$fork->{startUsec}" => 1) : () } @made;
my @tree = grep { exists $_->{pid} } $tree->catch_up($broker, $last);
my @own  = grep { $is_born->($_) || $made{ join '/', map { $_ // '' } @$_{qw(pid startUsec)} } } $all->events;
@own = grep { $_->{seq} > $born->{seq} && $_->{seq} <= $last } @own;
is_deeply(\@tree, \@own, 'the subscriber of the tree gets exactly the events of the started processes');
is_deeply(
    [sort { $a <=> $b } map { $_->{pid} } grep { $_->{type} eq 'fork' } @tree],
    [sort { $a <=> $b } map { $_->{pid} } @made],
    'the forks of the tree are those of what was made'
);

# Threads, for a subscriber that requested them.
$threads->catch_up($broker, $last);
my $thread_events = Forkbus::Processes->new(grep { exists $_->{tid} } $threads->events);
my @threads_wrong;
for my $made (grep { $_->{threads} > 1 } @made) {
    my %reported;
    $reported{ $_->{tid} }{ $_->{type} }++ for $thread_events->of($made);
    push @threads_wrong, "$made->{kind}: " . keys(%reported) . " threads of $made->{threads}"
      if keys(%reported) != $made->{threads} - 1;

    # A thread that calls exec takes the leader's id: its own id never ends.
    my $unended = grep { ($_->{fork} // 0) != 1 || ($_->{exit} // 0) != 1 } values %reported;
    push @threads_wrong, "$made->{kind}: $unended threads are not reported once as fork and as exit"
      if $unended != ($made->{kind} eq 'exec-from-thread' ? 1 : 0);
}
ok(!@threads_wrong, 'threads are reported once as fork and as exit if requested') or diag(join "\n", @threads_wrong);
is(scalar(grep { exists $_->{tid} } $all->events), 0, 'and to no other subscriber');
my @whole = grep { exists $_->{pid} && !exists $_->{tid} } $threads->events;
is_deeply(\@whole, \@own, 'beside all that others get');
my ($armed) = grep { $_->{type} eq 'source' } $threads->events;
like($armed->{armed}, qr/\bthreads\b/, 'the stream reports that threads are included from then on') or diag(json($armed));

my $status = $broker->status;
is(json($status->{lost}{$_}), '{"count":0,"times":0}', "nothing was lost: $_") for qw(kernel netlink unarmed source);
is(scalar(grep { $_->{type} eq 'lost' } $all->events), 0, 'no lost event');
# Long-lived processes have a name and a program. On a busy machine a few may be read too late.
my $named;
my $execs = $broker->subscribe({ types => ['exec'] });
$execs->wait_ready;
for (1 .. 20) {
    my $pid = fork // die "fork: $!\n";
    exec 'sleep', 600 if !$pid;
    $named = $execs->wait_for(sub { ($_->{pid} // 0) == $pid }, 'the exec of a process that stays');
    kill 'KILL', $pid;
    waitpid $pid, 0;
    last if exists $named->{comm} && exists $named->{exe};
}
is($named->{comm}, 'sleep', 'the exec of a process that stays has its name');
like($named->{exe}, qr{/(?:sleep|coreutils)\z}, 'and its program');

$broker->stop;
chdir '/';
done_testing;
