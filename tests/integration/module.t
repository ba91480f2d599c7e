#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The broker with the kernel module: cases without lost or repeated events, and cases with counted losses.
# Runs where the module can be loaded: tests/vm boots such kernels.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json now_usec);
use List::Util 'sum0';
use POSIX ();
use Test::More;

Forkbus->needs_root;
plan skip_all => 'the module is not the source that is tested' if Forkbus::live_source() ne 'module';
my $module = "$Bin/../../forkbus.ko";
plan skip_all => 'there is no module to load' if !-e $module;

sub unload { system('rmmod', 'forkbus') if -d '/sys/module/forkbus'; return !-d '/sys/module/forkbus' }

sub load {
    my (@parameters) = @_;
    return unload() && system('insmod', $module, @parameters) == 0;
}

# Return: all events in the log of some types.
sub history {
    my ($broker, @types) = @_;
    my $stream = $broker->subscribe({ since => $broker->beginning, types => \@types });
    $stream->catch_up($broker, $broker->last_seq);
    return $stream->events;
}

# Return: errors in how often the fork and exit of each process were reported. The workload counts them itself.
sub miscounted {
    my ($lived, @events) = @_;
    my %reported;
    push @{ $reported{ $_->{pid} }{ $_->{type} } }, $_ for grep { exists $_->{pid} } @events;
    my @wrong;
    for my $made (@$lived) {
        my $begin = $made->{beginUsec} // 0;
        for my $type (qw(fork exit)) {
            my @of = @{ $reported{ $made->{pid} }{$type} // [] };
            @of = grep { $_->{timeUsec} > $begin - 100_000 && $_->{timeUsec} < $made->{endUsec} + 100_000 } @of if $begin;
            push @wrong, "$made->{pid}: $type reported " . @of . ' times' if @of != 1;
        }
    }
    return @wrong;
}

# Run a process to its end. Return: its pid.
sub ended_child {
    my ($code) = @_;
    my $pid = fork // die "fork: $!\n";
    POSIX::_exit(eval { $code->() } // 99) if !$pid;
    waitpid $pid, 0;
    return $pid;
}

sub some { return join "\n", @_ > 10 ? (@_[0 .. 9], '…') : @_ }

sub losses { return grep { $_->{type} eq 'lost' } @_ }

# --- the broker goes and comes back ----------------------------------------------------------------------------------

for my $signal (qw(KILL TERM)) {
    load();
    my $broker   = Forkbus->broker(source => 'connector', log_size => '16M');
    my $workload = Forkbus::Workload->start(arguments => ['loop=0'])->go;
    my $stream   = $broker->subscribe({ types => ['exit'] });
    my $count    = 0;
    my $of_load  = sub { ($_->{ppid} // 0) == $workload->pid && $_->{type} eq 'exit' };
    $stream->wait_for(sub { $of_load->() && ++$count == 200 }, 'exits');
    $broker->end($signal);
    select undef, undef, undef, 1;
    $broker->restart;
    my $back = $broker->subscribe({ types => ['exit'] });
    $count = 0;
    $back->wait_for(sub { $of_load->() && ++$count == 200 }, 'live exits');
    my @lived  = $workload->finish;
    my @events = history($broker, qw(fork exit));
    my @wrong  = miscounted(\@lived, @events);
    is(scalar @wrong, 0, "$signal: of " . @lived . ' processes each has one fork and one exit') or diag(some(@wrong));
    is_deeply([losses(@events)], [], "$signal: nothing is reported as lost");
    my $status = $broker->status;
    cmp_ok($status->{source}{replays}, '>=', 1, "$signal: the missed events were requested from the module");
    $broker->stop($signal);
}

# The broker is stopped for longer than the grace time, which is 0 here: the loss has a begin and an end.
{
    load('grace=0');
    my $broker = Forkbus->broker(source => 'connector', log_size => '16M');
    $broker->end('KILL');
    my $begin = now_usec();
    my $pid   = ended_child(sub { 0 });
    my $end   = now_usec();
    $broker->restart;
    my @events = history($broker, qw(fork exit));
    my @lost   = losses(@events);
    is_deeply([map { $_->{reason} } @lost], ['unarmed'], 'beyond the grace time: a loss is reported') or diag(json(\@lost));
    ok($lost[0]{sinceUsec} <= $begin && $lost[0]{untilUsec} >= $end, 'it covers the time') or diag(json([$begin, $end, \@lost]));
    is(scalar(grep { ($_->{pid} // 0) == $pid } @events), 0, 'and processes that lived only then are not reported');
    $broker->stop('beyond the grace time');
}

# --- the broker does not read ----------------------------------------------------------------------------------------

{
    load('ring=16384');
    my $broker = Forkbus->broker(source => 'connector', log_size => '32M', config => { Source => { SocketBuffer => '64K' } });
    my $stream = $broker->subscribe({ types => ['exit'] });
    $stream->wait_ready;
    $broker->signal('STOP');
    my @made = Forkbus::Workload->start(arguments => ['burst=3000'])->go->finish;
    $broker->signal('CONT');
    my %made = map { $_->{pid} => 1 } @made;
    my $left = keys %made;
    $stream->wait_for(sub { $_->{type} eq 'exit' && delete $made{ $_->{pid} } && !%made }, 'all exits');
    my @events = history($broker, qw(fork exit));
    my @wrong  = miscounted([map { { pid => $_->{pid} } } @made], @events);
    is(scalar @wrong, 0, 'an overrun that the ring covers: each has one fork and one exit') or diag(some(@wrong));
    is_deeply([losses(@events)], [], 'and nothing is reported as lost');
    my $source = $broker->status->{source};
    cmp_ok($source->{overruns}, '>', 0, 'the socket was overrun') or diag(json($source));
    $broker->stop('overrun');
}

# The module's ring records events meanwhile: the number of lost events is reported.
{
    load('ring=64');
    my $broker = Forkbus->broker(source => 'connector', log_size => '32M', config => { Source => { SocketBuffer => '64K' } });
    my $stream = $broker->subscribe({ types => ['exit'] });
    $stream->wait_ready;
    my $before = $broker->status;
    $broker->signal('STOP');
    Forkbus::Workload->start(arguments => ['burst=3000'])->go->finish;
    $broker->signal('CONT');
    my $pid = ended_child(sub { 0 });
    $stream->wait_for(sub { $_->{type} eq 'exit' && $_->{pid} == $pid }, 'a process after it');
    my $after = $broker->status;
    my @lost  = losses(history($broker, 'exit'));
    cmp_ok(scalar @lost, '>', 0, 'an overrun that the ring does not cover is reported');
    is(scalar(grep { ($_->{reason} // '') ne 'netlink' && ($_->{reason} // '') ne 'kernel' } @lost), 0, 'as such');

    # Every record and every loss has a number. The inferred end of a process is not a record.
    my ($since, $until) = map { (split /:/, $_->{cursor})[1] } $before, $after;
    my @reported = grep { $_->{seq} > $since && $_->{seq} <= $until && ($_->{type} ne 'exit' || exists $_->{status}) }
      history($broker, qw(fork exec exit comm id session));
    my $count = sum0(map { $_->{count} // 0 } @lost);
    is(scalar(grep { $_->{type} ne 'lost' } @reported) + $count, $after->{source}{lastRecord} - $before->{source}{lastRecord},
        'reported and lost are what happened');
    cmp_ok($count, '>', 1000, 'with a number');
    $broker->stop('lost');
}

# There is no listener, and the ring is full: the kernel counts lost events.
{
    load('ring=64');
    my $broker = Forkbus->broker(source => 'connector', log_size => '32M');
    my $before = $broker->status->{source}{lastRecord};
    $broker->end('KILL');
    Forkbus::Workload->start(arguments => ['burst=2000'])->go->finish;
    $broker->restart;
    # While a replay runs, the status shows the module's last counts, and more losses may already be reported.
    my (@lost, $kernel, $reported);
    Forkbus->wait_until(sub {
        my $source = $broker->status->{source};
        @lost     = losses(history($broker, 'exit'));
        $kernel   = sum0(values %{ $source->{kernelLost} });
        $reported = sum0(map { $_->{count} // 0 } grep { $_->{reason} eq 'kernel' } @lost);
        return $source->{publishedRecord} >= $source->{lastRecord} && $reported == $kernel;
    });
    cmp_ok($kernel, '>', 1000, 'a full ring loses');
    is($reported, $kernel, 'as many as are reported as lost');
    # Events that were sent to the killed broker count as sent, and may be overwritten: their number is reported, too.
    is(scalar(grep { $_->{reason} ne 'kernel' && !$_->{count} } @lost), 0, 'and whatever else is missing, by number');
    $broker->stop('kernel');
}

# --- the module goes and comes back ----------------------------------------------------------------------------------

{
    load();
    my $broker = Forkbus->broker(source => 'auto', log_size => '16M');
    is($broker->status->{source}{name}, 'module', 'the module is the best source') or diag(json($broker->status->{source}));
    my $stream = $broker->subscribe({});
    $stream->wait_ready;
    my $is_source = sub { my ($name) = @_; sub { $_->{type} eq 'source' && $_->{source} eq $name } };
    my $is_reported = sub {
        my $pid = ended_child(sub { 0 });
        return $stream->wait_for(sub { $_->{type} eq 'exit' && $_->{pid} == $pid }, 'a process');
    };
    for my $round (1 .. 3) {
        ok(unload(), "round $round: it is unloaded under a broker");
        ok($stream->wait_for($is_source->('connector'), 'the connector'), 'the connector replaces it, with an event');
        ok($is_reported->(), 'processes are reported');
        ok(load(), 'it is loaded again');
        ok($stream->wait_for($is_source->('module'), 'the module'), 'the module takes its place again');
        ok(exists $is_reported->()->{cgroupId}, 'and has the fields of the module');
    }

    # Without free descriptors no source can replace it, until there are some again.
    my $limit = sub { return system('prlimit', '--pid', $broker->pid, "--nofile=$_[0]:") == 0 };
    ok($limit->(3),  'a broker that may open nothing more');
    ok(unload(),     'and whose module is unloaded');
    ok($stream->wait_for($is_source->('none'), 'no source'), 'has no source, and reports this');
    ok($limit->(1024), 'when it may again');
    ok($stream->wait_for($is_source->('connector'), 'the connector'), 'the connector is tried again');
    ok($is_reported->(), 'and reports events');
    is(scalar(grep { $_->{reason} ne 'source' } losses($stream->events)), 0, 'losses in between are reported as lost');
    $broker->stop('auto');
}

# --- what only the kernel can know -----------------------------------------------------------------------------------

{
    load();
    my $broker = Forkbus->broker(source => 'connector', config => { Source => { Arguments => '1K' } });
    my $stream = $broker->subscribe({});
    $stream->wait_ready;
    my @made = Forkbus::Workload->start(arguments => [('spawn') x 100])->go->finish;
    my %made = map { $_->{pid} => 1 } @made;
    $stream->wait_for(sub { $_->{type} eq 'exit' && delete $made{ $_->{pid} } && !%made }, 'all exits');
    %made = map { $_->{pid} => 1 } @made;
    my @execs = grep { $_->{type} eq 'exec' && $made{ $_->{pid} } } $stream->events;
    is(scalar @execs, 100, 'programs that run for a moment');
    is(scalar(grep { !defined $_->{comm} || !defined $_->{exe} || !defined $_->{filename} } @execs), 0, 'all have name and path');
    is(scalar(grep { !$_->{args} } @execs), 0, 'and arguments');
    my @exits = grep { $_->{type} eq 'exit' && $made{ $_->{pid} } } $stream->events;
    is(scalar(grep { !($_->{usage}{userUsec} + $_->{usage}{systemUsec}) } @exits), 0, 'and have used a processor');

    # A new service.
    my $group = '/sys/fs/cgroup/system.slice';
    mkdir $group;
    mkdir "$group/something.service";
    my $units = $broker->subscribe({ unit => 'something.service' });
    $units->wait_ready;
    my $pid = ended_child(sub {
        Forkbus->write_file("$group/something.service/cgroup.procs", $$);
        exec 'true';
    });
    my $exec = $units->wait_for(sub { $_->{type} eq 'exec' && $_->{pid} == $pid }, 'the exec of the service');
    is($exec->{cgroup}, '/system.slice/something.service', 'a cgroup that is new is known');
    is($exec->{cgroupId}, (stat "$group/something.service")[1], 'its id too');

    # Namespaces.
    $stream->forget;
    system 'unshare', '-pf', '--mount-proc', 'true';
    my $inside = $stream->wait_for(sub { $_->{type} eq 'exec' && $_->{pidNs} }, 'one in a pid namespace');
    is($inside->{nsPid}, 1, 'its pid there');
    my $root = $broker->subscribe({ types => ['chroot'] });
    $root->wait_ready;
    $pid = ended_child(sub { chroot '/tmp'; 0 });
    is($root->wait_for(sub { $_->{type} eq 'chroot' && $_->{pid} == $pid }, 'chroot')->{root}, '/tmp', 'the new root');
    $broker->stop('kernel knows');
}
ok(unload(), 'it is unloaded');
done_testing;
