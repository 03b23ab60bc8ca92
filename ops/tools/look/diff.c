/* SPDX-License-Identifier: Apache-2.0 */
/* diff - messages are matched by kind and id, in any order, tensors by name. Sequence numbers,
 * run ids and codecs do not count: they say how a thing travelled, not what it is. The first
 * stream is held in memory, the second one passes by. */
#include "diff.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/fs.h"
#include "../../../common/base/json.h"
#include "../../../common/base/mem.h"
#include "../../../common/base/plural.h"
#include "../../../common/tensor/safetensors.h"
#include "../../../common/wire/link.h"
#include "input.h"
#include "../stream/tensor_values.h"

struct diff_report {
    const struct diff_opts *o;
    FILE *out;
    uint64_t equal, different;
};

struct held {
    struct msg *m;
    int seen;
};

struct hold {
    struct held *list;
    size_t count, cap;
};

/* One finding: where ("problem b3.attn.qkv", or empty), what (a tensor or field), how. */
static void say(struct diff_report *r, const char *where, const char *what, const char *how,
                double max_abs)
{
    struct json *j;
    char *text;

    r->different++;
    if (!r->o->json) {
        fprintf(r->out, "%s%s%s: %s\n", where, *where && *what ? ": " : "", what, how);
        return;
    }
    j = json_new_object();
    if (j && !json_set_text(j, "message", where) && !json_set_text(j, "what", what) &&
        !json_set_text(j, "how", how) && (max_abs < 0 || !json_set_real(j, "max_abs", max_abs)) &&
        (text = json_print(j, 0, NULL))) {
        fprintf(r->out, "%s\n", text);
        free(text);
    }
    json_destroy(&j);
}

static void compare_tensors(struct diff_report *r, const char *where, const struct tensor *a,
                            const struct tensor *b)
{
    char how[320], sa[96], sb[96];
    struct value_diff d;

    if (a->dtype != b->dtype || !tensor_has_shape(a, b->ndim, b->shape)) {
        tensor_shape_text(a->ndim, a->shape, sa, sizeof sa);
        tensor_shape_text(b->ndim, b->shape, sb, sizeof sb);
        snprintf(how, sizeof how, "%s %s against %s %s", dtype_name(a->dtype), sa,
                 dtype_name(b->dtype), sb);
        say(r, where, a->name, how, -1);
        return;
    }
    values_compare(a, b, &d);
    if (!d.different) {
        r->equal++;
        return;
    }
    snprintf(how, sizeof how, "%zu of %zu elements differ, by at most %.6g", d.different, d.n,
             d.max_abs);
    say(r, where, a->name, how, d.max_abs);
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
                say(r, where, key, turn ? "only in the second" : "only in the first", -1);
            else if (!same_value(r, child, json_get(to, key)))
                say(r, where, key, "the fields differ", -1);
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
            say(r, where, a->tensors[i].name, "only in the first", -1);
    }
    for (size_t i = 0; i < b->ntensors; i++)
        if (!msg_tensor(a, b->tensors[i].name))
            say(r, where, b->tensors[i].name, "only in the second", -1);
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
    say(p->r, where, "", found ? "twice in the second" : "only in the second", -1);
    return 0;
}

static int diff_streams(const char *a, const char *b, struct diff_report *r, struct err *e)
{
    struct hold h = {0};
    struct passing p = {&h, r};
    char where[MSG_ID + 16];
    int rc = each_message(a, keep, &h, e);

    if (rc < 0) {
        err_prefix(e, "'%s'", a);
        goto out;
    }
    if (h.count)
        qsort(h.list, h.count, sizeof *h.list, by_name);
    rc = each_message(b, match, &p, e);
    if (rc < 0) {
        err_prefix(e, "'%s'", b);
        goto out;
    }
    for (size_t i = 0; i < h.count; i++)
        if (!h.list[i].seen) {
            snprintf(where, sizeof where, "%s %s", msg_kind_name(h.list[i].m->kind),
                     h.list[i].m->id);
            say(r, where, "", "only in the first", -1);
        }
out:
    for (size_t i = 0; i < h.count; i++)
        msg_destroy(&h.list[i].m);
    free(h.list);
    return rc;
}

static int compare_entries(struct diff_report *r, const struct st_set *sa, const struct st_entry *x,
                           const struct st_set *sb, const struct st_entry *y, struct err *e)
{
    struct tensor a = {0}, b = {0};
    int rc = -1;

    if (st_load(sa, x, &a, e) == 0 && st_load(sb, y, &b, e) == 0) {
        compare_tensors(r, "", &a, &b);
        rc = 0;
    }
    tensor_release(&a);
    tensor_release(&b);
    return rc;
}

static int diff_sets(const struct st_set *a, const struct st_set *b, struct diff_report *r,
                     struct err *e)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct st_entry *y = st_find(b, a->entries[i].name);

        if (!y)
            say(r, "", a->entries[i].name, "only in the first", -1);
        else if (compare_entries(r, a, &a->entries[i], b, y, e) < 0)
            return -1;
    }
    for (size_t i = 0; i < b->count; i++)
        if (!st_find(a, b->entries[i].name))
            say(r, "", b->entries[i].name, "only in the second", -1);
    return 0;
}

static void totals(const struct diff_report *r)
{
    if (r->o->json)
        fprintf(r->out, "{\"equal\":%" PRIu64 ",\"different\":%" PRIu64 "}\n", r->equal,
                r->different);
    else
        fprintf(r->out, "%" PRIu64 " tensor%s equal, %" PRIu64 " difference%s\n", r->equal,
                plural_s(r->equal), r->different, plural_s(r->different));
}

static int diff_inputs(const struct input *a, const struct input *b, struct diff_report *r,
                       struct err *e)
{
    struct st_set *sa = NULL, *sb = NULL;
    int rc = -1;

    if (a->kind == INPUT_STREAM)
        return diff_streams(a->path, b->path, r, e);
    if ((sa = input_set(a, e)) && (sb = input_set(b, e)))
        rc = diff_sets(sa, sb, r, e);
    st_close(&sb);
    st_close(&sa);
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
            rc = diff_inputs(&x, &y, &r, e);
        else
            err_set(e, ERR_USE, "'%s' and '%s': one is a stream, the other holds tensors", a, b);
    }
    input_close(&y);
    input_close(&x);
    if (rc < 0)
        return -1;
    totals(&r);
    if (fs_flush(out, e) < 0)
        return -1;
    return r.different != 0;
}
