/* SPDX-License-Identifier: Apache-2.0 */
/* write_prov - provenance of a checkpoint: what the source brings along (a rotated model is still
 * in its rotated basis), what made its sites, and this stage. */
#ifndef PTQ_WRITE_PROV_H
#define PTQ_WRITE_PROV_H

#include "../../common/base/err.h"
#include "write_plan.h"

/* JSON on one line, the caller's; NULL on error. All sites must be there. */
char *prov_text(const struct plan *p, const char *format, struct err *e);
#endif
