/* SPDX-License-Identifier: Apache-2.0 */
/* newdir - an output folder that appears whole or not at all: everything is written into a
 * folder beside it, which then takes its name. */
#ifndef PTQ_NEWDIR_H
#define PTQ_NEWDIR_H

#include "../../common/base/err.h"

struct newdir {
    char *dir, *part; /* the wanted name; the folder to write into until newdir_publish */
};

/* Refuses what is no folder and a folder that is not empty, by name. */
int newdir_check(const char *dir, struct err *e);
/* Checks, and makes d->part. */
int newdir_begin(struct newdir *d, const char *dir, struct err *e);
/* The files in it must be synced (fs_publish, fs_copy, st_publish do that). *d is released. */
int newdir_publish(struct newdir *d, struct err *e);
/* Removes what was not published and releases *d; nothing to do after newdir_publish. */
void newdir_abort(struct newdir *d);

#endif
