#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An upgrade from each of the versions in tests/fixtures: the broker continues the log that the older one left, with its
# cursors, and a program that was linked with the older libforkbus runs with this one.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(false run true);
use IO::Uncompress::Gunzip ();
use MIME::Base64 'decode_base64';
use Test::More;

my $build = $ENV{FORKBUS_BUILD} // "$Bin/../../build";

# Fields that were added after the version, in the order of their numbers.
my %newer = ('before-pgid' => ['pgid']);

# Test that a command succeeds. Return: its output.
sub works {
    my ($name, @command) = @_;
    my ($status, $out, $errors) = run(\@command);
    is($status, 0, $name) or diag($errors);
    return map { Forkbus::parse($_) } split /\n/, $out;
}

# --- files of the older version ---------------------------------------------------------------------------------------

# Make a log look as if it was written since this machine was booted. Return: its path; undef if it is of another kind of
# machine.
sub restore_log {
    my ($then, $dir) = @_;
    my $path = "$dir/log";
    IO::Uncompress::Gunzip::gunzip("$then/log.gz" => $path) or die "$then/log.gz: $IO::Uncompress::Gunzip::GunzipError\n";
    my ($status, undef, $errors) = run([Forkbus->helper('adopt-log'), $path]);
    die $errors if $status != 0 && $status != 77;
    return $status == 0 ? $path : undef;
}

# Build the program, linked with a library that exports the same functions as the older one, which do nothing. The program
# refers to each of them, so it does not start if one is missing.
sub link_program {
    my ($then, $dir) = @_;
    my @names   = Forkbus->read_file("$then/libforkbus.map") =~ /^\t(forkbus_\w+);$/mg;
    my $declare = join '', map { "void $_(void);\n" } @names;
    Forkbus->write_file("$dir/library.c", $declare . join '', map { "void $_(void)\n{\n}\n" } @names);
    Forkbus->write_file("$dir/names.c", "${declare}void (*const names[])(void) = { " . join(', ', @names) . " };\n");

    # A library that is built with a sanitizer needs it in the program, too.
    my @sanitize = $build =~ m{/sanitize-([\w-]+)/?$} ? ('-fsanitize=' . $1 =~ tr/-/,/r) : ();
    my @warnings = ('-Wall', '-Wextra', '-Werror');
    works('the older library is made', 'cc', '-shared', '-fPIC', @warnings, '-Wl,-soname,libforkbus.so.0',
        "-Wl,--version-script=$then/libforkbus.map", '-o', "$dir/libforkbus.so", "$dir/library.c");
    works('a program is linked with it', 'cc', '-std=c99', @warnings, @sanitize, '-Wl,-z,now', "-I$then", '-o',
        "$dir/program", "$then/program.c", "$dir/names.c", "-L$dir", '-lforkbus');
    return "$dir/program";
}

# --- comparisons ------------------------------------------------------------------------------------------------------

# Return: the fields of an event by the library's names. Texts are bytes.
sub fields_of {
    my ($event, $prefix) = (@_, '');
    my %fields;
    for my $key (grep { $_ ne 'type' } keys %$event) {
        my $value = $event->{$key};
        if (ref $value eq 'HASH') {
            %fields = (%fields, fields_of($value, "$key."));
        } elsif ($key =~ /^(\w+)Raw$/) {
            $fields{$1} = decode_base64($value);
        } elsif (!exists $event->{"${key}Raw"}) {
            my @texts = ref $value eq 'ARRAY' ? @$value : "$value";
            utf8::encode($_) for @texts;
            $fields{"$prefix$key"} = ref $value eq 'ARRAY' ? \@texts : $texts[0];
        }
    }
    return %fields;
}

# Return: the output that the program must print for events, without names for fields newer than its version.
sub expected {
    my ($newer, @events) = @_;
    my @lines;
    for my $event (@events) {
        my %fields = fields_of($event);
        my @newer  = grep { defined delete $fields{$_} } @$newer;
        push @lines, { type => $event->{type}, newer => \@newer, fields => \%fields, json => $event };
    }
    return \@lines;
}

# Return: its output, with all numbers and booleans as texts.
sub printed {
    my @lines = @_;
    for my $fields (map { $_->{fields} } @lines) {
        $_ = "$_" for grep { ref $_ ne 'ARRAY' } values %$fields;
    }
    return \@lines;
}

# An event with the fields of the current version.
my $number = 0;

sub new_event {
    $number++;
    my %times = (timeUsec => 1800000000000000 + $number, bootUsec => $number, startUsec => $number);
    return { %times, type => 'session', pid => 1000 + $number, uid => 1000, comm => "new $number", pgid => 2000 + $number };
}

sub without_number { return [map { my %event = %$_; delete $event{seq}; \%event } @_] }

# --- upgrades ---------------------------------------------------------------------------------------------------------

sub check_upgrade {
    my ($then) = @_;
    my $name  = (split m{/}, $then)[-1];
    my $newer = $newer{$name} // die "what was added after $name?\n";
    my ($dir, $run) = map { Forkbus->directory } 1, 2;
    my ($end,   @lines) = split /\n/, Forkbus->read_file("$then/events.jsonl");
    my ($epoch, $last)  = split /:/, Forkbus::parse($end)->{cursor};
    my @old = map { Forkbus::parse($_) } @lines;
    is_deeply([map { $_->{seq} } @old], [1 .. $last], "$name: there are events");
    my $program = link_program($then, $dir);
    local $ENV{LD_LIBRARY_PATH} = "$build/lib";

    my $log = restore_log($then, $run) or return diag("$name: its log is of another kind of machine");
    my @read = works("$name: the program reads the log", $program, $log, 'log');
    is_deeply(printed(@read), expected($newer, @old), "$name: and prints the older events");

    # The current broker adds events to it.
    my $feed   = Forkbus::Feed->new(log_size => (-s $log) - 4096, dir => $run);
    my $broker = $feed->broker;
    my @new    = map { new_event() } 1 .. 10;
    $feed->write(@new[0 .. 4])->settle;
    is((split /:/, $broker->status->{cursor})[0], $epoch, "$name: the log is continued");
    my $all = $broker->subscribe({ since => "$epoch:0", threads => true })->catch_up_lines($broker);
    is_deeply([@$all[0 .. $last - 1]], \@lines, "$name: the older events are sent in the same words");
    my @added = map { Forkbus::parse($_) } @$all[$last .. $#$all];
    is_deeply([map { $_->{seq} } @added], [$last + 1 .. $last + @added], "$name: newer ones follow without a hole");
    is_deeply([grep { $_->{type} eq 'lost' } @added], [], "$name: and without a loss");
    is_deeply(without_number(grep { $_->{type} eq 'session' } @added), [@new[0 .. 4]], "$name: with the fields of today");
    my $rest = $broker->subscribe({ since => "$epoch:" . ($last - 2), threads => true })->catch_up_lines($broker);
    is_deeply($rest, [@$all[$last - 2 .. $#$all]], "$name: a cursor of then is continued");

    # The next broker continues the events of both.
    $broker->end('KILL');
    $broker->restart;
    $feed->write(@new[5 .. 9]);
    my $stream = $broker->subscribe({ since => "$epoch:0", threads => true });
    $stream->wait_for(sub { ($_->{comm} // '') eq $new[-1]{comm} }, 'the last event');
    my @reported = $stream->events;
    is_deeply([@reported[0 .. $#$all]], [@old, @added], "$name: the next broker continues it, too");
    is_deeply([map { $_->{seq} } @reported], [1 .. @reported], "$name: without a hole");
    is_deeply([map { $_->{pgid} } grep { exists $_->{pgid} } @reported], [map { $_->{pgid} } @new], "$name: and adds to it");

    # The program gets the same events from an older cursor.
    my $cursor = $broker->status->{cursor};
    for my $way ('socket', 'ring') {
        my @wanted = grep { $_->{seq} > 2 && ($way eq 'socket' || !exists $_->{tid}) } @reported;
        my @command = ($program, $broker->dir, "$epoch:2", scalar @wanted, $way eq 'ring' ? 'ring' : ());
        my @items = works("$name, $way: the program gets events", @command);
        is_deeply(pop @items, { cursor => $cursor, ring => $way eq 'ring' ? true : false }, "$name, $way: up to the last one");
        is_deeply(printed(@items), expected($newer, @wanted), "$name, $way: and prints their fields");
    }
    my @list = works("$name: it lists processes", $program, $broker->dir, 'list');
    is_deeply([sort { $a <=> $b } map { $_->{fields}{pid} } @list], [map { $_->{pid} } @new[5 .. 9]], "$name: living processes");
    is_deeply([works("$name: it asks for the status", $program, $broker->dir, 'status')], [{ cursor => $cursor, forks => 0 }],
        "$name: and gets it");
    $broker->stop($name);
}

my @fixtures = glob "$Bin/../fixtures/*/";
cmp_ok(scalar @fixtures, '>', 0, 'there are older versions');
check_upgrade($_) for @fixtures;
done_testing;
