# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Functions for tests in a separate kernel, for the module and for processes.
package Guest;

use strict;
use warnings;
use Exporter 'import';
use File::Basename 'dirname';
use POSIX ();
use Socket;
use Test::More ();

our @EXPORT = qw(load unload loaded parameter child by_user workload of exits);

my $root = dirname(__FILE__) . '/../../..';

sub loaded { return -d '/sys/module/forkbus' }

# load(ring => 64, grace => 2): load the module, after unloading it. Return: whether it worked.
sub load {
    my (%parameters) = @_;
    unload();
    return system('insmod', "$root/forkbus.ko", map { "$_=$parameters{$_}" } sort keys %parameters) == 0;
}

sub unload { return !loaded() || system('rmmod', 'forkbus') == 0 }

sub parameter {
    my ($name, $value) = @_;
    my $path = "/sys/module/forkbus/parameters/$name";
    open my $file, defined $value ? '>' : '<', $path or return undef;
    return print {$file} "$value\n" if defined $value;
    chomp(my $line = readline $file);
    return $line;
}

# Run $work in a process whose exit status is its result, and wait for it. Return: its pid and status.
sub child {
    my ($work) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        $SIG{__DIE__} = 'DEFAULT';
        POSIX::_exit(eval { $work->() } // 99);
    }
    waitpid $pid, 0;
    return ($pid, $?);
}

# Run $work as an ordinary user. Return: its result (0 to 255).
sub by_user {
    my ($uid, $work) = @_;
    my (undef, $status) = child(sub {
        $( = $uid;
        $) = "$uid $uid";
        $< = $> = $uid;
        return $work->();
    });
    return $status >> 8;
}

# workload.c's report: a list of { pid, … }.
sub workload {
    my (@kinds) = @_;
    require Cpanel::JSON::XS;
    mkdir '/tmp/workload';
    my $program = "$root/build/tests/integration/workload";
    open my $out, '-|', 'sh', '-c', 'cd /tmp/workload && echo go | exec "$0" "$@"', $program, @kinds
      or die "workload: $!\n";
    my @said = map { Cpanel::JSON::XS::decode_json($_) } <$out>;
    close $out or die "workload: status $?\n";
    return @said;
}

# The records of a process.
sub of {
    my ($pid, @records) = @_;
    return grep { ($_->{TGID} // 0) == $pid } @records;
}

# Ends of processes, by pid.
sub exits {
    return map { $_->{TGID} => $_ } grep { $_->{TYPE} eq 'exit' && !exists $_->{TID} } @_;
}

1;
