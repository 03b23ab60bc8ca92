/* SPDX-License-Identifier: Apache-2.0 */
/* write_card - README.md of the output: the front matter that hubs read, what was done to the
 * linears, who loads it and how. It takes the place of the source's card, which speaks of another
 * model. The same bytes in every run of the same job: no times, paths, hosts. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/plural.h"
#include "../../common/base/version.h"
#include "../../common/format/engine.h"
#include "../../common/model/family.h"
#include "write_assemble.h"

static int alike(const struct format_linear *a, const struct format_linear *b)
{
    return a->kept ? b->kept
                   : !b->kept && a->bits == b->bits && a->group == b->group && a->grid == b->grid;
}

/* A row of the table for each kind, at the first linear that is of it. */
static void kinds_print(FILE *out, const struct plan *p)
{
    fputs("| linears | bits | group | grid |\n| --- | --- | --- | --- |\n", out);
    for (size_t i = 0; i < p->nlinears; i++) {
        const struct format_linear *l = p->view[i];
        size_t first = 0, count = 0;

        while (!alike(l, p->view[first]))
            first++;
        if (first < i)
            continue;
        for (size_t k = i; k < p->nlinears; k++)
            count += alike(l, p->view[k]) != 0;
        if (l->kept)
            fprintf(out, "| %zu | as they were | | |\n", count);
        else if (l->group < 0)
            fprintf(out, "| %zu | %d | a row | %s |\n", count, l->bits, l->grid->name);
        else
            fprintf(out, "| %zu | %d | %lld | %s |\n", count, l->bits, (long long)l->group,
                    l->grid->name);
    }
}

/* The share that is quantized, and how many weights share a scale: what laws of mixed quantization
 * speak of (ptq law). */
static void shares_print(FILE *out, const struct plan *p)
{
    double all = 0, quantized = 0, scales = 0;

    for (size_t i = 0; i < p->nlinears; i++) {
        const struct format_linear *l = p->view[i];
        const double rows = (double)l->N, weights = rows * (double)l->K;

        all += weights;
        if (l->kept)
            continue;
        quantized += weights;
        scales += rows * (l->group > 0 ? ceil((double)l->K / (double)l->group) : 1);
    }
    if (scales > 0)
        fprintf(out,
                "\nOf the weights of these linears %.4g%% are quantized (Qr %.4g), %.4g to a "
                "scale (Qb).\n",
                100 * quantized / all, quantized / all, quantized / scales);
}

/* Of a run that could not go on. */
static void left_print(FILE *out, const struct plan *p)
{
    size_t first = 0;

    while (first < p->sites && !p->site[first].left)
        first++;
    if (first < p->sites)
        fprintf(
            out,
            "\nThe run that made it ended early: %zu of %zu sites, the first of them %s of block "
            "%zu, were not quantized, and their linears are those of the source.\n",
            p->left, p->sites, p->site[first].site->name, p->site[first].block);
}

static void kernels_print(FILE *out, const struct plan *p)
{
    if (p->any_kernels)
        fputs("\nNot reproducible to the last bit: hosts whose CPUs compute with different kernels "
              "could take part in the run (`--kernels any`), and which of them did what is "
              "chance.\n",
              out);
}

/* Where there were several: of an override, a contest, or a swap in a run. */
static void solvers_print(FILE *out, const struct plan *p)
{
    size_t named = 0, kept = 0;

    for (size_t i = 0; i < p->sites; i++)
        kept += !*p->site[i].solver || strcmp(p->site[i].solver, "none") == 0;
    for (size_t i = 0; i < p->sites; i++) {
        const char *solver = p->site[i].solver;
        size_t first = 0, count = 0;

        while (strcmp(p->site[first].solver, solver) != 0)
            first++;
        for (size_t k = i; k < p->sites; k++)
            count += strcmp(p->site[k].solver, solver) == 0;
        if (!*solver || strcmp(solver, "none") == 0 || first < i || count + kept == p->sites)
            continue;
        fprintf(out, "%s%s: %zu site%s", named++ ? ", " : "\nSolvers: ", solver, count,
                plural_s(count));
    }
    if (named)
        fputs(".\n", out);
}

static void engines_print(FILE *out, const struct plan *p, const struct format *f)
{
    struct engine_look look;
    char text[512];

    engine_start(&look, f);
    for (size_t i = 0; i < p->nlinears; i++)
        engine_add(&look, p->view[i]);
    engine_text(&look, text, sizeof text);
    fprintf(out, "\n## Serve it\n\nLoads in: %s.\n", text);
    if (!family_of(&p->config)->served)
        fprintf(out,
                "\nThat is what these take of the format, tried with models of another type: "
                "whether each knows %s is for it to say.\n",
                p->config.model_type);
    for (size_t i = 0; look.table[i].name; i++)
        if (!*look.no[i])
            fprintf(out, "\n%s%s:\n\n    %s\n", look.table[i].name,
                    look.table[i].untried ? " (on a GPU; not tried)" : "", engine_use(&look, i));
}

char *card_text(const struct plan *p, const struct format *f, uint64_t bytes, int head_bits,
                struct err *e)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    int bad = !out;

    if (out) {
        fprintf(out,
                "---\nlibrary_name: %s\ntags:\n- ptqflow\n- %s\n---\n\n"
                "# A %s model, quantized (%s)\n\n"
                "%s with ptqflow " PTQ_VERSION ", from a checkpoint of model type %s. Its "
                "licence and what its card says of use and limits hold for this one too.\n\n",
                f->container == FORMAT_GGUF ? "gguf" : "transformers", f->name,
                p->config.model_type, f->title,
                p->packed ? "Repacked from codes that were there" : "Quantized",
                p->config.model_type);
        kinds_print(out, p);
        shares_print(out, p);
        left_print(out, p);
        solvers_print(out, p);
        kernels_print(out, p);
        if (head_bits && f->container != FORMAT_GGUF)
            fputs("\nThe head is rounded to nearest; embeddings and norms are those of the source.",
                  out);
        else if (head_bits)
            fprintf(out,
                    "\nThe embedding and the head are rounded to nearest, %d bits in blocks of 32; "
                    "norms are those of the source.",
                    head_bits);
        else
            fputs("\nEmbeddings, norms and the head are those of the source.", out);
        fprintf(out, " Tensor bytes: %" PRIu64 ".\n", bytes);
        engines_print(out, p, f);
        if (p->note)
            fprintf(out, "\n## Why so\n\n%s", p->note);
        fprintf(out,
                "\n## How it was made\n\nThe metadata of the weight files hold every option of "
                "every stage%s.\n",
                f->container == FORMAT_GGUF ? " under the key " ST_RECORDS ".records"
                                            : ": `ptq inspect DIR` shows them");
        bad = fflush(out) != 0 || ferror(out);
        bad |= fclose(out) != 0;
    }
    if (bad) {
        free(text);
        text = NULL;
        err_set(e, ERR_SYS, "README.md: out of memory");
    }
    return text;
}
