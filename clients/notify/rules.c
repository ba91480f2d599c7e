// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rules.h"
#include "util.h"

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

enum kind rules_kind(const struct conf *conf, const struct ending *ending)
{
	uint64_t code = ending->signal > 0 ? 128 + ending->signal : ending->code;

	if (ending->signal == 0 && !ending->has_code)
		return KIND_UNKNOWN;
	if (is_crash(ending))
		return KIND_CRASH;
	if (code < CONF_CODES_MAX && conf->stopped[code])
		return KIND_STOPPED;
	return code == 0 ? KIND_SUCCESS : KIND_FAILURE;
}

enum urgency rules_urgency(const struct conf *conf, enum kind kind)
{
	switch (kind) {
	case KIND_CRASH:
		return conf->crash_urgency;
	case KIND_FAILURE:
		return conf->failure_urgency;
	default:
		return conf->success_urgency;
	}
}

static bool is_in_scope(const struct conf *conf, const struct ending *ending)
{
	switch (conf->scope) {
	case SCOPE_SHELL:
		return ending->tty.data && ending->ppid > 0 && ending->ppid == ending->session;
	case SCOPE_TERMINAL:
		return ending->tty.data;
	default:
		return true;
	}
}

/* Of what one list is about, any; of the lists that there are, all. What is not told matches nothing. */
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

static bool is_shown(const struct conf *conf, const struct ending *ending, enum kind kind)
{
	if (kind == KIND_CRASH)
		return conf->show_crashes && is_selected(&conf->crashes, ending);
	return (conf->show & 1U << kind) && ending->has_elapsed &&
	       ending->elapsed_usec >= conf->min_elapsed_usec && is_in_scope(conf, ending) &&
	       is_selected(&conf->commands, ending);
}

enum verdict rules_judge(const struct conf *conf, const struct ending *ending, uint64_t uid,
			 const struct tm *local, enum kind kind)
{
	if (kind == KIND_UNKNOWN || !ending->has_uid || ending->uid != uid)
		return VERDICT_PASS;
	if (!is_shown(conf, ending, kind))
		return VERDICT_PASS;
	if (kind == KIND_CRASH && conf->quiet_crashes)
		return VERDICT_SHOW;
	return hours_contain(&conf->quiet, local) ? VERDICT_HOLD : VERDICT_SHOW;
}
