#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The module, and the broker on it, in Debian's kernel 6.12 whose spinlocks sleep (PREEMPT_RT).
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use VM;

VM::run_tests('6.12-rt');
