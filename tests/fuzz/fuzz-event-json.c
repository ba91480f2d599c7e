// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Any line as an event. A valid event is the same after encoding and decoding, also through the packed form, and the
 * encoding is one line within the size limit.
 */
#include <errno.h>
#include <stdlib.h>

#include "event-json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct event_store store, store_again;
	static char packed[EVENT_PACKED_MAX];
	struct fb_event event, again, unpacked;
	char *line = malloc(EVENT_JSON_MAX);
	size_t len;
	int r;

	check(line != NULL);
	r = event_json_decode(&event, &store, (const char *)data, size);
	if (r == 0) {
		len = event_json_encode(&event, FIELDS_ALL, line);
		check(len <= EVENT_JSON_MAX && !memchr(line, '\n', len));
		check(event_json_decode(&again, &store_again, line, len) == 0);
		check(fb_event_equal(&event, &again));
		check(fb_event_unpack(&unpacked, packed, fb_event_pack(&event, packed)) == 0);
		check(fb_event_equal(&event, &unpacked));
	} else {
		check(r == -EBADMSG);
	}
	free(line);
	return 0;
}
