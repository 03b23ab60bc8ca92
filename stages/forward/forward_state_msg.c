/* SPDX-License-Identifier: Apache-2.0 */
/* forward_state_msg - see forward_state_msg.h. */
#include "forward_state_msg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/hash.h"
#include "../../common/base/mem.h"
#include "../../common/model/family.h"
#include "../../common/model/program.h"
#include "../../common/wire/frame.h"
#include "forward_acts.h"
#include "forward_impl.h"

#define STREAM "stream" /* no site has this name */

static const char *const stream_name[2] = {"x", "xf"}, *const kept_name[2] = {"kept", "kept_full"};

const struct site *state_site(const struct forward *f, size_t block, size_t stop)
{
    const struct site *s = &f->sites->site[f->sites->first[block]],
                      *end = &f->sites->site[f->sites->end[block]];

    while (s < end && s->stop != stop)
        s++;
    return s < end ? s : NULL;
}

/* ---- out ---- */

static int set_at(struct msg *m, const char *stop, const char *commits, const struct state_at *at)
{
    char hex[17];

    hash_hex(at->commits, hex);
    return json_set_int(m->meta, stop, (int64_t)at->stop) || json_set_text(m->meta, commits, hex);
}

static int put_out(const struct forward *f, struct msg **m, const struct state_at *at, int fd,
                   const char *path, uint64_t *bytes, struct err *e)
{
    int rc;

    snprintf((*m)->run, sizeof(*m)->run, "%s", f->run);
    rc = set_at(*m, "stop", "commits", at) ? err_set(e, ERR_SYS, "'%s': out of memory", path)
                                           : frame_write(fd, *m, FRAME_RAW, path, bytes, e);
    msg_destroy(m);
    return rc;
}

int state_write_stream(const struct forward *f, size_t i, const struct state_at *at,
                       void *const h[2], int fd, const char *path, uint64_t *bytes, struct err *e)
{
    struct site s = {.order = f->sites->first[at->block],
                     .block = at->block,
                     .inputs = config_row(f->c),
                     .name = STREAM,
                     .expert = -1};
    struct acts_view a = forward_acts(f, i, &s);
    const uint64_t shape[2] = {a.T, a.K};
    struct tensor t[2];
    struct msg *m;

    for (int w = 0; w < f->ways; w++)
        if (tensor_borrow(&t[w], stream_name[w], DT_F32, 2, shape, h[w], e) < 0)
            return -1;
    a.x = &t[0];
    a.xf = f->ways > 1 ? &t[1] : NULL;
    a.w = NULL;
    a.modality = NULL;
    m = acts_over(&a, "forward", e);
    return m ? put_out(f, &m, at, fd, path, bytes, e) : -1;
}

int state_write_rest(const struct forward *f, size_t i, const struct state_at *at,
                     const struct state_at *stream, char *const kept[2], int fd, const char *path,
                     uint64_t *bytes, struct err *e)
{
    const struct held *c = &f->held[i];
    const uint64_t T = c->view.T;
    struct msg *m = msg_create(MSG_ACTS, "forward", e);

    if (!m)
        return -1;
    if (json_set_int(m->meta, "block", (int64_t)at->block) ||
        json_set_int(m->meta, "chunk", (int64_t)c->view.chunk) ||
        set_at(m, "stream", "stream_commits", stream)) {
        err_set(e, ERR_SYS, "'%s': out of memory", path);
        goto fail;
    }
    for (int w = 0; w < f->ways; w++) {
        const uint64_t n = block_kept(f->way[w].block, at->stop, c->view.T, f->o.acts);

        if (msg_add_over(m, kept_name[w], DT_U8, 1, &n, kept[w], e) < 0)
            goto fail;
    }
    if (c->w && msg_add_over(m, "w", DT_F32, 1, &T, c->w, e) < 0)
        goto fail;
    if (msg_set_id(m, e, "b%zu.stop%zu/c%llu", at->block, at->stop,
                   (unsigned long long)c->view.chunk) == 0)
        return put_out(f, &m, at, fd, path, bytes, e);
fail:
    msg_destroy(&m);
    return -1;
}

/* ---- in ---- */

static int check_run(const struct forward *f, const struct msg *m, struct err *e)
{
    return strcmp(m->run, f->run) == 0
               ? 0
               : err_set(e, ERR_USE, "it is of run %s, this is %s", m->run, f->run);
}

static int get_at(const struct msg *m, const char *stop, const char *commits, struct state_at *at,
                  struct err *e)
{
    const char *text = json_as_text(json_get(m->meta, commits));
    int64_t n;
    char *end = NULL;

    if (json_as_int(json_get(m->meta, stop), &n) < 0 || n < 0)
        return err_set(e, ERR_USE, "'%s': field '%s' is no stop", m->id, stop);
    at->commits = text && strlen(text) == 16 ? strtoull(text, &end, 16) : 0;
    if (!end || *end)
        return err_set(e, ERR_USE, "'%s': field '%s' is no digest", m->id, commits);
    at->stop = (size_t)n;
    return 0;
}

/* Is it a place of the model, and has the run committed all that is before it? */
static int check_place(const struct forward *f, const struct msg *m, uint64_t block,
                       struct state_at *at, struct err *e)
{
    const struct site *s = block < f->c->layers ? state_site(f, (size_t)block, at->stop) : NULL;

    if (!s || (!block && !at->stop))
        return err_set(e, ERR_USE, "'%s': block %llu has no such stop %zu", m->id,
                       (unsigned long long)block, at->stop);
    at->block = (size_t)block;
    return s->order <= f->o.from_site
               ? 0
               : err_set(e, ERR_USE, "it is of %s%sblock %zu, but not all before that is committed",
                         at->stop ? s->name : "", at->stop ? " of " : "", at->block);
}

static int stream_fits(const struct forward *f, size_t i, const struct msg *m, struct state_at *at,
                       struct err *e)
{
    const struct chunk_view *v = &f->held[i].view;
    struct acts_view a;

    if (check_run(f, m, e) < 0 || acts_read(m, &a, e) < 0)
        return -1;
    if (a.chunk != v->chunk || a.chunks != v->chunks || a.lane != v->lane || a.T != v->T ||
        a.K != config_row(f->c) || a.x->dtype != DT_F32 || strcmp(a.site, STREAM) != 0 ||
        !a.xf != (f->ways < 2) || a.sites != f->sites->count)
        return err_set(e, ERR_USE, "'%s' is not the state of chunk %llu here", m->id,
                       (unsigned long long)v->chunk);
    return get_at(m, "stop", "commits", at, e) < 0 ? -1 : check_place(f, m, a.block, at, e);
}

/* What chunk i keeps there. */
static int check_kept(const struct forward *f, size_t i, const struct msg *m,
                      const struct state_at *at, struct err *e)
{
    const size_t T = f->held[i].view.T;
    const struct tensor *x = msg_tensor(m, "w");
    struct program p;
    int rc = family_program(f->c, at->block, &p, e);

    if (rc == 0 && x && (x->dtype != DT_F32 || x->bytes != T * sizeof(float)))
        rc = err_set(e, ERR_USE, "'%s': tensor 'w' is not F32 [%zu]", m->id, T);
    for (int w = 0; w < f->ways && rc == 0; w++) {
        const size_t bytes = program_kept(&p, at->stop, T, dtype_size(f->o.acts));

        x = msg_tensor(m, kept_name[w]);
        if (!x || x->dtype != DT_U8 || x->bytes != bytes)
            rc = err_set(e, ERR_USE, "'%s': tensor '%s' is not the %zu bytes of stop %zu", m->id,
                         kept_name[w], bytes, at->stop);
    }
    program_release(&p);
    return rc;
}

static int rest_fits(const struct forward *f, size_t i, const struct msg *m, struct state_at *at,
                     struct state_at *stream, struct err *e)
{
    int64_t block, chunk;

    if (check_run(f, m, e) < 0)
        return -1;
    if (m->kind != MSG_ACTS || json_as_int(json_get(m->meta, "block"), &block) < 0 ||
        json_as_int(json_get(m->meta, "chunk"), &chunk) < 0 ||
        (uint64_t)chunk != f->held[i].view.chunk)
        return err_set(e, ERR_USE, "'%s' is not the state of chunk %llu here", m->id,
                       (unsigned long long)f->held[i].view.chunk);
    if (get_at(m, "stop", "commits", at, e) < 0 ||
        get_at(m, "stream", "stream_commits", stream, e) < 0 ||
        check_place(f, m, (uint64_t)block, at, e) < 0)
        return -1;
    stream->block = at->block;
    if (!at->stop || stream->stop > at->stop)
        return err_set(e, ERR_USE, "'%s': field 'stream' is %zu behind stop %zu", m->id,
                       stream->stop, at->stop);
    return check_kept(f, i, m, at, e);
}

/* What came of frame_read and a look at the message. */
static int read_end(int rc, int fits, struct msg **m, const char *path, struct err *e)
{
    if (rc > 0 && fits < 0)
        rc = err_prefix(e, "'%s'", path);
    if (rc < 0)
        msg_destroy(m);
    return rc;
}

int state_read_stream(const struct forward *f, size_t i, int fd, const char *path, struct msg **m,
                      struct state_at *at, struct err *e)
{
    const struct frame_limits limits = FRAME_LIMITS_DEFAULT;
    const int rc = frame_read(fd, m, &limits, path, NULL, e);

    return read_end(rc, rc > 0 ? stream_fits(f, i, *m, at, e) : 0, m, path, e);
}

int state_read_rest(const struct forward *f, size_t i, int fd, const char *path, struct msg **m,
                    struct state_at *at, struct state_at *stream, struct err *e)
{
    const struct frame_limits limits = FRAME_LIMITS_DEFAULT;
    const int rc = frame_read(fd, m, &limits, path, NULL, e);

    return read_end(rc, rc > 0 ? rest_fits(f, i, *m, at, stream, e) : 0, m, path, e);
}

static int put_weights(struct held *c, const struct tensor *w, struct err *e)
{
    if (!w)
        return 0;
    if (!c->w && !(c->w = mem_raw(c->view.T, sizeof *c->w, e)))
        return -1;
    memcpy(c->w, w->data, w->bytes);
    return 0;
}

int state_put(struct forward *f, size_t i, const struct msg *stream, const struct msg *rest,
              struct err *e)
{
    void *h, *x;

    for (int w = 0; w < f->ways; w++) {
        const struct tensor *s = stream ? msg_tensor(stream, stream_name[w]) : NULL,
                            *kept = rest ? msg_tensor(rest, kept_name[w]) : NULL;

        if (store_load(f->way[w].store, f->held[i].place, 0, &h, &x, e) < 0)
            return -1;
        if (s)
            memcpy(h, s->data, s->bytes);
        if (kept)
            memcpy(x, kept->data, kept->bytes);
        if (store_save(f->way[w].store, f->held[i].place, s != NULL, kept ? kept->bytes : 0, e) < 0)
            return -1;
    }
    return rest ? put_weights(&f->held[i], msg_tensor(rest, "w"), e) : 0;
}
