#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# python-varlink as a client: it makes methods of what it reads in the descriptions.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin, "$Bin/../integration";
use Foreign;
use Forkbus qw(now_usec parse);
use Test::More;

my $feed   = stage();
my $broker = $feed->broker;
my (%said, @errors, @types);
my ($pid, $pipe) = begin_client('python3', "$Bin/client.py", $socket);
while (my $line = <$pipe>) {
    my ($what, $value) = %{ parse($line) };
    if ($what eq 'event') {
        push @types, $value->{type};
        $feed->write({ type => 'session', timeUsec => now_usec(), pid => 150, startUsec => 1000 }) if $value->{type} eq 'ready';
    } elsif ($what eq 'error') {
        push @errors, $value;
    } else {
        $said{$what} //= $value;
    }
}
close $pipe;
is($?, 0, 'it ends well');
is_deeply($said{interfaces}, ['org.forkbus1', 'org.varlink.service'], 'the interfaces');
is($said{status}{pid}, $broker->pid, 'GetStatus');
is($said{process}{comm}, 'p150', 'GetProcess');
is(scalar @{ $said{list} }, 25, 'ListProcesses, with a filter');
my @refused = ('org.forkbus1.NoSuchProcess', 'org.forkbus1.InvalidFilter', 'org.varlink.service.ExpectedMore');
is_deeply([map { $_->[1] } @errors], \@refused, 'errors are raised as what they are');
is($errors[1][2]{key}, 'uids', 'with their parameters');
is($said{after}{comm}, 'p151', 'a oneway call has no answer');
ok(!exists $said{answered}, 'what is refused is not answered');
is_deeply(\@types, [('process') x 100, 'ready', 'session'], 'Subscribe: snapshot, ready, what happens');
$broker->stop;
done_testing;
