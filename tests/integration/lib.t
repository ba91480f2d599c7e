#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Programs with libforkbus, by the socket and by shared memory: they see everything once, even if the broker ends, and even if
# they are slow.
use strict;
use warnings;
use File::Temp ();
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(run slow);
use Forkbus::Children;
use POSIX ();
use Test::More;

my $listen = Forkbus->helper('listen');
# Start a subscriber, which writes its events to a file.
sub listener {
    my ($dir, @arguments) = @_;
    my $self = { file => File::Temp->new };
    $self->{pid} = fork // die "fork: $!\n";
    if (!$self->{pid}) {
        open STDOUT, '>&', $self->{file} or POSIX::_exit(126);
        { no warnings 'exec'; exec $listen, $dir, @arguments; }
        POSIX::_exit(127);
    }
    $running{ $self->{pid} } = 1;
    return $self;
}

# Return: all complete lines.
sub items {
    my ($self) = @_;
    return map { Forkbus::parse($_) } Forkbus->read_file("$self->{file}") =~ /^(.*)\n/mg;
}

# Wait for something.
sub gets {
    my ($self, $what) = @_;
    my @found;
    Forkbus->wait_until(sub { @found = grep { $what->($_) } items($self) }) or return;
    return $found[0];
}

sub end {
    my ($self) = @_;
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    delete $running{ $self->{pid} };
}

my $number = 0;

sub fork_event {
    my ($comm) = @_;
    $number++;
    return {
        type => 'fork', timeUsec => 1700000000000000 + $number, bootUsec => $number, pid => 100 + $number % 1000,
        startUsec => $number, ppid => 1, uid => $number % 7, comm => $comm // "number $number",
    };
}

# Return: the events of a subscriber in a form that can be compared.
sub reported { return [map { join ' ', @$_{qw(seq type)}, $_->{pid} // '', $_->{comm} // '' } grep { exists $_->{seq} } @_] }

# Start many processes at once; the last one is recognized by its name.
sub write_up_to {
    my ($feed, $comm, $count) = @_;
    $feed->write(map { fork_event() } 1 .. $count);
    $feed->write(fork_event($comm));
}

sub is_named {
    my ($comm, $handle) = @_;
    return sub { ($_[0]{comm} // '') eq $comm && $_[0]{handle} == ($handle // 0) };
}

# --- exactly once --------------------------------------------------------------------------------------------------

for my $way ('socket', 'ring') {
    my @flags  = $way eq 'ring' ? 'ring' : ();
    my $feed   = Forkbus::Feed->new(log_size => '4M');
    my $broker = $feed->broker;
    my $all    = listener($broker->dir, @flags);
    my $few    = listener($broker->dir, @flags, 'comm=end *');
    my $two    = listener($broker->dir, @flags, 'handles=2', 'snapshot');
    ok(gets($_, sub { ($_[0]{type} // '') eq 'ready' }), "$way: it is ready") for $all, $few;
    ok(gets($two, sub { ($_[0]{type} // '') eq 'ready' && $_[0]{handle} == 1 }), "$way: so are two handles in two threads");
    gets($two, sub { ($_[0]{type} // '') eq 'ready' && $_[0]{handle} == 0 });
    my $begin = $broker->status->{cursor};

    for my $death (1 .. 3) {
        write_up_to($feed, "before $death", 500);
        my $beside = $feed->write_beside(join('', map { Forkbus::json(fork_event()) . "\n" } 1 .. 500), 4);
        gets($all, is_named("before $death"));
        $broker->end('KILL');
        $broker->restart;
        waitpid $beside, 0;
        write_up_to($feed, "end $death", 10);
        ok(gets($_, is_named("end $death")), "$way: they go on after death number $death") for $all, $few, $two;
        ok(gets($two, is_named("end $death", 1)), "$way: both handles");
    }
    my $stream = $broker->subscribe({ since => $begin });
    $stream->wait_for(is_named_event('end 3'), 'the end');
    my $expected = reported($stream->events);
    is_deeply(reported(items($all)), $expected, "$way: of " . @$expected . ' events it got each once');
    for my $handle (0, 1) {
        is_deeply(reported(grep { $_->{handle} == $handle } items($two)), $expected, "$way: handle $handle in its thread, too");
    }
    is_deeply([map { $_->{comm} } grep { exists $_->{seq} && $_->{type} eq 'fork' } items($few)], [map { "end $_" } 1 .. 3],
        "$way: with a filter it got what that lets pass");
    is_deeply([map { $_->{item} } grep { $_->{item} ne 'event' } items($all)], [('disconnected', 'reconnected') x 3],
        "$way: each time was reported to it");
    is(scalar(grep { ($_->{type} // '') eq 'ready' } items($all)), 1, "$way: it was ready once");
    is(scalar(grep { $_->{item} eq 'event' && exists $_->{seq} && ($_->{ring} xor @flags) } items($all)), 0,
        "$way: all came that way");
    my @events = grep { $_->{item} eq 'event' } items($all);
    my @numbered = grep { exists $_->{seq} } @events;
    is_deeply([map { $_->{at} =~ s/.*://r } @numbered], [map { $_->{seq} } @numbered], "$way: the cursor is where it is");

    # From the cursor of any event, all later events follow.
    my $some = $events[@events / 2];
    my $late = listener($broker->dir, @flags, "since=$some->{at}", 'count=100');
    waitpid $late->{pid}, 0;
    is($? >> 8, 0, "$way: it ends");
    my @follow = map { $_->{seq} } grep { exists $_->{seq} } items($late);
    is_deeply(\@follow, [map { $some->{seq} + $_ } 1 .. 99], "$way: events continue after a cursor");
    end($_) for $all, $few, $two;
    $broker->stop("$way: the broker");
}

sub is_named_event {
    my ($comm) = @_;
    return sub { ($_->{comm} // '') eq $comm };
}

# --- slow ----------------------------------------------------------------------------------------------------------

for my $way ('socket', 'ring') {
    my @flags  = $way eq 'ring' ? 'ring' : ();
    my $feed   = Forkbus::Feed->new(log_size => '512K');
    my $broker = $feed->broker;
    my $slow   = listener($broker->dir, @flags);
    ok(gets($slow, sub { ($_[0]{type} // '') eq 'ready' }), "$way: it is ready");
    write_up_to($feed, 'first', 100);
    ok(gets($slow, is_named('first')), "$way: it hears");
    kill 'STOP', $slow->{pid};
    write_up_to($feed, "lap $_", 10000) for 1 .. 3;
    $feed->settle;
    kill 'CONT', $slow->{pid};
    write_up_to($feed, 'last', 100);
    ok(gets($slow, is_named('last')), "$way: a stopped subscriber continues");
    my @lost = grep { ($_->{type} // '') eq 'lost' } items($slow);
    is_deeply([map { $_->{reason} } @lost], [('slow') x @lost], "$way: it is notified that it was slow");
    cmp_ok(scalar @lost, '>=', 1, "$way: at least once");
    my ($next, @wrong);
    for my $event (grep { exists $_->{seq} || exists $_->{from} } items($slow)) {
        my ($from, $to) = exists $event->{seq} ? @$event{qw(seq seq)} : @$event{qw(from to)};
        push @wrong, "$from after " . ($next - 1) if defined $next && $from != $next;
        push @wrong, "$event->{count}: $from to $to" if exists $event->{from} && $event->{count} != $to - $from + 1;
        $next = $to + 1;
    }
    is_deeply(\@wrong, [], "$way: received and lost events add up to all");
    end($slow);
    $broker->stop("$way: the broker");
}

# --- questions -----------------------------------------------------------------------------------------------------

my $feed   = Forkbus::Feed->new;
my $broker = $feed->broker;

# Return: the program's output and exit status.
sub answer {
    my (@question) = @_;
    my ($status, $out) = run([$listen, $broker->dir, @question]);
    return ([map { Forkbus::parse($_) } split /\n/, $out], $status);
}

my @lives = (
    { type => 'fork', pid => 4001, startUsec => 5000001, ppid => 1, uid => 7, comm => 'one' },
    { type => 'fork', pid => 4002, startUsec => 5000002, ppid => 4001, uid => 8, comm => "caf\x{fffd}", commRaw => 'Y2Fm6Q==' },
    { type => 'fork', pid => 4003, startUsec => 5000003, ppid => 4001, uid => 8, comm => 'three' },
    { type => 'exit', pid => 4003, startUsec => 5000003, ppid => 4001, uid => 8, comm => 'three', status => { code => 3 } },
);
$feed->write(@lives)->settle;
my ($list) = answer('list');
is_deeply([sort map { $_->{pid} } @$list], [4001, 4002], 'a list of processes');
($list) = answer('uid=8', 'list');
is_deeply([map { "$_->{type} $_->{pid} $_->{startUsec} $_->{ppid}" } @$list], ['process 4002 5000002 4001'], 'filtered');
is($list->[0]{at}, $broker->status->{cursor}, 'with a cursor');
my ($process) = answer('process=4001');
is($process->[0]{comm}, 'one', 'one process');
my ($none, $status) = answer('process=4003');
is("$none->[0]{errno} $status", 'ESRCH 1', 'a process that has ended');
my ($reported) = answer('status');
is_deeply([@{ $reported->[0] }{qw(processes forks source cursor)}], [2, 3, 'replay', $broker->status->{cursor}], 'the status');
is($reported->[0]{json}{pid}, $broker->pid, 'all of it');
my ($ring) = answer('open-ring');
is_deeply([$ring->[0]{writable}, -s $broker->log], [Cpanel::JSON::XS::false, $ring->[0]{size}], 'the log, to be read only');

for my $way ([], ['ring']) {
    my $name = @$way ? 'ring' : 'socket';
    $broker->stop("$name: the broker before");
    $feed   = Forkbus::Feed->new;
    $broker = $feed->broker;
    $feed->write(@lives)->settle;
    my ($items) = answer(@$way, 'snapshot', 'count=3');
    is_deeply([map { $_->{type} } @$items], [qw(process process ready)], "$name: a snapshot, and that it is over");
    ($items, $status) = answer(@$way, 'pid=4003');
    is("$items->[-1]{errno} $status", 'ESRCH 1', "$name: an unused pid is refused");
    ($items, $status) = answer(@$way, 'since=' . $broker->status->{cursor} =~ s/:\d+/:123456789/r);
    is($items->[-1]{errno}, 'ERANGE', "$name: so is a cursor of the future");
    like($items->[-1]{why}, qr/future/, "$name: which names the reason");
    ($items) = answer(@$way, 'since=0123456789abcdef:1', 'count=2');
    is_deeply([map { "$_->{type} " . ($_->{reason} // '') } @$items], ['ready ', 'lost epoch'],
        "$name: of another log all is lost");
    ($items, $status) = answer(@$way, 'complete', 'since=0123456789abcdef:1');
    is($items->[-1]{errno}, 'ESTALE', "$name: or it is refused");
    ($items) = answer(@$way, 'tree=4001', 'since=' . $broker->beginning, 'count=6');
    is_deeply([map { "$_->{type} $_->{pid}" } grep { exists $_->{pid} } @$items],
        ['fork 4001', 'fork 4002', 'fork 4003', 'exit 4003'], "$name: a tree");
    is(scalar(grep { $_->{ring} } @$items), 0, "$name: by the socket");

    # A bare pid means the process that had it first, also if another process has it after a restart of the broker.
    my $one = listener($broker->dir, @$way, 'pid=4002');
    gets($one, sub { ($_[0]{type} // '') eq 'ready' });
    $broker->end('KILL');
    $broker->restart;
    $feed->write(
        { type => 'exit', pid => 4002, startUsec => 5000002, comm => 'first' },
        { type => 'fork', pid => 4002, startUsec => 9000000, comm => 'second' },
        { type => 'exit', pid => 4002, startUsec => 9000000, comm => 'second' },
        { type => 'fork', pid => 4002, startUsec => 5000002, comm => 'first', uid => 8 },
    );
    ok(gets($one, sub { ($_[0]{type} // '') eq 'fork' }), "$name: a process is known by its start");
    is_deeply([map { $_->{comm} } grep { $_->{item} eq 'event' && exists $_->{pid} } items($one)], ['first', 'first'],
        "$name: and its pid is not enough");
    end($one);
}

# Before the broker starts, and after it ended.
my $dir = Forkbus->directory;
my $early = listener($dir, 'patient');
ok(gets($early, sub { $_[0]{item} eq 'disconnected' }), 'a patient one waits');
is((answer_in($dir))[0]{errno}, 'ENOENT', 'another one does not');
my $another = Forkbus->broker(source => 'replay:/dev/null', dir => $dir);
ok(gets($early, sub { ($_[0]{type} // '') eq 'ready' }), 'the broker starts');
end($early);
$another->stop('the other broker');

sub answer_in {
    my ($where) = @_;
    my (undef, $out) = run([$listen, $where]);
    return map { Forkbus::parse($_) } split /\n/, $out;
}

# --- examples, as programs are built ---------------------------------------------------------------------------------

SKIP: {
    my $build = $ENV{FORKBUS_BUILD} // '';
    skip 'a sanitizer has flags of its own', 1 if slow() || $build =~ /sanitize/;
    my $root = Forkbus->directory;
    delete local @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES)};
    my @make = ('make', '-s', '-C', "$Bin/../..", ($build ne '' ? "BUILD=$build" : ()), "DESTDIR=$root", 'PREFIX=/opt/forkbus');
    my ($installed, undef, $errors) = run([@make, 'install']);
    is($installed, 0, 'it installs') or diag($errors);
    local @ENV{qw(PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR)} = ("$root/opt/forkbus/lib/pkgconfig", $root);
    local $ENV{LD_LIBRARY_PATH} = "$root/opt/forkbus/lib";
    chomp(my $flags   = qx(pkg-config --cflags --libs libforkbus));
    chomp(my $static  = qx(pkg-config --cflags --libs --static libforkbus));
    my @warnings = ('-Wall', '-Wextra', '-Werror');
    my $examples = "$Bin/../../docs/examples";
    my $build_one = sub {
        my ($name, @command) = @_;
        my ($built, undef, $complaints) = run([@command]);
        is($built, 0, "$name is built without a warning") or diag($complaints);
    };
    $build_one->('failures.c', 'cc', '-std=c99', @warnings, '-o', "$root/failures", "$examples/failures.c", split ' ', $flags);
    $build_one->('failures.c, with the archive', 'cc', @warnings, '-o', "$root/static", "$examples/failures.c",
        (map { s/^-lforkbus$/-l:libforkbus.a/r } split ' ', $static), '-pthread');
    $build_one->('processes.cc', 'c++', '-std=c++11', '-pedantic', @warnings, '-o', "$root/processes", "$examples/processes.cc",
        split ' ', $flags);
    my $fresh = Forkbus::Feed->new;
    $fresh->write(@lives)->settle;
    for my $program ('failures', 'static') {
        my $output = File::Temp->new;
        my $pid    = fork // die "fork: $!\n";
        if (!$pid) {
            open STDOUT, '>&', $output or POSIX::_exit(126);
            { no warnings 'exec'; exec "$root/$program", $fresh->broker->dir; }
            POSIX::_exit(127);
        }
        $running{$pid} = 1;
        my $said = sub { Forkbus->read_file("$output") };
        ok(Forkbus->wait_until(sub {
            for my $how ({ code => 9 }, { signal => 11, coreDumped => Forkbus::false() }) {
                $fresh->write({ %{ $lives[-1] }, startUsec => ++$number, status => $how })->settle;
            }
            return $said->() =~ /^4003 three: status 9\n.*^4003 three: signal 11$/ms;
        }), "$program: reports failures by status and by signal");
        end({ pid => $pid });
    }
    my ($status, $out) = run(["$root/processes", $fresh->broker->dir]);
    like($out, qr/^4001 one$/m, 'processes: prints the living ones');
    $fresh->broker->stop('the broker of the examples');
}

# A user who does not see all processes gets the events by the socket, and sees no difference.
SKIP: {
    skip 'needs root', 1 if $> != 0;
    my $program = Forkbus->installed($listen, Forkbus->directory, 0755);
    my (undef, $out) = run([$program, $broker->dir, 'ring', 'count=1'], uid => 65534);
    is_deeply([map { @$_{qw(type ring)} } map { Forkbus::parse($_) } split /\n/, $out], ['ready', Cpanel::JSON::XS::false],
        'who may not have the ring gets the socket');
}
$broker->stop;
done_testing;
