/* SPDX-License-Identifier: Apache-2.0 */
/* metrics - what a run says of itself ("status", control.h) as Prometheus text, version 0.0.4. */
#ifndef PTQ_METRICS_H
#define PTQ_METRICS_H

#include "../../../common/base/err.h"
#include "../../../common/base/json.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* status: an answer of snapshot.h; what is absent there is left out. The caller frees; NULL: no
 * memory. */
char *metrics_text(const struct json *status, struct err *e);

#endif
