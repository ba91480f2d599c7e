// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl.h"
#include "handle.h"
#include "json-print.h"
#include "probe.h"
#include "term.h"

static const char help[] =
	"forkbusctl doctor [OPTIONS...]\n"
	"\n"
	"Find out which sources of events work here, why the others do not, and how to make\n"
	"them work; whether a broker runs; and which processes you may see. The exit status\n"
	"is 0 if a source of live events works, otherwise 1.\n"
	"\n"
	"Options:\n" CTL_HELP_JSON CTL_HELP_RUNTIME_DIR CTL_HELP_COMMON;

static const struct option options[] = { CTL_OPTIONS, CTL_OPTIONS_JSON, {} };

/* The group whose members see all processes, unless forkbusd.conf(5) names another. */
#define GROUP "forkbus"

/* All results are built as JSON first, so that both kinds of output have the same content. */

/* Return: the broker's status, or NULL with @why set. */
static json_t *ask_broker(const char *runtime_dir, const char **why)
{
	_cleanup_(forkbus_p) struct forkbus *client = NULL;
	struct forkbus_status *status = NULL;
	json_t *answer = NULL;
	int r = forkbus_new(&client, runtime_dir, 0);

	if (r == 0)
		r = forkbus_get_status(client, CTL_TIMEOUT_USEC, &status);
	if (r == 0)
		answer = json_loads(forkbus_status_get_json(status), JSON_ALLOW_NUL, NULL);
	forkbus_status_free(status);
	*why = strerror(r < 0 ? -r : EBADMSG);
	return answer;
}

static json_t *examine_broker(const char *runtime_dir)
{
	const char *why;
	json_auto_t *status = ask_broker(runtime_dir, &why);
	struct json_builder broker =
		json_build(json_pack("{ssso}", "runtimeDir", runtime_dir, "reachable", json_false()));

	if (status) {
		json_put(&broker, "reachable", json_true());
		json_put(&broker, "version", json_incref(json_object_get(status, "version")));
		json_put(&broker, "pid", json_incref(json_object_get(status, "pid")));
		json_put(&broker, "source",
			 json_incref(json_object_get(json_object_get(status, "source"), "name")));
	} else {
		json_put_text(&broker, "error", why);
	}
	return json_built(&broker);
}

static bool has_group(gid_t gid)
{
	int n = getgroups(0, NULL);
	_cleanup_free_ gid_t *groups = n > 0 ? calloc((size_t)n, sizeof(*groups)) : NULL;

	if (getegid() == gid)
		return true;
	n = groups ? getgroups(n, groups) : 0;
	for (int i = 0; i < n; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

static bool is_listed(const struct group *group, const char *user)
{
	for (char **member = group->gr_mem; user && *member; member++)
		if (strcmp(*member, user) == 0)
			return true;
	return false;
}

static json_t *examine_access(void)
{
	const struct passwd *passwd = getpwuid(geteuid());
	const struct group *group = getgrnam(GROUP);
	bool root = geteuid() == 0, member = group && has_group(group->gr_gid);
	const char *user = passwd ? passwd->pw_name : NULL;

	return json_pack("{sIss?sbsssbsbsb}", "uid", (json_int_t)geteuid(), "user", user, "seesAll",
			 root || member, "group", GROUP, "groupExists", group != NULL, "member", member,
			 "memberAtNextLogin", group && !member && is_listed(group, user));
}

static json_t *examine_sources(void)
{
	json_auto_t *sources = NULL;
	_cleanup_free_ char *program = NULL;
	bool works;
	int r = probe_sources(&sources, &program, &works);

	switch (r) {
	case 0:
		return json_pack("{sssbsO}", "program", program, "works", works, "sources", sources);
	case PROBE_E_NO_BROKER:
		return json_pack("{ss}", "error", "no forkbusd was found next to this program or in $PATH");
	case PROBE_E_SILENT:
		return json_pack("{sssbss}", "program", program, "works", false, "error",
				 "its output is not valid");
	default:
		return json_pack("{ss?sbss}", "program", program, "works", false, "error", strerror(-r));
	}
}

static struct term term;

static void put_mark(bool good)
{
	const char *mark = term.utf8 ? good ? "✓" : "✗" : good ? "+" : "-";

	printf("  %s%s%s ", term_colour(&term, good ? TERM_GREEN : TERM_RED), mark,
	       term_colour(&term, TERM_PLAIN));
}

static void put_string(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (!text)
		text = "-";
	term_escape(&term, stdout, text, strlen(text));
}

static void put_heading(const char *text)
{
	printf("%s%s%s\n", term_colour(&term, TERM_BOLD), text, term_colour(&term, TERM_PLAIN));
}

static void put_sources(const json_t *sources)
{
	const json_t *source;
	size_t i;

	put_heading("Sources of events");
	if (json_object_get(sources, "error")) {
		put_mark(false);
		if (json_object_get(sources, "program")) {
			put_string(sources, "program");
			fputs(": ", stdout);
		}
		put_string(sources, "error");
		fputc('\n', stdout);
	}
	json_array_foreach(json_object_get(sources, "sources"), i, source) {
		const char *advice = json_string_value(json_object_get(source, "advice"));

		put_mark(json_is_true(json_object_get(source, "works")));
		fputs(term_colour(&term, TERM_BOLD), stdout);
		put_string(source, "source");
		printf("%s: ", term_colour(&term, TERM_PLAIN));
		put_string(source, "found");
		fputc('\n', stdout);
		if (advice && *advice != '\0') {
			fputs("    ", stdout);
			put_string(source, "advice");
			fputc('\n', stdout);
		}
	}
}

static void put_broker(const json_t *broker)
{
	bool reachable = json_is_true(json_object_get(broker, "reachable"));

	put_heading("Broker");
	put_mark(reachable);
	if (reachable) {
		fputs("forkbusd ", stdout);
		put_string(broker, "version");
		printf(" runs at ");
		put_string(broker, "runtimeDir");
		printf(", pid %" JSON_INTEGER_FORMAT ", source ",
		       json_integer_value(json_object_get(broker, "pid")));
		put_string(broker, "source");
		fputc('\n', stdout);
		return;
	}
	fputs("no broker is reachable at ", stdout);
	put_string(broker, "runtimeDir");
	fputs(": ", stdout);
	put_string(broker, "error");
	fputs("\n    Start it: systemctl start forkbusd, or forkbusd --foreground.\n"
	      "    If it runs elsewhere, name its directory with --runtime-dir.\n",
	      stdout);
}

static void put_access(const json_t *access)
{
	bool all = json_is_true(json_object_get(access, "seesAll"));

	put_heading("You");
	put_mark(all);
	put_string(access, "user");
	printf(" (uid %" JSON_INTEGER_FORMAT ") ", json_integer_value(json_object_get(access, "uid")));
	if (json_integer_value(json_object_get(access, "uid")) == 0) {
		fputs("sees all processes, as root\n", stdout);
	} else if (all) {
		fputs("sees all processes, as a member of the group " GROUP "\n", stdout);
	} else {
		fputs("sees only the own processes\n    ", stdout);
		if (json_is_true(json_object_get(access, "memberAtNextLogin"))) {
			fputs("A member of the group " GROUP
			      " only from the next login on: log in again to see all.\n",
			      stdout);
		} else if (json_is_true(json_object_get(access, "groupExists"))) {
			fputs("Members of the group " GROUP " see all: adduser ", stdout);
			put_string(access, "user");
			fputs(" " GROUP ", as root, and log in again.\n", stdout);
		} else {
			fputs("Members of the group " GROUP
			      " see all, but the group does not exist. It is created by\n"
			      "    the installation (systemd-sysusers), or by: groupadd --system " GROUP
			      ", as root.\n",
			      stdout);
		}
	}
}

int ctl_doctor(struct ctl *ctl, int argc, char *argv[])
{
	json_auto_t *sources = NULL, *broker = NULL, *access = NULL, *all = NULL;
	int option, r = CTL_GO_ON;

	while (r == CTL_GO_ON && (option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		r = ctl_option(ctl, option, help);
	if (r == CTL_GO_ON)
		r = ctl_no_arguments(argc, argv);
	if (r != CTL_GO_ON)
		return r;

	sources = examine_sources();
	broker = examine_broker(ctl->runtime_dir);
	access = examine_access();
	all = json_pack("{sOsOsO}", "probe", sources, "broker", broker, "access", access);
	if (!all) {
		ctl_error("%s", strerror(ENOMEM));
		return CTL_FAILURE;
	}
	term_init(&term, STDOUT_FILENO);
	if (ctl->json != CTL_JSON_OFF) {
		r = ctl_print_json(ctl->json, all);
	} else {
		put_sources(sources);
		put_broker(broker);
		put_access(access);
		r = ctl_print("");
	}
	return r != CTL_OK ? r : json_is_true(json_object_get(sources, "works")) ? CTL_OK : CTL_FAILURE;
}
