/* SPDX-License-Identifier: Apache-2.0 */
/* preview_json - a preview as one JSON object. */
#include "preview.h"

#include <stdio.h>
#include <stdlib.h>
#include "../../../common/base/json.h"

static struct json *class_json(const struct preview_class *c, const struct preview_opts *o)
{
    struct json *j = json_new_object();
    int bad = json_set_bool(j, "kept", c->kept) ||
              json_set_int(j, "linears", (int64_t)c->linears) ||
              json_set_int(j, "weights", (int64_t)c->weights) ||
              json_set_int(j, "bytes", (int64_t)c->bytes);

    if (!c->kept)
        bad = bad || json_set_int(j, "bits", c->bits) || json_set_int(j, "group", c->group) ||
              json_set_text(j, "grid", (c->grid ? c->grid : o->solve->grid)->name) ||
              (c->solver && json_set_text(j, "solver", c->solver));
    if (bad)
        json_destroy(&j);
    return j;
}

static struct json *hit_json(const struct override *x, const struct preview_hit *h)
{
    struct json *j = json_new_object();

    if (json_set_text(j, "line", x->text) || json_set_text(j, "from", x->from) ||
        json_set_text(j, "pattern", x->pattern) ||
        json_set_int(j, "linears", (int64_t)h->linears) ||
        json_set_int(j, "weights", (int64_t)h->weights) ||
        json_set_int(j, "decides", (int64_t)h->decides))
        json_destroy(&j);
    return j;
}

static struct json *stage_json(size_t processes, uint64_t bytes)
{
    struct json *j = json_new_object();

    if (json_set_int(j, "processes", (int64_t)processes) ||
        json_set_int(j, "peak_bytes", (int64_t)bytes))
        json_destroy(&j);
    return j;
}

static struct json *memory_json(const struct preview *p, const struct preview_opts *o)
{
    const struct preview_memory *m = &p->memory;
    struct json *j = json_new_object();

    if (o->slide) {
        if (json_set(j, "sample", stage_json(1, m->sample)) ||
            json_set(j, "slide", stage_json(1, m->slide)) ||
            (o->sharers && json_set(j, "slope", stage_json(o->sharers, m->slope))) ||
            json_set(j, "write", stage_json(1, m->write)) ||
            json_set_int(j, "peak_bytes", (int64_t)m->all))
            json_destroy(&j);
        return j;
    }
    if (json_set(j, "sample", stage_json(1, m->sample)) ||
        (o->importance && json_set(j, "importance", stage_json(o->importances, m->importance))) ||
        json_set(j, "forward", stage_json(o->forwards, m->forward)) ||
        json_set(j, "reduce", stage_json(o->reducers, m->reduce)) ||
        json_set(j, "solve", stage_json(o->solvers, m->solve)) ||
        json_set(j, "write", stage_json(1, m->write)) ||
        json_set_int(j, "peak_bytes", (int64_t)m->all) ||
        json_set_int(j, "hidden_bytes", (int64_t)m->hidden) ||
        json_set_int(j, "spilled_bytes", (int64_t)m->spilled) ||
        json_set_int(j, "sums_bytes", (int64_t)m->sums) ||
        json_set_int(j, "sums_spilled_bytes", (int64_t)m->sums_spilled))
        json_destroy(&j);
    return j;
}

static struct json *split_json(const struct preview *p)
{
    struct json *j = json_new_object();
    int bad = 0;

    for (size_t i = 0; i < p->nsplit; i++)
        bad = bad || json_set_int(j, p->split[i].site->name, (int64_t)p->split[i].blocks);
    if (bad)
        json_destroy(&j);
    return j;
}

static struct json *engines_json(const struct preview *p, const struct preview_opts *o)
{
    struct json *j = json_new_object();
    int bad = 0;

    for (size_t i = 0; i < o->nformats; i++) {
        char text[512];

        preview_engines(p, o, o->formats[i], text, sizeof text);
        bad = bad || json_set_text(j, o->formats[i]->name, text);
    }
    if (bad)
        json_destroy(&j);
    return j;
}

int preview_print_json(const struct preview *p, const struct preview_opts *o, struct err *e)
{
    const struct overrides *lines = o->solve->overrides;
    struct json *j = json_new_object(), *classes = json_new_array(), *hits = json_new_array();
    char *text = NULL;
    int bad = 0;

    for (size_t i = 0; i < p->nclasses; i++)
        bad = bad || json_push(classes, class_json(&p->class[i], o));
    for (size_t i = 0; i < lines->count; i++)
        bad = bad || json_push(hits, hit_json(&lines->at[i], &p->hit[i]));
    bad = json_set(j, "classes", classes) || bad;
    bad = json_set(j, "overrides", hits) || bad;
    bad = bad || json_set(j, "split", split_json(p)) ||
          json_set(j, "engines", engines_json(p, o)) || json_set_real(j, "bits", p->bits) ||
          json_set_real(j, "bits_all", p->bits_all) || json_set_real(j, "qr", p->qr) ||
          json_set_real(j, "qb", p->qb) || json_set_int(j, "bytes_before", (int64_t)p->source) ||
          json_set_int(j, "bytes_after", (int64_t)p->output) ||
          json_set_int(j, "bytes_other", (int64_t)p->other) ||
          json_set_int(j, "sites", (int64_t)p->sites) ||
          json_set_int(j, "solved", (int64_t)p->solved) ||
          (o->importance && (json_set_real(j, "flops_importance", p->flops_importance) ||
                             json_set_real(j, "seconds_importance", p->seconds_importance))) ||
          (o->slide ? json_set_int(j, "windows", (int64_t)p->slide.windows) ||
                          json_set_real(j, "flops_slide", p->slide.flops) ||
                          json_set_real(j, "seconds_slide", p->slide.seconds)
                    : json_set_real(j, "flops_forward", p->flops_forward) ||
                          json_set_real(j, "flops_reduce", p->flops_reduce) ||
                          json_set_real(j, "flops_solve", p->flops_solve)) ||
          json_set(j, "memory", memory_json(p, o));
    if (bad)
        err_set(e, ERR_SYS, "out of memory");
    else
        text = json_print(j, 0, e);
    if (text)
        puts(text);
    free(text);
    json_destroy(&j);
    return text ? 0 : -1;
}
