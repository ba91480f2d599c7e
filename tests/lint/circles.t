#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# No circle of calls between the files of a folder: found from the symbols of the objects that were built. The kernel
# module's are built elsewhere: tests/vm/build.t looks at them.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Calls qw(uses circles);
use File::Temp 'tempdir';
use Sources;
use Test::More;

# Folder => why there may be one.
my %allowed = ();

my $build = $ENV{FORKBUS_BUILD} // 'build';
my %folders;
for my $source (files(qr{^(?:proto|broker|clients)/.*\.c$})) {
    my $object = "$build/obj/" . $source =~ s/c$/o/r;
    push @{ $folders{ $source =~ s{/[^/]+$}{}r } }, $object if -e $object;
}
ok(keys %folders > 10, 'there are objects (make)');
for my $folder (sort keys %folders) {
    my @circles = circles(uses(@{ $folders{$folder} }));
    if ($allowed{$folder}) {
        ok(@circles > 0, "$folder: the exception is needed ($allowed{$folder})");
    } else {
        none(\@circles, "$folder: data goes one way");
    }
}

# A circle of three is found, and what hangs on it is none.
my $dir  = tempdir(CLEANUP => 1);
my %text = (
    a => 'void b(void); void a(void) { b(); }',
    b => 'void c(void); void b(void) { c(); }',
    c => 'extern void (*const hook)(void); void a(void); void c(void) { hook(); a(); }',
    d => 'void a(void); void d(void) { a(); }',
    e => 'void (*const hook)(void) = 0;',
);
for my $name (sort keys %text) {
    open my $file, '>', "$dir/$name.c" or die "$dir/$name.c: $!\n";
    print $file "$text{$name}\n";
    close $file;
    system('cc', '-c', '-o', "$dir/$name.o", "$dir/$name.c") == 0 or die "cc failed\n";
}
my @found = circles(uses(map { "$dir/$_.o" } sort keys %text));
is(scalar @found, 1, 'one circle');
like($found[0], qr/\Acircle of a b c\n    a -> b: b\n    b -> c: c\n    c -> a: a\z/, 'of three files');

done_testing;
