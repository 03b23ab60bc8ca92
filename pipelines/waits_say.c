/* SPDX-License-Identifier: Apache-2.0 */
/* waits_say - see waits_say.h. */
#include "waits_say.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/fs.h"
#include "../common/base/json.h"
#include "../common/base/mem.h"
#include "hosts.h"

/* ---- the lines ---- */

struct shares {
    double wall;
    size_t count;
    const char *name[STATUS_WAITS];
    double sum[STATUS_WAITS];
};

/* w NULL: it told nothing. */
static void shares_add(struct shares *x, const struct waits *w, double wall)
{
    x->wall += wall;
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

/* Processes of workers with it. */
static void shares_of(struct shares *x, const struct recipe *r, const struct supervise *s,
                      size_t stage)
{
    const struct hosts_waits *others = s->hosts ? hosts_waited(s->hosts) : NULL;

    for (size_t i = 0; i < s->plan->count; i++)
        if (s->child[i].exited && s->plan->process[i].stage == stage)
            shares_add(x, s->child[i].waits, s->child[i].ended - s->child[i].started);
    for (size_t i = 0; others && i < others->count; i++)
        if (strcmp(others->row[i]->stage, r->stage[stage].name) == 0)
            shares_add(x, &others->row[i]->w, others->row[i]->to - others->row[i]->from);
}

void waits_print(FILE *f, const struct recipe *r, const struct supervise *s)
{
    int lines = 0;

    for (size_t k = 0; k < r->nstages; k++) {
        struct shares x = {0};

        shares_of(&x, r, s, k);
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

/* w NULL: it told nothing. */
static struct json *process_make(const struct supervise *s, const char *name, const char *stage,
                                 double from, double to, const struct waits *w)
{
    struct json *o = json_new_object();

    if (json_set_text(o, "name", name) || json_set_text(o, "stage", stage) ||
        json_set_real(o, "from", thousandths(from - s->watch.began)) ||
        json_set_real(o, "to", thousandths(to - s->watch.began)) ||
        (w &&
         (json_set_real(o, "width", w->width) || json_set(o, "waited", waited_of(w, to - from)))))
        json_destroy(&o);
    return o;
}

static struct json *processes(const struct recipe *r, const struct supervise *s)
{
    const struct hosts_waits *others = s->hosts ? hosts_waited(s->hosts) : NULL;
    struct json *list = json_new_array();

    for (size_t i = 0; i < s->plan->count; i++) {
        const struct child *c = &s->child[i];

        if (c->exited &&
            json_push(list, process_make(s, c->plan->label, r->stage[c->plan->stage].name,
                                         c->started, c->ended, c->waits)) != 0)
            json_destroy(&list);
    }
    for (size_t i = 0; others && i < others->count; i++) {
        const struct host_waits *x = others->row[i];

        if (json_push(list, process_make(s, x->name, x->stage, x->from, x->to, &x->w)) != 0)
            json_destroy(&list);
    }
    return list;
}

int waits_write(const char *out, const struct recipe *r, const struct supervise *s, struct err *e)
{
    struct json *o = json_new_object();
    char *path = mem_printf(e, "%s/.ptqflow/waits.json", out), *text = NULL;
    int rc = -1;

    if (json_set_real(o, "seconds", thousandths(s->seconds)) ||
        json_set(o, "processes", processes(r, s)))
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
