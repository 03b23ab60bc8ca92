/* SPDX-License-Identifier: Apache-2.0 */
/* sample_paces - how fast the workers are that lanes are shared out among. */
#ifndef PTQ_SAMPLE_PACES_H
#define PTQ_SAMPLE_PACES_H

#include <stddef.h>
#include "../../common/base/err.h"
#include "../../common/wire/link.h"

struct sample_pace {
    char place[LINK_PLACE]; /* or what it begins with, before a dot */
    double pace;            /* above 0, finite */
};

/* "w1=2.5,forward.1=0.7"; NULL: none. *out is the caller's. */
int paces_parse(const char *text, struct sample_pace **out, size_t *n, struct err *e);
/* 1 where none is said. */
double paces_of(const struct sample_pace *p, size_t n, const char *place);

#endif
