// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "core/hash-text.h"

#include "core/intern.h"

struct entry {
	UT_hash_handle hh;
	TAILQ_ENTRY(entry) idle; /* while @refs is 0 */
	size_t refs;
	char text[];
};

struct intern {
	struct entry *entries;	      /* by text */
	TAILQ_HEAD(idle, entry) idle; /* longest idle first */
	size_t n_idle;
};

static struct entry *entry_of(const char *text)
{
	return (struct entry *)((uintptr_t)text - offsetof(struct entry, text));
}

static void entry_drop(struct intern *intern, struct entry *entry)
{
	TAILQ_REMOVE(&intern->idle, entry, idle);
	intern->n_idle--;
	HASH_DEL(intern->entries, entry);
	free(entry);
}

int intern_new(struct intern **ret)
{
	struct intern *intern = calloc(1, sizeof(*intern));

	if (!intern)
		return -ENOMEM;
	TAILQ_INIT(&intern->idle);
	*ret = intern;
	return 0;
}

struct intern *intern_free(struct intern *intern)
{
	if (!intern)
		return NULL;
	while (!TAILQ_EMPTY(&intern->idle))
		entry_drop(intern, TAILQ_FIRST(&intern->idle));
	free(intern);
	return NULL;
}

static struct entry *entry_new(struct intern *intern, const char *data, size_t len)
{
	struct entry *entry = malloc(sizeof(*entry) + len + 1);
	bool oom = false;

	if (!entry)
		return NULL;
	entry->refs = 0;
	memcpy(entry->text, data, len);
	entry->text[len] = '\0';
	HASH_ADD_KEYPTR(hh, intern->entries, entry->text, len, entry);
	if (oom) {
		free(entry);
		return NULL;
	}
	return entry;
}

const char *intern_get(struct intern *intern, const char *data, size_t len)
{
	struct entry *entry;

	HASH_FIND(hh, intern->entries, data, len, entry);
	if (!entry) {
		entry = entry_new(intern, data, len);
		if (!entry)
			return NULL;
	} else if (entry->refs == 0) {
		TAILQ_REMOVE(&intern->idle, entry, idle);
		intern->n_idle--;
	}
	entry->refs++;
	return entry->text;
}

const char *intern_put(struct intern *intern, const char *text)
{
	struct entry *entry;

	if (!text)
		return NULL;
	entry = entry_of(text);
	if (--entry->refs > 0)
		return NULL;
	TAILQ_INSERT_TAIL(&intern->idle, entry, idle);
	if (++intern->n_idle > INTERN_IDLE_MAX)
		entry_drop(intern, TAILQ_FIRST(&intern->idle));
	return NULL;
}

size_t intern_count(const struct intern *intern)
{
	return HASH_COUNT(intern->entries);
}
