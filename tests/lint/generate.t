#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What proto/generate makes of proto/event-fields.toml is committed, and as new as the table. A table that breaks a promise is
# refused.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use File::Basename 'dirname';
use File::Copy 'copy';
use File::Path 'make_path';
use File::Temp 'tempdir';
use Sources;
use Test::More;

my $table = 'proto/event-fields.toml';
my @made  = qw(proto/event-fields.h proto/event-json-fields.h proto/event-kept-fields.h proto/forkbus_netlink.h proto/forkbus.yaml
  proto/org.forkbus1.varlink clients/lib/forkbus.h broker/source/module/decode.c docs/protocol.md docs/forkbus_event.3
  tests/lint/libforkbus.abi);

# What it says, and how it ends.
sub generate {
    my @output = qx(proto/generate @_ 2>&1);
    return ($? >> 8, @output);
}

my ($status, @stale) = generate('--check');
is($status, 0, 'all that is generated is as new as the table') or diag(@stale);

# A copy of what it reads, and of all that it writes, with a change in it. Return: where it is.
sub changed {
    my ($change) = @_;
    my $root = tempdir(CLEANUP => 1);
    for my $file ($table, @made) {
        make_path(dirname("$root/$file"));
        copy($file, "$root/$file") or die "$file: $!\n";
    }
    my $text = content($table);
    my $before = $text;
    $change->(\$text);
    die "nothing is changed\n" if $before eq $text && $change != \&nothing;
    open my $handle, '>', "$root/$table" or die "$table: $!\n";
    print {$handle} $text;
    close $handle or die "$table: $!\n";
    return $root;
}
sub nothing { return }

# Each output: a line that is not of the table makes it stale, and is mended.
my $root = changed(\&nothing);
for my $file (@made) {
    my $text = content("$root/$file");
    my $damaged = $text =~ s/^.*(?:tracer_?pid|R_TRACER|name: tracer|K\(euid).*\n//mri;
    isnt($damaged, $text, "$file has the field tracer_pid, or what a process keeps");
    open my $handle, '>', "$root/$file" or die "$file: $!\n";
    print {$handle} $damaged;
    close $handle or die "$file: $!\n";
    my ($failed, @said) = generate('--check', "--root=$root");
    is($failed, 1, '... is stale without it');
    like("@said", qr/^\Q$file\E is stale/, '... which is said');
    ($failed, @said) = generate("--root=$root");
    is("$failed @said", "0 $file\n", '... it is generated again');
    is(content("$root/$file"), $text, '... as it was');
}

# A new field reaches all of them.
my $numbers = () = content($table) =~ /^\[field\./mg;
my $attributes = () = content($table) =~ /^\[attribute\.|^netlink = /mg;
my $new = sprintf <<'FIELD', $numbers + 1, $attributes + 2;
[field.new_number]
number = %d
type = "u32"
key = "newNumber"
sources = "M"
kept = "last"
doc = "a field that is new"
netlink = { name = "new-number", number = %d, type = "u32" }
netlink_doc = "New."

FIELD
$root = changed(sub { ${ $_[0] } =~ s/^(?=\[field\.tty\])/$new/m });
my ($failed, @said) = generate("--root=$root");
is($failed, 0, 'a field is added') or diag(@said);
is_deeply([sort map { s/\n//r } @said], [sort @made], '... to all files');
like(content("$root/proto/event-json-fields.h"), qr/"newNumber".*\n(?:REST.*\n)?.*"tty"/,
    '... in JSON in its place');
like(content("$root/proto/event-fields.h"), qr/^F\(new_number.*\n\z/m, '... and last by number');
like(content("$root/proto/event-kept-fields.h"), qr/^K\(new_number, uint32_t, LAST\)\n\z/m, '... and is kept');
like(content("$root/tests/lint/libforkbus.abi"), qr/^FORKBUS_FIELD_NEW_NUMBER = \d+$/m, '... and is promised');

# What it refuses.
my %refused = (
    'a number that is another field\'s' => sub { ${ $_[0] } =~ s/^(\[field\.ppid\]\nnumber = )\d+/${1}4/m },
    'a promised number that changes'    => sub {
        ${ $_[0] } =~ s/^(\[field\.ppid\]\nnumber = )7/${1}8/m;
        ${ $_[0] } =~ s/^(\[field\.parent_start_usec\]\nnumber = )8/${1}7/m;
    },
    'a promised field that is gone'  => sub { ${ $_[0] } =~ s/^\[field\.tracer_pid\]/[field.tracer]/m },
    'an unknown type'                => sub { ${ $_[0] } =~ s/^type = "u32"/type = "u31"/m },
    'an unknown key'                 => sub { ${ $_[0] } =~ s/^sources = /sauces = "M"\nsources = /m },
    'keeping what is no number'      => sub { ${ $_[0] } =~ s/^(type = "text"\n)/${1}kept = "last"\n/m },
    'an unknown way of keeping'      => sub { ${ $_[0] } =~ s/^kept = "exact"/kept = "most"/m },
    'an unknown source'              => sub { ${ $_[0] } =~ s/^sources = "B"/sources = "X"/m },
    'an unknown group'               => sub { ${ $_[0] } =~ s/^group = "usage"/group = "use"/m },
    'an attribute of a wrong type'   => sub { ${ $_[0] } =~ s/(name = "tgid", number = \d+, type = ")u32/${1}flag/ },
    'a group whose fields are apart' => sub { ${ $_[0] } =~ s/^(\[field\.cgroup\]\n(?:.+\n)*?)(?=key)/$1group = "usage"\n/m },
);
for my $what (sort keys %refused) {
    $root = changed($refused{$what});
    ($failed, @said) = generate("--root=$root");
    is($failed, 1, "$what is refused");
    like("@said", qr/^\Q$table\E: /, '... with the reason');
}

done_testing;
