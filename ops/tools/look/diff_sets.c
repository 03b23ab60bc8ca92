/* SPDX-License-Identifier: Apache-2.0 */
/* diff_sets - tensors are matched by the names that they have in a plain checkpoint: linears that
 * are stored as codes are compared by the weights that these stand for, so that checkpoints of
 * different formats, or a quantized one and its source, can be told apart by numbers. */
#include "diff_sets.h"

#include <stdlib.h>
#include <string.h>

#include "../../../common/base/mem.h"
#include "weights.h"

/* ---- rotations ---- */

/* "random-hadamard, seed 1", or "" of one that was not rotated; the caller's. */
static char *rotation_text(const struct st_set *set, struct err *e)
{
    struct json *records = st_records(set);
    const struct json *last = NULL;
    int64_t seed;
    char *text;

    for (size_t i = 0; i < json_count(records); i++)
        if (strcmp(json_text_or(json_at(records, i), "stage", ""), "rotate") == 0)
            last = json_at(records, i);
    if (!last)
        text = mem_text("", e);
    else if (json_as_int(json_get(last, "seed"), &seed) == 0)
        text = mem_printf(e, "%s, seed %lld", json_text_or(last, "kind", "?"), (long long)seed);
    else
        text = mem_text(json_text_or(last, "kind", "?"), e);
    json_destroy(&records);
    return text;
}

/* Weights of different bases say nothing about each other. */
static int rotations_check(const struct st_set *a, const struct input *ia, const struct st_set *b,
                           const struct input *ib, struct err *e)
{
    char *x = rotation_text(a, e), *y = x ? rotation_text(b, e) : NULL;
    int rc = y ? 0 : -1;

    if (y && strcmp(x, y) != 0)
        rc = err_set(e, ERR_USE,
                     "'%s' is %s%s%s, '%s' is %s%s%s: their weights are in different bases and "
                     "cannot be compared; ptq eval --ref compares what the models say",
                     ia->path, *x ? "rotated (" : "not rotated", x, *x ? ")" : "", ib->path,
                     *y ? "rotated (" : "not rotated", y, *y ? ")" : "");
    free(x);
    free(y);
    return rc;
}

/* ---- tensors ---- */

/* "GPTQ of 4 bits", "BF16" */
static void kind_text(const struct weights_tensor *x, char *out, size_t room)
{
    if (!x->linear)
        snprintf(out, room, "%s", dtype_name(x->entry->dtype));
    else
        snprintf(out, room, "%s of %d bits", x->linear->f->title, x->linear->l.bits);
}

static int load(const struct weights *w, const struct weights_tensor *x, struct tensor *t,
                struct err *e)
{
    return x->linear ? weights_load(w, x->linear, t, NULL, e) : st_load(w->set, x->entry, t, e);
}

static int compare(struct diff_report *r, const struct weights *wa, const struct weights_tensor *x,
                   const struct weights *wb, const struct weights_tensor *y, struct err *e)
{
    struct tensor a = {.data = NULL}, b = {.data = NULL};
    char kind_a[96], kind_b[96];
    int rc = -1;

    kind_text(x, kind_a, sizeof kind_a);
    kind_text(y, kind_b, sizeof kind_b);
    if (load(wa, x, &a, e) == 0 && load(wb, y, &b, e) == 0) {
        diff_report_tensors(r, "", x->name, &(struct diff_side){&a, kind_a, x->linear != NULL},
                            &(struct diff_side){&b, kind_b, y->linear != NULL});
        rc = 0;
    }
    tensor_release(&a);
    tensor_release(&b);
    return rc;
}

static int compare_all(struct diff_report *r, const struct weights *a, const struct weights *b,
                       struct err *e)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct weights_tensor *x = &a->tensor[i], *y = weights_find(b, x->name);

        if (!y)
            diff_report_say(r, "", x->name, "only in the first");
        else if (compare(r, a, x, b, y, e) < 0)
            return -1;
    }
    for (size_t i = 0; i < b->count; i++)
        if (!weights_find(a, b->tensor[i].name))
            diff_report_say(r, "", b->tensor[i].name, "only in the second");
    return 0;
}

int diff_sets(const struct input *a, const struct input *b, struct diff_report *r, struct err *e)
{
    struct st_set *sa = input_set(a, e), *sb = sa ? input_set(b, e) : NULL;
    struct weights wa = {.set = NULL}, wb = {.set = NULL};
    int rc = -1;

    if (sb && rotations_check(sa, a, sb, b, e) == 0 && weights_open(&wa, a, sa, e) == 0 &&
        weights_open(&wb, b, sb, e) == 0)
        rc = compare_all(r, &wa, &wb, e);
    weights_close(&wb);
    weights_close(&wa);
    st_close(&sb);
    st_close(&sa);
    return rc;
}
