#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# In a time namespace a broker refuses to report live events with wrong times, and forkbusctl shows right ones. Without a
# capability that it needs, the broker names it.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json now_usec run);
use Test::More;

Forkbus->needs_root;
Forkbus->needs_connector;

my $base  = Forkbus->directory;
my $shift = 1_000_000;
my @shift = ('unshare', '--time', '--boottime', $shift, '--monotonic', $shift, '--fork');
my ($status, $out, $err) = run([@shift, 'true']);
plan(skip_all => "no time namespaces here: $err") if $status != 0;

# --- a broker -----------------------------------------------------------------------------------------------------------

my @forkbusd = (Forkbus::forkbusd(), '--foreground', '--bus=none', "--runtime-dir=$base/run", '--log-size=512K');
for my $source ('connector', 'auto') {
    ($status, $out, $err) = run([@shift, @forkbusd, "--source=$source"]);
    is($status, 1, "a broker with --source=$source does not start in a time namespace");
    like($err, qr/clocks of this time namespace differ/, 'and reports the reason');
}
($status, $out) = run([@shift, Forkbus::forkbusd(), '--probe']);
is($status, 1, 'no source of live events works there');
my %probed = map { $_->{source} => $_ } map { Forkbus::parse($_) } split /\n/, $out;
ok(!$probed{$_}{works}, "not $_") for qw(connector module);
ok($probed{replay}{works}, 'but a recording can be replayed');
($status) = run(['unshare', '--time', '--fork', Forkbus::forkbusd(), '--probe']);
is($status, 0, 'a time namespace with the same clocks is no obstacle');

# --- forkbusctl ---------------------------------------------------------------------------------------------------------

my $broker = Forkbus->broker(source => 'connector');
my @ps     = (Forkbus::forkbusctl(), '--runtime-dir=' . $broker->dir, 'ps', "--pid=$$");
($status, $out) = run(\@ps);
like($out, qr/\n.*\b$$\b/, 'forkbusctl lists this process');
my ($shifted, $there) = run([@shift, @ps]);
is($shifted, 0, 'it does so in a time namespace');
unlike($there, qr/\b1[01]d\b/, 'and the age of the process is not shifted');
$broker->stop;

# --- a capability -------------------------------------------------------------------------------------------------------

my @without = ('setpriv', '--bounding-set=-sys_ptrace', '--inh-caps=-sys_ptrace');
($status, $out) = run([@without, Forkbus::forkbusd(), '--probe']);
like($out, qr/Without CAP_SYS_PTRACE/, '--probe names the capability that is missing');
($status, $out) = run([Forkbus::forkbusd(), '--probe']);
unlike($out, qr/CAP_SYS_PTRACE/, 'and does not if it is there');
done_testing;
