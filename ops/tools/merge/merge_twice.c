/* SPDX-License-Identifier: Apache-2.0 */
/* merge_twice - see merge_twice.h. */
#include "merge_twice.h"

#include <stdlib.h>
#include <string.h>
#include "../../../common/base/hash.h"
#include "../../../common/base/mem.h"

enum { DEPTH_MAX = 16 }; /* sums of sums of sums */

struct merge_source {
    const char *file;
    size_t number; /* of the file */
    uint64_t rows; /* digest of what says which rows they are */
    char data[17]; /* digest of the files that they were drawn from; "": not said */
};

/* Of the sampler's record: what does not change which rows there are. */
static const char *const beside[] = {"version",       "lanes",       "chunks",
                                     "chunk_tokens",  "weights",     "first_weight",
                                     "token_weights", "weight_clip", "audit"};

static int rows_digest(const struct json *record, uint64_t *digest, struct err *e)
{
    struct json *rows = json_clone(record);
    char *text = NULL;

    for (size_t i = 0; rows && i < sizeof beside / sizeof *beside; i++)
        json_del(rows, beside[i]);
    if (!rows)
        err_set(e, ERR_SYS, "provenance: out of memory");
    else if ((text = json_print(rows, 0, e)) != NULL)
        *digest = hash_bytes(text, strlen(text));
    json_destroy(&rows);
    free(text);
    return text ? 0 : -1;
}

static int refuse(const struct merge_source *old, const struct merge_source *x, struct err *e)
{
    const int itself = old->number == x->number;

    return err_set(e, ERR_USE,
                   "%s: the rows that it has sums of are those of %s%s%s%s: added, they count "
                   "twice; name each recording once, and such as are of other rows",
                   x->file, itself ? "another part of it" : old->file,
                   *x->data ? " (drawn alike from the same data, " : "", x->data,
                   *x->data ? ")" : "");
}

/* -1: no memory, or the rows were there before. 1: only the data were. */
static int see(struct merge_twice *t, const struct merge_source *x, const char **other,
               struct err *e)
{
    int drawn = 0;

    for (size_t i = 0; i < t->count; i++) {
        const struct merge_source *old = &t->source[i];

        if (old->rows == x->rows)
            return refuse(old, x, e);
        if (*x->data && strcmp(old->data, x->data) == 0 && old->number != x->number) {
            *other = old->file;
            drawn = 1;
        }
    }
    if (mem_grow((void **)&t->source, &t->room, t->count + 1, sizeof *t->source, e))
        return -1;
    t->source[t->count++] = *x;
    return drawn;
}

/* The records of samplers in prov, and in those that a sum of several keeps of its parts. Their
 * number, or -1. */
static int see_records(struct merge_twice *t, const struct json *prov, int depth, const char *file,
                       const char **other, int *drawn, struct err *e)
{
    struct merge_source x = {.file = file, .number = t->files};
    int found = 0, rc = 0;

    for (size_t i = 0; i < json_count(prov) && depth < DEPTH_MAX; i++) {
        const struct json *r = json_at(prov, i), *others = json_get(r, "others");
        const char *data = json_text_or(r, "data", "");

        for (size_t k = 0; json_kind(others) == JSON_KIND_ARRAY && k < json_count(others); k++) {
            rc = see_records(t, json_at(others, k), depth + 1, file, other, drawn, e);
            if (rc < 0)
                return -1;
            found += rc;
        }
        if (strcmp(json_text_or(r, "stage", ""), "sample") != 0 || !*data)
            continue;
        snprintf(x.data, sizeof x.data, "%s", data);
        if (rows_digest(r, &x.rows, e) || (rc = see(t, &x, other, e)) < 0)
            return -1;
        *drawn |= rc;
        found++;
    }
    return found;
}

/* Without a record the sums speak for themselves; those of no row, or of zeros, say nothing. */
static int see_sums(struct merge_twice *t, const struct problem_view *v, const char *file,
                    const char **other, struct err *e)
{
    const unsigned char *at = v->S ? v->S->data : NULL;
    struct merge_source x = {.file = file, .number = t->files};
    size_t zeros = 0;

    while (at && zeros < v->S->bytes && !at[zeros])
        zeros++;
    if (!at || zeros == v->S->bytes)
        return 0;
    x.rows = hash_bytes(at, v->S->bytes);
    return see(t, &x, other, e) < 0 ? -1 : 0;
}

int merge_twice_see(struct merge_twice *t, const struct problem_view *v, const char *file,
                    const char **other, struct err *e)
{
    int drawn = 0;

    t->files++;
    if (see_records(t, v->prov, 0, file, other, &drawn, e) < 0 ||
        see_sums(t, v, file, other, e) < 0)
        return -1;
    return drawn;
}

void merge_twice_release(struct merge_twice *t)
{
    free(t->source);
    *t = (struct merge_twice){0};
}
