# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A client of the module's generic netlink family, in Perl, so that the module is tested without the broker. Names and types of
# attributes are read from proto/forkbus_netlink.h.
package Genl;

use strict;
use warnings;
use Errno qw(EAGAIN ENOBUFS EINTR);
use File::Basename 'dirname';
use IO::Select;
use Time::HiRes 'time';

use constant { AF_NETLINK => 16, NETLINK_GENERIC => 16, SOL_NETLINK => 270, SO_RCVBUF => 8, SO_RCVBUFFORCE => 33 };
use constant { REQUEST => 1, ACK => 4, DUMP => 0x300, NLMSG_ERROR => 2, NLMSG_DONE => 3, CTRL => 16 };

my (%number, %kind, %name);    # {A}{MASK} => 4, {A}{4} => 'u32', {A}{4} => 'MASK'

sub load_header {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!\n";
    my ($next, $above) = (0, '');
    while (my $line = <$file>) {
        $next  = 0 if $line =~ /^enum\b/;
        $above = $1 if $line =~ /^\t(?:\/\*| \*) (u32|u64|string|flag|binary|nest)\b/;
        next if $line !~ /^\tFORKBUS_([A-Z]+)_(\w+),(?:\s*\/\* (\w+))?/;
        my ($set, $name, $kind) = ($1, $2, $3 // $above);
        $above = '';
        $number{$set}{$name} = $next;
        $name{$set}{$next}   = $name;
        $kind{$set}{$next}   = $kind;
        $next++;
    }
}
load_header(dirname(__FILE__) . '/../../../proto/forkbus_netlink.h');

sub mask {
    my $mask = 0;
    $mask |= 1 << ($number{TYPE}{ uc $_ } // die "no type $_\n") for @_;
    return $mask;
}

# Attributes

my %packer = (u32 => 'L', u64 => 'Q');

sub attribute {
    my ($type, $value) = @_;
    my $length = 4 + length $value;
    return pack('S S', $length, $type) . $value . "\0" x (-$length & 3);
}

sub attributes {
    my ($set, %values) = @_;
    return join '', map {
        attribute($number{$set}{$_}, pack $packer{ $kind{$set}{ $number{$set}{$_} } }, $values{$_})
    } sort keys %values;
}

# Calls $each with the type and the bytes of each attribute.
sub walk {
    my ($data, $each) = @_;
    for (my $at = 0; $at + 4 <= length $data;) {
        my ($length, $type) = unpack 'S S', substr $data, $at, 4;
        die "attribute of $length bytes at $at of " . length($data) . "\n" if $length < 4 || $at + $length > length $data;
        $each->($type & 0x3fff, substr $data, $at + 4, $length - 4);
        $at += $length + 3 & ~3;
    }
}

sub decode {
    my ($set, $data) = @_;
    my %values;
    walk($data, sub {
        my ($type, $value) = @_;
        my $name = $name{$set}{$type} // "unknown$type";
        my $kind = $kind{$set}{$type} // '';
        if ($set eq 'A' && $name eq 'RECORD') {
            push @{ $values{RECORD} }, decode('R', $value);
        } elsif ($set eq 'A' && $name eq 'LOST') {
            my $lost = decode('L', $value);
            $values{LOST}{ lc $name{TYPE}{ $lost->{TYPE} } } = $lost->{COUNT};
        } elsif ($packer{$kind}) {
            $values{$name} = unpack $packer{$kind}, $value;
        } elsif ($kind eq 'string') {
            die "$name is not a string\n" if $value !~ s/\0\z// || $value =~ /\0/;
            $values{$name} = $value;
        } else {
            $values{$name} = $kind eq 'flag' ? 1 : $value;
        }
    });
    $values{TYPE} = lc $name{TYPE}{ $values{TYPE} } if $set eq 'R';
    return \%values;
}

# Sockets

# new(buffer => bytes, port => number): Return: a socket for the family; {family} is 0 if there is none.
sub new {
    my ($class, %options) = @_;
    my $self = bless { seq => 0, overruns => 0, queue => [], %options }, $class;
    socket $self->{socket}, AF_NETLINK, 3, NETLINK_GENERIC or die "socket: $!\n";
    bind $self->{socket}, pack 'S S L L', AF_NETLINK, 0, $options{port} // 0, 0 or die "bind: $!\n";
    if ($options{buffer}) {
        setsockopt $self->{socket}, 1, SO_RCVBUFFORCE, pack 'i', $options{buffer}
          or setsockopt $self->{socket}, 1, SO_RCVBUF, pack 'i', $options{buffer};
    }
    $self->find_family;
    return $self;
}

sub find_family {
    my ($self) = @_;
    $self->{family} = 0;
    my ($errno, $reply) = $self->request(CTRL, 3, ACK, attribute(2, "forkbus\0"));
    return if $errno;
    walk($reply, sub {
        my ($type, $value) = @_;
        $self->{family}  = unpack 'S', $value if $type == 1;
        $self->{version} = unpack 'L', $value if $type == 3;
        walk($value, sub { walk($_[1], sub { $self->{group} = unpack 'L', $_[1] if $_[0] == 2 }) }) if $type == 7;
    });
}

sub send_message {
    my ($self, $family, $command, $flags, $attributes) = @_;
    my $message = pack('L S S L L C C S', 20 + length $attributes, $family, REQUEST | $flags, ++$self->{seq}, 0, $command, 1, 0)
      . $attributes;
    send $self->{socket}, $message, 0, pack 'S S L L', AF_NETLINK, 0, 0, 0 or die "send: $!\n";
}

# Return: the messages of one datagram, [type, seq, body]; nothing after $timeout seconds, or after an overrun.
sub receive {
    my ($self, $timeout) = @_;
    return if !IO::Select->new($self->{socket})->can_read($timeout);
    my $data = '';
    if (!defined recv $self->{socket}, $data, 65536, 0) {
        $self->{overruns}++ if $! == ENOBUFS;
        return if $! == ENOBUFS || $! == EINTR || $! == EAGAIN;
        die "recv: $!\n";
    }
    $self->{largest} = length $data if length $data > ($self->{largest} // 0);
    my @messages;
    while (length $data >= 16) {
        my ($length, $type, undef, $seq) = unpack 'L S S L', $data;
        push @messages, [$type, $seq, substr $data, 16, $length - 16];
        substr $data, 0, $length + 3 & ~3, '';
    }
    return @messages;
}

# Return: errno, then the attributes of each reply. Messages of the group that arrive meanwhile are kept for records().
sub request {
    my ($self, $family, $command, $flags, $attributes) = @_;
    my @replies;
    $self->send_message($family, $command, $flags, $attributes);
    for (my $until = time + 20; time < $until;) {
        for my $message ($self->receive(1)) {
            my ($type, $seq, $body) = @$message;
            if ($seq != $self->{seq}) {
                push @{ $self->{queue} }, $body if $type == $self->{family};
            } elsif ($type == NLMSG_ERROR || $type == NLMSG_DONE) {
                return (-unpack('l', $body), @replies);
            } else {
                push @replies, substr $body, 4;
            }
        }
    }
    die "no answer to command $command\n";
}

sub command {
    my ($self, $name, $flags, %values) = @_;
    my ($errno, @replies) = $self->request($self->{family}, $number{CMD}{$name}, $flags, attributes('A', %values));
    $! = $errno;
    return ($errno, map { decode('A', $_) } @replies);
}

# join: Return: 0 or errno.
sub join_group {
    my ($self) = @_;
    return setsockopt($self->{socket}, SOL_NETLINK, 1, pack 'i', $self->{group}) ? 0 : $! + 0;
}

# start('fork', 'exit'), start(\%attributes): Return: 0 or errno.
sub start {
    my ($self, @types) = @_;
    my %more = ref $types[-1] ? %{ pop @types } : ();
    return ($self->command('START', ACK, MASK => mask(@types), %more))[0];
}

sub stop { return ($_[0]->command('STOP', ACK))[0] }

# Return: the answer to STATUS, or nothing with $! set.
sub status {
    my ($self) = @_;
    my ($errno, $status) = $self->command('STATUS', ACK);
    return $errno ? undef : $status;
}

# Return: errno, the first message without its records, and the records.
sub replay {
    my ($self, $from, %more) = @_;
    my ($errno, @messages) = $self->command('REPLAY', DUMP, FROM => $from, %more);
    my @records = map { @{ $_->{RECORD} // [] } } @messages;
    delete $messages[0]{RECORD} if @messages;
    return ($errno, $messages[0], @records);
}

# Records of the group, until none arrives for $quiet seconds, or $enough->($record) is true.
sub records {
    my ($self, $quiet, $enough) = @_;
    my @records;
    for (;;) {
        my @bodies = splice @{ $self->{queue} };
        if (!@bodies) {
            my $before   = $self->{overruns};
            my @messages = $self->receive($quiet);
            return @records if !@messages && $self->{overruns} == $before;
            # Skip the rest of a replay that was ended by an overrun.
            @bodies = grep { ord == $number{CMD}{EVENTS} } map { $_->[2] } grep { $_->[0] == $self->{family} } @messages;
        }
        my @new = map { @{ decode('A', substr $_, 4)->{RECORD} // [] } } @bodies;
        push @records, @new;
        return @records if $enough && grep { $enough->($_) } @new;
    }
}

1;
