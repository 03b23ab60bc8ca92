/* SPDX-License-Identifier: Apache-2.0 */
/* named - the files, folders and addresses that options name: before any process starts, whether
 * they can be what they are to be. The processes open them, and check again. */
#ifndef PTQ_NAMED_H
#define PTQ_NAMED_H

#include "../common/base/err.h"
#include "route.h"

struct named_opts {
    const char *log, *metrics, *listen; /* NULL: not given */
    int open;                           /* hosts_url.h, of listen */
};

/* t: checked. ERR_USE, by the name of the option. */
int named_check(const struct named_opts *o, const struct route *t, struct err *e);

#endif
