/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _FORKBUS_USAGE_H
#define _FORKBUS_USAGE_H

#include "record.h"

/* What the caller's whole process has used up to now. Preemption is disabled. */
void forkbus_put_process_usage(struct sk_buff *record);
/* What the caller's thread has. */
void forkbus_put_thread_usage(struct sk_buff *record);

#endif
