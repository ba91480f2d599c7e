// SPDX-License-Identifier: LGPL-2.1-or-later
#include "faces.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

static const struct face_ops *const known_faces[] = { &varlink_face, &stream_face, &dbus_face };

#define N_FACES (sizeof(known_faces) / sizeof(known_faces[0]))

struct faces {
	size_t n;
	struct face *all[N_FACES];
};

DEFINE_CLEANUP(struct faces, faces_free)

int faces_new(struct faces **ret, const struct face_context *context)
{
	_cleanup_(faces_free_p) struct faces *faces = calloc(1, sizeof(*faces));
	int r;

	if (!faces)
		return -ENOMEM;
	for (size_t i = 0; i < N_FACES; i++) {
		struct face *face = NULL;

		r = known_faces[i]->new (&face, context);
		if (r < 0)
			return r;
		if (face)
			faces->all[faces->n++] = face;
	}
	*ret = steal(faces);
	return 0;
}

/* The last one first. */
struct faces *faces_free(struct faces *faces)
{
	if (!faces)
		return NULL;
	while (faces->n > 0) {
		struct face *face = faces->all[--faces->n];

		face->ops->free(face);
	}
	free(faces);
	return NULL;
}

void faces_set_options(struct faces *faces, const struct face_options *options)
{
	for (size_t i = 0; i < faces->n; i++)
		faces->all[i]->ops->set_options(faces->all[i], options);
}

void faces_prepare(struct faces *faces)
{
	for (size_t i = 0; i < faces->n; i++)
		if (faces->all[i]->ops->prepare)
			faces->all[i]->ops->prepare(faces->all[i]);
}

struct face_stats faces_stats(const struct faces *faces)
{
	struct face_stats sum = {};

	for (size_t i = 0; faces && i < faces->n; i++) {
		const struct face_stats *stats = faces->all[i]->ops->stats(faces->all[i]);

		sum.connections += stats->connections;
		sum.subscribers += stats->subscribers;
		sum.sent_bytes += stats->sent_bytes;
	}
	return sum;
}
