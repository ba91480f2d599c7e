#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# systemd's varlinkctl(1) as a client: it reads the descriptions with a parser of its own, and is strict about replies.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin, "$Bin/../integration";
use Foreign;
use Forkbus qw(now_usec parse);
use Test::More;

my $feed   = stage();
my $broker = $feed->broker;

my ($status, $out, $err) = client('varlinkctl', '--version');
my ($version) = $out =~ /^systemd (\d+)/;
cmp_ok($version, '>=', 257, "varlinkctl of systemd $version");

sub varlinkctl {
    my ($command, @arguments) = @_;
    return client('varlinkctl', '--json=short', ref $command ? @$command : $command, $socket, @arguments);
}

($status, $out, $err) = varlinkctl('info');
is($status, 0, 'info') or diag($err);
is_deeply(parse($out)->{interfaces}, ['org.forkbus1', 'org.varlink.service'], 'names the interfaces') or diag($out);
($status, $out, $err) = client('varlinkctl', 'list-interfaces', $socket);
is_deeply([split ' ', $out], ['org.forkbus1', 'org.varlink.service'], 'list-interfaces') or diag($err);

my $idl = Forkbus::Idl->new(Forkbus::Varlink->description('org.forkbus1'));
($status, $out, $err) = client('varlinkctl', 'list-methods', $socket, 'org.forkbus1');
is_deeply([sort split ' ', $out], [map { "org.forkbus1.$_" } sort keys %{ $idl->{methods} }], 'list-methods') or diag($err);

# What it has read it prints in a form of its own: to a reader it is the same.
for my $interface ('org.forkbus1', 'org.varlink.service') {
    ($status, $out, $err) = client('varlinkctl', 'introspect', $socket, $interface);
    is("$status $err", '0 ', "introspect $interface");
    my ($ours, $theirs) = map { Forkbus::Idl->new($_) } Forkbus::Varlink->description($interface), $out;
    is_deeply($theirs, $ours, 'is understood as it was meant');
}

($status, $out, $err) = varlinkctl('call', 'org.forkbus1.GetStatus', '{}');
is(parse($out)->{pid}, $broker->pid, 'call GetStatus') or diag($err);
($status, $out, $err) = varlinkctl('call', 'org.forkbus1.GetProcess', '{"pid":150}');
is(parse($out)->{process}{comm}, 'p150', 'call GetProcess') or diag($err);
($status, $out, $err) = varlinkctl('call', 'org.forkbus1.ListProcesses', '{"filter":{"uids":[1],"comm":"p1[0-4]*"}}');
is(scalar @{ parse($out)->{processes} }, 25, 'call ListProcesses, with a filter') or diag($err);

my %error = (
    'org.forkbus1.NoSuchProcess'            => ['GetProcess',    '{"pid":4194000}'],
    'org.forkbus1.InvalidFilter'            => ['ListProcesses', '{"filter":{"uids":[]}}'],
    'org.varlink.service.InvalidParameter'  => ['GetProcess',    '{"pid":"x"}'],
    'org.varlink.service.MethodNotFound'    => ['Nothing',       '{}'],
    'org.varlink.service.ExpectedMore'      => ['Subscribe',     '{}'],
);
for my $name (sort keys %error) {
    my ($method, $parameters) = @{ $error{$name} };
    ($status, $out, $err) = varlinkctl('call', "org.forkbus1.$method", $parameters);
    isnt($status, 0, "an error: $name");
    like($err, qr/\Q$name\E/, 'is reported') or diag($out);
}

# A subscription: what comes is printed as it comes.
my ($pid, $pipe) =
  begin_client('varlinkctl', '--json=short', '--more', 'call', $socket, 'org.forkbus1.Subscribe', '{"snapshot":true}');
my @types;
while (my $line = <$pipe>) {
    $line =~ s/^\x1e//;
    push @types, map { $_->{type} } @{ parse($line)->{events} };
    last if $types[-1] eq 'session';
    $feed->write({ type => 'session', timeUsec => now_usec(), pid => 150, startUsec => 1000 }) if $types[-1] eq 'ready';
}
is_deeply(\@types, [('process') x 100, 'ready', 'session'], 'call --more Subscribe: snapshot, ready, what happens');
kill 'TERM', $pid;
close $pipe;
my $expired = '{"since":"0123456789abcdef:1","complete":true}';
($status, $out, $err) = varlinkctl(['--more', 'call'], 'org.forkbus1.Subscribe', $expired);
like($err, qr/org\.forkbus1\.CursorExpired/, 'an error in place of the first reply') or diag($out);

$broker->stop;
done_testing;
