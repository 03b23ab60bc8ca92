/* SPDX-License-Identifier: Apache-2.0 */
/* write - the core of ptq-write: one solution after the other, then the checkpoints. Sockets are
 * the main's business. */
#include "write.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../common/base/clock.h"
#include "../../common/base/fs.h"
#include "../../common/base/hash.h"
#include "../../common/base/mem.h"
#include "../../common/base/version.h"
#include "../../common/model/fingerprint.h"
#include "../../common/model/gguf_model.h"
#include "../../common/run/journal_site.h"
#include "../../common/wire/follow.h"
#include "../../common/wire/frame.h"
#include "../../common/wire/run_id.h"
#include "write_assemble.h"
#include "write_head.h"
#include "write_impl.h"
#include "write_prov.h"
#include "write_take.h"

#define NOTE_MAX ((size_t)64 << 10)

void write_close(struct writer **w)
{
    if (!w || !*w)
        return;
    for (size_t i = 0; i < (*w)->sizes.formats; i++)
        free((*w)->sizes.format[i].folder);
    free((*w)->names);
    plan_release(&(*w)->plan);
    out_release(&(*w)->out);
    free(*w);
    *w = NULL;
}

const struct plan *write_plan(const struct writer *w)
{
    return &w->plan;
}

const struct write_sizes *write_sizes(const struct writer *w)
{
    return &w->sizes;
}

size_t write_left(const struct writer *w, const char **why)
{
    *why = w->unread.kind ? w->unread.text : NULL;
    return w->plan.left;
}

void write_fail(struct writer *w, const struct err *why)
{
    out_fail(&w->out, why->text);
}

void write_hand(struct writer *w, write_hand_fn *hand, void *ctx)
{
    w->hand = hand;
    w->hand_ctx = ctx;
}

/* The part appears whole; fs_out_finish makes it durable. */
static int part_write(struct writer *w, const struct msg *m, uint64_t order, struct fs_out *out,
                      uint64_t *bytes, struct err *e)
{
    char name[32], *path;
    int rc = -1;

    *out = (struct fs_out){.fd = -1};
    follow_part_name(order, name);
    path = fs_join(w->out.parts, name, e);
    if (path && fs_out_open(out, path, e) == 0)
        rc = frame_write(out->fd, m, FRAME_ZSTD, path, bytes, e) == 0 ? fs_out_show(out, e) : -1;
    free(path);
    return rc;
}

static struct journal_linear linear_of(const struct solution_linear *s)
{
    struct journal_linear l = {.name = s->name, .rows = (int64_t)s->N, .kept = s->kept};

    if (s->kept)
        return l;
    l.solver = s->solver;
    l.bits = s->bits;
    l.group = s->group;
    l.grid = s->grid;
    l.loss = s->loss;
    l.rel_loss = s->rel_loss;
    l.round_off = s->round_off;
    l.trace = s->trace;
    l.asym_loss = s->asym_loss;
    l.bound = s->bound;
    return l;
}

/* Fields of the message that the view does not have; a solver need not give them. */
static int64_t count_of(const struct msg *m, const char *key)
{
    int64_t v;

    return json_as_int(json_get(m->meta, key), &v) == 0 ? v : -1;
}

static void extras_of(const struct msg *m, struct journal_site *s)
{
    if (json_as_real(json_get(m->meta, "coverage"), &s->coverage))
        s->coverage = NAN;
    s->dead = count_of(m, "dead");
    s->raised = count_of(m, "raised");
    s->routed = count_of(m, "routed");
    s->starved = json_as_text(json_get(m->meta, "starved"));
    s->bytes_in = count_of(m, "bytes_in");
    s->lengths = json_get(m->meta, "lengths");
    s->classes = json_get(m->meta, "classes");
    s->mix = json_get(m->meta, "mix");
    s->windows = json_get(m->meta, "windows");
    s->changed = json_get(m->meta, "changed");
    s->contenders = json_get(m->meta, "contenders");
    s->judged_on = json_as_text(json_get(m->meta, "judged_on"));
    s->criterion = json_as_text(json_get(m->meta, "criterion"));
}

/* For the journal; NULL: no memory. */
static struct json *site_record(struct writer *w, const struct msg *m,
                                const struct solution_view *v,
                                const struct solution_linear *const *linear, uint64_t digest,
                                uint64_t bytes, struct err *e)
{
    size_t n = w->plan.site[v->order].count;
    struct journal_linear *all = mem_array(n, sizeof *all, e);
    struct journal_site s;
    struct json *r;
    double loss = 0, whole = 0;
    char hex[17];

    if (!all)
        return NULL;
    hash_hex(digest, hex);
    for (size_t i = 0; i < n; i++) {
        all[i] = linear_of(linear[i]);
        loss += linear[i]->loss;
        whole += linear[i]->loss != 0 ? linear[i]->loss / linear[i]->rel_loss : 0;
    }
    s = (struct journal_site){.order = v->order,
                              .sites = v->sites,
                              .block = v->block,
                              .name = v->site,
                              .run = m->run,
                              .digest = hex,
                              .nlinears = n,
                              .linear = all,
                              .loss = loss,
                              .rel_loss = loss == 0 ? 0 : loss / whole,
                              .damp = v->damp,
                              .solver = v->solver,
                              .fallback = v->fallback,
                              .attempts = v->attempts,
                              .tokens = (int64_t)v->tokens,
                              .sequences = (int64_t)v->sequences,
                              .inputs = (int64_t)v->K,
                              .sum_w = v->sum_w,
                              .ess = v->sum_w2 > 0 ? v->sum_w * v->sum_w / v->sum_w2 : 0,
                              .seconds = v->seconds,
                              .bytes_raw = (int64_t)msg_bytes(m),
                              .bytes_part = (int64_t)bytes,
                              .wall = clock_wall() - w->start};

    extras_of(m, &s);
    r = journal_site_record(&s);
    free(all);
    if (!r)
        err_set(e, ERR_SYS, "out of memory");
    return r;
}

/* A problem that was given to another solver may be solved twice, by two kinds: then the first
 * counts. */
static int same_prov(const struct plan_site *x, const struct solution_view *v, struct err *e)
{
    char *text = v->prov ? json_print(v->prov, 0, e) : mem_text("[]", e);
    int same = text ? strcmp(text, x->prov) == 0 : -1;

    free(text);
    return same;
}

/* Beside those that have come already: they are like the first of them. */
static int beside(const struct writer *w, const struct format *f, const struct format_linear *l,
                  struct err *e)
{
    for (size_t i = 0; i < w->plan.nlinears; i++) {
        const struct format_linear *x = &w->plan.linear[i].f;

        if (x->bits && strcmp(x->name, l->name) != 0)
            return format_beside(f, l, x, e);
    }
    return 0;
}

/* Asked when a solution comes: a run must not fail at its end for what is known now. */
static int storable(const struct writer *w, const struct plan_linear *l,
                    const struct solution_linear *s, const struct json *prov, struct err *e)
{
    struct format_linear f;
    struct coded c;

    if (plan_stored(l, s, prov, &f, &c, e))
        return -1;
    for (size_t i = 0; i < w->nformats && !f.kept; i++) {
        const struct format *x = w->formats[i];

        if (format_check_linear(x, &f, e) || beside(w, x, &f, e) ||
            (x->check_codes && x->check_codes(&f, &c, e)))
            return err_prefix(e, "%s format", x->name);
    }
    return 0;
}

static int differs(const struct plan_site *x, struct err *e)
{
    err_set(e, ERR_USE,
            "another solution of block %zu %s came before from the same solver with the same "
            "options: another machine's kernels in one run?",
            x->block, x->site->name);
    return WRITE_REFUSED;
}

int write_storable(const struct writer *w, const struct solution_view *v,
                   const struct solution_linear *const *linear, struct err *e)
{
    const struct plan_site *x = &w->plan.site[v->order];

    for (size_t i = 0; i < x->count; i++)
        if (storable(w, &w->plan.linear[x->first + i], linear[i], v->prov, e))
            return -1;
    return 0;
}

int write_site_commit(struct writer *w, struct msg **m, const struct solution_view *v,
                      const struct solution_linear *const *linear, uint64_t digest, struct err *e)
{
    struct json *record = NULL;
    struct fs_out part;
    uint64_t bytes = 0;
    int rc = -1;

    (*m)->kind = MSG_COMMIT;
    snprintf((*m)->stage, sizeof(*m)->stage, "write");
    if (part_write(w, *m, v->order, &part, &bytes, e) == 0 &&
        (record = site_record(w, *m, v, linear, digest, bytes, e)) &&
        plan_note(&w->plan, v, linear, digest, e) == 0 &&
        (!w->hand || w->hand(w->hand_ctx, m, e) == 0) && fs_out_finish(&part, e) == 0)
        rc = journal_append(w->out.journal, &record, e);
    json_destroy(&record);
    fs_out_drop(&part);
    return rc == 0 ? 1 : -1;
}

static int solution_take(struct writer *w, struct msg **solution, struct err *e)
{
    const struct solution_linear *linear[PROBLEM_LINEARS];
    const struct msg *m = *solution;
    struct solution_view v;
    const struct plan_site *x;
    uint64_t digest;
    int same;

    if (m->kind != MSG_SOLUTION)
        return err_set(e, ERR_USE, "'%s' is a %s, not a solution", m->id, msg_kind_name(m->kind));
    if (run_id_check_model(m->run, w->print, w->plan.dir, e))
        return -1;
    if (solution_read(m, &v, e) || plan_check(&w->plan, &v, linear, &digest, e))
        return WRITE_REFUSED;
    x = &w->plan.site[v.order];
    if (x->done && x->digest != digest && (same = same_prov(x, &v, e)) != 0)
        return same < 0 ? -1 : differs(x, e);
    if (x->done)
        return 0;
    if (w->commits && plan_check_asked(&w->plan, &v, e))
        return WRITE_REFUSED;
    return write_storable(w, &v, linear, e) ? -1
                                            : write_site_commit(w, solution, &v, linear, digest, e);
}

static int start_record(struct writer *w, struct err *e)
{
    struct json *r = json_new_object();
    char now[32];
    time_t t = time(NULL);
    struct tm tm;

    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
    if (json_set_text(r, "record", "start") || json_set_int(r, "format", JOURNAL_FORMAT) ||
        json_set_text(r, "version", PTQ_VERSION) || json_set_text(r, "model", w->plan.dir) ||
        json_set_text(r, "formats", w->names) || json_set_text(r, "time", now) ||
        (w->plan.any_kernels && json_set_text(r, "kernels", "any")))
        json_destroy(&r);
    return journal_append(w->out.journal, &r, e);
}

/* Each run that has one says it: also one that goes on. */
static int note_record(struct writer *w, struct err *e)
{
    struct json *r = w->plan.note ? json_new_object() : NULL;

    if (!w->plan.note)
        return 0;
    if (json_set_text(r, "record", "note") || json_set_text(r, "text", w->plan.note))
        json_destroy(&r);
    return journal_append(w->out.journal, &r, e);
}

static int note_read(struct writer *w, const char *path, struct err *e)
{
    struct json *text;

    if (!path)
        return 0;
    if (!(w->plan.note = fs_read(path, NOTE_MAX, NULL, e)))
        return err_prefix(e, "--note");
    text = json_new_text(w->plan.note);
    if (!text)
        return err_set(e, ERR_USE, "--note: '%s' is no UTF-8", path);
    json_destroy(&text);
    return 0;
}

static int formats_check(const struct writer *w, struct err *e)
{
    const struct plan *p = &w->plan;

    for (size_t i = 0; i < w->nformats && w->head_bits; i++)
        if (w->formats[i]->heads && head_check(p, w->formats[i], w->head_bits, e) < 0)
            return -1;
    for (size_t i = 0; i < w->nformats; i++)
        if (w->formats[i]->container == FORMAT_GGUF &&
            gguf_model_check(p->dir, &p->config, p->source, e))
            return -1;
    return plan_check_tower(p, w->formats, w->nformats, e);
}

struct writer *write_open(const struct write_opts *o, struct err *e)
{
    struct writer *w = mem_array(1, sizeof *w, e);

    if (!w)
        return NULL;
    w->out.claim_fd = w->out.lock_fd = -1;
    w->start = clock_wall();
    w->keep_parts = o->keep_parts;
    w->commits = o->commits;
    w->head_bits = o->head_bits;
    w->shard_bytes = o->shard_bytes ? o->shard_bytes : WRITE_SHARD_BYTES;
    if ((o->from_parts && take_look(o->out, e)) || !(w->names = mem_text(o->formats, e)) ||
        format_parse(o->formats, w->formats, &w->nformats, e) ||
        plan_open(&w->plan, o->model, o->tower, e) || note_read(w, o->note, e) ||
        formats_check(w, e) ||
        fingerprint_model(w->plan.config.file, w->plan.source, &w->print, e) ||
        out_open(&w->out, o->out,
                 o->from_site || o->from_parts ? OUT_GO_ON
                 : o->overwrite                ? OUT_REPLACE
                                               : OUT_REFUSE,
                 e))
        goto fail;
    w->plan.any_kernels = o->any_kernels;
    for (size_t i = 0; i < w->plan.source->count; i++)
        w->sizes.source += w->plan.source->entries[i].bytes;
    if ((o->from_parts  ? take_found(w, e)
         : o->from_site ? take_over(w, o->from_site, o->same_run, e)
                        : 0) ||
        out_show(&w->out, e) || (!o->from_site && !o->from_parts && start_record(w, e)) ||
        note_record(w, e)) {
        write_fail(w, e);
        goto fail;
    }
    return w;
fail:
    write_close(&w);
    return NULL;
}

int write_solution(struct writer *w, struct msg **m, struct err *e)
{
    int rc = solution_take(w, m, e);

    if (rc != 1)
        msg_destroy(m);
    return rc;
}

int write_commit(const struct writer *w, size_t order, struct msg **m, struct err *e)
{
    struct solution_view v;

    return assemble_part(w->out.parts, &w->plan, order, m, &v, e) ? part_advise(e) : 0;
}

/* One format alone fills OUT itself, several a folder each. */
static char *format_folder(const struct writer *w, const char *root, size_t i, struct err *e)
{
    return w->nformats == 1 ? mem_text(root, e) : fs_join(root, w->formats[i]->name, e);
}

static int format_assemble(struct writer *w, size_t i, struct err *e)
{
    struct assembly a = {.plan = &w->plan,
                         .parts = w->out.parts,
                         .codes = assemble_codes,
                         .shard_bytes = w->shard_bytes,
                         .head_bits = w->head_bits};
    char *folder = format_folder(w, w->out.assemble, i, e),
         *shown = format_folder(w, w->out.path, i, e);
    char *prov = prov_text(&w->plan, w->formats[i]->name, e);
    int rc = -1;

    if (!folder || !shown || !prov || fs_mkdir(folder, e))
        goto out;
    a.folder = folder;
    a.prov = prov;
    a.head = w->head_bits && w->formats[i]->heads;
    if (a.head && head_begin(&w->plan, w->formats[i], w->head_bits, e))
        goto out;
    if (assemble_checkpoint(&a, w->formats[i], e) || fs_sync_dir(folder, e))
        goto out;
    w->sizes.format[w->sizes.formats].name = w->formats[i]->name;
    w->sizes.format[w->sizes.formats].folder = shown;
    w->sizes.format[w->sizes.formats++].bytes = a.bytes;
    shown = NULL;
    rc = 0;
out:
    if (a.head)
        head_end(&w->plan);
    free(prov);
    free(shown);
    free(folder);
    return rc;
}

static int publish_record(struct writer *w, const struct json *files, struct err *e)
{
    struct json *r = json_new_object();

    if (json_set_text(r, "record", "publish") || json_set(r, "files", json_clone(files)))
        json_destroy(&r);
    return journal_append(w->out.journal, &r, e);
}

static int done_record(struct writer *w, struct err *e)
{
    struct json *r = json_new_object(), *after = json_new_object();
    int bad = 0;

    for (size_t i = 0; i < w->sizes.formats; i++)
        bad =
            bad || json_set_int(after, w->sizes.format[i].name, (int64_t)w->sizes.format[i].bytes);
    if (bad)
        json_destroy(&after);
    bad = json_set_text(r, "record", "done") || json_set_int(r, "sites", (int64_t)w->plan.sites) ||
          json_set_int(r, "bytes_before", (int64_t)w->sizes.source);
    bad = json_set(r, "bytes_after", after) || bad ||
          json_set_real(r, "wall", clock_wall() - w->start);
    if (bad)
        json_destroy(&r);
    return journal_append(w->out.journal, &r, e);
}

static double stored_bits(const struct plan *p)
{
    double bits = 0, weights = 0;

    for (size_t i = 0; i < p->nlinears; i++) {
        const struct format_linear *l = &p->linear[i].f;

        if (l->kept)
            continue;
        weights += (double)l->N * (double)l->K;
        bits += format_bits(l);
    }
    return weights > 0 ? bits / weights : 0;
}

int write_finish(struct writer *w, struct err *e)
{
    struct json *files = NULL;
    int rc = -1;

    if (plan_missing(&w->plan, e))
        return -1;
    for (size_t i = 0; i < w->nformats; i++)
        if (format_assemble(w, i, e))
            return -1;
    w->sizes.bits = stored_bits(&w->plan);
    if (!(files = out_assembled(&w->out, e)) || publish_record(w, files, e) ||
        out_publish(&w->out, files, e) || done_record(w, e))
        goto out;
    rc = out_done(&w->out, w->keep_parts, e);
out:
    json_destroy(&files);
    return rc;
}

static int by_loss(const void *a, const void *b)
{
    const struct write_row *x = a, *y = b;

    if (x->rel_loss != y->rel_loss)
        return x->rel_loss > y->rel_loss ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Insertion into the few rows that are wanted. */
size_t write_worst(const struct writer *w, struct write_row *rows, size_t max)
{
    const struct plan *p = &w->plan;
    size_t count = 0;

    for (size_t i = 0; i < p->sites; i++) {
        const struct plan_site *x = &p->site[i];
        struct write_row r = {.order = i,
                              .block = x->block,
                              .site = x->site->name,
                              .damp = x->damp,
                              .seconds = x->seconds,
                              .tokens = x->tokens,
                              .linear_loss = -1};

        if (!x->done || x->left)
            continue;
        r.rel_loss = plan_site_loss(p, i, &r.loss);
        for (size_t k = x->first; k < x->first + x->count; k++)
            if (p->linear[k].rel_loss > r.linear_loss) {
                r.linear_loss = p->linear[k].rel_loss;
                r.linear = p->linear[k].f.name;
            }
        if (count == max && (max == 0 || by_loss(&r, &rows[count - 1]) > 0))
            continue;
        rows[count < max ? count++ : count - 1] = r;
        qsort(rows, count, sizeof *rows, by_loss);
    }
    return count;
}
