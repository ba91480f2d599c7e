// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rules.h"
#include "base/cleanup.h"

static struct ending_text take_text(const struct forkbus_event *event, enum forkbus_field field)
{
	struct ending_text text = {};

	(void)forkbus_event_get_text(event, field, &text.data, &text.len);
	return text;
}

bool ending_take(struct ending *ending, const struct forkbus_event *event)
{
	uint64_t user, system;

	/* The end of a thread is not the end of its process. */
	if (forkbus_event_get_type(event) != FORKBUS_TYPE_EXIT || forkbus_event_has(event, FORKBUS_FIELD_TID))
		return false;
	*ending = (struct ending){
		.comm = take_text(event, FORKBUS_FIELD_COMM),
		.exe = take_text(event, FORKBUS_FIELD_EXE),
		.cgroup = take_text(event, FORKBUS_FIELD_CGROUP),
		.tty = take_text(event, FORKBUS_FIELD_TTY),
	};
	(void)forkbus_event_get_uint(event, FORKBUS_FIELD_PID, &ending->pid);
	(void)forkbus_event_get_uint(event, FORKBUS_FIELD_START_USEC, &ending->start_usec);
	(void)forkbus_event_get_uint(event, FORKBUS_FIELD_PPID, &ending->ppid);
	(void)forkbus_event_get_uint(event, FORKBUS_FIELD_SESSION, &ending->session);
	(void)forkbus_event_get_uint(event, FORKBUS_FIELD_SIGNAL, &ending->signal);
	(void)forkbus_event_get_bool(event, FORKBUS_FIELD_CORE_DUMPED, &ending->core_dumped);
	(void)forkbus_event_get_uint(event, FORKBUS_FIELD_MAX_RSS_KIB, &ending->max_rss_kib);
	ending->has_uid = forkbus_event_get_uint(event, FORKBUS_FIELD_UID, &ending->uid) == 0;
	ending->has_code = forkbus_event_get_uint(event, FORKBUS_FIELD_CODE, &ending->code) == 0;
	ending->has_elapsed =
		forkbus_event_get_uint(event, FORKBUS_FIELD_ELAPSED_USEC, &ending->elapsed_usec) == 0;
	if (forkbus_event_get_uint(event, FORKBUS_FIELD_USER_USEC, &user) == 0 &&
	    forkbus_event_get_uint(event, FORKBUS_FIELD_SYSTEM_USEC, &system) == 0) {
		ending->has_cpu = true;
		ending->cpu_usec = user + system;
	}
	return true;
}

static bool is_crash(const struct ending *ending)
{
	static const int signals[] = { SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGTRAP };

	if (ending->signal == 0 || ending->signal == SIGQUIT)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (ending->signal == (uint64_t)signals[i])
			return true;
	return ending->core_dumped;
}

enum kind rules_kind(const struct notify_config *config, const struct ending *ending)
{
	uint64_t code = ending->signal > 0 ? 128 + ending->signal : ending->code;

	if (ending->signal == 0 && !ending->has_code)
		return KIND_UNKNOWN;
	if (is_crash(ending))
		return KIND_CRASH;
	if (code < CODES_MAX && config->stopped[code])
		return KIND_STOPPED;
	return code == 0 ? KIND_SUCCESS : KIND_FAILURE;
}

enum urgency rules_urgency(const struct notify_config *config, enum kind kind)
{
	switch (kind) {
	case KIND_CRASH:
		return config->crash_urgency;
	case KIND_FAILURE:
		return config->failure_urgency;
	default:
		return config->success_urgency;
	}
}

static bool is_in_scope(const struct notify_config *config, const struct ending *ending)
{
	switch (config->scope) {
	case SCOPE_SHELL:
		return ending->tty.data && ending->ppid > 0 && ending->ppid == ending->session;
	case SCOPE_TERMINAL:
		return ending->tty.data;
	default:
		return true;
	}
}

bool globs_match(const struct globs *globs, const char *data, size_t len)
{
	for (size_t i = 0; i < globs->n; i++)
		if (pattern_match(globs->patterns[i], data, len))
			return true;
	return false;
}

/* Every list that is set must match, by at least one of its globs. An unknown text never matches. */
static bool is_selected(const struct selection *selection, const struct ending *ending)
{
	const struct ending_text texts[_ABOUT_MAX] = {
		[ABOUT_COMM] = ending->comm,
		[ABOUT_EXE] = ending->exe,
		[ABOUT_CGROUP] = ending->cgroup,
	};

	for (size_t i = 0; i < _ABOUT_MAX; i++) {
		const struct ending_text *text = &texts[i];

		if (text->data && globs_match(&selection->ignore[i], text->data, text->len))
			return false;
		if (selection->only[i].n > 0 &&
		    !(text->data && globs_match(&selection->only[i], text->data, text->len)))
			return false;
	}
	return true;
}

static bool is_shown(const struct notify_config *config, const struct ending *ending, enum kind kind)
{
	if (kind == KIND_CRASH)
		return config->show_crashes && is_selected(&config->crashes, ending);
	return (config->show & 1U << kind) && ending->has_elapsed &&
	       ending->elapsed_usec >= config->min_elapsed_usec && is_in_scope(config, ending) &&
	       is_selected(&config->commands, ending);
}

bool hours_contain(const struct hours *hours, const struct tm *local)
{
	int minute = local->tm_hour * 60 + local->tm_min;

	if (!hours->any)
		return false;
	if (hours->begin < hours->end)
		return minute >= hours->begin && minute < hours->end;
	return minute >= hours->begin || minute < hours->end;
}

time_t hours_end(const struct hours *hours, time_t now)
{
	struct tm local;
	time_t end;

	localtime_r(&now, &local);
	for (int days = 0;; days = 1) {
		struct tm then = local;

		then.tm_mday += days;
		then.tm_hour = hours->end / 60;
		then.tm_min = hours->end % 60;
		then.tm_sec = 0;
		then.tm_isdst = -1;
		end = mktime(&then);
		if (end > now || days == 1)
			return end > now ? end : now + 60;
	}
}

enum verdict rules_judge(const struct notify_config *config, const struct ending *ending, uint64_t uid,
			 const struct tm *local, enum kind kind)
{
	if (kind == KIND_UNKNOWN || !ending->has_uid || ending->uid != uid)
		return VERDICT_PASS;
	if (!is_shown(config, ending, kind))
		return VERDICT_PASS;
	if (kind == KIND_CRASH && config->quiet_crashes)
		return VERDICT_SHOW;
	return hours_contain(&config->quiet, local) ? VERDICT_HOLD : VERDICT_SHOW;
}
