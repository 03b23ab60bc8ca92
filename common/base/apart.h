/* SPDX-License-Identifier: Apache-2.0 */
/* apart - what a command writes is none of what it reads.
 *
 * Publishing replaces the file of a name, so an output that is a file of the model, the data or
 * another output would destroy it, hours later perhaps. Rows of options say which of them name what
 * is read and what is written (opt.h); links count as what they lead to. */
#ifndef PTQ_APART_H
#define PTQ_APART_H

#include "err.h"
#include "opt.h"

struct apart_file {
    const char *option; /* as it is named in errors */
    const char *path;   /* a file; of what is read also a folder, whose files count */
    enum opt_file kind;
};

/* -1, ERR_USE: a file to write is one of those to read, or two of those to write are one. What is
 * no name of a file ("-", an endpoint, NULL) is passed over. */
int apart_check(const struct apart_file *f, size_t n, struct err *e);
/* The same of all rows of these groups and of `more`, and whether each output of the rows can be a
 * file: it is no folder, and its folder is there. */
int apart_options(const struct opt_group *group, size_t ngroups, const struct apart_file *more,
                  size_t nmore, struct err *e);

#endif
