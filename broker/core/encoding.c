// SPDX-License-Identifier: LGPL-2.1-or-later
#include <assert.h>

#include "core/encoding.h"

_Static_assert(sizeof(uint32_t) + EVENT_PACKED_MAX <= ENCODED_MAX, "every encoding fits");

static size_t put_line(const struct fb_event *event, field_set mask, char *to)
{
	size_t size = event_json_encode(event, mask, to);

	to[size++] = '\n';
	return size;
}

static size_t put_member(const struct fb_event *event, field_set mask, char *to)
{
	size_t size = event_json_encode(event, mask, to);

	to[size++] = ',';
	to[size++] = '\n';
	return size;
}

static size_t put_packed(const struct fb_event *event, field_set mask, char *to)
{
	struct fb_event shown = *event;
	uint32_t size;

	shown.has &= mask;
	size = (uint32_t)fb_event_pack(&shown, to + sizeof(size));
	memcpy(to, &size, sizeof(size));
	return sizeof(size) + size;
}

const struct encoding encoding_lines = { "lines", put_line };
const struct encoding encoding_members = { "members", put_member };
const struct encoding encoding_packed = { "packed", put_packed };

size_t encoding_unpack(struct fb_event *event, const char *data)
{
	uint32_t size;
	int r;

	memcpy(&size, data, sizeof(size));
	r = fb_event_unpack(event, data + sizeof(size), size);
	assert(r == 0);
	(void)r;
	return sizeof(size) + size;
}
