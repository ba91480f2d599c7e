/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The methods of org.varlink.service and org.forkbus1.
 */

#include "serve/varlink/link.h"
#include "serve/varlink/message.h"

/* varlink_dispatch() - call a method, which replies, or begins to */
void varlink_dispatch(struct link *link, const struct varlink_call *call);
