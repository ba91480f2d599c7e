#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The module in a kernel with debugging checks whose spinlocks sleep (PREEMPT_RT).
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Debug;

Debug::run('debug-rt');
