/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

struct broker;

/* status_print() - the broker's figures as JSON on one line. Return: a string to free(), or NULL without memory. */
char *status_print(const struct broker *broker);
