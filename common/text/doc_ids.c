/* SPDX-License-Identifier: Apache-2.0 */
/* doc_ids - documents that are tokens already: "input_ids", with what "attention_mask" and
 * "labels" say of them. */
#include "../base/mem.h"
#include "doc_parts.h"
#include "role.h"

/* A list in a list of one, as a batch of one row is written, is that list. */
static struct json *list_parse(const struct doc_member *f, const char *name, const char *what,
                               const struct json **list, struct err *e)
{
    struct json *j = json_parse(f->at, f->n, what, e);

    *list = j;
    if (json_kind(j) == JSON_KIND_ARRAY && json_count(j) == 1 &&
        json_kind(json_at(j, 0)) == JSON_KIND_ARRAY)
        *list = json_at(j, 0);
    if (j && json_kind(*list) != JSON_KIND_ARRAY) {
        err_set(e, ERR_USE, "%s: %s must be an array", what, name);
        json_destroy(&j);
    }
    return j;
}

/* 1 or 0, -1 for anything else. */
static int mask_at(const struct json *mask, size_t i)
{
    const struct json *v = json_at(mask, i);
    int64_t n = -1;
    int b = -1;

    if (json_as_bool(v, &b) == 0)
        return b;
    return json_as_int(v, &n) == 0 && (n == 0 || n == 1) ? (int)n : -1;
}

struct lists {                              /* as long as each other */
    const struct json *ids, *mask, *labels; /* the last two: NULL where they are not there */
};

/* What trainers keep a loss off is labelled -100. */
static int role_at(const struct json *labels, size_t i)
{
    int64_t v;

    if (json_as_int(json_at(labels, i), &v) != 0)
        return -1;
    return v == -100 ? ROLE_PROMPT : ROLE_ANSWER;
}

static int lengths_check(const struct lists *l, const char *what, struct err *e)
{
    const struct json *others[] = {l->mask, l->labels};
    const char *const names[] = {doc_names[DOC_MASK], doc_names[DOC_LABELS]};
    size_t n = json_count(l->ids);

    if (n == 0)
        return err_set(e, ERR_USE, "%s: input_ids is empty", what);
    for (size_t i = 0; i < 2; i++)
        if (others[i] && json_count(others[i]) != n)
            return err_set(e, ERR_USE, "%s: %s has %zu numbers, input_ids %zu", what, names[i],
                           json_count(others[i]), n);
    return 0;
}

/* Tokens that the mask rules out are no part of the row, so positions count without them. */
static int ids_take(const struct lists *l, const char *what, struct doc *d, struct err *e)
{
    size_t n = json_count(l->ids);
    int64_t id;

    if (lengths_check(l, what, e) < 0 || !(d->ids = mem_array(n, sizeof *d->ids, e)) ||
        (l->labels && !(d->role = mem_array(n, 1, e))))
        return -1;
    for (size_t i = 0; i < n; i++) {
        int on = l->mask ? mask_at(l->mask, i) : 1, role = l->labels ? role_at(l->labels, i) : 0;

        if (on < 0)
            return err_set(e, ERR_USE, "%s: attention_mask[%zu] is neither 0 nor 1", what, i);
        if (role < 0)
            return err_set(e, ERR_USE, "%s: labels[%zu] is no whole number", what, i);
        if (!on)
            continue;
        if (json_as_int(json_at(l->ids, i), &id) != 0 || id < 0 || id > INT32_MAX)
            return err_set(e, ERR_USE, "%s: input_ids[%zu] is not a token id", what, i);
        if (d->role)
            d->role[d->count] = (uint8_t)role;
        d->ids[d->count++] = (int32_t)id;
    }
    d->masked = n - d->count;
    return d->count ? 0 : err_set(e, ERR_USE, "%s: attention_mask rules out every token", what);
}

int doc_ids_read(const struct doc_member *m, const char *what, struct doc *d, struct err *e)
{
    static const enum doc_field fields[] = {DOC_IDS, DOC_MASK, DOC_LABELS};
    struct json *j[3] = {NULL};
    const struct json *list[3] = {NULL};
    int rc = 0;

    for (size_t i = 0; i < 3 && rc == 0; i++)
        if (m[fields[i]].at &&
            !(j[i] = list_parse(&m[fields[i]], doc_names[fields[i]], what, &list[i], e)))
            rc = -1;
    if (rc == 0)
        rc = ids_take(&(struct lists){list[0], list[1], list[2]}, what, d, e);
    for (size_t i = 0; i < 3; i++)
        json_destroy(&j[i]);
    return rc;
}
