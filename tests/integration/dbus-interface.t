#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# proto/org.forkbus1.xml equals the introspection data of a running broker, except for documentation: neither can change alone.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(run);
use Test::More;

my $top  = "$Bin/../..";
my $file = "$top/proto/org.forkbus1.xml";
my $text = Forkbus->read_file($file);

# --- a reader of introspection data ----------------------------------------------------------------------------------

# Elements as [name, { attributes }, [elements]], comments as [comment => text].
sub read_xml {
    my ($xml) = @_;
    my @stack = ([root => {}, []]);
    $xml =~ s/^<\?xml.*?\?>//s;
    $xml =~ s/<!DOCTYPE[^>]*>//s;
    while ($xml =~ /\G\s*(?:<!--(.*?)-->|<(\/?)(\w+)((?:\s+[\w.]+="[^"]*")*)\s*(\/?)>)/gcs) {
        my ($comment, $closes, $name, $attributes, $empty) = ($1, $2, $3, $4, $5);
        if (defined $comment) {
            push @{ $stack[-1][2] }, [comment => $comment];
        } elsif ($closes) {
            my $top = pop @stack;
            die "</$name> ends <$top->[0]>\n" if $top->[0] ne $name;
        } else {
            my $element = [$name, { $attributes =~ /([\w.]+)="([^"]*)"/g }, []];
            push @{ $stack[-1][2] }, $element;
            push @stack, $element if !$empty;
        }
    }
    $xml =~ /\G\s*\z/ or die 'no XML: ' . substr($xml, pos $xml // 0, 60) . "\n";
    return $stack[0][2];
}

sub elements {
    my ($element, $name) = @_;
    return grep { $_->[0] eq $name } @{ $element->[2] };
}

# Interfaces of a node by name: each a list of members, in order, as texts.
sub interfaces {
    my ($xml) = @_;
    my ($node) = grep { $_->[0] eq 'node' } @{ read_xml($xml) };
    my %found;
    for my $interface (elements($node, 'interface')) {
        my @members;
        for my $member (grep { $_->[0] ne 'comment' } @{ $interface->[2] }) {
            my ($kind, $of) = @$member;
            my @args = map {
                my $arg = $_->[1];
                join ' ', map { $arg->{$_} // '' } qw(direction type name)
            } elements($member, 'arg');
            my @notes = map { "$_->[1]{name}=$_->[1]{value}" } elements($member, 'annotation');
            push @members, join ' ', $kind, $of->{name}, $of->{type} // '', $of->{access} // '', '(' . join(', ', @args)
                . ')', @notes;
        }
        $found{ $interface->[1]{name} } = \@members;
    }
    return \%found;
}

# --- the file --------------------------------------------------------------------------------------------------------

my $described = interfaces($text);
is_deeply([sort keys %$described], [qw(org.forkbus1.Manager org.forkbus1.Subscription)], 'two interfaces are described');

# Rules of the specification's DTD, as far as they apply.
my %children = (
    node       => 'node interface comment',
    interface  => 'method signal property annotation comment',
    method     => 'arg annotation comment',
    signal     => 'arg annotation comment',
    property   => 'annotation comment',
    arg        => 'annotation comment',
    annotation => '',
);
my %attributes = (
    node       => [[], ['name']],
    interface  => [['name']],
    method     => [['name']],
    signal     => [['name']],
    property   => [[qw(access name type)]],
    arg        => [[qw(name type)], ['direction']],
    annotation => [[qw(name value)]],
);

sub complaints {
    my ($element, $where) = @_;
    my ($name, $of, $inner) = @$element;
    my $allowed = $attributes{$name} or return "$where: <$name>";
    my @wrong = grep { !exists $of->{$_} } @{ $allowed->[0] };
    push @wrong, grep { my $key = $_; !grep { $_ eq $key } map { @$_ } @$allowed } keys %$of;
    $where .= '.' . ($of->{name} // $name);
    @wrong = map { "$where: $_" } @wrong;
    for my $child (@$inner) {
        push @wrong, "$where: <$child->[0]>" if $children{$name} !~ /\b$child->[0]\b/;
        push @wrong, complaints($child, $where) if $child->[0] ne 'comment';
    }
    return @wrong;
}
my ($node) = grep { $_->[0] eq 'node' } @{ read_xml($text) };
is_deeply([complaints($node, '')], [], 'everything has a name and a type, and is where it may be');
ok(scalar(complaints([node => {}, [[interface => {}, [[arg => { type => 's' }, []]]]]], '')) == 3, 'or is found out');
like($text, qr/<!DOCTYPE node PUBLIC "-\/\/freedesktop\/\/DTD D-BUS Object Introspection 1\.0\/\/EN"/, 'the DTD is named');
SKIP: {
    -x '/usr/bin/xmllint' or skip 'no xmllint here', 1;
    my ($status, undef, $err) = run(['xmllint', '--noout', '--nonet', $file]);
    is($status, 0, 'xmllint can read it') or diag($err);
}

# Each interface and member has its comment before it, which begins with its name, and names each argument.
my @undocumented;
for my $interface (elements($node, 'interface')) {
    for my $parent ($node, $interface) {
        my $before;
        for my $element (@{ $parent->[2] }) {
            my $name = $element->[1];
            if ($element->[0] eq 'comment') {
                $before = $name;
                next;
            }
            my $is_reported = defined $before && $before =~ /^\s*\Q$name->{name}\E:\s*\S/;
            push @undocumented, $name->{name} if !$is_reported;
            my $as_another = defined $before && $before =~ /[Aa]s ProcessForked/;
            for my $arg (map { $_->[1]{name} } elements($element, 'arg')) {
                my $is_known = $as_another && $arg =~ /^(?:seq|pid|start_usec|details)$/;
                $is_known ||= $arg =~ /^(?:seq|pid|start_usec|details)$/;    # documented once, at ProcessForked
                push @undocumented, "$name->{name}, $arg" if !$is_known && $before !~ /\@$arg: \S/;
            }
            $before = undef;
        }
    }
}
is_deeply(\@undocumented, [], 'everything is documented');
like($text, qr/\@$_: \S/, "so is $_") for qw(seq pid start_usec details);

# --- the broker ------------------------------------------------------------------------------------------------------

my ($kind) = Forkbus::Bus->kinds;
my $bus    = Forkbus::Bus->start($kind);
my $feed   = Forkbus::Feed->new(bus => 'system', env => $bus->env);
ok($bus->has_owner, 'a broker runs');
my $client = $bus->client;
my $path   = $client->subscribe({});

sub introspect {
    my ($where) = @_;
    return $client->ask('org.forkbus1', $where, 'org.freedesktop.DBus.Introspectable', 'Introspect', '')->{reply}[0];
}
my %reported = (%{ interfaces(introspect('/org/forkbus1')) }, %{ interfaces(introspect($path)) });
for my $name (sort keys %$described) {
    is_deeply($reported{$name}, $described->{$name}, "$name: it says the same, in the same order")
      or diag(explain($reported{$name}));
}
my @own = grep { !/^org\.freedesktop\./ } sort keys %reported;
is_deeply(\@own, [sort keys %$described], 'and has no other interface');

# The properties that can be read are the documented ones.
for my $interface (sort keys %$described) {
    my $where = $interface =~ /Manager/ ? '/org/forkbus1' : $path;
    my $all = $client->ask('org.forkbus1', $where, 'org.freedesktop.DBus.Properties', 'GetAll', 's', $interface)->{reply}[0];
    my %types = map { /^property (\w+) (\S+) / ? ($1 => $2) : () } @{ $described->{$interface} };
    is_deeply({ map { $_ => $all->{$_}{type} } keys %$all }, \%types, "$interface: its properties, with their types");
}

# The policy permits all calls.
my $policy = Forkbus->read_file("$top/systemd/org.forkbus1.conf");
is_deeply([grep { $policy !~ /<allow send_destination="org\.forkbus1" send_interface="\Q$_\E"\/>/ } sort keys %reported], [],
    "the bus' policy has all interfaces");

# Errors that it may return are documented where the interface is, and the other way round.
my %documented = map { $_ => 1 } grep { /^[A-Z]\w+$/ } map { split /,\s+/ } $text =~ /Errors: org\.forkbus1\.Error\.([\w, ]+)/g;
my %returned = map { $_ => 1 } map { Forkbus->read_file($_) =~ /DBUS_ERROR\("(\w+)"\)/g } glob "$top/broker/serve/dbus/*.c";
is_deeply([sort keys %documented], [sort keys %returned], 'errors that there are');

$feed->broker->stop;
$bus->stop;
done_testing;
