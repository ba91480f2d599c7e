/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A socket that listens to the proc connector. The kernel has one count of listeners for all programs. Each listener must
 * unsubscribe when it stops; a program that unsubscribes too often stops the events for all of them.
 */

#include "source/connector/proc-event.h"
#include "source/netlink/socket.h"

/* cn_socket_open() - Return: a descriptor or a negative errno (-EPROTONOSUPPORT: the kernel has no connector). */
int cn_socket_open(uint64_t buffer);

enum {
	_CN_SOCKET_E_SUCCESS,
	CN_SOCKET_E_SILENT,  /* the kernel does not answer: its count of listeners is wrong */
	CN_SOCKET_E_FOREIGN, /* it never will: this is not the initial pid and user namespace */
};

/*
 * cn_socket_listen() - ask for events, wait for the answer, which alone proves that there will be some
 * @fn: gets all messages that arrive meanwhile, the answer too
 * Return: 0, CN_SOCKET_E_SILENT, CN_SOCKET_E_FOREIGN, or a negative errno.
 */
int cn_socket_listen(int fd, uint64_t wait_usec, struct netlink_arena *arena, netlink_fn fn, void *userdata,
		     struct netlink_drain *drain);

/*
 * cn_socket_insist() - like cn_socket_listen(), but correct a count of listeners that another program made negative
 * Each socket that subscribes adds one, so it takes as many sockets as were subtracted.
 */
int cn_socket_insist(int fd, uint64_t wait_usec, struct netlink_arena *arena, netlink_fn fn, void *userdata,
		     struct netlink_drain *drain);

/* cn_socket_ignore() - unsubscribe; call this before closing a socket that listens */
void cn_socket_ignore(int fd);
