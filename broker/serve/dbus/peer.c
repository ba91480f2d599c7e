// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Only the bus knows the identity of a caller. The broker requests it once, without waiting: until the bus answers, the
 * peer's calls are held back, and then passed to sd-bus as if they arrived now. So methods, and the list of objects, always
 * know the sender.
 */
#include <errno.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM	    1
#define uthash_nonfatal_oom(_entry) (oom = true)
#include "base/message.h"
#include "serve/dbus/job.h"
#include "serve/dbus/peer.h"
#include "serve/dbus/ping.h"
#include "serve/dbus/polkit.h"

/* The most calls of one peer that wait: a client that waits for answers never has more. */
#define HELD_MAX 8

struct dbus_held_call {
	sd_bus_message *call;
	TAILQ_ENTRY(dbus_held_call) link;
};

static struct dbus_peer *find(const struct dbus *dbus, const char *name)
{
	struct dbus_peer *peer = NULL;

	HASH_FIND_STR(dbus->peers, name, peer);
	return peer;
}

static void peer_free(struct dbus_peer *peer)
{
	struct dbus_held_call *held;

	while (!LIST_EMPTY(&peer->queries))
		dbus_query_free(LIST_FIRST(&peer->queries));
	while (!TAILQ_EMPTY(&peer->jobs)) {
		struct dbus_job *job = TAILQ_FIRST(&peer->jobs);

		job->free(job);
	}
	while ((held = TAILQ_FIRST(&peer->held_calls))) {
		TAILQ_REMOVE(&peer->held_calls, held, link);
		sd_bus_message_unref(held->call);
		free(held);
	}
	dbus_ping_end(peer);
	if (peer->hh.tbl)
		HASH_DEL(peer->dbus->peers, peer);
	budget_account_put(peer->account);
	sd_bus_slot_unref(peer->asked);
	free(peer->name);
	free(peer);
}

static void take_groups(struct dbus_peer *peer, const uint32_t *groups, size_t size)
{
	for (size_t i = 0; i < size / sizeof(*groups); i++)
		if (peer->dbus->context.options.group != (gid_t)-1 &&
		    groups[i] == peer->dbus->context.options.group)
			peer->identity.member = true;
}

/* One member of the bus' answer, within {sv}. */
static int take_credential(struct dbus_peer *peer, sd_bus_message *reply, bool *has_uid)
{
	const void *groups;
	uint32_t number;
	const char *name;
	size_t size;
	int r;

	r = sd_bus_message_read(reply, "s", &name);
	if (r < 0)
		return r;
	if (strcmp(name, "UnixUserID") == 0) {
		r = sd_bus_message_read(reply, "v", "u", &number);
		peer->identity.uid = number;
		*has_uid = r >= 0;
	} else if (strcmp(name, "ProcessID") == 0) {
		r = sd_bus_message_read(reply, "v", "u", &number);
		peer->identity.pid = (pid_t)number;
	} else if (strcmp(name, "UnixGroupIDs") == 0) {
		r = sd_bus_message_enter_container(reply, 'v', "au");
		if (r >= 0)
			r = sd_bus_message_read_array(reply, 'u', &groups, &size);
		if (r >= 0) {
			take_groups(peer, groups, size);
			r = sd_bus_message_exit_container(reply);
		}
	} else {
		r = sd_bus_message_skip(reply, "v");
	}
	return r;
}

/* Return: whether the answer names the peer's user. */
static bool take_credentials(struct dbus_peer *peer, sd_bus_message *reply)
{
	bool has_uid = false;
	int r;

	if (sd_bus_message_is_method_error(reply, NULL))
		return false;
	r = sd_bus_message_enter_container(reply, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
		r = take_credential(peer, reply, &has_uid);
		if (r >= 0)
			r = sd_bus_message_exit_container(reply);
	}
	return r >= 0 && has_uid;
}

static void release(struct dbus_peer *peer)
{
	struct dbus_held_call *held;

	while ((held = TAILQ_FIRST(&peer->held_calls))) {
		TAILQ_REMOVE(&peer->held_calls, held, link);
		if (sd_bus_enqueue_for_read(peer->dbus->connection, held->call) < 0)
			msg_warning("dropped a call: out of memory");
		sd_bus_message_unref(held->call);
		free(held);
	}
	peer->n_held_calls = 0;
}

static int on_credentials(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct dbus_peer *peer = userdata;

	(void)error;
	if (take_credentials(peer, reply))
		peer->account = budget_account_get(peer->dbus->context.budget, peer->identity.uid,
						   access_of(&peer->identity).all);
	if (!peer->account) {
		/* Usually it has left meanwhile. */
		peer_free(peer);
		return 0;
	}
	peer->asked = sd_bus_slot_unref(peer->asked);
	peer->known = true;
	release(peer);
	return 0;
}

static struct dbus_peer *peer_new(struct dbus *dbus, const char *name)
{
	struct dbus_peer *peer = calloc(1, sizeof(*peer));
	bool oom = false;

	if (!peer)
		return NULL;
	peer->dbus = dbus;
	TAILQ_INIT(&peer->held_calls);
	LIST_INIT(&peer->queries);
	TAILQ_INIT(&peer->jobs);
	peer->name = strdup(name);
	if (peer->name)
		HASH_ADD_KEYPTR(hh, dbus->peers, peer->name, strlen(peer->name), peer);
	if (!peer->name || oom ||
	    sd_bus_call_method_async(dbus->connection, &peer->asked, DBUS_DRIVER, "/org/freedesktop/DBus",
				     DBUS_DRIVER, "GetConnectionCredentials", on_credentials, peer, "s",
				     name) < 0) {
		peer_free(peer);
		return NULL;
	}
	return peer;
}

/* Return: 0 or -ENOMEM, -ENOBUFS. */
static int hold(struct dbus_peer *peer, sd_bus_message *call)
{
	struct dbus_held_call *held;

	if (peer->n_held_calls == HELD_MAX)
		return -ENOBUFS;
	held = malloc(sizeof(*held));
	if (!held)
		return -ENOMEM;
	held->call = sd_bus_message_ref(call);
	TAILQ_INSERT_TAIL(&peer->held_calls, held, link);
	peer->n_held_calls++;
	return 0;
}

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct dbus *dbus = userdata;
	const char *sender = sd_bus_message_get_sender(message);
	struct dbus_peer *peer;

	(void)error;
	if (!sender || !sd_bus_message_is_method_call(message, NULL, NULL))
		return 0;
	peer = find(dbus, sender);
	if (peer && peer->known)
		return 0;
	if (!peer)
		peer = peer_new(dbus, sender);
	if (!peer || hold(peer, message) < 0)
		(void)sd_bus_reply_method_errorf(message, SD_BUS_ERROR_LIMITS_EXCEEDED,
						 "Too many calls before the first was answered.");
	return 1;
}

static int on_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	const char *name, *old_owner, *new_owner;
	struct dbus_peer *peer;

	(void)error;
	if (sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner) < 0 || new_owner[0] != '\0')
		return 0;
	peer = find(userdata, name);
	if (peer)
		peer_free(peer);
	return 0;
}

int dbus_peers_watch(struct dbus *dbus)
{
	int r = sd_bus_add_filter(dbus->connection, NULL, on_message, dbus);

	/* One rule for all: the bus limits the rules of a connection. */
	if (r >= 0)
		r = sd_bus_add_match_async(dbus->connection, NULL,
					   "type='signal',sender='" DBUS_DRIVER "',interface='" DBUS_DRIVER
					   "',member='NameOwnerChanged',arg2=''",
					   on_owner_changed, NULL, dbus);
	return r < 0 ? r : 0;
}

void dbus_peers_free(struct dbus *dbus)
{
	while (dbus->peers)
		peer_free(dbus->peers);
}

struct dbus_peer *dbus_sender(struct dbus *dbus, sd_bus_message *message)
{
	const char *sender = message ? sd_bus_message_get_sender(message) : NULL;

	return sender ? find(dbus, sender) : NULL;
}
