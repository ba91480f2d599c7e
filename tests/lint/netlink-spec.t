#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# proto/forkbus.yaml says of the netlink family what proto/forkbus_netlink.h says: names, numbers, types, and what each
# command takes and gives. What the kernel's own tools say of it: tests/vm/spec.t.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use JSON::PP 'decode_json';
use Sources;
use Test::More;

# The header: its enums in order, and what is said of each entry.
my (%number, %said, $next);
my $header = content('proto/forkbus_netlink.h');
for ($header =~ /^(enum .*?|\t.*?)$/mgs) {
    if (/^enum/) {
        $next = 0;
    } elsif (/^\tFORKBUS_([A-Z]+)_(\w+),\s*(?:\/\* (.*) \*\/)?$/) {
        $number{$1}{$2} = $next++;
        $said{$1}{$2} = $3 // '';
    }
}
# Of an attribute of a record it is above it, and in the specification, too.
my %above = $header =~ m{/\*((?:(?!\*/).)*)\*/\n\tFORKBUS_R_(\w+),}sg;
%above = map { $above{$_} => s/\s*\n\t \*? ?/ /gr =~ s/^ +| +$//gr } keys %above;
$said{R}{$_} ||= $above{$_} for keys %above;
# What is said of REPLAY is above it.
$said{CMD}{REPLAY} ||= $header =~ m{/\*((?:(?!\*/).)*)\*/\s+FORKBUS_CMD_REPLAY,}s ? $1 =~ s/\s*\n\t \* ?/ /gr =~ s/^ +//r : '';
my %constant = $header =~ /^#define FORKBUS_(\w+_MAX) (.+)$/mg;

# The specification.
my $json = qx(python3 -c 'import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)' proto/forkbus.yaml);
my $spec = eval { decode_json($json) };
ok($spec, 'the specification is YAML') or do { done_testing; exit };
my $operations = $spec->{operations}{list};

sub c_name  { return uc $_[0] =~ tr/-/_/r }
sub c_names { return [sort map { c_name($_) } @_] }

# The numbers that a list has: one more than the one before, or as it says.
sub numbers {
    my ($value, @list) = @_;
    my %found;
    for (@list) {
        $value = $_->{value} if defined $_->{value};
        $found{ c_name($_->{name}) } = $value++;
    }
    return \%found;
}

is_deeply([@$spec{qw(name protocol)}], ['forkbus', 'genetlink'], 'the family has its name');
like($header, qr/_NAME\s+"forkbus"$/m, '... in the header as well');
is_deeply(
    { map { c_name($_->{name}) => $_->{value} } grep { $_->{type} eq 'const' } @{ $spec->{definitions} } },
    { map { $_ => eval $constant{$_} } keys %constant },
    'constants'
);
my ($types) = grep { $_->{name} eq 'type' } @{ $spec->{definitions} };
is_deeply(numbers(0, @{ $types->{entries} }), $number{TYPE}, 'types of events');
is_deeply(numbers(1, @$operations), $number{CMD}, 'commands');
is($spec->{operations}{'name-prefix'}, 'forkbus-cmd-', '... have the prefix');
my @groups = map { $_->{name} } @{ $spec->{'mcast-groups'}{list} };
is_deeply(\@groups, [$header =~ /^#define FORKBUS_\w*(?:GROUP|MCGRP)\w+\s+"(.*)"$/mg], 'multicast groups');

# Attributes. "u32: enum forkbus_type", "nest of FORKBUS_R_*; many": what stands before the colon or the semicolon.
my %letter = (message => 'A', lost => 'L', record => 'R');
is_deeply([sort map { $_->{name} } @{ $spec->{'attribute-sets'} }], [sort keys %letter], 'attribute sets');
for my $set (@{ $spec->{'attribute-sets'} }) {
    my $letter = $letter{ $set->{name} } // next;
    is($set->{'name-prefix'}, lc "forkbus-$letter-", "the prefix of $set->{name}");
    is_deeply(numbers(1, @{ $set->{attributes} }), $number{$letter}, "attributes of $set->{name}");
    my (%is, %expected);
    for (@{ $set->{attributes} }) {
        my $name = c_name($_->{name});
        my $kind = $_->{type};
        $kind .= " of FORKBUS_$letter{ $_->{'nested-attributes'} }_*; many" if $kind eq 'nest' && $_->{'multi-attr'};
        $kind .= $_->{'enum-as-flags'} ? ': types' : ": enum forkbus_$_->{enum}" if $_->{enum};
        $is{$name} = $kind;
    }
    for my $name (keys %{ $number{$letter} }) {
        my $said = $said{$letter}{$name};
        $expected{$name} =
            $name eq 'UNSPEC'                             ? 'unused'
          : $name eq 'PAD'                                ? 'pad'
          : $said =~ /^(nest of FORKBUS_\w_\*); (?:many|one for each)/ ? "$1; many"
          : $said =~ /^(u32: enum \w+|u32: types)\b/      ? $1
          : $said =~ /^(\w+)/                             ? $1
          :                                                 "no type: '$said'";
    }
    is_deeply(\%is, \%expected, "... and their types");
    next if $letter ne 'R';
    is_deeply(
        { map { c_name($_->{name}) => $_->{doc} } grep { $_->{type} !~ /^(?:unused|pad)$/ } @{ $set->{attributes} } },
        { map { $_ => $above{$_} =~ s/^[^;]+; //r } keys %above },
        '... and descriptions'
    );
}

# What commands take and give. In the header: "do: MASK, ARGS? -> nothing", "STATUS with all but RECORD, MASK".
my %operation = map { c_name($_->{name}) => $_ } @$operations;
my %of        = map { $_ => $said{CMD}{$_} } keys %{ $number{CMD} };
for my $name (sort grep { $of{$_} =~ /^(?:do|dump):/ } keys %of) {
    my ($mode, $takes) = $of{$name} =~ /^(do|dump): (.*?)\s*->/;
    my $is = $operation{$name}{$mode} // {};
    is_deeply(
        c_names(@{ $is->{request}{attributes} // [] }),
        c_names($takes =~ /[A-Z]+/g),
        "what $name takes, as a $mode"
    );
    is_deeply([sort grep { /^(?:do|dump|event|notify)$/ } keys %{ $operation{$name} }], [$mode], '... and as nothing else');
    is_deeply($operation{$name}{flags}, ['admin-perm'], '... of the administrator');
}
my ($without) = $of{STATUS} =~ /all but ([A-Z_, ]+)/;
my %left = %{ $number{A} };
delete @left{ 'UNSPEC', 'PAD', $without =~ /\w+/g };
is_deeply(c_names(@{ $operation{STATUS}{do}{reply}{attributes} }), [sort keys %left], 'what STATUS gives');
my ($gives) = $of{EVENTS} =~ /: ([A-Zs, ]+)$/;
my @gives = map { s/s$//r } $gives =~ /\w+/g;
is_deeply(c_names(@{ $operation{EVENTS}{event}{attributes} }), c_names(@gives), 'the attributes of EVENTS');
like($of{REPLAY}, qr/-> .*has FIRST and LAST/, 'REPLAY gives FIRST and LAST in the header');
is_deeply(c_names(@{ $operation{REPLAY}{dump}{reply}{attributes} }),
    c_names(@gives, 'FIRST', 'LAST'), '... and in the specification, with the attributes of EVENTS');
is($operation{EVENTS}{mcgrp}, $groups[0], 'EVENTS go to the group');

# Docs
my @undocumented = map { $_->{name} } grep { !$_->{doc} } @$operations, @{ $spec->{definitions} }, @{ $types->{entries} };
for my $set (@{ $spec->{'attribute-sets'} }) {
    push @undocumented, map { "$set->{name} $_->{name}" } grep { !$_->{doc} } $set, @{ $set->{attributes} };
}
none(\@undocumented, 'everything is documented');

done_testing;
