/* attention - one task per sequence, head and block of queries: scores against the keys that the block can see, softmax in place,
 * product with the values, division by the sum last. Keys beyond the block and before its window are never touched, which saves
 * half of the work; scores of one block are all the memory it needs. Leaves out: soft caps, sinks, biases, caches of keys. */
#include "attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "vec.h"

enum { QUERIES = 128 };

struct task {
    size_t start, length, first; /* rows of the sequence in the chunk; first query */
};

struct attention {
    const struct config *c;
    const float *q, *k, *v;
    size_t ldq, ldk, ldv;
    float *x, *scores;
    size_t room;                 /* scores of one worker */
    const struct task *tasks;
};

/* Row i of the scores: softmax without the division over keys [low, high), zero elsewhere. */
static float softmax_row(float *s, size_t keys, size_t low, size_t high)
{
    memset(s, 0, low * sizeof *s);
    memset(s + high, 0, (keys - high) * sizeof *s);
    return vec_exp_sum(s + low, high - low, vec_max(s + low, high - low));
}

static int attention_task(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct attention *a = ctx;
    const struct config *c = a->c;
    const struct task *t = &a->tasks[i / c->heads];
    const size_t head = i % c->heads, kv = head / (c->heads / c->kv_heads), hd = c->head_dim, ldx = c->heads * hd;
    const size_t rows = t->length - t->first < QUERIES ? t->length - t->first : QUERIES;
    const size_t from = c->window && t->first + 1 > c->window ? t->first + 1 - c->window : 0;
    const size_t keys = t->first + rows - from;
    float *s = a->scores + worker * a->room, sum[QUERIES];
    float *x = a->x + (t->start + t->first) * ldx + head * hd;

    if (blas_sgemm(0, 1, rows, keys, hd, 1.0f / sqrtf((float)hd), a->q + (t->start + t->first) * a->ldq + head * hd, a->ldq,
                   a->k + (t->start + from) * a->ldk + kv * hd, a->ldk, 0.0f, s, keys, e) != 0)
        return -1;
    for (size_t j = 0; j < rows; j++) {
        size_t at = t->first + j, low = c->window && at + 1 > c->window ? at + 1 - c->window : 0;

        sum[j] = softmax_row(s + j * keys, keys, low - from, at + 1 - from);
    }
    if (blas_sgemm(0, 0, rows, hd, keys, 1.0f, s, keys, a->v + (t->start + from) * a->ldv + kv * hd, a->ldv, 0.0f, x, ldx, e) != 0)
        return -1;
    for (size_t j = 0; j < rows; j++)
        vec_scale(x + j * ldx, hd, 1.0f / sum[j]);
    return 0;
}

/* Last blocks first: they see the most keys. */
static size_t tasks_make(const struct rows *r, struct task *tasks)
{
    size_t n = 0, start = 0;

    for (size_t s = 0; s < r->nseq; s++) {
        size_t length = (size_t)r->lengths[s];

        for (size_t b = (length + QUERIES - 1) / QUERIES; b-- > 0; n++)
            if (tasks)
                tasks[n] = (struct task){.start = start, .length = length, .first = b * QUERIES};
        start += length;
    }
    return n;
}

int attention_run(struct par *par, const struct config *c, const struct rows *r, const float *q, size_t ldq, const float *k, size_t ldk,
                  const float *v, size_t ldv, float *x, struct err *e)
{
    struct attention a = {.c = c, .q = q, .k = k, .v = v, .ldq = ldq, .ldk = ldk, .ldv = ldv, .x = x};
    size_t longest = 0, n = tasks_make(r, NULL);
    struct task *tasks = mem_array(n, sizeof *tasks, e);
    int rc = -1;

    if (!tasks)
        return -1;
    tasks_make(r, tasks);
    for (size_t s = 0; s < r->nseq; s++)
        if ((size_t)r->lengths[s] > longest)
            longest = (size_t)r->lengths[s];
    a.tasks = tasks;
    a.room = longest * QUERIES;
    a.scores = mem_raw(a.room * par_threads(par), sizeof *a.scores, e);
    if (a.scores)
        rc = par_for(par, n * c->heads, attention_task, &a, e);
    free(a.scores);
    free(tasks);
    return rc;
}
