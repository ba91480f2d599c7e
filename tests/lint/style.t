#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What every file of the tree has to look like.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Sources;
use Test::More;

use constant LINES_MAX   => 600;
use constant COLUMNS_MAX => 130;

# Lists of places, so that a failure says where to look.
my (%licences, @unlicensed, @long, @wide, @blank_end, @unended, @crlf, @indent);
for my $file (files()) {
    my $text = content($file);
    next if $text eq '';
    my @lines = split /\n/, $text, -1;
    pop @lines;

    # The JSON of replays and the like has no place for it.
    my $beginning = join "\n", @lines[0 .. ($#lines < 3 ? $#lines : 3)];
    if ($beginning =~ /SPDX-License-Identifier: ([\w.-]+)/) {
        $licences{$1} = 1;
    } elsif ($file !~ /\.(json|jsonl)$|^\.gitignore$/) {
        push @unlicensed, $file;
    }
    push @long, "$file (" . @lines . ')' if $file =~ /\.[ch]$/ && @lines > LINES_MAX;
    for my $i (0 .. $#lines) {
        push @blank_end, "$file:" . ($i + 1) if $lines[$i] =~ /[ \t]$/;
        push @indent,    "$file:" . ($i + 1) if $file      =~ /\.(pm|t)$/ && $lines[$i] =~ /^ *\t/;
        (my $wide = $lines[$i]) =~ s/\t/        /g;
        utf8::decode($wide);
        next if $file !~ /\.(c|h|pm|t|sh)$|^Makefile$/ || $wide =~ /^ *"/;    # texts are not cut in two
        push @wide, "$file:" . ($i + 1) if length $wide > COLUMNS_MAX;
    }
    push @crlf, $file if $text =~ /\r\n/;
    push @unended, $file if $text !~ /\n\z/;
}

none(\@unlicensed, 'every file names its licence in its first lines');
none([grep { !-s "LICENSES/$_.txt" } keys %licences], 'licences are there');
none(\@long, 'no source is longer than ' . LINES_MAX . ' lines');
none(\@wide, 'no line is wider than ' . COLUMNS_MAX . ' columns');
none(\@blank_end, 'no line ends in white space');
none(\@indent, 'Perl is indented with spaces');
none(\@crlf, 'lines end in LF');
none(\@unended, 'the last line ends');

my @sources = grep { !m{^proto/event-(?:json-|kept-)?fields\.h$} } files(qr/\.[ch]$/);
tool_ok('sources are formatted (make format)', 'clang-format-14', '--dry-run', '-Werror', @sources);

my @headers = grep { !m{^proto/event-(?:json-|kept-)?fields\.h$} } files(qr/\.h$/);

# The kernel's way in what the kernel compiles, #pragma once elsewhere.
sub included_once {
    my ($file) = @_;
    return content($file) =~ /^#ifndef (_\w+)\n#define \1$/m if $file =~ m{^kmod/|^proto/forkbus_netlink\.h$};
    return content($file) =~ /^#pragma once$/m;
}
none([grep { !included_once($_) } @headers], 'headers are included once');

my @scripts = grep { content($_) =~ m{\A#!/bin/(?:ba)?sh\n} } files();
push @scripts, files(qr/\.bash$/);
tool_ok('shell scripts pass shellcheck', 'shellcheck', '--shell=bash', grep { /\.bash$/ } @scripts)
  if grep { /\.bash$/ } @scripts;
tool_ok('shell scripts pass shellcheck', 'shellcheck', grep { !/\.bash$/ } @scripts);
my @perl = grep { content($_) =~ m{\A#!/usr/bin/perl\n} } files();
none([map { qx(perl -wc $_ 2>&1) =~ s/^\Q$_\E syntax OK\n\z//mr || () } @perl], 'Perl compiles without a warning');
none([grep { !-x } grep { content($_) =~ /\A#!/ } files()], 'what begins with #! can be run');

done_testing;
