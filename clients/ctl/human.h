/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Figures for people: at most two units or three digits, rounded down.
 */

#include <stdint.h>

#define HUMAN_MAX 32

/* "850us", "12ms", "1.24s", "2min 3s", "3h 12min", "4d 2h". Return: @buf. */
char *human_duration(char buf[static HUMAN_MAX], uint64_t usec);

/* "512B", "3.1K", "64M": powers of 1024. Return: @buf. */
char *human_bytes(char buf[static HUMAN_MAX], uint64_t bytes);

/* "2026-11-23 07:13:17", local time. Return: @buf. */
char *human_time(char buf[static HUMAN_MAX], uint64_t time_usec);
