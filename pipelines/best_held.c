/* SPDX-License-Identifier: Apache-2.0 */
/* best_held - what trials are judged on: the rows that follow those of the calibration when all
 * documents are joined. No trial and no last run has seen them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/base/fs.h"
#include "../common/base/mem.h"
#include "../common/wire/link.h"
#include "../common/wire/msg_chunk.h"
#include "../stages/sample/sample_opts.h"
#include "best_parts.h"

static size_t stage_of(const struct route *t, const struct stage_spec *spec)
{
    size_t i = 0;

    while (!t->stage[i] || t->stage[i]->spec != spec)
        i++;
    return i;
}

/* What was measured on other rows. */
static int forget(const struct best *x, struct err *e)
{
    char name[32], *states = fs_join(x->dir, BEST_STATES, e);
    int rc = states ? 0 : -1;

    if (rc == 0 && fs_exists(states) && unlink(states))
        rc = err_sys(e, "cannot remove '%s'", states);
    for (size_t i = 0; i < TRIALS_MAX && rc == 0; i++) {
        snprintf(name, sizeof name, BEST_JUDGE, i);
        rc = steps_forget(&x->steps, name, e);
    }
    free(states);
    return rc;
}

/* Rows of the window's length: those of the calibration, then the held ones. */
static int sample(struct best *x, const char *chunks, int64_t rows, struct err *e)
{
    static const char *const except[] = {"tokens", "length", "lengths",      "mode",
                                         "lanes",  "draw",   "first-weight", "weights",
                                         "crops",  "short",  "weight-file",  NULL};
    struct words w = {0};
    char tokens[32], window[32];
    int rc;

    snprintf(tokens, sizeof tokens, "%lld", (long long)(rows * x->window));
    snprintf(window, sizeof window, "%lld", (long long)x->window);
    rc = words_add(&w, "sample", e) < 0 ||
                 words_given(&w, x->t->r, stage_of(x->t, &sample_spec), except, e) < 0 ||
                 words_option(&w, "mode", "concat", e) < 0 ||
                 words_option(&w, "length", window, e) < 0 ||
                 words_option(&w, "tokens", tokens, e) < 0 ||
                 words_option(&w, "out", chunks, e) < 0 || words_option(&w, "quiet", NULL, e) < 0
             ? -1
             : steps_run(&x->steps, "held", "rows to judge trials on, behind the calibration rows",
                         &w, e);
    words_release(&w);
    if (rc == 1 && forget(x, e) < 0)
        return -1;
    return rc < 0 ? err_prefix(e,
                               "%lld tokens for the calibration and %lld to judge trials on "
                               "(fewer --tokens, or --judge FILE)",
                               (long long)x->tokens, (long long)x->held)
                  : 0;
}

static void print_row(FILE *f, const int32_t *ids, int32_t n)
{
    fputs("{\"input_ids\": [", f);
    for (int32_t i = 0; i < n; i++)
        fprintf(f, "%s%d", i ? ", " : "", (int)ids[i]);
    fputs("]}\n", f);
}

/* The rows of a stream from number `from` on. */
static int rows_print(const char *chunks, int64_t from, FILE *f, struct err *e)
{
    const struct link_opts o = {.name = "ptq"};
    struct link *in = link_open(chunks, LINK_IN, &o, e);
    struct msg *m = NULL;
    int64_t row = 0;
    int rc = -1;

    while (in && (rc = link_recv(in, &m, -1, e)) == 1) {
        struct chunk_view v;
        size_t at = 0;

        rc = chunk_read(m, &v, e);
        for (size_t i = 0; rc == 0 && i < v.nseq; at += (size_t)v.lengths[i++])
            if (row++ >= from)
                print_row(f, v.ids + at, v.lengths[i]);
        msg_destroy(&m);
        if (rc < 0)
            break;
    }
    link_close(&in);
    return rc == 2 ? err_set(e, ERR_SYS, "asked to stop") : rc;
}

int best_held(struct best *x, struct err *e)
{
    const int64_t before = (x->tokens + x->window - 1) / x->window,
                  rows = (x->held + x->window - 1) / x->window;
    char *chunks = fs_join(x->dir, "held.ptq", e), *text = NULL;
    size_t n = 0;
    FILE *f = NULL;
    int rc = -1;

    if (!chunks || !(x->text = fs_join(x->dir, "held.jsonl", e)) ||
        sample(x, chunks, before + rows, e) < 0)
        goto out;
    if (!(f = open_memstream(&text, &n))) {
        err_sys(e, "no memory for the held-out rows");
        goto out;
    }
    rc = rows_print(chunks, before, f, e);
    if (fclose(f) && rc == 0)
        rc = err_sys(e, "no memory for the held-out rows");
    if (rc == 0)
        rc = fs_publish(x->text, text, n, e);
out:
    free(text);
    free(chunks);
    return rc;
}
