# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Reads the description of a Varlink interface, and checks messages with it.
#
#   my $idl = Forkbus::Idl->new($text);
#   my @complaints = $idl->complaints($idl->{methods}{GetInfo}{out}, $parameters);
#
# A type is [kind, …]: ['int'], ['name', 'Event'], ['enum', 'a', 'b'], ['struct', ['field', type], …], ['array', type],
# ['map', type], ['maybe', type].
package Forkbus::Idl;

use strict;
use warnings;
use B ();
use Carp 'confess';

# JavaScript, jq and similar programs cannot represent larger integers exactly.
use constant INTEGER_MAX => 2**53;

sub new {
    my ($class, $text) = @_;
    $text =~ s/#.*//g;
    my @words = $text =~ /->|\[string\]|\[\]|[()?:,]|[\w.-]+?(?=->)|[\w.-]+|\S/g;
    my $self = bless { words => \@words, types => {}, methods => {}, errors => {} }, $class;
    $self->expect('interface');
    $self->{name} = $self->word(qr/^[a-z][\w-]*(?:\.[\w-]+)+$/);
    while (@{ $self->{words} }) {
        my $what = $self->word(qr/^(?:type|method|error)$/);
        my $name = $self->word(qr/^[A-Z][A-Za-z0-9]*$/);
        confess "$name is there twice" if grep { exists $self->{$_}{$name} } qw(types methods errors);
        if ($what eq 'method') {
            my $in = $self->type;
            $self->expect('->');
            $self->{methods}{$name} = { in => $in, out => $self->type };
        } else {
            $self->{"${what}s"}{$name} = $self->type;
        }
    }
    return $self;
}

sub word {
    my ($self, $pattern) = @_;
    my $word = shift @{ $self->{words} } // 'the end';
    confess "$word where $pattern should be" if $word !~ $pattern;
    return $word;
}

sub expect {
    my ($self, $word) = @_;
    return $self->word(qr/^\Q$word\E$/);
}

# Is it the next word? Then take it.
sub accept {
    my ($self, $word) = @_;
    return ($self->{words}[0] // '') eq $word && shift @{ $self->{words} };
}

sub type {
    my ($self) = @_;
    return ['maybe', $self->type] if $self->accept('?');
    return ['array', $self->type] if $self->accept('[]');
    return ['map',   $self->type] if $self->accept('[string]');
    if (!$self->accept('(')) {
        my $name = $self->word(qr/^(?:bool|int|float|string|object|any|[A-Z][A-Za-z0-9]*)$/);
        return $name =~ /^[A-Z]/ ? ['name', $name] : [$name];
    }
    return ['struct'] if $self->accept(')');
    my (@fields, $typed);
    do {
        my $field = $self->word(qr/^[A-Za-z](?:_?[A-Za-z0-9])*$/);
        $typed //= $self->{words}[0] eq ':';
        $self->expect(':') if $typed;
        push @fields, $typed ? [$field, $self->type] : $field;
    } while ($self->accept(','));
    $self->expect(')');
    return [$typed ? 'struct' : 'enum', @fields];
}

# The fields of a struct: { name => type }
sub fields {
    my ($self, $type) = @_;
    $type = $self->resolved($type);
    return { map { @$_ } @$type[1 .. $#$type] };
}

sub resolved {
    my ($self, $type) = @_;
    return $type if $type->[0] ne 'name';
    return $self->{types}{ $type->[1] } // confess "there is no type $type->[1]";
}

sub is_number {
    my ($value) = @_;
    return 0 if ref $value || !defined $value;
    my $flags = B::svref_2object(\$value)->FLAGS;
    return $flags & (B::SVp_IOK | B::SVp_NOK) && !($flags & B::SVp_POK);
}

my %is = (
    bool   => sub { ref $_[0] eq 'JSON::PP::Boolean' },
    int    => sub { is_number($_[0]) && $_[0] == int $_[0] && abs $_[0] <= INTEGER_MAX },
    float  => sub { is_number($_[0]) },
    string => sub { defined $_[0] && !ref $_[0] && !is_number($_[0]) },
    object => sub { ref $_[0] eq 'HASH' },
    any    => sub { defined $_[0] },
    map    => sub { ref $_[0] eq 'HASH' },
    struct => sub { ref $_[0] eq 'HASH' },
    array  => sub { ref $_[0] eq 'ARRAY' },
    enum   => sub { defined $_[0] && !ref $_[0] },
);

# The errors in a value: undeclared members, and missing ones.
sub complaints {
    my ($self, $type, $value, $where) = @_;
    $where //= '';
    $type = $self->resolved($type);
    my ($kind, @rest) = @$type;
    if ($kind eq 'maybe') {
        return defined $value ? $self->complaints($rest[0], $value, $where) : ();
    }
    return "$where is no $kind: " . ($value // 'null') if !$is{$kind}->($value);
    return map { $self->complaints($rest[0], $value->[$_], $where . "[$_]") } 0 .. $#$value if $kind eq 'array';
    return map { $self->complaints($rest[0], $value->{$_}, "$where.$_") } sort keys %$value if $kind eq 'map';
    return (grep { $_ eq $value } @rest) ? () : "$where is $value" if $kind eq 'enum';
    return () if $kind ne 'struct';
    my $fields = $self->{fields}{$type} //= { map { @$_ } @rest };
    return (map { "$where.$_ is not declared" } grep { !exists $fields->{$_} } sort keys %$value),
      map { $self->complaints($fields->{$_}, $value->{$_}, "$where.$_") }
      grep { exists $value->{$_} || $fields->{$_}[0] ne 'maybe' } sort keys %$fields;
}

1;
