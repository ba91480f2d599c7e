# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The module in a kernel with debugging checks: first a module with faults, which must be detected, then ours under a storm,
# without any finding.
#
#   Debug::run('debug-rt');
package Debug;

use strict;
use warnings;
use File::Basename 'dirname';
use File::Temp 'tempdir';
use Test::More;

# A busy host starts only ten processes a second, and the test needs twenty thousand.
use constant LIMIT_SEC => 7200;

my $here    = dirname(__FILE__);
my $vm      = "$here/..";
my $kernels = ($ENV{FORKBUS_VM} // "$here/../../../build/vm") . '/kernels';

# If a required tool is unavailable on this machine, all tests are skipped.
sub prepare {
    my (@command) = @_;
    my $said = qx(@command 2>&1 >/dev/null);
    return if $? == 0;
    plan(skip_all => (split /\n/, $said)[-1] =~ s/^forkbus: //r) if $? >> 8 == 77;
    print STDERR $said;
    BAIL_OUT("@command failed");
}

# Build the module with the faults. Return: its path.
sub build_faults {
    my ($kernel) = @_;
    my $dir = tempdir(CLEANUP => 1);
    open my $file, '<', "$kernels/$kernel/headers" or BAIL_OUT("$kernel: $!");
    chomp(my $headers = readline $file);
    my $said = qx(cp $here/fault/* $dir && env -u MAKEFLAGS -u MAKELEVEL make -C '$headers' 'M=$dir' modules 2>&1);
    BAIL_OUT("the module with the faults: $said") if $?;
    return "$dir/fault.ko";
}

# Run a test in the guest as a subtest, and print its output line by line. Return: the exit status of boot.
sub run_in_guest {
    my ($name, @command) = @_;
    my ($planned, $failed) = (0, 0);
    open my $guest, '-|', @command or die "boot: $!\n";
    while (defined(my $line = readline $guest)) {
        $line =~ s/\r?\n\z//;
        $planned ||= $line =~ /^1\.\.[1-9]/;
        $failed++ if $line =~ /^not ok/;
        print "    $line\n";
    }
    close $guest;
    ok($planned && !$failed, $name);
    return $? & 127 ? 128 + ($? & 127) : $? >> 8;
}

sub run {
    my ($kernel) = @_;
    $| = 1;
    prepare("$vm/qemu");
    prepare("$here/kernel", $kernel);
    prepare("$vm/rootfs");
    prepare("$vm/build", $kernel);
    my @boot = ("$vm/boot", '-t', LIMIT_SEC, '-k', 'kasan_multi_shot');

    my $fault  = build_faults($kernel);
    my $status = run_in_guest('what is wrong is seen',
        'sh', '-c', 'exec "$@" 2>/dev/null', 'sh', @boot, '-n', '-a', $fault, $kernel, 'perl', 'tests/vm/guest/debug/faults.t');
    is($status, 126, 'in the kernel log too');

    for my $test (qw(reaped-tracee.t debug/storm.t)) {
        $status = run_in_guest("the module does nothing of the kind: $test", @boot, $kernel, 'perl', "tests/vm/guest/$test");
        is($status, 0, 'and the kernel log has no warnings');
    }
    done_testing;
}

1;
