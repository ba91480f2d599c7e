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

#define TIME_WIDTH 12
#define TYPE_WIDTH 8
#define PID_WIDTH  7
#define COMM_WIDTH 15
#define AGE_WIDTH  9

/* Below this width the parent's pid is left out: its fork has it too. */
#define WIDE 100

struct user {
	uint32_t uid;
	char *name; /* as it is to be printed */
	UT_hash_handle hh;
};

struct format {
	const struct term *term;
	FILE *scratch; /* into text */
	char *text;
	size_t text_size;
	struct user *users;
	time_t second; /* that clock and date are of */
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

/* What is written to the stream that this returns is in format->text after text_end(). */
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

enum align { ALIGN_LEFT, ALIGN_RIGHT };

/* A cell and the space after it. On a terminal it is cut to its width, elsewhere it pushes the rest away. */
static void put_cell(const struct format *format, FILE *file, const char *text, size_t len,
		     unsigned int width, enum align align)
{
	const struct term *term = format->term;
	unsigned int columns = term_columns(term, text, len);
	const char *cut = "";

	if (columns > width && term->width > 0) {
		len = term_fit(term, text, len, width - 1);
		columns = term_columns(term, text, len) + 1;
		cut = term_ellipsis(term);
	}
	int pad = columns < width ? (int)(width - columns) : 0;

	fprintf(file, "%*s%.*s%s%*s ", align == ALIGN_RIGHT ? pad : 0, "", (int)len, text, cut,
		align == ALIGN_LEFT ? pad : 0, "");
}

static void put_cell_string(const struct format *format, FILE *file, const char *text, unsigned int width)
{
	put_cell(format, file, text, strlen(text), width, ALIGN_LEFT);
}

static void put_cell_number(const struct format *format, FILE *file, bool there, uint64_t number)
{
	char text[24] = "-";

	if (there)
		snprintf(text, sizeof(text), "%" PRIu64, number);
	put_cell(format, file, text, strlen(text), PID_WIDTH, ALIGN_RIGHT);
}

static bool has_ppid(const struct format *format)
{
	return format->term->width == 0 || format->term->width >= WIDE;
}

static unsigned int user_width(const struct format *format)
{
	return format->term->width >= WIDE + 20 ? 12 : 8;
}

/* Columns that are left for the details; 0 where there is no limit: a sentence is never cut. */
static unsigned int details_width(const struct format *format, bool sentence)
{
	unsigned int width = format->term->width;
	unsigned int taken = TIME_WIDTH + 1 + TYPE_WIDTH + 1 +
			     (PID_WIDTH + 1) * (has_ppid(format) ? 2U : 1U) + user_width(format) + 1 +
			     COMM_WIDTH + 1;

	if (sentence || width == 0)
		return 0;
	return width > taken + 8 ? width - taken : 8;
}

/* The beginning of an exit counts, and only whole parts; the end of a path. */
static void put_details_cut(const struct format *format, FILE *file, enum forkbus_type type, size_t len,
			    unsigned int width)
{
	const struct term *term = format->term;
	const char *text = format->text;
	size_t fit = term_fit(term, text, len, width), cut;

	if (type == FORKBUS_TYPE_EXEC || type == FORKBUS_TYPE_PROCESS) {
		unsigned int columns = term_columns(term, text, len);
		size_t skip = term_fit(term, text, len, columns - width + 1);

		if (term_columns(term, text, skip) < columns - width + 1)
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
		fprintf(file, "%s%-*s%s ", term_colour(term, TERM_DIM), TIME_WIDTH, "-",
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
	const char *user = HAS(event, UID) ? user_name(format, (uint32_t)UINT(event, UID)) : "-";

	put_cell_number(format, file, HAS(event, PID), UINT(event, PID));
	if (has_ppid(format))
		put_cell_number(format, file, HAS(event, PPID), UINT(event, PPID));
	put_cell_string(format, file, user, user_width(format));
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

static void put_process(struct format *format, FILE *file, const struct forkbus_event *event)
{
	put_ids(format, file, event);
	write_comm(format, text_begin(format), event);
	put_cell(format, file, format->text, text_end(format), COMM_WIDTH, ALIGN_LEFT);
}

void format_header(struct format *format, FILE *file)
{
	const struct term *term = format->term;

	fprintf(file, "%s%-*s %-*s %*s ", term_colour(term, TERM_BOLD), TIME_WIDTH, "TIME", TYPE_WIDTH,
		"TYPE", PID_WIDTH, "PID");
	if (has_ppid(format))
		fprintf(file, "%*s ", PID_WIDTH, "PPID");
	fprintf(file, "%-*s %-*s DETAILS%s\n", (int)user_width(format), "USER", COMM_WIDTH, "COMM",
		term_colour(term, TERM_PLAIN));
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
	put_cell_string(format, file, name ? name : "-", TYPE_WIDTH);
	if (sentence) {
		details_write_sentence(format->term, text_begin(format), event);
	} else {
		fputs(term_colour(format->term, TERM_PLAIN), file);
		put_process(format, file, event);
		if (type == FORKBUS_TYPE_EXIT)
			fputs(term_colour(format->term, colour), file);
		details_write(format->term, text_begin(format), event);
	}
	put_details(format, file, event, text_end(format), details_width(format, sentence));
	fputs(term_colour(format->term, TERM_PLAIN), file);
	fputc('\n', file);
}

/* What is left of the line behind the columns. */
static unsigned int process_width(const struct format *format, bool tree)
{
	unsigned int used = PID_WIDTH + 1 + (has_ppid(format) ? PID_WIDTH + 1 : 0) + user_width(format) + 1 +
			    AGE_WIDTH + 1 + (tree ? 0 : COMM_WIDTH + 1);

	if (format->term->width == 0)
		return 0;
	return format->term->width > used + 1 ? format->term->width - used : 1;
}

void format_process_header(struct format *format, FILE *file)
{
	const struct term *term = format->term;

	fprintf(file, "%s%*s ", term_colour(term, TERM_BOLD), PID_WIDTH, "PID");
	if (has_ppid(format))
		fprintf(file, "%*s ", PID_WIDTH, "PPID");
	fprintf(file, "%-*s %*s %-*s DETAILS%s\n", (int)user_width(format), "USER", AGE_WIDTH, "AGE",
		COMM_WIDTH, "COMM", term_colour(term, TERM_PLAIN));
}

void format_process(struct format *format, FILE *file, const struct forkbus_event *event, const char *branch,
		    uint64_t boot_usec)
{
	char age[HUMAN_MAX] = "-";
	FILE *text;

	put_ids(format, file, event);
	if (HAS(event, START_USEC) && UINT(event, START_USEC) <= boot_usec)
		human_duration(age, boot_usec - UINT(event, START_USEC));
	fprintf(file, "%*s ", AGE_WIDTH, age);
	if (!branch) {
		write_comm(format, text_begin(format), event);
		put_cell(format, file, format->text, text_end(format), COMM_WIDTH, ALIGN_LEFT);
	}
	text = text_begin(format);
	if (branch) {
		fputs(branch, text);
		write_comm(format, text, event);
		fputs("  ", text);
	}
	if (!branch || HAS(event, EXE))
		details_write(format->term, text, event);
	put_details(format, file, event, text_end(format), process_width(format, branch));
	fputc('\n', file);
}
