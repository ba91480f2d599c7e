# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Test files run inside a kernel of its own; each is one subtest here.
#
#   VM::run_tests('6.1');
#
# In the guest tests/vm/guest-tests runs them, and encloses their output in lines that no test writes. tests/vm/boot passes
# the output on unchanged, and standard error to ours.
package VM;

use strict;
use warnings;
use File::Basename qw(basename dirname);

# The time limit for all tests of a kernel, after which a hanging guest is ended.
use constant LIMIT_SEC => 1800;

my $here = dirname(__FILE__);
my $top  = "$here/../..";

# Exit statuses of boot, and their meanings.
my %ends = (
    124 => 'out of time',
    125 => 'the guest ended before its tests did',
    126 => 'the kernel log holds complaints',
);

# The tests of the module, then the broker's tests that are about processes, with the module as the source. Without resume.t,
# which expects losses that do not occur with the module (module.t tests this), and load.t, whose figures mean nothing in an
# emulator.
#
# With PREEMPT_RT of the broker's tests only access.t: the others expect paths, which the module leaves out there, and threads
# that end before their process, which is often not so there (see docs/module.md).
sub tests {
    my ($kernel) = @_;
    my @module = map { 'tests/vm/guest/' . basename($_) } glob "$top/tests/vm/guest/*.t";
    my @broker = map { "tests/integration/$_.t" } qw(module processes access machine);
    return @module, map { "module:$_" } grep { -e "$top/$_" } grep { $kernel !~ /-rt$/ || /access/ } @broker;
}

# If a required tool is unavailable on this machine, all tests are skipped.
sub prepare {
    my (@command) = @_;
    my $said = qx(@command 2>&1 >/dev/null);
    return if $? == 0;
    my $reason = (split /\n/, $said)[-1] // '';
    if ($? >> 8 == 77) {
        print '1..0 # SKIP ', $reason =~ s/^forkbus: //r, "\n";
        exit 0;
    }
    print "$said\nBail out! @command failed\n";
    exit 1;
}

# Print the output of one test file as a subtest. Return: whether it passed.
sub tell_file {
    my ($number, $name, $status, @lines) = @_;
    my ($skipped) = map { /^1\.\.0\s*#\s*skip\w*\s*(.*)/i ? $1 : () } @lines;
    my $planned = grep { /^1\.\.\d+/ } @lines;
    my $fine = defined $status && $status eq 0 && $planned;
    print "    $_\n" for @lines;
    print $fine ? '' : 'not ', "ok $number - $name", defined $skipped ? " # SKIP $skipped" : '', "\n";
    return if $fine;
    my $what = !defined $status ? 'did not end' : "status $status" . ($planned ? '' : ' and no plan');
    my ($last) = grep { /^(?:not )?ok/ } reverse @lines;
    print STDERR "# $name: $what; the last was: ", $last // 'nothing', "\n";
}

sub run_tests {
    my ($kernel) = @_;
    $| = 1;
    prepare("$here/qemu");
    prepare("$here/kernels", $kernel);
    prepare("$here/rootfs");
    prepare("$here/build", $kernel);

    my @tests = tests($kernel);
    open my $guest, '-|', "$here/boot", '-t', LIMIT_SEC, $kernel, 'tests/vm/guest-tests', @tests or die "boot: $!\n";
    my ($number, $name, @lines) = (0);
    while (defined(my $line = readline $guest)) {
        $line =~ s/\r?\n\z//;
        if ($line =~ /^=== begin (.*)/) {
            ($name, @lines) = ($1);
        } elsif ($line =~ /^=== end (\d+)/) {
            tell_file(++$number, $name, $1, @lines);
            $name = undef;
        } elsif (defined $name) {
            push @lines, $line;
        } else {
            print "# $line\n";
        }
    }
    tell_file(++$number, $name, undef, @lines) if defined $name;
    close $guest;
    my $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;

    my $fine = $number == @tests && ($status == 0 || $status == 126);
    print $fine ? '' : 'not ', 'ok ', ++$number, " - kernel $kernel ran all of them\n";
    print STDERR '# ', $ends{$status} // "status $status", "\n" if !$fine;
    print $status == 126 ? 'not ' : '', 'ok ', ++$number, " - and has nothing to complain about\n" if $fine;
    print "1..$number\n";
    exit($status ? 1 : 0);
}

1;
