// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rules.h"
#include "base/cleanup.h"

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

/* Any glob of a list has to match, and every list that is set. An unknown text matches nothing. */
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
