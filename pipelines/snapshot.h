/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot - a run at this moment, as `ptq ctl status` and `ptq top` show it. */
#ifndef PTQ_SNAPSHOT_H
#define PTQ_SNAPSHOT_H

#include "../common/base/json.h"
#include "supervise_state.h"

/* {"ok", "run", "recipe", "out", "seconds", "sites_done", "sites", "share", "eta_s", "restarts",
 * "hosts", "processes": [{"name", "stage", "pid", "state", "seconds", "cpu_s", "rss_mib",
 * "command", "lanes", "status", "code"}]}: "lanes" are those that it has leased, "status" is the
 * last status line of the process, "code" stands when it has ended. Owned by the caller; NULL: no
 * memory. */
struct json *snapshot_make(const struct supervise *s);

#endif
