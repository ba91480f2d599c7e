// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "serve/dbus/polkit.h"

#define ACTION		DBUS_NAME ".observe-all"
/*
 * The most pending queries: of all peers together, of one user, and of one peer. Each can be a window on a user's screen,
 * and ping.c needs most of the unanswered calls that the bus allows.
 */
#define QUERIES_MAX	40
#define QUERIES_OF_USER 8
#define QUERIES_OF_PEER 4
/* The user may need time to enter a password. */
#define PATIENCE_SEC	300
#define INTERACTIVE	UINT32_C(1) /* polkit's flag AllowUserInteraction */

struct dbus_query {
	struct dbus_peer *peer;
	sd_bus_message *call;
	sd_bus_slot *slot;
	void (*done)(struct dbus_peer *peer, sd_bus_message *call, bool granted);
	LIST_ENTRY(dbus_query) link;
};

void dbus_polkit_limit(struct dbus *dbus)
{
	budget_set(dbus->context.budget, BUDGET_QUERIES, QUERIES_MAX, QUERIES_OF_USER);
}

void dbus_query_free(struct dbus_query *query)
{
	struct dbus_peer *peer = query->peer;

	budget_give(peer->account, BUDGET_QUERIES, 1);
	LIST_REMOVE(query, link);
	peer->n_queries--;
	sd_bus_slot_unref(query->slot);
	sd_bus_message_unref(query->call);
	free(query);
}

/* No polkit, no permission. */
static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct dbus_query *query = userdata;
	int authorized = 0, challenge = 0;

	(void)error;
	if (sd_bus_message_is_method_error(reply, NULL) ||
	    sd_bus_message_enter_container(reply, 'r', "bba{ss}") < 0 ||
	    sd_bus_message_read(reply, "bb", &authorized, &challenge) < 0)
		authorized = 0;
	query->done(query->peer, query->call, authorized);
	dbus_query_free(query);
	return 0;
}

static int make_question(sd_bus_message **ret, struct dbus_peer *peer, sd_bus_message *call)
{
	uint32_t flags = sd_bus_message_get_allow_interactive_authorization(call) > 0 ? INTERACTIVE : 0;
	int r;

	r = sd_bus_message_new_method_call(peer->dbus->connection, ret, "org.freedesktop.PolicyKit1",
					   "/org/freedesktop/PolicyKit1/Authority",
					   "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");
	return r < 0 ? r
		     : sd_bus_message_append(*ret, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
					     peer->name, ACTION, 0, flags, "");
}

int dbus_polkit_ask(struct dbus_peer *peer, sd_bus_message *call,
		    void (*done)(struct dbus_peer *peer, sd_bus_message *call, bool granted))
{
	sd_bus_message *question = NULL;
	struct dbus_query *query;
	int r;

	if (peer->n_queries == QUERIES_OF_PEER)
		return -EBUSY;
	r = budget_take(peer->account, BUDGET_QUERIES, 1);
	if (r != 0)
		return -EBUSY;
	query = calloc(1, sizeof(*query));
	if (!query) {
		budget_give(peer->account, BUDGET_QUERIES, 1);
		return -ENOMEM;
	}
	query->peer = peer;
	query->call = sd_bus_message_ref(call);
	query->done = done;
	LIST_INSERT_HEAD(&peer->queries, query, link);
	peer->n_queries++;
	r = make_question(&question, peer, call);
	if (r >= 0)
		r = sd_bus_call_async(peer->dbus->connection, &query->slot, question, on_answer, query,
				      PATIENCE_SEC * USEC_PER_SEC);
	sd_bus_message_unref(question);
	if (r >= 0)
		return 0;
	dbus_query_free(query);
	return r;
}
