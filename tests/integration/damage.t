#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A log that was cut short, or with any byte changed, or of another version, is never accepted: the broker reports this and begins
# a new one, forkbusctl reports it and ends. Neither crashes.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json run slow);
use Test::More;

# See proto/log-format.h.
use constant {
    HEADER  => 4096,
    VERSION => 8,      # offsets
    CHECKED => 64,
    TAIL    => 64,
    HEAD    => 128,
    TYPES   => 256,
    FIELDS  => 264,
    RECORD  => 24,     # bytes of a record before the event
};

my $base      = Forkbus->directory;
my $recording = Forkbus->write_file(
    "$base/recording",
    join '',
    map {
        json({ type => 'exec', timeUsec => 1_700_000_000_000_000 + $_, pid => $_, startUsec => $_, comm => "number $_" }) . "\n"
    } 1 .. 200
);
my $broker = Forkbus->broker(source => "replay:$recording\@flat", log_size => '512K');
my $stream = $broker->subscribe({ since => $broker->beginning });
$stream->wait_for(sub { $_->{type} eq 'source' && $_->{reason} eq 'end of file' }, 'the end of the recording');
my ($epoch, $last) = split /:/, $broker->status->{cursor};
$broker->end('KILL');
my $whole = Forkbus->read_file($broker->log);

# The offsets of all records.
my @records;
for (my $at = HEADER; (my $size = unpack 'V', substr $whole, $at, 4) > 0; $at += $size) {
    push @records, $at;
}
is(scalar @records, 202, 'the log of the killed broker has all events');

# Write a log, start a broker on it, stop the broker. Return: the log's epoch, and the broker's messages about it.
sub meet {
    my ($log) = @_;
    Forkbus->write_file($broker->log, $log) if defined $log;
    my $said = length $broker->stderr;
    eval { $broker->restart; 1 } or return ('none', $@);
    my ($found) = split /:/, $broker->status->{cursor};
    my $status = $broker->end('TERM');
    my $output = substr $broker->stderr, $said;
    return ('crashed', $output) if !defined $status || $status != 0;
    return ($found, $output);
}

sub refused {
    my ($name, $log, $why) = @_;
    my ($found, $said) = meet($log);
    return "$name: the broker $found: $said" if $found !~ /^[0-9a-f]{16}$/;
    return "$name: believed" if $found eq $epoch;
    return "$name: nothing is said: $said" if $said !~ /is not used: $why; a new one begins/;
    Forkbus->write_file("$base/damaged", $log);
    my ($status, $out, $err) = run([Forkbus::forkbusctl(), 'log', "$base/damaged", '--json=short']);
    return "$name: forkbusctl: status $status, $err" if $status != 1 || $err !~ /damaged|not a log|another version/;
    return ();
}

my ($found) = meet($whole);
is($found, $epoch, 'an unchanged log is continued');
my ($status, $out) = run([Forkbus::forkbusctl(), 'log', $broker->log, '--json=short']);
cmp_ok($out =~ tr/\n//, '>=', 202, 'and forkbusctl reads it');

# Sizes.
my $damaged = 'it is damaged';
my @wrong   = (
    refused('cut to nothing',     '',                                     'it is of another size'),
    refused('cut by a byte',      substr($whole, 0, -1),                  'it is of another size'),
    refused('cut to the header',  substr($whole, 0, HEADER),              'it is of another size'),
    refused('cut inside the records',   substr($whole, 0, $records[100] + 7),   'it is of another size'),
    refused('longer by a byte',   "$whole\0",                             'it is of another size'),
    refused('full of zeros',      "\0" x length $whole,                   $damaged),
    refused('full of noise',      join('', map { chr($_ * 7919 % 251) } 1 .. length $whole), $damaged),
    refused('without its records', substr($whole, 0, HEADER) . "\0" x (length($whole) - HEADER), $damaged),
);
ok(!@wrong, 'a log of another size or without sense is not believed') or diag(join "\n", @wrong);

# Another version: the version is checked before everything else.
my $newer = $whole;
substr $newer, VERSION, 4, pack 'V', 1 + unpack 'V', substr $newer, VERSION, 4;
@wrong = refused('another version', $newer, 'it is of another version');
ok(!@wrong, 'a log of another version is not believed') or diag(join "\n", @wrong);

# One bit is changed, anywhere in the header and in the first, a middle and the last record.
my @places = map { $_ * 5 % CHECKED } 0 .. 15;
push @places, VERSION, TAIL .. TAIL + 7, HEAD .. HEAD + 7, TYPES .. TYPES + 7, map { FIELDS + $_ } 0 .. 7, 100, 1023;
for my $record (@records[0, 100, -1]) {
    my $size = unpack 'V', substr $whole, $record, 4;
    push @places, map { $record + $_ } 0, 3, 4, 8, 15, 16, 23, RECORD, RECORD + 8, RECORD + 20, $size - 1;
}
@places = grep { $_ % 7 == 0 } @places if slow();
@wrong  = ();
for my $place (@places) {
    my $log = $whole;
    substr $log, $place, 1, chr(ord(substr $log, $place, 1) ^ 1 << $place % 8);
    push @wrong, refused("byte $place", $log, qr/it is (?:damaged|of another version)/);
}
ok(!@wrong, 'a log with one bit changed is not believed, at ' . @places . ' places') or diag(join "\n", @wrong);

# Two valid records are exchanged.
my @sizes   = map { unpack 'V', substr $whole, $_, 4 } @records;
my ($twin)  = grep { $sizes[$_] == $sizes[$_ + 1] } 20 .. 100;
my $swapped = $whole;
substr $swapped, $records[$twin],     $sizes[$twin], substr $whole, $records[$twin + 1], $sizes[$twin];
substr $swapped, $records[$twin + 1], $sizes[$twin], substr $whole, $records[$twin],     $sizes[$twin];
@wrong = refused('swapped records', $swapped, $damaged);
ok(!@wrong, 'nor one with records in another order') or diag(join "\n", @wrong);

# Another kind of file under the log's name is neither followed nor written to.
my $precious = Forkbus->write_file("$base/precious", $whole);
unlink $broker->log;
symlink $precious, $broker->log or die "symlink: $!\n";
my ($there) = meet();
isnt($there, $epoch, 'a link to a log is not believed');
is(Forkbus->read_file($precious), $whole, 'and its target is unchanged');
unlink $broker->log;
POSIX::mkfifo($broker->log, 0600);
($there) = meet();
like($there, qr/^[0-9a-f]{16}$/, 'a FIFO in its place does not block the broker');

# Another size is configured.
Forkbus->write_file($broker->log, $whole);
$broker->{log_size} = '1M';
($there, my $said) = meet();
isnt($there, $epoch, 'a log of another size than is asked for is replaced');
like($said, qr/of another size; a new one begins/, 'and this is reported');

# The last log is valid.
$broker->restart;
is($broker->status->{log}{size}, 1 << 20, 'the new one has the size that was asked for')
  or diag(json($broker->status->{log}));
$broker->stop;
done_testing;
