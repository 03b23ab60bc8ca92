/* SPDX-License-Identifier: Apache-2.0 */
/* sample_plan - which tokens of which documents make which row. One planner a mode (crops:
 * sample_crops.c); each keeps only the documents that it uses. */
#include <stdio.h>
#include <stdlib.h>

#include "../../common/base/mem.h"
#include "../../common/base/plural.h"
#include "sample_impl.h"

int document_push(struct sample *s, struct document *x, struct err *e)
{
    void *p = s->document;

    if (s->ndocuments == s->document_cap &&
        mem_grow(&p, &s->document_cap, s->ndocuments + 1, sizeof *s->document, e) < 0) {
        document_release(x);
        return -1;
    }
    s->document = p;
    s->document[s->ndocuments++] = *x;
    x->ids = NULL; /* the list's now */
    x->role = NULL;
    return 0;
}

int row_push(struct sample *s, size_t doc, size_t offset, size_t length, int bos, struct err *e)
{
    void *p = s->row;

    if (s->nrow == s->row_cap && mem_grow(&p, &s->row_cap, s->nrow + 1, sizeof *s->row, e) < 0)
        return -1;
    s->row = p;
    s->row[s->nrow++] = (struct row){.doc = doc, .offset = offset, .length = length, .bos = bos};
    return 0;
}

int row_bos(const struct sample *s, int text)
{
    if (s->bos < 0 || s->o.bos == SAMPLE_BOS_NO)
        return 0;
    return s->o.bos == SAMPLE_BOS_YES || (s->o.mode != SAMPLE_CONCAT && text);
}

int sample_plan_failed(const struct sample *s, const struct file_group *p, uint64_t have,
                       struct err *e)
{
    const struct sample_audit *a = &s->audit;
    char skipped[400] = "";
    uint64_t need = 0, i;

    if (a->lines_skipped)
        snprintf(skipped, sizeof skipped, "; %llu line%s skipped, the first: %s",
                 (unsigned long long)a->lines_skipped, plural_s(a->lines_skipped),
                 a->first_skipped);
    else if (a->chats_refused)
        snprintf(skipped, sizeof skipped, "; %llu chat%s refused by the template, the first: %s",
                 (unsigned long long)a->chats_refused, plural_s(a->chats_refused),
                 a->first_refused);
    else if (a->tokens_masked)
        snprintf(skipped, sizeof skipped, "; attention_mask left %llu token%s out",
                 (unsigned long long)a->tokens_masked, plural_s(a->tokens_masked));
    if (p->want == UINT64_MAX)
        need = s->set[0];
    else if (!p->length)
        need = p->want * s->set[0];
    else
        for (i = 0; i < p->want; i++)
            need += p->length[i];
    err_set(e, ERR_DATA,
            "data too short: need %llu tokens, have %llu%s (%llu document%s read, %llu of them too "
            "short)%s; more --data, or fewer --tokens",
            (unsigned long long)need, (unsigned long long)have,
            s->o.mode == SAMPLE_CONCAT ? "" : " in rows of --length", (unsigned long long)a->read,
            plural_s(a->read), (unsigned long long)a->dropped, skipped);
    return err_prefix(e, "%s", s->o.data[p->file]);
}

/* ---- documents joined ---- */

int join_fill(struct sample *s, struct sample_reader *r, uint64_t need, int joined, uint64_t *have,
              struct err *e)
{
    struct document x;
    int got;

    while (*have < need) {
        if ((got = sample_reader_next(r, &x, NULL, NULL, e)) < 0)
            return -1;
        if (!got)
            break;
        if (!x.n) {
            s->audit.dropped += !joined;
            document_release(&x);
            continue;
        }
        *have += x.n;
        x.joined = joined;
        if (document_push(s, &x, e) < 0)
            return -1;
    }
    return 0;
}

int join_row(struct sample *s, struct join *j, size_t length, int bos, struct err *e)
{
    size_t left = length - (size_t)bos;

    if (row_push(s, j->doc, j->offset, length, bos, e) < 0)
        return -1;
    while (left) {
        struct document *x = &s->document[j->doc];
        size_t take = x->n - j->offset < left ? x->n - j->offset : left;

        x->taken += take;
        left -= take;
        j->offset += take;
        if (j->offset < x->n)
            continue;
        j->doc++;
        j->offset = 0;
    }
    return 0;
}

static int plan_concat(struct sample *s, const struct file_group *p, struct err *e)
{
    struct sample_reader *r = sample_reader_open(s, p, 0, e);
    struct join at = {.doc = s->ndocuments};
    size_t bos = (size_t)row_bos(s, 0);
    uint64_t need = UINT64_MAX, have = 0, left, i;
    int rc = -1;

    if (!r)
        return -1;
    if (p->want != UINT64_MAX)
        for (need = i = 0; i < p->want; i++)
            need += group_length(s, p, i) - bos;
    if (join_fill(s, r, need, 0, &have, e) < 0)
        goto out;
    left = have;
    for (i = 0; i < p->want && left >= group_length(s, p, i) - bos; i++) {
        left -= group_length(s, p, i) - bos;
        if (join_row(s, &at, group_length(s, p, i), (int)bos, e) < 0)
            goto out;
    }
    rc = p->want == UINT64_MAX ? (i ? 0 : sample_plan_failed(s, p, have, e))
         : i == p->want        ? 0
                               : sample_plan_failed(s, p, have + i * bos, e);
out:
    sample_reader_close(&r);
    return rc;
}

/* ---- head ---- */

static int plan_head(struct sample *s, const struct file_group *p, struct err *e)
{
    struct sample_reader *r = sample_reader_open(s, p, 0, e);
    size_t length = s->set[0];
    uint64_t rows = 0;
    struct document x;
    int got = -1;

    while (r && rows < p->want && (got = sample_reader_next(r, &x, NULL, NULL, e)) > 0) {
        x.taken = length - (size_t)row_bos(s, x.text);
        if (x.n < x.taken) {
            s->audit.dropped++;
            document_release(&x);
            continue;
        }
        if (document_push(s, &x, e) < 0 ||
            row_push(s, s->ndocuments - 1, 0, length, row_bos(s, x.text), e) < 0) {
            got = -1;
            break;
        }
        rows++;
    }
    sample_reader_close(&r);
    if (got < 0)
        return -1;
    return (p->want == UINT64_MAX && rows) || rows == p->want
               ? 0
               : sample_plan_failed(s, p, rows * length, e);
}

/* ---- the whole ---- */

static int plan_group(struct sample *s, struct file_group *p, struct err *e)
{
    static int (*const planner[])(struct sample *, const struct file_group *, struct err *) = {
        [SAMPLE_CONCAT] = plan_concat,
        [SAMPLE_CROPS] = sample_plan_crops,
        [SAMPLE_HEAD] = plan_head,
        [SAMPLE_WHOLE] = sample_plan_whole,
    };

    p->first = s->nrow;
    if (planner[s->o.mode](s, p, e) < 0)
        return -1;
    p->want = s->nrow - p->first;
    return 0;
}

int sample_plan(struct sample *s, struct err *e)
{
    size_t i;

    for (i = 0; i < s->ngroups; i++)
        if (plan_group(s, &s->group[i], e) < 0)
            return -1;
    for (i = 0; i < s->ndocuments; i++) {
        const struct document *x = &s->document[i];

        s->audit.used += x->taken > 0 && !x->joined;
        s->audit.cropped += x->taken > 0 && x->taken < x->n && !x->joined;
    }
    return 0;
}
