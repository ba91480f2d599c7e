#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A kprobe that is a trap is not used. No hook of the module is one in the kernels here, so one gets the name of a function that
# ftrace does not trace. Without the check the kernel accepts this kprobe.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Test::More;
use VM;

use constant KERNEL => '6.12';

my $elsewhere = 's/"set_fs_root"/"clear_page_rep"/';
my $unchecked = 's/kprobe_ftrace(kprobe)/true/';

VM::prepare("$Bin/qemu");
VM::prepare("$Bin/kernels", KERNEL);
VM::prepare("$Bin/rootfs");

# Return: the types that a module supports which is built from edited sources.
sub supported {
    my ($script) = @_;
    chomp(my $module = qx($Bin/build -e '$script' ${\KERNEL}));
    is($?, 0, 'the module is built');
    my $look = 'load() or die; print join " ", map { Genl::mask($_) & Genl->new->status->{SUPPORTED} ? $_ : () } @ARGV';
    my @perl = ('perl', '-Itests/vm/guest', '-MGenl', '-MGuest', '-e', $look);
    open my $guest, '-|', "$Bin/boot", '-m', $module, KERNEL, '--', @perl, qw(fork exec exit id chroot) or die "boot: $!\n";
    my $said = join '', <$guest>;
    close $guest;
    is($?, 0, 'and it runs');
    return $said;
}

is(supported($elsewhere), 'fork exec exit id', 'a type whose hook is a trap is not supported, the others are');
is(supported("$elsewhere; $unchecked"), 'fork exec exit id chroot', 'because the module looks');
done_testing;
