// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "fold.h"

void fold_init(struct fold *fold, unsigned int n)
{
	memset(fold, 0, sizeof(*fold));
	fold->n = n;
}

static void place_clear(struct fold_place *place)
{
	memset(place, 0, sizeof(*place));
}

static bool place_is_free(const struct fold *fold, const struct fold_place *place, uint64_t now)
{
	if (!place->used)
		return true;
	return !fold->told_closed && !place->pending && !place->sent &&
	       now >= place->sent_usec + FOLD_STALE_USEC;
}

/* What may be on the screen yet is replaced: the id stays. */
static void place_begin(struct fold_place *place)
{
	place->used = true;
	place->parts = 0;
	place->tally = (struct tally){};
}

static void place_add(struct fold_place *place, const struct notice *notice, const struct tally *tally)
{
	if (place->parts++ == 0)
		place->notice = *notice;
	if (tally)
		tally_merge(&place->tally, tally);
	else
		tally_add(&place->tally, notice);
	place->pending = true;
}

void fold_add(struct fold *fold, const struct notice *notice, const struct tally *tally, uint64_t now)
{
	struct fold_place *last = &fold->places[fold->n - 1];

	for (unsigned int i = 0; i < fold->n; i++) {
		struct fold_place *place = &fold->places[i];

		if (!place_is_free(fold, place, now))
			continue;
		place_begin(place);
		place_add(place, notice, tally);
		return;
	}
	place_add(last, notice, tally);
}

/* All that one tells goes to another. */
static void place_move(struct fold_place *to, const struct fold_place *from)
{
	if (!to->used)
		place_begin(to);
	place_add(to, &from->notice, &from->tally);
}

void fold_resize(struct fold *fold, unsigned int n)
{
	unsigned int before = fold->n;

	if (n == before)
		return;
	fold->n = n;
	/* The last one may hold many: it stays the last, with what it has on the screen. */
	if (n > before) {
		fold->places[n - 1] = fold->places[before - 1];
		place_clear(&fold->places[before - 1]);
		return;
	}
	for (unsigned int i = n - 1; i < before - 1; i++) {
		if (fold->places[i].pending || fold->places[i].sent)
			place_move(&fold->places[before - 1], &fold->places[i]);
	}
	fold->places[n - 1] = fold->places[before - 1];
	for (unsigned int i = n; i < before; i++)
		place_clear(&fold->places[i]);
}

int fold_next(const struct fold *fold, uint64_t now, uint64_t *when)
{
	*when = UINT64_MAX;
	for (unsigned int i = 0; i < fold->n; i++) {
		const struct fold_place *place = &fold->places[i];
		uint64_t due = place->id ? place->sent_usec + FOLD_UPDATE_USEC : 0;

		if (!place->used || !place->pending || place->sent)
			continue;
		if (due <= now)
			return (int)i;
		if (due < *when)
			*when = due;
	}
	return -1;
}

void fold_describe(const struct fold *fold, unsigned int place, struct notice *notice)
{
	const struct fold_place *at = &fold->places[place];

	if (at->parts == 1)
		*notice = at->notice;
	else
		tally_describe(&at->tally, notice, "");
}

void fold_sent(struct fold *fold, unsigned int place, uint64_t call, uint64_t now)
{
	fold->places[place].pending = false;
	fold->places[place].sent = call;
	fold->places[place].sent_usec = now;
}

static struct fold_place *find_call(struct fold *fold, uint64_t call)
{
	for (unsigned int i = 0; i < fold->n; i++)
		if (fold->places[i].used && fold->places[i].sent == call)
			return &fold->places[i];
	return NULL;
}

void fold_shown(struct fold *fold, uint64_t call, uint32_t id)
{
	struct fold_place *place = find_call(fold, call);

	if (!place)
		return;
	place->sent = 0;
	place->id = id;
}

void fold_refused(struct fold *fold, uint64_t call)
{
	struct fold_place *place = find_call(fold, call);

	if (!place)
		return;
	place->sent = 0;
	place->id = 0;
	if (!place->pending)
		place_clear(place);
}

void fold_closed(struct fold *fold, uint32_t id)
{
	for (unsigned int i = 0; i < fold->n; i++) {
		struct fold_place *place = &fold->places[i];

		if (!place->used || place->id != id || id == 0)
			continue;
		fold->told_closed = true;
		place->id = 0;
		if (!place->pending && !place->sent)
			place_clear(place);
	}
}

void fold_void(struct fold *fold)
{
	fold->told_closed = false;
	for (unsigned int i = 0; i < CONF_ON_SCREEN_MAX; i++) {
		struct fold_place *place = &fold->places[i];

		place->pending = place->pending || place->sent;
		place->sent = 0;
		place->id = 0;
		if (!place->pending)
			place_clear(place);
	}
}
