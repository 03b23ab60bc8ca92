/* SPDX-License-Identifier: Apache-2.0 */
/* slide_state - see slide_state.h. */
#include "slide_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../common/base/fs.h"
#include "../../common/base/mem.h"
#include "../../common/wire/frame.h"

static char *path_of(const struct slide_state *s, struct err *e)
{
    return mem_printf(e, "%s/window%05zu.ptq", s->dir, s->window);
}

static void name_of(size_t param, char name[16])
{
    snprintf(name, 16, "p%zu", param);
}

/* ---- out ---- */

struct json *slide_state_curve(const struct slide_curve *c)
{
    struct json *list = json_new_array();

    for (size_t i = 0; i < c->points; i++)
        if (json_push(list, json_new_real(c->mean[i]))) {
            json_destroy(&list);
            return NULL;
        }
    return list;
}

struct msg *slide_state_message(const struct slide_state *s, struct slide_block *b, struct err *e)
{
    struct msg *m = msg_create(MSG_WEIGHTS, "slide", e);
    enum slide_rate rate;
    const struct slide_param *p;
    char name[16];
    int bad;

    if (!m)
        return NULL;
    bad = msg_set_site_id(m, b->index, "window", "/w", e) < 0;
    snprintf(m->run, sizeof m->run, "%s", s->run);
    if (!bad &&
        (json_set_int(m->meta, "window", (int64_t)s->window) ||
         json_set_real(m->meta, "before", s->before) || json_set_real(m->meta, "after", s->after) ||
         json_set(m->meta, "curve", slide_state_curve(&s->curve))))
        bad = err_set(e, ERR_SYS, "out of memory") < 0;
    for (size_t i = 0; !bad && (p = slide_block_param(b, i, &rate)); i++) {
        void *to;

        name_of(i, name);
        to = msg_add_new(m, name, DT_F32, 1, (const uint64_t[]){p->n}, e);
        bad = !to;
        if (to && p->n)
            memcpy(to, p->x, p->n * sizeof *p->x);
    }
    if (bad)
        msg_destroy(&m);
    return m;
}

int slide_state_save(const struct slide_state *s, const struct slide_window *w, struct err *e)
{
    char *path;
    struct fs_out out;
    int rc;

    if (!s->dir)
        return 0;
    if (fs_mkdir(s->dir, e) < 0 || !(path = path_of(s, e)))
        return err_prefix(e, "--state");
    rc = fs_check_regular(path, e) < 0 ? -1 : fs_out_open(&out, path, e);
    for (size_t i = 0; rc == 0 && i < w->count; i++) {
        struct msg *m = slide_state_message(s, w->block[i], e);

        rc = m ? frame_write(out.fd, m, FRAME_RAW, path, NULL, e) : -1;
        msg_destroy(&m);
        if (rc < 0)
            fs_out_drop(&out);
    }
    if (rc == 0)
        rc = fs_out_finish(&out, e);
    free(path);
    return rc < 0 ? err_prefix(e, "--state") : 0;
}

/* ---- in ---- */

static int check(struct slide_state *s, const struct msg *m, struct slide_block *b, struct err *e)
{
    char id[MSG_ID], name[16];
    enum slide_rate rate;
    const struct slide_param *p;
    int64_t window;

    snprintf(id, sizeof id, "b%zu.window/w", b->index);
    if (strcmp(m->run, s->run) != 0)
        return err_set(e, ERR_USE, "it is of run %s, this is %s", m->run, s->run);
    if (strcmp(m->id, id) != 0 || json_as_int(json_get(m->meta, "window"), &window) < 0 ||
        (size_t)window != s->window || json_as_real(json_get(m->meta, "before"), &s->before) < 0 ||
        json_as_real(json_get(m->meta, "after"), &s->after) < 0)
        return err_set(e, ERR_USE, "'%s' is not %s of window %zu", m->id, id, s->window);
    s->curve.points = json_count(json_get(m->meta, "curve"));
    if (s->curve.points > SLIDE_CURVE)
        return err_set(e, ERR_USE, "'%s': field 'curve' has more than %d numbers", id, SLIDE_CURVE);
    for (size_t i = 0; i < s->curve.points; i++)
        if (json_as_real(json_at(json_get(m->meta, "curve"), i), &s->curve.mean[i]) < 0)
            return err_set(e, ERR_USE, "'%s': field 'curve' must be numbers", id);
    for (size_t i = 0; (p = slide_block_param(b, i, &rate)); i++) {
        const struct tensor *t;

        name_of(i, name);
        if (!(t = msg_need(m, name, DT_F32, 1, e)))
            return -1;
        if (t->shape[0] != p->n)
            return err_set(e, ERR_USE, "'%s': tensor '%s' has %llu numbers, not %zu", id, name,
                           (unsigned long long)t->shape[0], p->n);
    }
    return 0;
}

void slide_state_take(const struct msg *m, struct slide_block *b)
{
    enum slide_rate rate;
    struct slide_param *p;
    char name[16];

    for (size_t i = 0; (p = slide_block_param(b, i, &rate)); i++) {
        name_of(i, name);
        if (p->n)
            memcpy(p->x, msg_tensor(m, name)->data, p->n * sizeof *p->x);
    }
}

/* All messages, before any of them is taken. */
static int read_all(struct slide_state *s, const struct slide_window *w, const char *path,
                    struct msg **m, struct err *e)
{
    const struct frame_limits limits = FRAME_LIMITS_DEFAULT;
    uint64_t bytes;
    int fd = fs_open(path, &bytes, e), rc = fd < 0 ? -1 : 0;

    for (size_t i = 0; rc == 0 && i < w->count; i++) {
        const int got = frame_read(fd, &m[i], &limits, path, NULL, e);

        if (got <= 0)
            rc = got < 0 ? -1 : err_set(e, ERR_DATA, "it ends before block %zu", i);
        else
            rc = check(s, m[i], w->block[i], e);
    }
    if (fd >= 0)
        close(fd);
    return rc < 0 ? err_prefix(e, "'%s'", path) : 0;
}

int slide_state_load(struct slide_state *s, const struct slide_window *w, struct err *bad,
                     struct err *e)
{
    struct msg **m;
    char *path;
    int rc = 0;

    if (!s->dir)
        return 0;
    path = path_of(s, e);
    m = path ? mem_array(w->count, sizeof(struct msg *), e) : NULL;
    if (m && fs_exists(path))
        rc = read_all(s, w, path, m, bad) == 0;
    for (size_t i = 0; m && i < w->count; i++) {
        if (rc)
            slide_state_take(m[i], w->block[i]);
        msg_destroy(&m[i]);
    }
    free(path);
    rc = m ? rc : -1;
    free(m);
    return rc;
}
