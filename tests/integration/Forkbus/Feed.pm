# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Events that a test makes: the replay source of a broker reads them from a FIFO as soon as they are written.
package Forkbus::Feed;

use strict;
use warnings;
use Carp 'confess';
use IO::Handle;
use POSIX ();

# new(log_size => , config => {…}, speed => , …): a feed, and a broker on it, which publishes at once, or at a speed
sub new {
    my ($class, %options) = @_;
    my $dir  = Forkbus->directory;
    my $path = "$dir/feed";
    POSIX::mkfifo($path, 0600) or die "$path: $!\n";
    chown $options{uid}, -1, $path if defined $options{uid};
    my $speed = delete $options{speed} // 'flat';
    my $self = bless { lines => 0, path => $path }, $class;

    # Both ends, so that the broker gets the end of the file only when the test closes it.
    open my $feed, '+<', $path or die "$path: $!\n";
    $feed->autoflush(1);
    $self->{feed}   = $feed;
    $self->{broker} = Forkbus->broker(source => "replay:$path\@$speed", %options);
    return $self;
}

sub broker { return $_[0]{broker} }
sub path   { return $_[0]{path} }

# Write lines of JSON, or hashes. Return: the feed.
sub write {
    my ($self, @events) = @_;
    print { $self->{feed} } join '', map { (ref $_ ? Forkbus::json($_) : $_) . "\n" } @events or die "feed: $!\n";
    $self->{lines} += @events;
    return $self;
}

# Write a text of this many lines in a child, while the test does something else. Return: its pid, to be waited for.
sub write_beside {
    my ($self, $text, $times) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        for (1 .. $times) {
            print { $self->{feed} } $text or POSIX::_exit(1);
        }
        POSIX::_exit(0);
    }
    $self->{lines} += $times * ($text =~ tr/\n//);
    return $pid;
}

# Wait until all that was written is in the log. Return: the last event's number there.
sub settle {
    my ($self) = @_;
    my $status;
    Forkbus->wait_until(sub { $status = $self->broker->status; $status->{source}{lines} >= $self->{lines} })
      or confess 'the broker does not read its feed';
    return (split /:/, $status->{cursor})[1];
}

# The end of the recording.
sub close {
    my ($self) = @_;
    CORE::close $self->{feed};
}

1;
