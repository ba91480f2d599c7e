# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Shared functions of the integration tests: a separate broker in its own directory, subscribers, workloads.
#
#   my $broker = Forkbus->broker(source => 'connector', config => { Log => { Size => '1M' } });
#   my $subscriber = $broker->subscribe({ types => ['exit'] });
#   my $event = $subscriber->wait_for(sub { $_->{pid} == 4711 });
#   $broker->stop;    # this is a test: it ended cleanly, and no sanitizer or valgrind has reported an error
#
# No function sleeps for a fixed time: they all wait for a condition. Deadlines only end tests that hang; they are longer with a
# wrapper (FORKBUSD_WRAPPER="valgrind …"), a sanitizer or an emulated machine.
package Forkbus;

use strict;
use warnings;
use Cpanel::JSON::XS ();
use Exporter 'import';
use File::Basename 'dirname';
use File::Copy ();
use File::Spec;
use File::Temp ();
use IO::Socket::UNIX;
use POSIX ();
use Test::More ();
use Time::HiRes ();

use Forkbus::Attack;
use Forkbus::Broker;
use Forkbus::Bus;
use Forkbus::BusClient;
use Forkbus::Feed;
use Forkbus::Polkit;
use Forkbus::Processes;
use Forkbus::Subscriber;
use Forkbus::Varlink;
use Forkbus::Workload;

# Not on the machine's own bus.
$ENV{DBUS_SYSTEM_BUS_ADDRESS} = 'unix:path=/nonexistent/bus';

our @EXPORT_OK = qw(false is_exit_of json nobody now_usec parse run slow true);

# The build directory, and its content.
my $build = File::Spec->rel2abs($ENV{FORKBUS_BUILD} // $ENV{BUILD} // dirname(__FILE__) . '/../../build');
my $json  = Cpanel::JSON::XS->new->utf8->canonical->allow_nonref;

sub forkbusd   { return $ENV{FORKBUSD} // "$build/bin/forkbusd" }
sub forkbusctl { return "$build/bin/forkbusctl" }

# A program of the build.
sub program {
    my ($class, $name) = @_;
    return "$build/bin/$name";
}

# A helper program of this directory.
sub helper {
    my ($class, $name) = @_;
    my $path = "$build/tests/integration/$name";
    -x $path or die "$path is not there: make tests\n";
    return $path;
}

sub json  { return $json->encode($_[0]) }
sub parse { return $json->decode($_[0]) }
sub true  { return Cpanel::JSON::XS::true }
sub false { return Cpanel::JSON::XS::false }

sub now_usec { return int(Time::HiRes::time() * 1e6) }

# Is an event the end of a process that lived at a known time, by the real-time clock? Pids are reused, and the broker calculates
# the time from two readings of clocks.
sub is_exit_of {
    my ($event, $made) = @_;
    return $event->{type} eq 'exit' && $event->{pid} == $made->{pid} && !exists $event->{tid}
      && $event->{timeUsec} >= $made->{beginUsec} - 2000 && $event->{timeUsec} <= $made->{endUsec} + 2000;
}

# Does the broker run slowly in a tool? Then its memory figures also differ.
my $slow;

sub slow {
    return $slow if defined $slow;
    $slow = defined $ENV{FORKBUSD_WRAPPER} && $ENV{FORKBUSD_WRAPPER} ne '';
    if (!$slow && open my $program, '<:raw', forkbusd()) {
        local $/ = undef;
        $slow = <$program> =~ /__(?:asan|ubsan|tsan|msan)_/ ? 1 : 0;
    }
    return $slow;
}

# A deadline for tests that hang, in seconds.
sub patience {
    return 60 * (slow() || $ENV{FORKBUS_VM_GUEST} ? 10 : 1);
}

# Wait until a condition is true: for changes that nothing reports, like the end of a process. Return: whether it became true.
sub wait_until {
    my ($class, $condition, $seconds) = @_;
    my $deadline = Time::HiRes::time() + ($seconds // patience());
    until ($condition->()) {
        return 0 if Time::HiRes::time() > $deadline;
        Time::HiRes::sleep(0.005);
    }
    return 1;
}

# A directory that other users may enter, removed after the test.
sub directory {
    my $dir = File::Temp::tempdir('forkbus-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $dir;
    return $dir;
}

# A copy of a program that all users may run: the build may be in a directory that only root can enter.
sub installed {
    my ($class, $path, $dir, $mode) = @_;
    my $copy = "$dir/" . (File::Spec->splitpath($path))[2];
    File::Copy::copy($path, $copy) or die "$copy: $!\n";
    chmod $mode // 0755, $copy or die "$copy: $!\n";
    return $copy;
}

sub write_file {
    my ($class, $path, $text) = @_;
    open my $file, '>:raw', $path or die "$path: $!\n";
    print {$file} $text;
    close $file or die "$path: $!\n";
    return $path;
}

sub read_file {
    my ($class, $path) = @_;
    open my $file, '<:raw', $path or return '';
    local $/ = undef;
    return <$file> // '';
}

# A broker that is ready; see Forkbus::Broker for the options.
sub broker {
    my ($class, @options) = @_;
    my $broker = Forkbus::Broker->start(@options);
    return $broker if $broker->{ready};
    Test::More::BAIL_OUT('no broker: ' . $broker->stderr) if $broker->{bail};
    die 'the broker does not start: ' . $broker->stderr . "\n";
}

# The source of live processes: tests use 'connector', and may be run with another source.
sub live_source { return $ENV{FORKBUS_SOURCE} // 'connector' }

# The result of "forkbusd --probe" for a source.
sub probe {
    my ($class, $source) = @_;
    my ($status, $out) = run([forkbusd(), '--probe']);
    for my $line (split /\n/, $out) {
        my $reported = parse($line);
        return $reported if $reported->{source} eq $source;
    }
    die "forkbusd --probe says nothing of $source (status $status)\n";
}

# Skip the whole test without root, or without the proc connector (or the source that replaces it).
sub needs_root {
    Test::More::plan(skip_all => 'needs root: processes of other users, groups, and what the kernel keeps from others')
      if $> != 0;
}

sub needs_connector {
    my ($class) = @_;
    my $source = live_source();
    my $reported   = $class->probe($source);
    Test::More::plan(skip_all => "the $source cannot be heard here: $reported->{found}") if !$reported->{works};
}

# Two ordinary users without any files here.
sub nobody { return (65534, 64333) }

# Run a program to its end. Return: its exit status (as a shell has it), standard output, standard error.
sub run {
    my ($command, %options) = @_;
    my ($out, $err) = map { File::Temp->new } 1, 2;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN, '<', $options{stdin} // '/dev/null' or POSIX::_exit(126);
        open STDOUT, '>&', $out or POSIX::_exit(126);
        open STDERR, '>&', $err or POSIX::_exit(126);
        @ENV{ keys %{ $options{env} } } = values %{ $options{env} } if $options{env};
        become($options{uid}) if defined $options{uid};
        { no warnings 'exec'; exec { $command->[0] } @$command; }
        POSIX::_exit(127);
    }
    my $ended = Forkbus->wait_until(sub { waitpid($pid, POSIX::WNOHANG()) == $pid }, $options{seconds});
    my $status = $?;
    if (!$ended) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
        die "@$command does not end; so far:\n" . Forkbus->read_file("$out") . Forkbus->read_file("$err");
    }
    $status = $status & 127 ? 128 + ($status & 127) : $status >> 8;
    return ($status, Forkbus->read_file("$out"), Forkbus->read_file("$err"));
}

# Become another user permanently, with only these supplementary groups.
sub become {
    my ($uid, @groups) = @_;
    local $! = 0;
    $( = $uid;
    $) = join ' ', $uid, @groups ? @groups : $uid;
    POSIX::setgid($uid);
    POSIX::setuid($uid);
    $< == $uid && $> == $uid or POSIX::_exit(125);
}

# Run code in a child, as another user. Return: its exit status.
sub as_user {
    my ($class, $uid, $groups, $code) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        become($uid, @$groups) if defined $uid;
        my $status = eval { $code->() } // 255;
        POSIX::_exit($status);
    }
    waitpid $pid, 0;
    return $?;
}

1;
