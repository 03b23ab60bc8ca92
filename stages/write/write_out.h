/* SPDX-License-Identifier: Apache-2.0 */
/* write_out - the output folder: who may write into it, what of an earlier run is cleared away,
 * the marks that followers see.
 *
 * OUT must be absent, empty, or hold an earlier output of ptqflow and nothing else (then it is
 * replaced, or an unfinished run is gone on with, as the caller says). What an earlier run
 * published stands in its journal; a file that is not listed there is somebody else's and is never
 * touched. While a run goes on OUT holds only OUT/.ptqflow, so that half a model can never be
 * loaded. */
#ifndef PTQ_WRITE_OUT_H
#define PTQ_WRITE_OUT_H

#include "../../common/base/err.h"
#include "../../common/run/journal.h"

enum out_earlier {
    OUT_REFUSE,  /* a finished output, or an unfinished run that has committed a site */
    OUT_REPLACE, /* all of it goes */
    OUT_GO_ON    /* refuses a finished output; parts and journal of an unfinished run stay */
};

struct out_folder {
    char *path;              /* OUT */
    char *parts;             /* OUT/.ptqflow/parts */
    char *assemble;          /* OUT/.ptqflow/assemble: made and filled by the formats */
    struct journal *journal; /* empty after out_open, or with OUT_GO_ON what was there */
    int claim_fd, lock_fd;   /* -1: none */
};

/* Refuses (ERR_USE) a folder that holds something else, or another writer's. After success the
 * folder is ours and holds nothing but what OUT_GO_ON keeps. On error *o is released. */
int out_open(struct out_folder *o, const char *path, enum out_earlier earlier, struct err *e);
/* Followers may come: what is in the parts belongs to this run. */
int out_show(struct out_folder *o, struct err *e);
void out_release(struct out_folder *o);
/* The failed mark, with why; errors are kept quiet: there is one already. */
void out_fail(struct out_folder *o, const char *why);
/* Files of OUT/.ptqflow/assemble, paths relative to it, sorted: an array of texts. NULL on
 * error. */
struct json *out_assembled(const struct out_folder *o, struct err *e);
/* Moves these files into OUT, config.json files last, durably. */
int out_publish(struct out_folder *o, const struct json *files, struct err *e);
/* The done mark; then kept states go, and the parts unless keep_parts. */
int out_done(struct out_folder *o, int keep_parts, struct err *e);

#endif
