/* SPDX-License-Identifier: Apache-2.0 */
/* sample_whole - each document is a row of its own length, in order, as long as the budget has
 * room for the next one. For what must not be cut: chats with images. */
#include <stdlib.h>

#include "../../common/base/mem.h"
#include "../../common/base/plural.h"
#include "sample_impl.h"

static int row_take(struct sample *s, struct document *x, size_t n, int bos, struct err *e)
{
    x->taken = x->n;
    if (document_push(s, x, e) < 0)
        return -1;
    return row_push(s, s->ndocuments - 1, 0, n, bos, e);
}

static int nothing(const struct sample *s, const struct file_group *p, struct err *e)
{
    const struct sample_audit *a = &s->audit;

    return err_set(
        e, ERR_DATA,
        "%s: no document for a row: %llu read, %llu of them longer than %zu tokens, %llu "
        "left out because of an image%s%.200s",
        s->o.data[p->file], (unsigned long long)a->read, (unsigned long long)a->longer, s->set[0],
        (unsigned long long)a->images_bad, a->images_bad ? ", the first: " : "", a->first_bad);
}

int sample_plan_whole(struct sample *s, const struct file_group *p, struct err *e)
{
    struct sample_reader *r = sample_reader_open(s, p, 0, e);
    uint64_t left = p->budget ? p->budget : UINT64_MAX;
    const size_t rows = s->nrow;
    struct document x;
    int got = -1;

    while (r && (got = sample_reader_next(r, &x, NULL, NULL, e)) > 0) {
        const int bos = row_bos(s, x.text);
        const size_t n = x.n + (size_t)bos;

        if (!x.n || n > s->set[0]) {
            s->audit.dropped++;
            s->audit.longer += x.n > 0;
            document_release(&x);
            continue;
        }
        if (n > left) {
            document_release(&x);
            got = 0;
            break;
        }
        left -= n;
        if (row_take(s, &x, n, bos, e) < 0) {
            got = -1;
            break;
        }
    }
    sample_reader_close(&r);
    if (got < 0)
        return -1;
    return s->nrow > rows ? 0 : nothing(s, p, e);
}

static int by_length_down(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return x > y ? -1 : x < y;
}

int sample_whole_lengths(struct sample *s, struct err *e)
{
    size_t n = 0;

    if (s->o.mode != SAMPLE_WHOLE)
        return 0;
    if (!(s->whole = mem_array(s->nrow, sizeof *s->whole, e)))
        return -1;
    for (size_t i = 0; i < s->nrow; i++)
        s->whole[i] = s->row[i].length;
    qsort(s->whole, s->nrow, sizeof *s->whole, by_length_down);
    for (size_t i = 0; i < s->nrow; i++)
        if (!n || s->whole[i] != s->whole[n - 1])
            s->whole[n++] = s->whole[i];
    s->nwhole = n;
    return 0;
}
