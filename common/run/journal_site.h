/* SPDX-License-Identifier: Apache-2.0 */
/* journal_site - the "site" record of a journal (journal.h), typed: written by ptq-write, read by
 * whoever wants to know what became of a site. Each field's name stands in journal_site.c alone.
 *
 * Texts and JSON values are borrowed, in reading from the record. Real numbers that are not known
 * are NAN, counts -1, texts and JSON values NULL: so older journals, which lack fields, are read
 * too, and null is written. */
#ifndef PTQ_JOURNAL_SITE_H
#define PTQ_JOURNAL_SITE_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../base/json.h"

#define JOURNAL_CONTENDERS 16
#define JOURNAL_CLASSES 64

/* One linear of a site. kept: left as it is, then only name and rows are known. */
struct journal_linear {
    const char *name, *solver, *grid;
    int kept;
    int64_t rows, bits, group; /* group -1: a whole row; 0: not known */
    double loss, rel_loss, round_off, trace, asym_loss, bound;
};

struct journal_contender {
    const char *solver;
    double loss, asym_loss, hold_loss;
};

struct journal_site {
    uint64_t order, sites, block;
    const char *name, *run, *digest;
    size_t nlinears;
    struct journal_linear *linear;
    double loss, rel_loss, damp;
    const char *solver, *fallback;     /* solver "?": not known */
    const char *judged_on, *criterion; /* NULL: no contest */
    int64_t attempts, dead, raised, tokens, sequences, inputs, bytes_in, bytes_raw, bytes_part;
    /* of an expert: tokens that its router sent there (-1: it is none), what was done about too
     * few of them ("rtn", "all-tokens", NULL) */
    int64_t routed;
    const char *starved;
    double sum_w, ess, coverage, seconds, wall;
    const struct json *lengths; /* rows of [length, sequences, weight]; none is NULL */
    /* Not kept apart is NULL; else kind, name, tokens, sum_w, energy, loss, cross of each. */
    const struct json *classes;
    const struct json *mix;        /* ratio of each modality in the sums (--mix); none is NULL */
    const struct json *windows;    /* of a solver that learns: as in the solution; none is NULL */
    const struct json *changed;    /* tensors of no linear that it changes; none is NULL */
    const struct json *contenders; /* as it stands in the record */
    size_t ncontenders;
    struct journal_contender contender[JOURNAL_CONTENDERS]; /* filled in reading only */
};

/* Fills s; s->linear is the caller's to release. -1: a field is wrong or missing; the error names
 * what (the place of the record) and the field. */
int journal_site_read(const struct json *record, struct journal_site *s, const char *what,
                      struct err *e);
void journal_site_release(struct journal_site *s);
/* For journal_append(), the caller's. NULL: out of memory, or a text is no UTF-8. */
struct json *journal_site_record(const struct journal_site *s);

#endif
