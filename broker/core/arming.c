// SPDX-License-Identifier: LGPL-2.1-or-later
#include "core/arming.h"

#include <stdio.h>
#include <string.h>

void arming_init(struct arming *arming)
{
	*arming = (struct arming){ .supported = HUB_ARMED_ALWAYS, .armed = HUB_ARMED_ALWAYS };
}

static uint32_t armed_of(const struct arming *arming, uint32_t wanted)
{
	return (HUB_ARMED_ALWAYS | ((arming->wanted | wanted) & HUB_ARMED_EXTRA)) & arming->supported;
}

void arming_set_supported(struct arming *arming, uint32_t supported, uint32_t wanted)
{
	arming->supported = supported;
	arming->armed = armed_of(arming, wanted);
	memset(arming->until, 0, sizeof(arming->until));
	arming->due = 0;
}

/* Those of the unwanted types that stay armed for some time. */
static uint32_t keep(struct arming *arming, uint32_t unwanted, uint64_t now_usec)
{
	uint32_t kept = 0;

	for (unsigned int type = 0; type < _EVENT_TYPE_MAX; type++) {
		uint64_t *until = &arming->until[type];

		if (unwanted & EVENT_TYPE_BIT(type) && *until == 0)
			*until = now_usec + ARMING_USEC;
		if (unwanted & EVENT_TYPE_BIT(type) && now_usec < *until)
			kept |= EVENT_TYPE_BIT(type);
		else
			*until = 0;
	}
	return kept;
}

static uint64_t earliest(const struct arming *arming)
{
	uint64_t due = 0;

	for (unsigned int type = 0; type < _EVENT_TYPE_MAX; type++)
		if (arming->until[type] != 0 && (due == 0 || arming->until[type] < due))
			due = arming->until[type];
	return due;
}

bool arming_update(struct arming *arming, uint32_t wanted, bool later, uint64_t now_usec, uint64_t *wait_usec)
{
	uint32_t before = arming->armed;
	uint64_t due;

	wanted = armed_of(arming, wanted);
	arming->armed = wanted | (later ? keep(arming, before & ~wanted, now_usec) : 0);
	due = earliest(arming);
	*wait_usec = due != 0 && due != arming->due ? due - now_usec : 0;
	arming->due = due;
	return arming->armed != before;
}

const char *arming_print(const struct arming *arming, char buf[static EVENT_TEXT_MAX])
{
	size_t at = 0;

	buf[0] = '\0';
	for (enum event_type type = EVENT_NONE + 1; type < _EVENT_TYPE_MAX; type++)
		if (arming->armed & EVENT_TYPE_BIT(type))
			at += (size_t)snprintf(buf + at, EVENT_TEXT_MAX - at, "%s%s", at ? " " : "",
					       event_type_name(type));
	if (arming->armed & HUB_ARMED_THREADS)
		snprintf(buf + at, EVENT_TEXT_MAX - at, " threads");
	return buf;
}
