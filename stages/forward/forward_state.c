/* SPDX-License-Identifier: Apache-2.0 */
/* forward_state - see forward_state.h. */
#include "forward_state.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../common/base/fs.h"
#include "../../common/base/hash.h"
#include "../../common/base/mem.h"
#include "../../common/wire/frame.h"
#include "forward_acts.h"
#include "forward_begin.h"
#include "forward_impl.h"

#define STREAM "stream"

void state_pass(struct forward *f, const struct msg *commit)
{
    const uint64_t both[2] = {f->passed, f->o.state ? msg_checksum(commit) : 0};

    f->passed = hash_bytes(both, sizeof both);
}

/* One past the last chunk of the lane that chunk i begins. */
static size_t lane_end(const struct forward *f, size_t i)
{
    const uint64_t lane = f->held[i].view.lane;

    while (i < f->count && f->held[i].view.lane == lane)
        i++;
    return i;
}

static char *lane_path(const struct forward *f, size_t i, struct err *e)
{
    return mem_printf(e, "%s/%05llu.ptq", f->o.state, (unsigned long long)f->held[i].view.lane);
}

/* Of block `next`: where its first site will be, under a name that no site has. */
static struct site stream_of(const struct forward *f, size_t next)
{
    struct site s = {
        .order = f->sites->first[next], .block = next, .inputs = config_row(f->c), .expert = -1};

    snprintf(s.name, sizeof s.name, STREAM);
    return s;
}

/* ---- out ---- */

static int chunk_write_state(struct forward *f, size_t i, size_t next, int fd, const char *path,
                             struct err *e)
{
    const struct site s = stream_of(f, next);
    struct acts_view a = forward_acts(f, i, &s);
    void *to[2] = {NULL, NULL}, *h, *x;
    struct msg *m;
    char hex[17];
    int rc = -1;

    a.w = NULL;
    a.modality = NULL;
    if (!(m = acts_write(&a, DT_F32, &to[0], f->ways > 1 ? &to[1] : NULL, "forward", e)))
        return -1;
    snprintf(m->run, sizeof m->run, "%s", f->run);
    hash_hex(f->passed, hex);
    if (json_set_text(m->meta, "commits", hex) < 0) {
        err_set(e, ERR_SYS, "'%s': out of memory", path);
        goto out;
    }
    for (int w = 0; w < f->ways; w++) {
        if (store_load(f->way[w].store, f->held[i].place, 0, &h, &x, e) < 0)
            goto out;
        memcpy(to[w], h, a.T * a.K * sizeof(float));
    }
    rc = frame_write(fd, m, FRAME_RAW, path, NULL, e);
out:
    msg_destroy(&m);
    return rc;
}

static int lane_save(struct forward *f, size_t i, size_t end, size_t next, struct err *e)
{
    char *path = lane_path(f, i, e);
    struct fs_out out;
    int rc = path && fs_check_regular(path, e) == 0 ? fs_out_open(&out, path, e) : -1;

    if (rc == 0) {
        for (; i < end && rc == 0; i++)
            rc = chunk_write_state(f, i, next, out.fd, path, e);
        if (rc == 0)
            rc = fs_out_finish(&out, e);
        else
            fs_out_drop(&out);
    }
    free(path);
    return rc;
}

/* What shares out single chunks may stand before this stage: then no worker has the whole lane. */
static int is_whole(const struct forward *f, size_t i, size_t end)
{
    const struct site s = stream_of(f, 0);

    return forward_acts(f, i, &s).lane_count == end - i;
}

int state_save(struct forward *f, size_t next, struct err *e)
{
    if (!f->o.state)
        return 0;
    if (fs_mkdir(f->o.state, e) < 0)
        return err_prefix(e, "--state");
    for (size_t i = 0, end; i < f->count; i = end) {
        end = lane_end(f, i);
        if (f->held[i].from < next && is_whole(f, i, end) && lane_save(f, i, end, next, e) < 0)
            return err_prefix(e, "--state");
    }
    return 0;
}

/* ---- in ---- */

struct lane_state { /* what the messages of a file have in common */
    size_t next;
    uint64_t commits;
};

static int hex_read(const char *text, uint64_t *value)
{
    char *end;

    *value = text && strlen(text) == 16 ? strtoull(text, &end, 16) : 0;
    return *value && !*end ? 0 : -1;
}

/* Is it of chunk i, and of a block that the run has committed up to? */
static int state_fits(const struct forward *f, size_t i, const struct msg *m,
                      const struct acts_view *a, struct lane_state *s, struct err *e)
{
    const struct chunk_view *v = &f->held[i].view;
    uint64_t commits;

    if (strcmp(m->run, f->run) != 0)
        return err_set(e, ERR_USE, "it is of run %s, this is %s", m->run, f->run);
    if (a->chunk != v->chunk || a->chunks != v->chunks || a->lane != v->lane || a->T != v->T ||
        a->K != config_row(f->c) || a->x->dtype != DT_F32 || strcmp(a->site, STREAM) != 0 ||
        !a->xf != (f->ways < 2) || a->sites != f->sites->count)
        return err_set(e, ERR_USE, "'%s' is not the state of chunk %llu here", m->id,
                       (unsigned long long)v->chunk);
    if (hex_read(json_as_text(json_get(m->meta, "commits")), &commits) < 0)
        return err_set(e, ERR_USE, "'%s': field 'commits' is no digest", m->id);
    if (!a->block || a->block >= f->c->layers || f->sites->first[a->block] > f->o.from_site)
        return err_set(e, ERR_USE, "it is of block %llu, but not all before that is committed",
                       (unsigned long long)a->block);
    if (s->next && (s->next != a->block || s->commits != commits))
        return err_set(e, ERR_USE,
                       "'%s' is of another block or of other commits than the chunks "
                       "before it",
                       m->id);
    *s = (struct lane_state){(size_t)a->block, commits};
    return 0;
}

static int chunk_read_state(struct forward *f, size_t i, int fd, const char *path,
                            struct lane_state *s, struct err *e)
{
    const struct frame_limits limits = FRAME_LIMITS_DEFAULT;
    struct msg *m = NULL;
    struct acts_view a;
    void *h, *x;
    int rc = frame_read(fd, &m, &limits, path, NULL, e);

    if (rc == 0)
        rc = err_set(e, ERR_DATA, "'%s' ends before chunk %llu", path,
                     (unsigned long long)f->held[i].view.chunk);
    if (rc > 0) {
        rc = acts_read(m, &a, e) < 0 || state_fits(f, i, m, &a, s, e) < 0 ? -1 : 0;
        if (rc < 0)
            err_prefix(e, "'%s'", path);
    }
    for (int w = 0; w < f->ways && rc == 0; w++)
        if ((rc = store_load(f->way[w].store, f->held[i].place, 0, &h, &x, e)) == 0) {
            memcpy(h, (w ? a.xf : a.x)->data, a.T * a.K * sizeof(float));
            rc = store_save(f->way[w].store, f->held[i].place, 1, 0, e);
        }
    msg_destroy(&m);
    return rc;
}

/* 1: its chunks go on; 0: there is none, or *bad says why it is not used and they start from their
 * tokens; -1. */
static int lane_load(struct forward *f, size_t i, size_t end, struct err *bad, struct err *e)
{
    char *path = lane_path(f, i, e);
    struct lane_state s = {0};
    uint64_t bytes;
    int fd, rc = 0;

    if (!path || !fs_exists(path)) {
        free(path);
        return path ? 0 : -1;
    }
    if ((fd = fs_open(path, &bytes, bad)) < 0)
        rc = -1;
    for (size_t k = i; k < end && rc == 0; k++)
        rc = chunk_read_state(f, k, fd, path, &s, bad);
    if (fd >= 0)
        close(fd);
    free(path);
    for (size_t k = i; k < end; k++) {
        for (int w = 0; w < f->ways && rc < 0; w++)
            if (begin_embed(f, &f->way[w], k, e) < 0)
                return -1;
        f->held[k].from = rc < 0 ? 0 : s.next;
        f->held[k].commits = s.commits;
    }
    return rc == 0;
}

int state_load(struct forward *f, const struct forward_io *io, struct err *e)
{
    size_t first = f->c->layers, chunks = 0;
    struct err bad = {0};

    for (size_t i = 0, end; i < f->count; i = end) {
        int rc = 0;

        end = lane_end(f, i);
        if (f->o.state && f->o.from_site && (rc = lane_load(f, i, end, &bad, e)) < 0)
            return -1;
        chunks += rc ? end - i : 0;
        if (f->held[i].from < first)
            first = f->held[i].from;
    }
    if (io->goes_on && (chunks || bad.kind))
        io->goes_on(io->ctx, chunks, first, bad.kind ? &bad : NULL);
    return (int)first;
}

int state_check(const struct forward *f, size_t index, struct err *e)
{
    for (size_t i = 0; i < f->count && index; i++)
        if (f->held[i].from == index && f->held[i].commits != f->passed)
            return err_set(e, ERR_DATA,
                           "'%s/%05llu.ptq' was made with other commits than those before block "
                           "%zu: remove the folder and start again",
                           f->o.state, (unsigned long long)f->held[i].view.lane, index);
    return 0;
}
