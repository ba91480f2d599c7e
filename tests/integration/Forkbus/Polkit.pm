# SPDX-License-Identifier: LGPL-2.1-or-later
#
# polkit on a test's bus: a real polkitd, which finds the project's action and a rule for a user. If it cannot be started, or with
# FORKBUS_POLKIT=dbusmock, it is that of python3-dbusmock, which gives the same answer to all users. {what} is the one in use.
#
#   my $bus    = Forkbus::Bus->start($kind, policies => Forkbus::Polkit->policies);
#   my $polkit = Forkbus::Polkit->start($bus, grant => 'nobody', owner => 'daemon');
package Forkbus::Polkit;

use strict;
use warnings;
use File::Basename 'dirname';
use File::Spec;
use Forkbus::Children;
use POSIX ();

use constant { NAME => 'org.freedesktop.PolicyKit1', ACTION => 'org.forkbus1.observe-all',
    ACTIONS => '/usr/share/polkit-1/actions' };

my $top = File::Spec->rel2abs(dirname(__FILE__) . '/../../..');
# The policies that allow it on the bus.
sub policies {
    return join '', map { sprintf qq(<policy %s="%s"><allow %s="%s"/></policy>\n), @$_ }
      [user => 'root', own => NAME], (getpwnam('polkitd') ? [user => 'polkitd', own => NAME] : ()),
      [context => 'default', send_destination => NAME];
}

# start(bus, grant => the user who may see all processes, owner => the user whose broker may ask)
sub start {
    my ($class, $bus, %options) = @_;
    my $self = bless { bus => $bus, %options }, $class;
    my ($daemon) = grep { -x } qw(/usr/lib/polkit-1/polkitd /usr/libexec/polkitd);
    $self->{why} = ($ENV{FORKBUS_POLKIT} // '') eq 'dbusmock' ? 'FORKBUS_POLKIT says so'
      : !defined $daemon ? 'there is none' : $> != 0 ? 'that takes root' : '';
    return $self if $self->{why} eq '' && $self->start_real($daemon);
    my ($status) = Forkbus::run(['/usr/bin/python3', '-c', 'import dbusmock; print(dbusmock.__file__)']);
    die "polkitd: $self->{why}; python3-dbusmock is not there\n" if $status != 0;
    $self->{what} = 'python3-dbusmock';
    $self->launch('/usr/bin/python3', '-m', 'dbusmock', '--system', '--template', 'polkitd');
    $bus->has_owner(NAME) or die "python3-dbusmock does not start: " . Forkbus->read_file($self->{out});
    return $self;
}

# It reads its actions and rules from fixed directories: it gets its own in a mount namespace.
sub start_real {
    my ($self, $daemon) = @_;
    my $dir = Forkbus->directory;
    for my $sub (qw(actions rules)) {
        mkdir "$dir/$sub" or die "$dir/$sub: $!\n";
    }
    my $policy = Forkbus->read_file("$top/systemd/org.forkbus1.policy");
    my $owner = $self->{owner} // 'root';
    $policy =~ s/unix-user:forkbus/unix-user:$owner/ or die "the policy names no owner\n";
    Forkbus->write_file("$dir/actions/org.forkbus1.policy", $policy);
    Forkbus->write_file("$dir/rules/10-test.rules", sprintf <<'END', ACTION, $self->{grant});
polkit.addRule(function(action, subject) {
    if (action.id == "%s" && subject.user == "%s")
        return polkit.Result.YES;
});
END
    my $mounts = 'mount --bind "$0/actions" ' . ACTIONS . ' && mount --bind "$0/rules" /usr/share/polkit-1/rules.d && exec "$@"';
    $self->launch('unshare', '--mount', 'sh', '-c', $mounts, $dir, $daemon, '--no-debug');
    my @ask = ('call', NAME, '/org/freedesktop/PolicyKit1/Authority', NAME . '.Authority', 'EnumerateActions', 's', '');
    my $found = Forkbus->wait_until(sub {
        return 1 if waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid};
        return ($self->{bus}->busctl(@ask))[1] =~ /"\Q${\ACTION}\E"/;
    }, 20);
    $self->{what} = 'polkitd';
    return 1 if $found && kill 0, $self->{pid};
    $self->{why} = 'it does not start: ' . Forkbus->read_file($self->{out});
    $self->stop;
    return 0;
}

sub launch {
    my ($self, @command) = @_;
    $self->{out} = $self->{bus}{dir} . '/polkit';
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN,  '<', '/dev/null'   or POSIX::_exit(126);
        open STDOUT, '>', $self->{out}  or POSIX::_exit(126);
        open STDERR, '>&', \*STDOUT     or POSIX::_exit(126);
        @ENV{ keys %{ $self->{bus}->env } } = values %{ $self->{bus}->env };
        exec 'setpriv', '--pdeathsig', 'KILL', @command or POSIX::_exit(127);
    }
    $running{$pid} = $self->{pid} = $pid;
}

# Let a user see all processes, or no user. A real polkitd gets a rule for this.
sub grants {
    my ($self, $does) = @_;
    return if $self->{what} eq 'polkitd';
    $self->{bus}->busctl('call', NAME, '/org/freedesktop/PolicyKit1/Authority', 'org.freedesktop.DBus.Mock', 'AllowUnknown', 'b',
        $does ? 'true' : 'false');
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} // return;
    delete $running{$pid};
    kill 'KILL', $pid;
    waitpid $pid, 0;
}

1;
