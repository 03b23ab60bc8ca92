/* SPDX-License-Identifier: Apache-2.0 */
/* journal_site - what became of a site, to JSON and back. */
#include "journal_site.h"

#include <math.h>
#include <stdlib.h>

#include "../base/mem.h"

#define SITES_MAX 1000000

/* ---- reading ---- */

static const char *text_of(const struct json *j, const char *key)
{
    return json_as_text(json_get(j, key));
}

static const struct json *list_of(const struct json *j, const char *key)
{
    return json_count(json_get(j, key)) ? json_get(j, key) : NULL;
}

static int linear_read(const struct json *j, struct journal_linear *l, const char *what,
                       struct err *e)
{
    *l = (struct journal_linear){
        .name = text_of(j, "name"), .solver = text_of(j, "solver"), .grid = text_of(j, "grid")};
    return json_opt_bool(j, "kept", 0, &l->kept, what, e) ||
                   json_opt_int(j, "rows", 1, INT32_MAX, -1, &l->rows, what, e) ||
                   json_opt_int(j, "bits", 1, 64, -1, &l->bits, what, e) ||
                   json_opt_int(j, "group", -1, INT32_MAX, 0, &l->group, what, e) ||
                   json_opt_real(j, "loss", NAN, &l->loss, what, e) ||
                   json_opt_real(j, "rel_loss", NAN, &l->rel_loss, what, e) ||
                   json_opt_real(j, "round_off", NAN, &l->round_off, what, e) ||
                   json_opt_real(j, "trace", NAN, &l->trace, what, e) ||
                   json_opt_real(j, "asym_loss", NAN, &l->asym_loss, what, e) ||
                   json_opt_real(j, "bound", NAN, &l->bound, what, e)
               ? -1
               : 0;
}

static int linears_read(const struct json *list, struct journal_site *s, const char *what,
                        struct err *e)
{
    size_t n = json_count(list);

    if (n && !(s->linear = mem_array(n, sizeof *s->linear, e)))
        return -1;
    s->nlinears = n;
    for (size_t i = 0; i < n; i++)
        if (linear_read(json_at(list, i), &s->linear[i], what, e))
            return -1;
    return 0;
}

static int contenders_read(const struct json *list, struct journal_site *s, const char *what,
                           struct err *e)
{
    size_t n = json_count(list);

    if (n > JOURNAL_CONTENDERS)
        return err_set(e, ERR_USE, "%s: more than %d contenders", what, JOURNAL_CONTENDERS);
    for (size_t i = 0; i < n; i++) {
        struct journal_contender *c = &s->contender[i];
        const struct json *j = json_at(list, i);

        if (!(c->solver = json_need_text(j, "solver", what, e)) ||
            json_opt_real(j, "loss", NAN, &c->loss, what, e) ||
            json_opt_real(j, "asym_loss", NAN, &c->asym_loss, what, e) ||
            json_opt_real(j, "hold_loss", NAN, &c->hold_loss, what, e))
            return -1;
    }
    s->ncontenders = n;
    return 0;
}

static int lengths_check(const struct json *list, const char *what, struct err *e)
{
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *row = json_at(list, i);
        int64_t length, sequences;
        double w;

        if (json_as_int(json_at(row, 0), &length) || json_as_int(json_at(row, 1), &sequences) ||
            json_as_real(json_at(row, 2), &w) || length < 0 || sequences < 0 || !(w >= 0))
            return err_set(e, ERR_USE,
                           "%s: field 'lengths': entry %zu is not [length, sequences, weight]",
                           what, i);
    }
    return 0;
}

static int classes_check(const struct json *list, const char *what, struct err *e)
{
    static const char *const numbers[] = {"tokens", "sum_w", "energy", "loss"};
    double v;

    if (json_count(list) > JOURNAL_CLASSES)
        return err_set(e, ERR_USE, "%s: field 'classes' has more than %d entries", what,
                       JOURNAL_CLASSES);
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *x = json_at(list, i);

        if (!json_need_text(x, "kind", what, e) || !json_need_text(x, "name", what, e))
            return err_prefix(e, "field 'classes', entry %zu", i);
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            if (json_opt_real(x, numbers[k], NAN, &v, what, e))
                return err_prefix(e, "field 'classes', entry %zu", i);
    }
    return 0;
}

static int count_read(const struct json *j, const char *key, int64_t *v, const char *what,
                      struct err *e)
{
    return json_opt_int(j, key, 0, INT64_MAX, -1, v, what, e);
}

static int numbers_read(const struct json *j, struct journal_site *s, const char *what,
                        struct err *e)
{
    return json_opt_real(j, "loss", NAN, &s->loss, what, e) ||
                   json_opt_real(j, "rel_loss", NAN, &s->rel_loss, what, e) ||
                   json_opt_real(j, "damp", NAN, &s->damp, what, e) ||
                   json_opt_real(j, "sum_w", NAN, &s->sum_w, what, e) ||
                   json_opt_real(j, "ess", NAN, &s->ess, what, e) ||
                   json_opt_real(j, "coverage", NAN, &s->coverage, what, e) ||
                   json_opt_real(j, "seconds", NAN, &s->seconds, what, e) ||
                   json_opt_real(j, "wall", NAN, &s->wall, what, e) ||
                   count_read(j, "attempts", &s->attempts, what, e) ||
                   count_read(j, "dead", &s->dead, what, e) ||
                   count_read(j, "raised", &s->raised, what, e) ||
                   count_read(j, "tokens", &s->tokens, what, e) ||
                   count_read(j, "routed", &s->routed, what, e) ||
                   count_read(j, "sequences", &s->sequences, what, e) ||
                   count_read(j, "inputs", &s->inputs, what, e) ||
                   count_read(j, "bytes_in", &s->bytes_in, what, e) ||
                   count_read(j, "bytes_raw", &s->bytes_raw, what, e) ||
                   count_read(j, "bytes_part", &s->bytes_part, what, e)
               ? -1
               : 0;
}

int journal_site_read(const struct json *j, struct journal_site *s, const char *what, struct err *e)
{
    int64_t order, sites, block;

    *s = (struct journal_site){.name = json_need_text(j, "site", what, e)};
    if (!s->name || json_need_int(j, "sites", 1, SITES_MAX, &sites, what, e) ||
        json_need_int(j, "order", 0, sites - 1, &order, what, e) ||
        json_need_int(j, "block", 0, SITES_MAX, &block, what, e) || numbers_read(j, s, what, e))
        return -1;
    s->order = (uint64_t)order;
    s->sites = (uint64_t)sites;
    s->block = (uint64_t)block;
    s->run = text_of(j, "run");
    s->digest = text_of(j, "digest");
    s->solver = text_of(j, "solver");
    s->solver = s->solver ? s->solver : "?";
    s->fallback = text_of(j, "fallback");
    s->starved = text_of(j, "starved");
    s->judged_on = text_of(j, "judged_on");
    s->criterion = text_of(j, "criterion");
    s->lengths = list_of(j, "lengths");
    s->classes = list_of(j, "classes");
    s->mix = list_of(j, "mix");
    s->windows = list_of(j, "windows");
    s->changed = list_of(j, "changed");
    s->contenders = list_of(j, "contenders");
    if (lengths_check(s->lengths, what, e) || classes_check(s->classes, what, e) ||
        contenders_read(s->contenders, s, what, e) ||
        linears_read(json_get(j, "linears"), s, what, e)) {
        journal_site_release(s);
        return -1;
    }
    return 0;
}

void journal_site_release(struct journal_site *s)
{
    free(s->linear);
    s->linear = NULL;
    s->nlinears = 0;
}

/* ---- writing ---- */

static int count_set(struct json *o, const char *key, int64_t v)
{
    return json_set(o, key, v < 0 ? json_new_null() : json_new_int(v));
}

static int text_set(struct json *o, const char *key, const char *v)
{
    return json_set(o, key, v ? json_new_text(v) : json_new_null());
}

static int value_set(struct json *o, const char *key, const struct json *v)
{
    return json_set(o, key, v ? json_clone(v) : json_new_null());
}

static struct json *linear_record(const struct journal_linear *l)
{
    struct json *o = json_new_object();

    if (json_set_text(o, "name", l->name) || json_set_int(o, "rows", l->rows) ||
        (l->kept && json_set_bool(o, "kept", 1)))
        goto bad;
    if (l->kept)
        return o;
    if ((l->solver && json_set_text(o, "solver", l->solver)) || count_set(o, "bits", l->bits) ||
        json_set_int(o, "group", l->group) || json_set_text(o, "grid", l->grid) ||
        json_set_real(o, "loss", l->loss) || json_set_real(o, "rel_loss", l->rel_loss) ||
        (isfinite(l->round_off) && json_set_real(o, "round_off", l->round_off)) ||
        (isfinite(l->trace) && json_set_real(o, "trace", l->trace)) ||
        json_set_real(o, "asym_loss", l->asym_loss) ||
        (l->bound > 0 && json_set_real(o, "bound", l->bound)))
        goto bad;
    return o;
bad:
    json_destroy(&o);
    return NULL;
}

static struct json *linears_record(const struct journal_site *s)
{
    struct json *list = json_new_array();

    for (size_t i = 0; i < s->nlinears; i++)
        if (json_push(list, linear_record(&s->linear[i]))) {
            json_destroy(&list);
            return NULL;
        }
    return list;
}

/* Only where there was a contest, a mix, or learning, the problem told classes apart, or it is an
 * expert's. */
static int some_set(struct json *o, const struct journal_site *s)
{
    return (s->routed >= 0 && json_set_int(o, "routed", s->routed)) ||
           (s->starved && json_set_text(o, "starved", s->starved)) ||
           (s->classes && value_set(o, "classes", s->classes)) ||
           (s->mix && value_set(o, "mix", s->mix)) ||
           (s->windows && value_set(o, "windows", s->windows)) ||
           (s->changed && value_set(o, "changed", s->changed)) ||
           (s->contenders &&
            (value_set(o, "contenders", s->contenders) || text_set(o, "judged_on", s->judged_on) ||
             text_set(o, "criterion", s->criterion)));
}

struct json *journal_site_record(const struct journal_site *s)
{
    struct json *o = json_new_object();

    if (json_set_text(o, "record", "site") || json_set_int(o, "order", (int64_t)s->order) ||
        json_set_int(o, "sites", (int64_t)s->sites) ||
        json_set_int(o, "block", (int64_t)s->block) || json_set_text(o, "site", s->name) ||
        json_set_text(o, "run", s->run) || json_set(o, "linears", linears_record(s)) ||
        json_set_real(o, "loss", s->loss) || json_set_real(o, "rel_loss", s->rel_loss) ||
        json_set_text(o, "solver", s->solver) || json_set_real(o, "damp", s->damp) ||
        count_set(o, "attempts", s->attempts) || text_set(o, "fallback", s->fallback) ||
        count_set(o, "dead", s->dead) || count_set(o, "tokens", s->tokens) ||
        count_set(o, "sequences", s->sequences) || json_set_real(o, "sum_w", s->sum_w) ||
        json_set_real(o, "ess", s->ess) || count_set(o, "inputs", s->inputs) ||
        json_set_real(o, "coverage", s->coverage) || count_set(o, "raised", s->raised) ||
        value_set(o, "lengths", s->lengths) || some_set(o, s) ||
        json_set_real(o, "seconds", s->seconds) || count_set(o, "bytes_in", s->bytes_in) ||
        count_set(o, "bytes_raw", s->bytes_raw) || count_set(o, "bytes_part", s->bytes_part) ||
        json_set_real(o, "wall", s->wall) || json_set_text(o, "digest", s->digest))
        json_destroy(&o);
    return o;
}
