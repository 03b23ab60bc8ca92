/* SPDX-License-Identifier: Apache-2.0 */
/* precheck - model folder, data files, output folder, and whether bits and group fit the shapes
 * of the model. */
#include "precheck.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/base/apart.h"
#include "../common/base/fs.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "../common/model/config_read.h"
#include "../common/model/gguf_model.h"
#include "../common/model/model.h"
#include "../common/run/override.h"
#include "../common/model/sites.h"
#include "../common/tensor/safetensors.h"
#include "../common/text/docs.h"
#include "../common/text/tokenizer.h"
#include "../common/wire/follow.h"
#include "../stages/forward/forward_check.h"
#include "../stages/forward/forward_opts.h"
#include "../stages/importance/importance_opts.h"
#include "../stages/reduce/reduce_opts.h"
#include "../stages/sample/sample.h"
#include "../stages/sample/sample_opts.h"
#include "../stages/slide/slide_opts.h"
#include "../stages/solve/solve_forecast.h"
#include "../stages/solve/solve_opts.h"
#include "../stages/write/write_head.h"
#include "../stages/write/write_opts.h"
#include "control.h"
#include "disk.h"
#include "recorded.h"
#include "resume.h"
#include "room.h"
#include "rundir.h"
#include "takes.h"

static const char *out_of(const struct route *t)
{
    const struct stage *s = route_stage(t, &write_spec, 0);

    return s ? ((const struct write_command *)s->own)->core.out : recipe_value(t->r, "out");
}

int precheck_files(const struct route *t, const char *log, struct err *e)
{
    const struct apart_file more[] = {{"--out", out_of(t), OPT_WRITES}, {"--log", log, OPT_WRITES}};
    const char *problems = recipe_value(t->r, "problems");
    struct opt_group *all;
    size_t n = 0;
    int rc;

    if (problems && fs_is_dir(problems))
        return err_set(e, ERR_USE,
                       "--problems: '%s' is a folder, not the file that ptq run --record wrote",
                       problems);
    if (!(all = mem_array(t->r->nstages * STAGE_GROUPS + 1, sizeof *all, e)))
        return -1;
    for (size_t i = 0; i < t->r->nstages; i++)
        for (size_t k = 0; t->stage[i] && k < t->stage[i]->ngroups; k++)
            all[n++] = t->stage[i]->group[k];
    rc = apart_options(all, n, more, 2, e);
    free(all);
    return rc;
}

static int check_data(const struct route *t, struct err *e)
{
    const struct stage *s = route_stage(t, &sample_spec, 0);
    const struct sample_command *c = s ? s->own : NULL;

    for (size_t i = 0; c && i < c->data.count; i++) {
        const char *path = c->data.text[i];
        struct stat st;
        uint64_t bytes;

        if (!strcmp(path, "-") ||
            (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
            continue; /* a pipe: only its reader knows what comes */
        if (fs_is_dir(path))
            continue; /* what is in it, its reader sees */
        if (fs_size(path, &bytes, e) < 0) {
            e->kind = ERR_USE;
            return err_prefix(e, "--data");
        }
        if (bytes == 0)
            return err_set(e, ERR_DATA, "--data: '%s' is empty", c->data.text[i]);
    }
    return 0;
}

static int is_rows(const char *path)
{
    const char *dot = strrchr(path, '.');

    return dot && strcmp(dot, ".parquet") == 0;
}

/* Text needs a tokenizer, images a model that sees, parquet columns that are read: by the first
 * document of each file. */
static int check_first(const char *path, const struct sample_opts *o, const struct config *c,
                       int tokenizer, struct err *e)
{
    struct data_file f = {.name = NULL};
    struct docs *docs = NULL;
    struct doc d;
    int rc = -1, got = -1;

    if (data_file_open(&f, path, e) == 0 && (docs = docs_open(&f, &o->docs, e)))
        got = docs_next(docs, &d, e);
    if (got == 0)
        rc = 0;
    else if (got > 0 && (tokenizer || (!d.text && !d.chat)))
        rc = sample_check_images(o, c, &d, e) < 0 ? err_prefix(e, "--data: %s:%zu", d.file, d.line)
                                                  : 0;
    else if (got > 0)
        err_set(e, ERR_USE,
                "--data: %s:%zu: text, but '%s' has no tokenizer.json: put the model's there, or "
                "give data of input_ids",
                d.file, d.line, o->model);
    if (got > 0)
        doc_release(&d);
    docs_close(&docs);
    data_file_close(&f);
    return rc;
}

/* What the sampler makes of its data needs the model: its context, its tokenizer. */
static int check_sample(const struct route *t, const struct config *c, const char *model,
                        struct err *e)
{
    const struct stage *s = route_stage(t, &sample_spec, 0);
    const struct sample_opts *o = s ? &((const struct sample_command *)s->own)->core : NULL;
    int rc, has, sees;

    if (!o || !o->model || strcmp(o->model, model) != 0)
        return 0;
    has = tokenizer_is_there(model);
    sees = json_has(c->file, "vision_config");
    rc = sample_check_limits(o, c, e);
    for (size_t i = 0; rc == 0 && i < o->ndata; i++) {
        struct stat st;

        if ((!has || sees || is_rows(o->data[i])) && stat(o->data[i], &st) == 0 &&
            (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
            rc = check_first(o->data[i], o, c, has, e);
    }
    return rc;
}

/* What a run leaves that ended before its first site: the writer clears it. 1, 0, -1. */
static int has_no_site(const char *out, struct err *e)
{
    char **names = NULL, *parts = fs_join(out, FOLLOW_PARTS, e);
    size_t count = 0;
    int rc = -1, empty = 1;

    if (parts && fs_list(out, &names, &count, e) == 0 &&
        (!fs_exists(parts) || fs_empty_dir(parts, &empty, e) == 0))
        rc = count == 1 && strcmp(names[0], FOLLOW_DIR) == 0;
    if (rc < 0)
        err_prefix(e, "'%s' holds an unfinished run (--overwrite starts again)", out);
    if (rc == 1 && !empty) /* of a site that did not get into the journal */
        rc = resume_has_no_site(out, e);
    fs_names_free(&names, count);
    free(parts);
    return rc;
}

/* Somebody is at work there: a run, or a writer that was started by hand. 1, 0, -1. */
static int is_busy(const char *out, char who[OWNER_TEXT], struct err *e)
{
    char *control = fs_join(out, FOLLOW_DIR "/" CONTROL_NAME, e),
         *lock = fs_join(out, FOLLOW_LOCK, e);
    int rc = control && lock ? rundir_lives(control, who) || owner_lives(lock, who) : -1;

    free(lock);
    free(control);
    return rc;
}

static int check_out(const struct route *t, struct err *e)
{
    const struct stage *s = route_stage(t, &write_spec, 0);
    const struct write_command *c = s ? s->own : NULL;
    const char *out = out_of(t);
    char *own, who[OWNER_TEXT];
    int empty = 0, ours, fresh, busy, goes_on;

    if (!out)
        return 0;
    if (fs_exists(out) && !fs_is_dir(out))
        return err_set(e, ERR_USE, "--out: '%s' is there and not a folder", out);
    if (s && disk_check_folder("--out", out, e) < 0)
        return -1;
    if (!fs_exists(out))
        return 0;
    if (fs_empty_dir(out, &empty, e) < 0)
        return err_prefix(e, "--out");
    if (empty)
        return 0;
    if ((busy = is_busy(out, who, e)) != 0)
        return busy < 0 ? -1
                        : err_set(e, ERR_USE,
                                  "--out: a run is writing to '%s' (%s); see: ptq ctl "
                                  "--out %s status",
                                  out, who, out);
    own = fs_join(out, FOLLOW_DIR, e);
    ours = own ? fs_exists(own) : -1;
    free(own);
    if (ours > 0 && c && c->core.overwrite) /* what of it is ours the writer knows */
        return 0;
    fresh = ours > 0 ? has_no_site(out, e) : 0;
    if (ours < 0 || fresh)
        return fresh > 0 ? 0 : -1;
    if (ours && c && (goes_on = resume_is_unfinished(out, e)) != 0) /* as what, resume.h says */
        return goes_on < 0 ? -1 : 0;
    return err_set(e, ERR_USE, "--out: '%s' holds %s: %s", out,
                   ours ? "an earlier output of ptqflow" : "something else",
                   !ours ? "give an empty folder or a new one"
                   : c   ? "remove it, give another folder, or say --overwrite"
                         : "remove it or give another folder");
}

/* Where windows of blocks keep what they have learned: the first of them ends late. */
static int check_state(const struct route *t, struct err *e)
{
    const struct stage *s;

    for (size_t i = 0; (s = route_stage(t, &slide_spec, i)); i++) {
        const char *dir = ((const struct slide_command *)s->own)->core.state;

        if (dir && fs_is_named(dir) && !fs_is_dir(dir))
            return err_set(e, ERR_USE, "--state: '%s' is there and not a folder", dir);
        if (dir && fs_is_dir(dir) && access(dir, W_OK | X_OK) != 0)
            return err_set(e, ERR_USE, "--state: nothing can be written to '%s': %s", dir,
                           strerror(errno));
    }
    return 0;
}

/* Engines fuse what now differs: once for each name of a site. */
static void warn_split(const struct overrides *o, const struct sites *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct site *x = &s->site[i];
        int said = 0;

        for (size_t k = 0; k < i && overrides_split(o, x) && !said; k++)
            said = strcmp(s->site[k].name, x->name) == 0 && overrides_split(o, &s->site[k]);
        if (!said && overrides_split(o, x))
            log_warn("b%zu.%s: its linears differ after the overrides: vLLM and SGLang, which fuse "
                     "them into %s, cannot load that",
                     x->block, x->name, x->fused);
    }
}

/* What windows of blocks learn is stored as what solvers make. */
static int check_slide(const struct route *t, const struct sites *sites,
                       const struct format *const formats[FORMATS_MAX], size_t nformats,
                       struct err *e)
{
    const struct overrides none = OVERRIDES_NONE;
    const struct stage *s;

    for (size_t i = 0; (s = route_stage(t, &slide_spec, i)); i++) {
        const struct slide_shape *x = &((const struct slide_command *)s->own)->core.shape;
        const struct format_linear all = {
            .scale_type = x->scale_type, .bits = x->bits, .group = x->group, .grid = x->grid};

        if (overrides_check_shapes(&none, sites, &all, formats, nformats, e) < 0)
            return -1;
    }
    return 0;
}

static int act_bits_of(const struct stage *forward)
{
    return forward ? ((const struct forward_command *)forward->own)->core.act_bits : 0;
}

/* Each solver's bits, groups and overrides against the model, and what the writer can store. */
static int check_shapes(const struct route *t, const struct sites *sites, struct loads *l,
                        struct err *e)
{
    const struct stage *w = route_stage(t, &write_spec, 0), *f = route_stage(t, &forward_spec, 0),
                       *s;
    const struct format *formats[FORMATS_MAX];
    size_t nformats = 0;
    int fuses = 0;

    if (w && format_parse(((const struct write_command *)w->own)->core.formats, formats, &nformats,
                          e) < 0)
        return err_prefix(e, "--format");
    if (!l->count)
        loads_start(l, formats, nformats, act_bits_of(f));
    for (size_t i = 0; i < nformats; i++)
        fuses |= formats[i]->fuses;
    for (size_t i = 0; (s = route_stage(t, &solve_spec, i)); i++) {
        const struct solve_command *c = s->own;
        const struct format_linear all = solve_forecast_linear(&c->core, act_bits_of(f));

        if (overrides_check_shapes(&c->lines, sites, &all, formats, nformats, e) < 0)
            return -1;
        if (fuses)
            warn_split(&c->lines, sites);
        loads_add(l, c, sites);
    }
    return check_slide(t, sites, formats, nformats, e);
}

static void say_loads(const struct route *t, const struct sites *sites, const struct loads *l)
{
    const struct stage *s = route_stage(t, &solve_spec, 0);

    loads_say(l);
    if (l->count == 1 && s && !route_stage(t, &solve_spec, 1)) {
        const struct solve_command *c = s->own;
        const struct format_linear all =
            solve_forecast_linear(&c->core, act_bits_of(route_stage(t, &forward_spec, 0)));
        const struct format *other;
        char text[512];

        for (size_t i = 0; (other = overrides_offer(&c->lines, sites, &all, l->format[0], &i, text,
                                                    sizeof text));)
            log_info("zero points: --format %s would load in %s", other->name, text);
    }
}

/* A solver that aims at the full-precision outputs gets them from a second stream. */
static int check_dual(const struct route *t, struct err *e)
{
    const struct stage *f = route_stage(t, &forward_spec, 0), *s;
    const int dual = !f || ((const struct forward_command *)f->own)->core.dual;

    for (size_t i = 0; !dual && (s = route_stage(t, &solve_spec, i)); i++) {
        const struct solve_opts *o = &((const struct solve_command *)s->own)->core;
        const int need = solve_forecast_dual(o, e);

        if (need != 0)
            return need < 0 ? -1
                            : err_set(e, ERR_USE,
                                      "--solver %s, or an --override, needs the full-precision "
                                      "inputs beside the quantized ones: use 'ptq run gptaq', or "
                                      "add --dual",
                                      o->solver);
    }
    return 0;
}

/* The kind of classes whose sums a solver needs, and the option that does. */
static unsigned classes_for(const struct solve_opts *o, const char **option)
{
    *option = o->equalise ? "--equalise" : "--mix";
    switch (o->equalise) {
    case EQUALISE_FIRST:
    case EQUALISE_POSITION:
        return CLASS_POSITION;
    case EQUALISE_LENGTH:
        return CLASS_LENGTH;
    case EQUALISE_MODALITY:
        return CLASS_MODALITY;
    default:
        return o->mixed ? CLASS_MODALITY : 0;
    }
}

/* How much each modality counts is said by a stage that weighs chunks, ours or another's. */
static int check_ratios(const struct route *t, const struct solve_opts *o, struct err *e)
{
    const struct stage *s;

    if (!o->mix_told || !route_stage(t, &forward_spec, 0))
        return 0;
    for (size_t i = 0; i < t->r->nstages; i++)
        if (!t->stage[i])
            return 0;
    for (size_t i = 0; (s = route_stage(t, &importance_spec, i)); i++)
        if (((const struct importance_command *)s->own)->core.ratios)
            return 0;
    return err_set(e, ERR_USE,
                   "--mix auto: no stage of '%s' says how much each modality is to count, as "
                   "ptq-importance --method mbq --give ratios does in the recipe vlm-weighted: run "
                   "that, or give ratios (text=R,image=R)",
                   t->r->path);
}

/* These sums are kept where the reducers are told to. */
static int check_classes(const struct route *t, struct err *e)
{
    const struct stage *r = route_stage(t, &reduce_spec, 0), *s;
    const struct opt *row = r ? opt_find(r->group, r->ngroups, "classes", 7, NULL) : NULL;
    const char *option;
    unsigned has = 0, need;

    for (size_t i = 0; row && (s = route_stage(t, &reduce_spec, i)); i++)
        has |= ((const struct reduce_command *)s->own)->core.how.classes;
    for (size_t i = 0; row && (s = route_stage(t, &solve_spec, i)); i++) {
        const struct solve_opts *o = &((const struct solve_command *)s->own)->core;

        if (check_ratios(t, o, e) < 0)
            return -1;
        need = classes_for(o, &option);
        if (need & ~has)
            return err_set(e, ERR_USE,
                           "%s needs the sums by %s, which are not kept: add --classes %s", option,
                           opt_choice_name(row->choices, (int)need),
                           opt_choice_name(row->choices, (int)(has | need)));
    }
    return 0;
}

/* The tower's linears too, where that is asked for. */
static int check_tower(const struct route *t, const char *model, struct config *c, struct err *e)
{
    const struct stage *f = route_stage(t, &forward_spec, 0), *w = route_stage(t, &write_spec, 0);
    const int tower = f && ((const struct forward_command *)f->own)->core.tower;
    const struct format *formats[FORMATS_MAX];
    size_t n = 0;

    if (w && tower != ((const struct write_command *)w->own)->core.tower)
        return err_set(e, ERR_USE, "--vision: ptq-forward and ptq-write must be told the same");
    if (tower && w &&
        format_parse(((const struct write_command *)w->own)->core.formats, formats, &n, e))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (format_check_tower(formats[i], e) < 0)
            return -1;
    return tower ? model_use_tower(c, model, e) : 0;
}

/* An expert's reducer can keep the sums of all tokens only beside those of one kind of rows. */
static int check_starved(const struct route *t, const struct config *c,
                         const struct forward_command *f, struct err *e)
{
    const struct stage *r;

    if (!c->experts || f->core.expert.starved != STARVED_ALL_TOKENS)
        return 0;
    for (size_t i = 0; (r = route_stage(t, &reduce_spec, i)); i++) {
        const struct reduce_command *k = r->own;

        if (k->core.partial || k->core.how.classes)
            return err_set(e, ERR_USE,
                           "--starved all-tokens: with %s of ptq-reduce there are no sums of all "
                           "tokens: use --starved rtn, or leave it out",
                           k->core.partial ? "--partial" : "--classes");
    }
    return 0;
}

static int check_forward(const struct route *t, const struct config *c, const struct sites *s,
                         struct err *e)
{
    const struct stage *f = route_stage(t, &forward_spec, 0);

    if (!f)
        return 0;
    return check_starved(t, c, f->own, e) < 0
               ? -1
               : forward_check(&((const struct forward_command *)f->own)->core, c, s, e);
}

/* Every tensor is there, as the config says: what is counted from the config means something. */
static int check_tensors(const char *dir, struct err *e)
{
    struct par *par = par_open(1, e);
    struct model *m = par ? model_open(dir, par, e) : NULL;
    const int rc = m ? 0 : -1;

    model_close(&m);
    par_close(&par);
    return rc;
}

/* What of the model as a whole a format must be able to hold. */
static int check_container(const struct route *t, const char *model, const struct config *c,
                           struct err *e)
{
    const struct stage *w = route_stage(t, &write_spec, 0);
    const struct format *formats[FORMATS_MAX];
    size_t n = 0;

    if (w && format_parse(((const struct write_command *)w->own)->core.formats, formats, &n, e) < 0)
        return err_prefix(e, "--format");
    return gguf_model_check_formats(model, c, formats, n, e);
}

int precheck_head(const struct route *t, const struct config *c, const char *model, struct err *e)
{
    const struct stage *s = route_stage(t, &write_spec, 0);
    const struct write_opts *w = s ? &((const struct write_command *)s->own)->core : NULL;
    const struct format *formats[FORMATS_MAX];
    size_t n = 0;

    if (!w || !w->head_bits)
        return 0;
    if (format_parse(w->formats, formats, &n, e) < 0)
        return err_prefix(e, "--format");
    for (size_t i = 0; i < n; i++)
        if (head_check_tied(c, model, formats[i], w->head_bits, e) < 0)
            return -1;
    return 0;
}

int precheck_solvers(const struct route *t, const struct sites *s, struct loads *l, struct err *e)
{
    if (check_dual(t, e) < 0 || check_classes(t, e) < 0)
        return -1;
    return s ? check_shapes(t, s, l, e) : 0;
}

int precheck_data(const struct route *t, const struct config *c, const char *model, struct err *e)
{
    return precheck_files(t, NULL, e) < 0 || check_data(t, e) < 0 ? -1
                                                                  : check_sample(t, c, model, e);
}

int precheck(const struct route *t, uint64_t reserve, int states, struct config *c, int *known,
             struct loads *l, struct err *e)
{
    const char *model = route_model(t);
    const struct format *packed;
    struct sites s = {0};
    int rc;

    *known = 0;
    *l = (struct loads){.count = 0};
    if (model && st_folder_check(model, e) < 0)
        return err_prefix(e, "--model");
    if (check_data(t, e) < 0 || check_out(t, e) < 0 || check_state(t, e) < 0)
        return -1;
    if (!model)
        return precheck_solvers(t, NULL, l, e);
    if (config_read(model, c, e) < 0)
        return -1;
    if (format_check_plain(c->file, model, e) < 0 || check_tensors(model, e) < 0) {
        config_release(c);
        return -1;
    }
    if ((packed = format_unpacked(c->file)))
        log_warn("'%s' is quantized already, to %s: its weights are taken as what that stands for",
                 model, packed->title);
    rc = check_sample(t, c, model, e) < 0 || check_tower(t, model, c, e) < 0 ||
                 sites_make(&s, c, e) < 0 || check_forward(t, c, &s, e) < 0 ||
                 precheck_solvers(t, &s, l, e) < 0 || takes_check(t, &s, e) < 0 ||
                 check_container(t, model, c, e) < 0 || precheck_head(t, c, model, e) < 0 ||
                 recorded_check(t, c, model, e) < 0
             ? -1
             : 0;
    if (rc == 0) {
        say_loads(t, &s, l);
        if (disk_check(t, c, &s, reserve, states, e) < 0 || disk_check_tmp(t, c, &s, e) < 0 ||
            room_check(t, c, &s, e) < 0)
            rc = -1;
    }
    sites_release(&s);
    if (rc == 0)
        *known = 1;
    else
        config_release(c);
    return rc;
}
