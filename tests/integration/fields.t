#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A field of an event is right or absent, also where it cannot be taken from the parent: CLONE_PARENT, a thread with a name,
# another cgroup, a terminal that is closed, orphans, kernel threads, and a program that runs another one at once.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json run);
use Test::More;

Forkbus->needs_root;
Forkbus->needs_connector;

my $makers = Forkbus->helper('makers');
my ($user) = Forkbus::nobody();
my $broker = Forkbus->broker(source => 'connector');
my $stream = $broker->subscribe({});
my $own    = $broker->subscribe({ uids => [$user], types => ['exit'] });
$_->wait_ready for $stream, $own;

# What the program says of its processes, and their events.
sub make {
    my (@arguments) = @_;
    my ($status, $out, $err) = run([$makers, @arguments]);
    is($status, 0, "@arguments") or diag($err);
    $stream->settle;
    return map { Forkbus::parse($_) } split /\n/, $out;
}

sub events_of {
    my ($pid, $type) = @_;
    return grep { ($_->{pid} // 0) == $pid && $_->{type} eq $type } $stream->events;
}

# Each event has these values, or not the field.
sub right_or_absent {
    my ($made, $types, @keys) = @_;
    my @wrong;
    for my $type (@$types) {
        my @events = events_of($made->{pid}, $type);
        push @wrong, "no $type" if !@events;
        for my $event (@events) {
            push @wrong, "$type: $_ " . json($event->{$_}) . ', not ' . json($made->{$_})
              for grep { exists $event->{$_} && $event->{$_} ne $made->{$_} } @keys;
        }
    }
    return @wrong;
}

# A sibling of the process that made it.
my ($sibling) = make('clone-parent', $user);
is_deeply([right_or_absent($sibling, ['fork', 'exit'], qw(comm uid ppid))], [], 'CLONE_PARENT: its fields are its own')
  or diag(json([events_of($sibling->{pid}, 'fork')]));
my ($end) = events_of($sibling->{pid}, 'exit');
is("$end->{uid} $end->{comm}", "$user stage", 'the exit has them');
ok($own->wait_for(sub { ($_->{pid} // 0) == $sibling->{pid} }, 'the exit'), 'and its user sees it');

# The name of a thread.
my ($child) = make('thread');
is_deeply([right_or_absent($child, ['fork', 'exit'], 'comm')], [], 'a thread that has a name makes a process');

# Cgroups.
my ($root) = map { (split)[2] eq 'cgroup2' ? (split)[1] : () } split /\n/, Forkbus->read_file('/proc/mounts');
SKIP: {
    my $name = "/forkbus-test-$$.service";
    skip 'no cgroup2 that can be changed', 4 if !defined $root || !mkdir "$root$name";
    my ($born) = make('cgroup', "$root$name");
    $born->{cgroup} = $name;
    is_deeply([right_or_absent($born, ['fork', 'exit'], 'cgroup')], [], 'a process that is made in another cgroup');

    # Moved while it runs.
    pipe my $read, my $write or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        close $write;
        <$read>;
        POSIX::_exit(0);
    }
    Forkbus->write_file("$root$name/cgroup.procs", $pid);
    close $write;
    waitpid $pid, 0;
    $stream->settle;
    is_deeply([right_or_absent({ pid => $pid, cgroup => $name }, ['exit'], 'cgroup')], [], 'a process that is moved');
    ok(Forkbus->wait_until(sub { rmdir "$root$name" }), 'the cgroup is empty again');
}

# Terminals. The process ends when its exec was reported, and what it was made by ends when its exit was reported.
sub with_terminal {
    my ($kind) = @_;
    my $maker = Forkbus::Workload->start(program => $makers, arguments => [$kind]);
    my $made  = $maker->next;
    $stream->wait_for(sub { ($_->{pid} // 0) == $made->{pid} && $_->{type} eq 'exec' }, 'its exec');
    $maker->go;
    $stream->wait_for(sub { ($_->{pid} // 0) == $made->{pid} && $_->{type} eq 'exit' }, 'its exit');
    $maker->finish;
    return $made;
}

# One that is still there is known at the exit, unless the broker was too slow even for that.
my ($process, @other);
ok(
    Forkbus->wait_until(sub {
        $process = with_terminal('keep');
        push @other, right_or_absent($process, ['exec', 'exit'], 'tty');
        return grep { exists $_->{tty} } events_of($process->{pid}, 'exit');
    }),
    'the terminal is still known at the exit'
);
is_deeply(\@other, [], 'it is right');
$process = with_terminal('hangup');
is_deeply([right_or_absent($process, ['exec', 'exit'], 'tty')], [], 'a terminal that is closed is right at the exec');
($end) = events_of($process->{pid}, 'exit');
ok(!exists $end->{tty}, 'and the exit has none');

# Orphans, more than are asked about at a time.
{
    pipe my $to_read, my $to or die "pipe: $!\n";
    pipe my $from, my $from_write or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN,  '<&', $to_read    or POSIX::_exit(126);
        open STDOUT, '>&', $from_write or POSIX::_exit(126);
        close $_ for $to, $from, $from_write, $to_read;
        exec $makers, 'orphans', 400 or POSIX::_exit(127);
    }
    close $_ for $to_read, $from_write;
    my @made = map { Forkbus::parse(scalar readline $from) } 1 .. 400;
    my %new;
    my $known = Forkbus->wait_until(sub {
        my $snapshot = $broker->subscribe({ snapshot => Cpanel::JSON::XS::true, pids => [map { $_->{pid} } @made[0 .. 99]] });
        $snapshot->wait_ready;
        %new = map { $_->{pid} => $_->{ppid} } grep { $_->{type} eq 'process' } $snapshot->events;
        return 100 == grep { ($_ // 0) == $pid } values %new;
    });
    ok($known, 'orphans have their new parent') or diag(json(\%new));
    close $to;
    waitpid $pid, 0;
}

# Kernel threads: their names are not their parent's.
my %wrong;
my $ps = $broker->subscribe({ snapshot => Cpanel::JSON::XS::true });
$ps->wait_ready;
for my $process (grep { $_->{type} eq 'process' && ($_->{ppid} // 0) == 2 && exists $_->{comm} } $ps->events) {
    my $name = Forkbus->read_file("/proc/$process->{pid}/comm");
    next if $name eq '';
    chomp $name;
    s/[-+].*// for $name, (my $shown = $process->{comm});
    $wrong{$name} = $shown if $name ne $shown;
}
is_deeply(\%wrong, {}, 'kernel threads have their own names');

# A program that runs another one at once, many times. The last one of them lives until its exec is known: it has its program,
# unless the broker was too slow even for that.
my $dir = Forkbus->directory;
my ($sh) = grep { -x } qw(/bin/dash /bin/sh);
File::Copy::copy($sh, "$dir/$_") && chmod 0755, "$dir/$_" for qw(one two);

sub run_both {
    my ($command) = @_;
    pipe my $read, my $write or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        close $write;
        open STDIN, '<&', $read or POSIX::_exit(126);
        exec "$dir/one", '-c', "exec $dir/two -c '$command'" or POSIX::_exit(127);
    }
    close $read;
    return ($pid, $write);
}

my (@ran, @mixed);
my $named = 0;
for (1 .. 300) {
    my ($pid) = run_both(':');
    waitpid $pid, 0;
    push @ran, $pid;
}
ok(
    Forkbus->wait_until(sub {
        my ($pid, $input) = run_both('read line');
        my $n = 0;
        $stream->wait_for(sub { ($_->{pid} // 0) == $pid && $_->{type} eq 'exec' && ++$n == 2 }, 'the second exec');
        close $input;
        waitpid $pid, 0;
        push @ran, $pid;
        return exists((events_of($pid, 'exec'))[1]{exe});
    }),
    'a program that lives on is known'
);
$stream->settle;
for my $pid (@ran) {
    my @execs = events_of($pid, 'exec');
    next if @execs != 2;
    for my $i (0, 1) {
        my $name = ('one', 'two')[$i];
        $named++ if exists $execs[$i]{exe};
        my ($exe, $comm) = @{ $execs[$i] }{qw(exe comm)};
        push @mixed, json($execs[$i]) if ($exe // "$dir/$name") ne "$dir/$name" || ($comm // $name) ne $name;
    }
}
is_deeply(\@mixed, [], 'an exec has its own program, not the next');
note("$named of " . 2 * @ran . ' have one');
$broker->stop;
done_testing;
