#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# If all kprobes are disabled, the types that depend on them are not shown as armed.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Genl;
use Guest;
use Test::More;

sub put {
    my ($path, $value) = @_;
    open my $file, '>', $path or return 0;
    return print({$file} "$value\n") && close $file;
}

ok(load(), 'the module loads');
my $genl = Genl->new(buffer => 16 << 20);
$genl->join_group;
my @all = qw(fork exec exit id);
is($genl->start(@all), 0, 'START');
for my $switch ('/proc/sys/kernel/ftrace_enabled', '/sys/kernel/debug/kprobes/enabled') {
  SKIP: {
        # The kernel refuses to disable them while something else depends on them.
        $genl->records(0.1);
        skip "$switch cannot be switched off here", 5 if !put($switch, 0);
        is($genl->status->{ARMED}, Genl::mask(qw(fork exec)), 'STATUS does not list silent types');
        ok(put($switch, 1), 'it is switched on');
        is($genl->status->{ARMED}, Genl::mask(@all), '... and all is armed again');
        my ($pid) = child(sub { 0 });
        my @records = $genl->records(0.5);
        is_deeply([map { $_->{MASK} } grep { $_->{TYPE} eq 'armed' } @records],
            [Genl::mask(qw(fork exec)), Genl::mask(@all)], 'each has its record');
        is(scalar(grep { $_->{TYPE} eq 'exit' } of($pid, @records)), 1, 'and ends are reported');
    }
}
undef $genl;
ok(unload(), 'the module unloads');
done_testing;
