/* SPDX-License-Identifier: Apache-2.0 */
/* preview_text - a preview as tables for people. */
#include "preview.h"

#include <inttypes.h>
#include <stdio.h>
#include "../../../common/base/bytes.h"
#include "../../../stages/forward/forward_forecast.h"
#include "../../../stages/solve/solve_forecast.h"

/* "4 bits, group 64, gptq" of a class. */
static void class_text(const struct preview_class *c, const struct preview_opts *o, char *out,
                       size_t room)
{
    if (c->kept)
        snprintf(out, room, "as it is");
    else
        snprintf(out, room, "%d bits, group %lld, %s%s%s", c->bits, (long long)c->group,
                 (c->grid ? c->grid : o->solve->grid)->name, c->solver ? ", solver " : "",
                 c->solver ? c->solver : "");
}

static void print_classes(const struct preview *p, const struct preview_opts *o)
{
    printf("%-40s %8s %14s %14s\n", "linears", "count", "weights", "bytes");
    for (size_t i = 0; i < p->nclasses; i++) {
        char text[120];

        class_text(&p->class[i], o, text, sizeof text);
        printf("  %-38s %8zu %14" PRIu64 " %14" PRIu64 "\n", text, p->class[i].linears,
               p->class[i].weights, p->class[i].bytes);
    }
    printf("  %-38s %8s %14s %14" PRIu64 "\n", "embeddings, norms, biases, head", "", "", p->other);
}

static void print_overrides(const struct overrides *o, const struct preview *p)
{
    if (o->count)
        printf("\n%-40s %8s %14s %14s\n", "overrides", "linears", "weights", "decides for");
    for (size_t i = 0; i < o->count; i++)
        printf("  %-38s %8zu %14" PRIu64 " %14zu\n", o->at[i].text, p->hit[i].linears,
               p->hit[i].weights, p->hit[i].decides);
}

static void print_places(const char *what, uint64_t held, uint64_t spilled)
{
    char a[BYTES_TEXT];

    printf("%s: %s in memory", what, bytes_text((double)held, a));
    printf(spilled ? ", %s in its file\n" : "\n", bytes_text((double)spilled, a));
}

static void print_memory(const struct preview *p, const struct preview_opts *o)
{
    const struct preview_memory *m = &p->memory;
    const struct {
        const char *name;
        size_t processes;
        uint64_t bytes;
    } rows[] = {{"sample", 1, m->sample},
                {"importance", o->importances, m->importance},
                {"forward", o->forwards, m->forward},
                {"reduce", o->reducers, m->reduce},
                {"solve", o->solvers, m->solve},
                {"slide", o->slide != NULL, m->slide},
                {"slope", o->sharers, m->slope},
                {"write", 1, m->write}};

    printf("\n%-10s %9s %14s\n", "stage", "processes", "peak MiB each");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].processes)
            printf("%-10s %9zu %14.0f\n", rows[i].name, rows[i].processes,
                   (double)rows[i].bytes / (1 << 20));
    printf("%-10s %9zu %14.0f\n", "together",
           o->importances + o->forwards + o->reducers + o->solvers + o->sharers +
               (o->slide != NULL) + 2,
           (double)m->all / (1 << 20));
    if (o->slide)
        return;
    print_places("hidden states of a forward process", m->hidden, m->spilled);
    print_places(o->reducers > 1 ? "sums of a reducer" : "sums of the reducer", m->sums,
                 m->sums_spilled);
}

static void print_offers(const struct preview *p, const struct preview_opts *o)
{
    const struct format_linear all =
        solve_forecast_linear(o->solve, o->forward ? o->forward->act_bits : 0);
    const struct format *other;
    char text[512];

    for (size_t i = 0; (other = overrides_offer(o->solve->overrides, &p->table, &all, o->formats[0],
                                                &i, text, sizeof text));)
        printf("zero points: --format %s would load in %s\n", other->name, text);
}

static void print_engines(const struct preview *p, const struct preview_opts *o)
{
    for (size_t i = 0; i < o->nformats; i++) {
        char text[512];

        preview_engines(p, o, o->formats[i], text, sizeof text);
        if (*text)
            printf("%s loads in: %s\n", o->formats[i]->name, text);
    }
    if (o->nformats == 1)
        print_offers(p, o);
}

void preview_print(const struct preview *p, const struct preview_opts *o)
{
    print_classes(p, o);
    print_overrides(o->solve->overrides, p);
    printf("\n%.4f bits a quantized weight; %.4f a weight of the whole checkpoint\n", p->bits,
           p->bits_all);
    if (p->qb > 0)
        printf("of the linears' weights %.4g%% are quantized (Qr %.4g), %.4g to a scale (Qb)\n",
               100 * p->qr, p->qr, p->qb);
    printf("tensor bytes: %" PRIu64 " -> %" PRIu64 " (%.1f%%)\n", p->source, p->output,
           p->source ? 100 * (double)p->output / (double)p->source : 0);
    print_engines(p, o);
    printf("sites: %zu, %zu of them to solve\n", p->sites, p->solved);
    if (o->slide)
        printf("windows: %zu; work: %.4g GFLOP learning, about %.1f minutes\n", p->slide.windows,
               p->slide.flops / 1e9, p->slide.seconds / 60);
    if (o->importance)
        printf("work before it: %.4g GFLOP gradients, about %.1f minutes\n",
               p->flops_importance / 1e9, p->seconds_importance / 60);
    if (!o->slide)
        printf("work: %.4g GFLOP forward, %.4g GFLOP sums, %.4g GFLOP solving (fp64)\n",
               p->flops_forward / 1e9, p->flops_reduce / 1e9, p->flops_solve / 1e9);
    print_memory(p, o);
}
