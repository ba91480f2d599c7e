# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The files of the tree, for the lint tests, which run at its top.
package Sources;

use strict;
use warnings;
use Exporter 'import';
use File::Basename 'dirname';
use File::Find;
use Test::More ();

our @EXPORT = qw(files content none tool_ok);

chdir dirname(__FILE__) . '/../..' or die "the top of the tree: $!\n";

my @top = qw(.ci LICENSES broker clients docs kmod proto systemd tests
  Makefile README.md .clang-format .editorconfig .gitignore);

# Copies of files of older versions, which stay as they were.
my $older = qr{^tests/fixtures/.*(?:/forkbus\.h|/libforkbus\.map|\.gz)$};

# All files that people wrote, except for licences, pictures and the input of fuzzers; or those whose name matches.
sub files {
    my ($pattern) = @_;
    my @found;
    find({
            no_chdir => 1,
            wanted   => sub {
                return if !-f || m{^LICENSES/|^tests/fuzz/corpus/|\.swp$|\.png$|~$} || /$older/;
                my $name = s{^\./}{}r;
                push @found, $name if !defined $pattern || $name =~ $pattern;
            }
        },
        grep { -e } @top);
    return sort @found;
}

sub content {
    my ($file) = @_;
    open my $handle, '<', $file or die "$file: $!\n";
    local $/ = undef;
    return <$handle> // '';
}

# One test: there is nothing in a list of complaints.
sub none {
    my ($complaints, $name) = @_;
    my $test = Test::More->builder;
    $test->ok(!@$complaints, $name) or $test->diag(join "\n", @$complaints);
}

# One test: a command that finds nothing to complain about.
sub tool_ok {
    my ($name, @command) = @_;
    my $pid = open my $handle, '-|';
    defined $pid or die "fork: $!\n";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        { exec @command }
        print "$command[0]: $!\n";
        exit 127;
    }
    my @output = <$handle>;
    close $handle;
    chomp @output;
    my $test = Test::More->builder;
    $test->ok($? == 0, $name) or $test->diag(join "\n", @output);
}

1;
