/* SPDX-License-Identifier: Apache-2.0 */
/* best_note - what a search found, for the journal and the model card: the same for the same job,
 * so without times and paths. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "best_parts.h"

static void print_trials(FILE *f, const struct best *x)
{
    fprintf(f, "| trial | KL divergence | |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < x->count; i++) {
        const struct trial *t = &x->trial[i];

        fprintf(f, "| %s | ", t->what);
        if (isnan(t->of.kl)) {
            fprintf(f, "| not possible |\n");
            continue;
        }
        fprintf(f, isnan(t->of.se) ? "%.4g |" : "%.4g \u00b1 %.2g |", t->of.kl, t->of.se);
        fprintf(f, " %s |\n", isnan(t->gain) ? "" : t->kept ? "kept" : "no better");
    }
}

static void print_sink(FILE *f, const struct sink *s)
{
    if (!(s->energy > 0))
        return;
    fprintf(
        f,
        "\nThe first token of a row holds most at %s of block %llu: %.3g%% of the energy of its "
        "outputs, with %.2g%% of the weight; ",
        s->site, (unsigned long long)s->block, 100 * s->energy, 100 * s->weight);
    fprintf(f, s->energy > BEST_SINK
                   ? "attention rests on it, so its weight and the length of the rows matter.\n"
                   : "too little for its weight or the length of the rows to be tried.\n");
}

char *best_note(const struct best *x, struct err *e)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    if (f) {
        fprintf(f,
                "Found by trials on %lld of %lld calibration tokens, each with one thing changed, "
                "judged by the KL divergence from the unquantized model on %s.\n\n",
                (long long)x->probe, (long long)x->tokens,
                x->judge ? "a text of its own" : "rows that no run has seen");
        print_trials(f, x);
        print_sink(f, &x->sink);
        if (x->left_out)
            fprintf(f, "\nNot tried, because the budget was spent: %zu more.\n", x->left_out);
    }
    if (!f || fclose(f)) {
        free(text);
        err_sys(e, "no memory for the note of what was found");
        return NULL;
    }
    return text;
}
