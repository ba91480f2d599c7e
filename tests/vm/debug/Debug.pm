# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The module in a kernel that watches over it: first one with faults, which have to be seen, then ours under a storm, of
# which nothing may be seen.
#
#   Debug::run('debug-rt');
package Debug;

use strict;
use warnings;
use File::Basename 'dirname';
use File::Temp 'tempdir';
use Test::More;

# On a busy host ten processes a second are made; there are to be twenty thousand.
use constant LIMIT_SEC => 7200;

my $here    = dirname(__FILE__);
my $vm      = "$here/..";
my $kernels = ($ENV{FORKBUS_VM} // "$here/../../../build/vm") . '/kernels';

# Is there anything that a machine cannot have here? Then all is skipped.
sub prepare {
    my (@command) = @_;
    my $said = qx(@command 2>&1 >/dev/null);
    return if $? == 0;
    plan(skip_all => (split /\n/, $said)[-1] =~ s/^forkbus: //r) if $? >> 8 == 77;
    print STDERR $said;
    BAIL_OUT("@command failed");
}

# The module with the faults, as its path.
sub build_faults {
    my ($kernel) = @_;
    my $dir = tempdir(CLEANUP => 1);
    open my $file, '<', "$kernels/$kernel/headers" or BAIL_OUT("$kernel: $!");
    chomp(my $headers = readline $file);
    my $said = qx(cp $here/fault/* $dir && env -u MAKEFLAGS -u MAKELEVEL make -C '$headers' 'M=$dir' modules 2>&1);
    BAIL_OUT("the module with the faults: $said") if $?;
    return "$dir/fault.ko";
}

# A test in the guest, as a subtest, line by line as it comes. Return: how boot ended.
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

    $status = run_in_guest('the module does nothing of the kind', @boot, $kernel, 'perl', 'tests/vm/guest/debug/storm.t');
    is($status, 0, 'and the kernel log has no warnings');
    done_testing;
}

1;
