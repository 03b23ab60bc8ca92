/* SPDX-License-Identifier: Apache-2.0 */
/* spill - a file without a name, for what does not fit in memory: made at the first need, gone
 * when it is closed. Errors name the folder, and the option that names another. */
#ifndef PTQ_SPILL_H
#define PTQ_SPILL_H

#include <stddef.h>
#include <stdint.h>
#include "err.h"

struct spill {
    const char *dir; /* borrowed */
    int fd;          /* -1: not made yet */
};

#define SPILL_IN(folder)          \
    {                             \
        .dir = (folder), .fd = -1 \
    }

const char *spill_dir(void); /* TMPDIR, else /var/tmp: the default of --tmp */
/* fine when it is there; spill_write does it too. 0, or -1 with e set: here and below. */
int spill_make(struct spill *s, struct err *e);
int spill_write(struct spill *s, const void *data, size_t n, uint64_t at, struct err *e);
/* what was written */
int spill_read(const struct spill *s, void *data, size_t n, uint64_t at, struct err *e);
/* gives the disk back; -1 when that fails: all is as it was */
int spill_empty(struct spill *s);
void spill_close(struct spill *s);

#endif
