/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A socket that listens to the proc connector. The kernel counts listeners, of all programs in one number; each must say
 * when it stops, and a program that says so too often silences all of them.
 */

#include "source/connector/proc-event.h"
#include "source/netlink/socket.h"

/* cn_socket_open() - Return: a descriptor or a negative errno (-EPROTONOSUPPORT: the kernel has no connector). */
int cn_socket_open(uint64_t buffer);

enum {
	_CN_SOCKET_E_SUCCESS,
	CN_SOCKET_E_SILENT,  /* the kernel does not answer: its count of listeners is wrong */
	CN_SOCKET_E_FOREIGN, /* nor will it: this is another pid or user namespace than the initial one */
};

/*
 * cn_socket_listen() - ask for events, wait for the answer, which alone proves that there will be some
 * @fn: gets all messages that arrive meanwhile, the answer too
 * Return: 0, CN_SOCKET_E_SILENT, CN_SOCKET_E_FOREIGN, or a negative errno.
 */
int cn_socket_listen(int fd, uint64_t wait_usec, struct netlink_arena *arena, netlink_fn fn, void *userdata,
		     struct netlink_drain *drain);

/*
 * cn_socket_insist() - the same, and where another program has driven the count of listeners below nothing, lift it
 * Each socket that listens lifts it by one; so many are needed as were taken away.
 */
int cn_socket_insist(int fd, uint64_t wait_usec, struct netlink_arena *arena, netlink_fn fn, void *userdata,
		     struct netlink_drain *drain);

/* cn_socket_ignore() - one listener less; to be said before a socket that listens is closed */
void cn_socket_ignore(int fd);
