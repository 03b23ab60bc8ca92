/* SPDX-License-Identifier: Apache-2.0 */
/* diff - messages are matched by kind and id, in any order. Sequence numbers,
 * run ids and codecs do not count: they say how a thing travelled, not what it is. The first
 * stream is held in memory, the second one passes by. */
#include "diff.h"

#include <stdlib.h>
#include <string.h>

#include "../../../common/base/fs.h"
#include "../../../common/base/json.h"
#include "../../../common/base/mem.h"
#include "../../../common/wire/link.h"
#include "diff_report.h"
#include "diff_sets.h"
#include "input.h"

struct held {
    struct msg *m;
    int seen;
};

struct hold {
    struct held *list;
    size_t count, cap;
};

/* Tensors as they are. */
static void compare_tensors(struct diff_report *r, const char *where, const struct tensor *a,
                            const struct tensor *b)
{
    diff_report_tensors(r, where, a->name, &(struct diff_side){a, dtype_name(a->dtype), 0},
                        &(struct diff_side){b, dtype_name(b->dtype), 0});
}

static int ignored(const struct diff_report *r, const char *field)
{
    for (size_t i = 0; i < r->o->nignore; i++)
        if (!strcmp(r->o->ignore[i], field))
            return 1;
    return 0;
}

/* 1 equal, 0 not; members named in --ignore are left out at every depth. */
static int same_value(const struct diff_report *r, const struct json *a, const struct json *b)
{
    double x = 0, y = 0;
    int64_t i = 0, k = 0;
    int p = 0, q = 0;

    if (json_kind(a) != json_kind(b))
        return 0;
    switch (json_kind(a)) {
    case JSON_KIND_NULL:
        return 1;
    case JSON_KIND_BOOL:
        return !json_as_bool(a, &p) && !json_as_bool(b, &q) && p == q;
    case JSON_KIND_INT:
        return !json_as_int(a, &i) && !json_as_int(b, &k) && i == k;
    case JSON_KIND_REAL:
        return !json_as_real(a, &x) && !json_as_real(b, &y) && !memcmp(&x, &y, sizeof x);
    case JSON_KIND_TEXT:
        return json_text_length(a) == json_text_length(b) &&
               !memcmp(json_as_text(a), json_as_text(b), json_text_length(a));
    case JSON_KIND_ARRAY:
        if (json_count(a) != json_count(b))
            return 0;
        for (size_t n = 0; n < json_count(a); n++)
            if (!same_value(r, json_at(a, n), json_at(b, n)))
                return 0;
        return 1;
    case JSON_KIND_OBJECT:
        break;
    }
    for (int turn = 0; turn < 2; turn++) {
        const struct json *from = turn ? b : a, *to = turn ? a : b;

        for (size_t n = 0; n < json_count(from); n++) {
            const char *key = "";
            const struct json *child = json_member(from, n, &key);

            if (!ignored(r, key) &&
                (!json_get(to, key) || !same_value(r, child, json_get(to, key))))
                return 0;
        }
    }
    return 1;
}

static void compare_meta(struct diff_report *r, const char *where, const struct json *a,
                         const struct json *b)
{
    for (int turn = 0; turn < 2; turn++) {
        const struct json *from = turn ? b : a, *to = turn ? a : b;

        for (size_t n = 0; n < json_count(from); n++) {
            const char *key = "";
            const struct json *child = json_member(from, n, &key);

            if (ignored(r, key) || (turn && json_get(to, key)))
                continue;
            if (!json_get(to, key))
                diff_report_say(r, where, key, turn ? "only in the second" : "only in the first");
            else if (!same_value(r, child, json_get(to, key)))
                diff_report_say(r, where, key, "the fields differ");
        }
    }
}

static void compare_messages(struct diff_report *r, const struct msg *a, const struct msg *b)
{
    char where[MSG_ID + 16];

    snprintf(where, sizeof where, "%s %s", msg_kind_name(a->kind), a->id);
    compare_meta(r, where, a->meta, b->meta);
    for (size_t i = 0; i < a->ntensors; i++) {
        const struct tensor *t = msg_tensor(b, a->tensors[i].name);

        if (t)
            compare_tensors(r, where, &a->tensors[i], t);
        else
            diff_report_say(r, where, a->tensors[i].name, "only in the first");
    }
    for (size_t i = 0; i < b->ntensors; i++)
        if (!msg_tensor(a, b->tensors[i].name))
            diff_report_say(r, where, b->tensors[i].name, "only in the second");
}

/* Calls take(ctx, &m) for every message; what it leaves in m is destroyed. */
static int each_message(const char *path, int (*take)(void *, struct msg **, struct err *),
                        void *ctx, struct err *e)
{
    const struct link_opts o = {.name = "diff"};
    struct link *l = link_open(path, LINK_IN, &o, e);
    struct msg *m = NULL;
    int rc;

    if (!l)
        return -1;
    while ((rc = link_recv(l, &m, -1, e)) == 1) {
        rc = take(ctx, &m, e);
        msg_destroy(&m);
        if (rc < 0)
            break;
    }
    if (rc == 2)
        rc = err_set(e, ERR_DATA, "stopped before the end of the stream");
    link_close(&l);
    return rc;
}

static int keep(void *ctx, struct msg **m, struct err *e)
{
    struct hold *h = ctx;

    if (mem_grow((void **)&h->list, &h->cap, h->count + 1, sizeof *h->list, e) < 0)
        return -1;
    h->list[h->count++] = (struct held){*m, 0};
    *m = NULL;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct msg *x = ((const struct held *)a)->m, *y = ((const struct held *)b)->m;

    return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1) : strcmp(x->id, y->id);
}

struct passing {
    struct hold *hold;
    struct diff_report *r;
};

static int match(void *ctx, struct msg **m, struct err *e)
{
    struct passing *p = ctx;
    struct held key = {*m, 0}, *found = NULL;
    char where[MSG_ID + 16];

    (void)e;
    if (p->hold->count)
        found = bsearch(&key, p->hold->list, p->hold->count, sizeof key, by_name);
    if (found && !found->seen) {
        found->seen = 1;
        compare_messages(p->r, found->m, *m);
        return 0;
    }
    snprintf(where, sizeof where, "%s %s", msg_kind_name((*m)->kind), (*m)->id);
    diff_report_say(p->r, where, "", found ? "twice in the second" : "only in the second");
    return 0;
}

/* Most of what can be wrong with a stream names it already. */
static void name_stream(const char *path, struct err *e)
{
    if (!strstr(e->text, path))
        err_prefix(e, "'%s'", path);
}

static int diff_streams(const char *a, const char *b, struct diff_report *r, struct err *e)
{
    struct hold h = {0};
    struct passing p = {&h, r};
    char where[MSG_ID + 16];
    int rc = each_message(a, keep, &h, e);

    if (rc < 0) {
        name_stream(a, e);
        goto out;
    }
    if (h.count)
        qsort(h.list, h.count, sizeof *h.list, by_name);
    rc = each_message(b, match, &p, e);
    if (rc < 0) {
        name_stream(b, e);
        goto out;
    }
    for (size_t i = 0; i < h.count; i++)
        if (!h.list[i].seen) {
            snprintf(where, sizeof where, "%s %s", msg_kind_name(h.list[i].m->kind),
                     h.list[i].m->id);
            diff_report_say(r, where, "", "only in the first");
        }
out:
    for (size_t i = 0; i < h.count; i++)
        msg_destroy(&h.list[i].m);
    free(h.list);
    return rc;
}

int diff_paths(const char *a, const char *b, const struct diff_opts *o, FILE *out, struct err *e)
{
    struct diff_report r = {.o = o, .out = out};
    struct input x = {0}, y = {0};
    int rc = -1;

    if (!strcmp(a, "-") && !strcmp(b, "-"))
        return err_set(e, ERR_USE, "only one of the two can be standard input");
    if (input_open(&x, a, e) == 0 && input_open(&y, b, e) == 0) {
        if ((x.kind == INPUT_STREAM) == (y.kind == INPUT_STREAM))
            rc = x.kind == INPUT_STREAM ? diff_streams(x.path, y.path, &r, e)
                                        : diff_sets(&x, &y, &r, e);
        else
            err_set(e, ERR_USE, "'%s' and '%s': one is a stream, the other holds tensors", a, b);
    }
    input_close(&y);
    input_close(&x);
    if (rc < 0)
        return -1;
    diff_report_totals(&r);
    if (fs_flush(out, e) < 0)
        return -1;
    return r.different != 0;
}
