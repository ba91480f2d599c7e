// SPDX-License-Identifier: LGPL-2.1-or-later
#include "reader.h"
#include "clients/lib/ring.h"

#define READ_ONCE 4096

struct reader_turn reader_turn(struct reader *reader)
{
	struct reader_turn turn = { .woken = reader->waits };
	struct fb_event event;
	int r = 0;

	while ((r == 0 || r == RING_E_LOST) && turn.events < READ_ONCE) {
		r = ring_next(reader->ring, &event);
		turn.events += r == 0;
		turn.lost += r == RING_E_LOST ? event.count : 0;
	}
	reader->waits = r == RING_E_END;
	return turn;
}
