#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# proto/org.forkbus1.varlink says of events what proto/event-json-fields.h says, of filters what the parser takes, of the
# status what the broker makes: none of them can grow without the other.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin, "$Bin/../integration";
use Forkbus::Idl;
use Sources;
use Test::More;

my $idl     = Forkbus::Idl->new(content('proto/org.forkbus1.varlink'));
my $service = Forkbus::Idl->new(content('proto/org.varlink.service.varlink'));
is("$idl->{name} $service->{name}", 'org.forkbus1 org.varlink.service', 'both interfaces can be read');

# A type as a line: maybe array string
sub words { my ($type) = @_; return join ' ', map { ref ? words($_) : $_ } @$type }

# The fields of a type, in order, each with its type
sub described {
    my ($name) = @_;
    my (undef, @fields) = @{ $idl->resolved(['name', $name]) };
    return [map { ref ? "$_->[0]: " . words($_->[1]) : $_ } @fields];
}

# The types that one names; a field may be called "name" as well.
sub names { my ($type) = @_; return map { ref ? $_->[0] eq 'name' && !ref $_->[1] ? $_->[1] : names($_) : () } @$type }
my @all = (values %{ $idl->{types} }, values %{ $idl->{errors} }, map { values %$_ } values %{ $idl->{methods} });
my %used = map { $_ => 1 } map { names(['any', $_]) } @all;
is_deeply([sort keys %used], [sort keys %{ $idl->{types} }], 'every type that is used is there, and is used');

# --- events ----------------------------------------------------------------------------------------------------------

my %kinds = (U32 => 'maybe int', U64 => 'maybe int', BOOL => 'maybe bool', ARGS => 'maybe array string');
$kinds{$_} = 'maybe string' for qw(TEXT PATH);
my %objects = (STATUS => [status => 'ExitStatus'], USAGE => [usage => 'Usage'], OLD => [old => 'OldIds']);
my %fields;
my $list = content('proto/event-json-fields.h') =~ s{/\*.*?\*/}{}gsr;
for my $field ($list =~ /^F\((.*)\)/mg) {
    my ($member, $kind, $group, $key) = split /, */, $field;
    $key =~ tr/"//d;
    push @{ $fields{TOP} }, "$objects{$group}[0]: maybe name $objects{$group}[1]" if $objects{$group} && !$fields{$group};
    push @{ $fields{$group} }, "$key: " . ($kinds{$kind} // "of no known kind: $kind");
    push @{ $fields{TOP} }, 'type: name EventType' if $key eq 'seq';    # encoded by itself, second
    push @{ $fields{$group} }, "${key}Raw: maybe string" if $kind =~ /^(?:TEXT|PATH|ARGS)$/;
}
is_deeply(described('Event'), $fields{TOP}, 'type Event has the fields of events');
for my $group (sort keys %objects) {
    my ($key, $type) = @{ $objects{$group} };
    is_deeply(described($type), $fields{$group}, "type $type has those of \"$key\"");
}

my ($types) = content('proto/event.c') =~ /(\[EVENT_FORK\].*?)\};/s;
my @types = $types =~ /= NAME\("(\w+)"\)/g;
is_deeply([sort @{ described('EventType') }], [sort @types], 'type EventType has the types of events');

# --- filters ---------------------------------------------------------------------------------------------------------

my %filter = map { /^(\w+): (.*)$/ } @{ described('Filter') };
my @keys   = content('proto/filter-json.c') =~ /^\t*\{ "(\w+)", /mg;
is_deeply([sort @keys], [sort keys %filter], 'type Filter has the keys of filters');
my @asked_for = grep { !/^(?:process|ready|heartbeat)$/ } @types;
is($filter{types}, 'maybe array enum ' . join(' ', @asked_for), 'and the types that can be asked for');

# --- the status ------------------------------------------------------------------------------------------------------

# The four that every source has are made elsewhere.
my %declared = map { s/:.*//r => 1 } @{ described('Source') };
delete @declared{qw(name detail sinceUsec armed)};
my %made = map { $_ => 1 } grep { defined }
  map { content($_) =~ /\bsource_describe_number\(object, "(\w+)"|\bjson_put(?:_text)?\(object, "(\w+)"/g }
  grep { m{^broker/source/.*\.c$} } files();
is_deeply([sort keys %declared], [sort keys %made], 'type Source has the figures that sources make');

done_testing;
