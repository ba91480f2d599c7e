#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# cppcheck finds nothing. Each suppression says why.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Sources;
use Test::More tests => 1;

my @suppress = (
    'missingIncludeSystem',      # it knows the libraries from their use alone
    'memleak', 'resourceLeak',   # it does not know __attribute__((cleanup)); the sanitizers and valgrind look for leaks
    'unmatchedSuppression',
);

tool_ok('no findings',
    'cppcheck', '--quiet', '--std=c11', '--error-exitcode=1', '--enable=warning,performance,portability', '--inline-suppr',
    (map { "--suppress=$_" } @suppress),
    '--library=tests/lint/cppcheck.cfg', '-D_GNU_SOURCE', '-DFORKBUS_VERSION=""', '-Iproto', '-Ibroker', '-I.',
    files(qr{^(proto|broker|clients)/.*\.c$}));
