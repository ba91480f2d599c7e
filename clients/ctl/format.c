// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <time.h>

#include <uthash.h>

#include "base/clock.h"
#include "details.h"
#include "fields.h"
#include "format.h"
#include "human.h"

enum column { TIME, TYPE, PID, PPID, USER, AGE, COMM, _COLUMN_MAX };

static const struct {
	const char *title;
	unsigned int width;
	enum term_align align;
} columns[_COLUMN_MAX] = {
	[TIME] = { "TIME", 12, TERM_LEFT }, [TYPE] = { "TYPE", 8, TERM_LEFT },
	[PID] = { "PID", 7, TERM_RIGHT },   [PPID] = { "PPID", 7, TERM_RIGHT },
	[USER] = { "USER", 8, TERM_LEFT },  [AGE] = { "AGE", 9, TERM_RIGHT },
	[COMM] = { "COMM", 15, TERM_LEFT },
};

/* The columns of a line, in order; details follow. */
#define COLUMN(_column) (1u << (_column))
#define EVENT_COLUMNS	(COLUMN(TIME) | COLUMN(TYPE) | COLUMN(PID) | COLUMN(PPID) | COLUMN(USER) | COLUMN(COMM))
#define TREE_COLUMNS	(COLUMN(PID) | COLUMN(PPID) | COLUMN(USER) | COLUMN(AGE))
#define PROCESS_COLUMNS (TREE_COLUMNS | COLUMN(COMM))

/* Below this width the parent's pid is left out, since the fork event has it. Wider terminals have a wider column for users. */
#define WIDE	   100
#define WIDE_USERS (WIDE + 20)

struct user {
	uint32_t uid;
	char *name; /* as printed */
	UT_hash_handle hh;
};

struct format {
	const struct term *term;
	FILE *scratch; /* writes into text */
	char *text;
	size_t text_size;
	struct user *users;
	time_t second; /* of clock and date */
	char clock[16], date[32], date_shown[32];
};

static void set_second(struct format *format, time_t second)
{
	struct tm local;

	format->second = second;
	if (!localtime_r(&second, &local))
		local = (struct tm){ .tm_mday = 1 };
	strftime(format->clock, sizeof(format->clock), "%H:%M:%S", &local);
	strftime(format->date, sizeof(format->date), "%a %Y-%m-%d", &local);
}

int format_new(struct format **ret, const struct term *term)
{
	struct format *format = calloc(1, sizeof(*format));

	if (!format)
		return -ENOMEM;
	format->term = term;
	format->scratch = open_memstream(&format->text, &format->text_size);
	if (!format->scratch) {
		free(format);
		return -ENOMEM;
	}
	set_second(format, time(NULL));
	memcpy(format->date_shown, format->date, sizeof(format->date));
	*ret = format;
	return 0;
}

struct format *format_free(struct format *format)
{
	struct user *user, *next;

	if (!format)
		return NULL;
	HASH_ITER(hh, format->users, user, next) {
		HASH_DEL(format->users, user);
		free(user->name);
		free(user);
	}
	fclose(format->scratch);
	free(format->text);
	free(format);
	return NULL;
}

/* Return: a stream; what is written to it is in format->text after text_end(). */
static FILE *text_begin(struct format *format)
{
	rewind(format->scratch);
	return format->scratch;
}

static size_t text_end(struct format *format)
{
	return fflush(format->scratch) == 0 && format->text ? format->text_size : 0;
}

static const char *user_name(struct format *format, uint32_t uid)
{
	const struct passwd *passwd;
	struct user *user;
	size_t len;

	HASH_FIND(hh, format->users, &uid, sizeof(uid), user);
	if (user)
		return user->name;

	passwd = getpwuid(uid);
	if (passwd)
		term_escape(format->term, text_begin(format), passwd->pw_name, strlen(passwd->pw_name));
	else
		fprintf(text_begin(format), "%" PRIu32, uid);
	len = text_end(format);
	user = calloc(1, sizeof(*user));
	if (!user)
		return "-";
	user->uid = uid;
	user->name = strndup(format->text, len);
	if (!user->name) {
		free(user);
		return "-";
	}
	HASH_ADD(hh, format->users, uid, sizeof(user->uid), user);
	return user->name;
}

/* Return: 0 if the column is left out. */
static unsigned int column_width(const struct format *format, enum column column)
{
	unsigned int width = format->term->width;

	if (column == PPID && width > 0 && width < WIDE)
		return 0;
	return columns[column].width + (column == USER && width >= WIDE_USERS ? 4 : 0);
}

/* The width that is left for the details after the other columns, at least @least; 0: no limit. */
static unsigned int details_width(const struct format *format, unsigned int of, unsigned int least)
{
	unsigned int width, taken = 0;

	if (format->term->width == 0)
		return 0;
	for (enum column column = 0; column < _COLUMN_MAX; column++) {
		width = of & COLUMN(column) ? column_width(format, column) : 0;
		taken += width > 0 ? width + 1 : 0;
	}
	return format->term->width > taken + least ? format->term->width - taken : least;
}

static void put_cell_text(const struct format *format, FILE *file, enum column column, const char *text,
			  size_t len)
{
	unsigned int width = column_width(format, column);

	if (width > 0)
		term_put_cell(format->term, file, text, len, width, columns[column].align);
}

static void put_cell(const struct format *format, FILE *file, enum column column, const char *text)
{
	put_cell_text(format, file, column, text, strlen(text));
}

static void put_number(const struct format *format, FILE *file, enum column column,
		       const struct forkbus_event *event, enum forkbus_field field)
{
	char text[24] = "-";
	uint64_t number;

	if (forkbus_event_get_uint(event, field, &number) == 0)
		snprintf(text, sizeof(text), "%" PRIu64, number);
	put_cell(format, file, column, text);
}

/* To cut details, an exit keeps whole parts from the beginning, and a path keeps its end. */
static void put_details_cut(const struct format *format, FILE *file, enum forkbus_type type, size_t len,
			    unsigned int width)
{
	const struct term *term = format->term;
	const char *text = format->text;
	size_t fit = term_fit(term, text, len, width), cut;

	if (type == FORKBUS_TYPE_EXEC || type == FORKBUS_TYPE_PROCESS) {
		unsigned int needed = term_columns(term, text, len);
		size_t skip = term_fit(term, text, len, needed - width + 1);

		if (term_columns(term, text, skip) < needed - width + 1)
			skip += term_fit(term, text + skip, len - skip, 2);
		fprintf(file, "%s%.*s", term_ellipsis(term), (int)(len - skip), text + skip);
		return;
	}
	if (type == FORKBUS_TYPE_EXIT) {
		for (cut = fit; cut > 1 && !(text[cut] == ' ' && text[cut + 1] == ' '); cut--)
			;
		if (cut > 1) {
			fprintf(file, "%.*s", (int)cut, text);
			return;
		}
	}
	fprintf(file, "%.*s%s", (int)term_fit(term, text, len, width - 1), text, term_ellipsis(term));
}

static void put_details(struct format *format, FILE *file, const struct forkbus_event *event, size_t len,
			unsigned int width)
{
	while (len > 0 && format->text[len - 1] == ' ')
		len--;
	if (width == 0 || term_columns(format->term, format->text, len) <= width)
		fwrite(format->text, 1, len, file);
	else
		put_details_cut(format, file, forkbus_event_get_type(event), len, width);
}

static enum term_colour type_colour(const struct forkbus_event *event)
{
	switch (forkbus_event_get_type(event)) {
	case FORKBUS_TYPE_FORK:
		return TERM_GREEN;
	case FORKBUS_TYPE_EXEC:
		return TERM_CYAN;
	case FORKBUS_TYPE_EXIT:
		if (HAS(event, SIGNAL))
			return TERM_RED;
		return HAS(event, CODE) && UINT(event, CODE) != 0 ? TERM_YELLOW : TERM_PLAIN;
	case FORKBUS_TYPE_ID:
	case FORKBUS_TYPE_SESSION:
	case FORKBUS_TYPE_CHROOT:
	case FORKBUS_TYPE_PTRACE:
		return TERM_MAGENTA;
	case FORKBUS_TYPE_COREDUMP:
		return TERM_RED;
	case FORKBUS_TYPE_LOST:
		return TERM_ALARM;
	case FORKBUS_TYPE_SOURCE:
		return TERM_BOLD;
	case FORKBUS_TYPE_COMM:
	case FORKBUS_TYPE_PROCESS:
	case FORKBUS_TYPE_READY:
		return TERM_DIM;
	default:
		return TERM_PLAIN;
	}
}

static void put_time(struct format *format, FILE *file, const struct forkbus_event *event)
{
	const struct term *term = format->term;
	time_t second = (time_t)(UINT(event, TIME_USEC) / USEC_PER_SEC);

	if (!HAS(event, TIME_USEC)) {
		fprintf(file, "%s%-*s%s ", term_colour(term, TERM_DIM), (int)columns[TIME].width, "-",
			term_colour(term, TERM_PLAIN));
		return;
	}
	if (second != format->second)
		set_second(format, second);
	if (strcmp(format->date, format->date_shown) != 0) {
		memcpy(format->date_shown, format->date, sizeof(format->date));
		fprintf(file, "%s-- %s --%s\n", term_colour(term, TERM_DIM), format->date,
			term_colour(term, TERM_PLAIN));
	}
	fprintf(file, "%s%s.%03u%s ", term_colour(term, TERM_DIM), format->clock,
		(unsigned int)(UINT(event, TIME_USEC) % USEC_PER_SEC / USEC_PER_MSEC),
		term_colour(term, TERM_PLAIN));
}

static void put_ids(struct format *format, FILE *file, const struct forkbus_event *event)
{
	const char *user = "-";
	uint64_t uid;

	if (forkbus_event_get_uint(event, FORKBUS_FIELD_UID, &uid) == 0)
		user = user_name(format, (uint32_t)uid);
	put_number(format, file, PID, event, FORKBUS_FIELD_PID);
	put_number(format, file, PPID, event, FORKBUS_FIELD_PPID);
	put_cell(format, file, USER, user);
}

static void write_comm(const struct format *format, FILE *file, const struct forkbus_event *event)
{
	size_t len;
	const char *comm = field_text(event, FORKBUS_FIELD_COMM, &len);

	if (!HAS(event, COMM))
		fputc('-', file);
	else if (len == 0)
		fputs("\"\"", file);
	else
		term_escape(format->term, file, comm, len);
}

static void put_comm(struct format *format, FILE *file, const struct forkbus_event *event)
{
	write_comm(format, text_begin(format), event);
	put_cell_text(format, file, COMM, format->text, text_end(format));
}

/* Arguments are separated by spaces, without quotes: this output is for people. */
static void write_args(const struct format *format, FILE *file, const struct forkbus_event *event)
{
	const char *const *args;
	size_t n;

	if (forkbus_event_get_strings(event, FORKBUS_FIELD_ARGS, &args, &n) < 0)
		return;
	fputc(' ', file);
	for (size_t i = 0; i < n; i++) {
		fputc(' ', file);
		term_escape(format->term, file, args[i], strlen(args[i]));
	}
	if (FLAG(event, ARGS_CUT))
		fputs(format->term->utf8 ? " …" : " ...", file);
}

/* The program that runs: the details of exec and of a living process. */
static void write_program(const struct format *format, FILE *file, const struct forkbus_event *event)
{
	if (HAS(event, EXE))
		field_write(format->term, file, event, FORKBUS_FIELD_EXE);
	else if (HAS(event, FILENAME))
		field_write(format->term, file, event, FORKBUS_FIELD_FILENAME);
	else
		fputc('-', file);
	write_args(format, file, event);
}

static void put_header(const struct format *format, FILE *file, unsigned int of)
{
	const struct term *term = format->term;

	fputs(term_colour(term, TERM_BOLD), file);
	for (enum column column = 0; column < _COLUMN_MAX; column++)
		if (of & COLUMN(column))
			put_cell(format, file, column, columns[column].title);
	fprintf(file, "DETAILS%s\n", term_colour(term, TERM_PLAIN));
}

void format_header(struct format *format, FILE *file)
{
	put_header(format, file, EVENT_COLUMNS);
}

void format_event(struct format *format, FILE *file, const struct forkbus_event *event)
{
	enum forkbus_type type = forkbus_event_get_type(event);
	bool sentence =
		type == FORKBUS_TYPE_LOST || type == FORKBUS_TYPE_SOURCE || type == FORKBUS_TYPE_READY;
	const char *name = forkbus_type_name(type);
	enum term_colour colour = type_colour(event);

	put_time(format, file, event);
	fputs(term_colour(format->term, colour), file);
	put_cell(format, file, TYPE, name ? name : "-");
	if (!sentence) {
		fputs(term_colour(format->term, TERM_PLAIN), file);
		put_ids(format, file, event);
		put_comm(format, file, event);
		if (type == FORKBUS_TYPE_EXIT)
			fputs(term_colour(format->term, colour), file);
	}
	if (type == FORKBUS_TYPE_EXEC || type == FORKBUS_TYPE_PROCESS)
		write_program(format, text_begin(format), event);
	else
		details_write(format->term, text_begin(format), event);
	/* A sentence is never cut. */
	put_details(format, file, event, text_end(format),
		    sentence ? 0 : details_width(format, EVENT_COLUMNS, 8));
	fputs(term_colour(format->term, TERM_PLAIN), file);
	fputc('\n', file);
}

void format_process_header(struct format *format, FILE *file)
{
	put_header(format, file, PROCESS_COLUMNS);
}

void format_process(struct format *format, FILE *file, const struct forkbus_event *event, const char *branch,
		    uint64_t boot_usec)
{
	char age[HUMAN_MAX] = "-";
	FILE *text;

	put_ids(format, file, event);
	if (HAS(event, START_USEC) && UINT(event, START_USEC) <= boot_usec)
		human_duration(age, boot_usec - UINT(event, START_USEC));
	put_cell(format, file, AGE, age);
	if (!branch)
		put_comm(format, file, event);
	text = text_begin(format);
	if (branch) {
		fputs(branch, text);
		write_comm(format, text, event);
		fputs("  ", text);
	}
	if (!branch || HAS(event, EXE))
		write_program(format, text, event);
	put_details(format, file, event, text_end(format),
		    details_width(format, branch ? TREE_COLUMNS : PROCESS_COLUMNS, 1));
	fputc('\n', file);
}
