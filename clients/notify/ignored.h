/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Commands that one uses rather than waits for: that they ended is no news. Names as the kernel has them, of at most 15
 * bytes. A line each: shells, and what leads to others; editors and file managers; pagers, and what waits for them; what
 * shows something until one has seen enough; mail, news, chat and web; debuggers, and prompts of databases; programs with
 * windows of their own, and desktops. forkbus-notify.conf(5) has the same list.
 */
#define IGNORED_COMMANDS                                                                                 \
	"sh bash dash zsh fish ksh mksh tcsh csh nu elvish xonsh login su newgrp ssh mosh mosh-client "  \
	"telnet tmux* screen zellij byobu "                                                              \
	"vi vim* nvim view nano pico emacs* micro hx helix kak joe mcedit mc ranger nnn lf vifm yazi "   \
	"less more most pager man info git tig lazygit gitui journalctl fzf "                            \
	"top htop btop atop iotop nethogs glances watch tail tee forkbusctl "                            \
	"mutt neomutt aerc weechat irssi newsboat lynx w3m links elinks "                                \
	"gdb lldb ipython* psql mysql mariadb sqlite3 redis-cli "                                        \
	"firefox* chrom* thunderbird code evince okular gimp* soffice* mpv vlc xterm startx xinit sway " \
	"Hyprland niri weston labwc river gnome-session* startplasma*"
