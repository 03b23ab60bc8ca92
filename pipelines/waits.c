/* SPDX-License-Identifier: Apache-2.0 */
/* waits - see waits.h. */
#include "waits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/fs.h"
#include "../common/base/mem.h"
#include "recipe.h"
#include "supervise_state.h"

static void halve(struct waits *w)
{
    for (size_t i = 0; i < w->count; i++)
        for (size_t k = 0; k < WAITS_PIECES; k++)
            w->each[i][k] =
                2 * k + 1 < WAITS_PIECES ? w->each[i][2 * k] + w->each[i][2 * k + 1] : 0;
    w->width *= 2;
}

/* The index of this name; STATUS_WAITS: there is no room for it. */
static size_t name_find(struct waits *w, const char *name)
{
    size_t i = 0;

    while (i < w->count && strcmp(w->name[i], name) != 0)
        i++;
    if (i == w->count && i < STATUS_WAITS)
        snprintf(w->name[w->count++], STATUS_WHOM, "%s", name);
    return i;
}

/* Seconds more, evenly between two times since the process began. */
static void spread(struct waits *w, size_t i, double from, double to, double seconds)
{
    const size_t first = (size_t)(from / w->width);

    for (size_t k = first; k < WAITS_PIECES && (double)k * w->width < to; k++) {
        const double at = fmax(from, (double)k * w->width),
                     end = fmin(to, (double)(k + 1) * w->width);

        w->each[i][k] += (float)(seconds * (end - at) / (to - from));
    }
}

void waits_take(struct waits *w, double from, const struct json *waited, double now)
{
    const double since = (w->told > 0 ? w->told : from) - from, to = now - from;
    const char *name;

    if (!(to > since))
        return;
    w->from = from;
    w->told = now;
    w->width = w->width > 0 ? w->width : WAITS_FIRST;
    while (to > w->width * WAITS_PIECES)
        halve(w);
    for (size_t k = 0; k < json_count(waited); k++) {
        const struct json *v = json_member(waited, k, &name);
        double seconds = NAN;
        size_t i;

        if (json_as_real(v, &seconds) != 0 || (i = name_find(w, name)) == STATUS_WAITS ||
            !(seconds > w->sum[i]))
            continue;
        spread(w, i, since, to, fmin(seconds - w->sum[i], to - since));
        w->sum[i] = seconds;
    }
}

/* ---- what is said of a stage ---- */

struct shares {
    double wall;
    size_t count;
    const char *name[STATUS_WAITS];
    double sum[STATUS_WAITS];
};

static void shares_add(struct shares *x, const struct child *c)
{
    const struct waits *w = c->waits;

    x->wall += c->ended - c->started;
    for (size_t i = 0; w && i < w->count; i++) {
        size_t k = 0;

        while (k < x->count && strcmp(x->name[k], w->name[i]) != 0)
            k++;
        if (k == STATUS_WAITS)
            continue;
        if (k == x->count)
            x->name[x->count++] = w->name[i];
        x->sum[k] += w->sum[i];
    }
}

static int shares_print(FILE *f, const char *stage, struct shares *x, int first)
{
    double all = 0;
    int listed = 0;

    for (size_t i = 0; i < x->count; i++)
        all += x->sum[i];
    if (!(x->wall > 0) || all < 0.005 * x->wall)
        return 0;
    fprintf(f, "%-10s %s %.0f%%", first ? "waited" : "", stage, 100 * fmin(1, all / x->wall));
    for (size_t n = 0; n < x->count; n++) {
        size_t most = 0;

        for (size_t i = 1; i < x->count; i++)
            most = x->sum[i] > x->sum[most] ? i : most;
        if (x->sum[most] >= 0.005 * x->wall)
            fprintf(f, "%s%.0f%% %s", listed++ ? ", " : " (", 100 * x->sum[most] / x->wall,
                    x->name[most]);
        x->sum[most] = -1;
    }
    fputs(listed ? ")\n" : "\n", f);
    return 1;
}

void waits_print(FILE *f, const struct recipe *r, const struct supervise *s)
{
    int lines = 0;

    for (size_t k = 0; k < r->nstages; k++) {
        struct shares x = {0};

        for (size_t i = 0; i < s->plan->count; i++)
            if (s->child[i].exited && s->plan->process[i].stage == k)
                shares_add(&x, &s->child[i]);
        lines += shares_print(f, r->stage[k].name, &x, lines == 0);
    }
}

/* ---- the file ---- */

static double thousandths(double v)
{
    return round(v * 1e3) / 1e3;
}

static struct json *waited_of(const struct waits *w, double seconds)
{
    struct json *list = json_new_array();
    const size_t pieces = w->width > 0 ? (size_t)ceil(seconds / w->width) : 0;

    for (size_t i = 0; i < w->count; i++) {
        struct json *o = json_new_object(), *each = json_new_array();

        for (size_t k = 0; k < pieces && k < WAITS_PIECES; k++)
            if (json_push(each, json_new_real(thousandths(w->each[i][k]))) != 0)
                json_destroy(&each);
        if (json_set_text(o, "for", w->name[i]) ||
            json_set_real(o, "seconds", thousandths(w->sum[i])) || json_set(o, "each", each) ||
            json_push(list, o) != 0)
            json_destroy(&list);
    }
    return list;
}

static struct json *process_of(const struct recipe *r, const struct supervise *s, size_t i)
{
    const struct child *c = &s->child[i];
    const double began = s->watch.began;
    struct json *o = json_new_object();

    if (json_set_text(o, "name", c->plan->label) ||
        json_set_text(o, "stage", r->stage[c->plan->stage].name) ||
        json_set_real(o, "from", thousandths(c->started - began)) ||
        json_set_real(o, "to", thousandths(c->ended - began)) ||
        (c->waits && (json_set_real(o, "width", c->waits->width) ||
                      json_set(o, "waited", waited_of(c->waits, c->ended - c->started)))))
        json_destroy(&o);
    return o;
}

int waits_write(const char *out, const struct recipe *r, const struct supervise *s, struct err *e)
{
    struct json *o = json_new_object(), *list = json_new_array();
    char *path = mem_printf(e, "%s/.ptqflow/waits.json", out), *text = NULL;
    int rc = -1;

    for (size_t i = 0; i < s->plan->count; i++)
        if (s->child[i].exited && json_push(list, process_of(r, s, i)) != 0)
            json_destroy(&list);
    if (json_set_real(o, "seconds", thousandths(s->seconds)) || json_set(o, "processes", list))
        json_destroy(&o);
    if (!o)
        err_set(e, ERR_SYS, "no memory for what the processes waited for");
    if (o && path && (text = json_print(o, 0, e)))
        rc = fs_publish(path, text, strlen(text), e);
    free(text);
    free(path);
    json_destroy(&o);
    return rc;
}
