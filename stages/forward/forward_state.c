/* SPDX-License-Identifier: Apache-2.0 */
/* forward_state - see forward_state.h. */
#include "forward_state.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "../../common/base/fs.h"
#include "../../common/base/hash.h"
#include "../../common/base/mem.h"
#include "forward_acts.h"
#include "forward_begin.h"
#include "forward_emit.h"
#include "forward_impl.h"
#include "forward_state_msg.h"

#define HEAD 16384 /* bytes of a message beside its tensors, and more */

enum { BEFORE, INSIDE }; /* files of a lane: before a block, at stops inside one */

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

static char *lane_path(const struct forward *f, size_t i, int which, struct err *e)
{
    return mem_printf(e, "%s/%05llu.%s", f->o.state, (unsigned long long)f->held[i].view.lane,
                      which == BEFORE ? "ptq" : "stop");
}

/* The chunks [*i, *end) of the lane of chunk i. 1: all of them are here; what shares out single
 * chunks may stand before this stage. */
static int lane_whole(const struct forward *f, size_t *i, size_t *end)
{
    const uint64_t count = forward_acts(f, *i, f->sites->site).lane_count;

    *end = lane_end(f, *i);
    while (*i && f->held[*i - 1].view.lane == f->held[*i].view.lane)
        --*i;
    return *end - *i == count;
}

/* ---- before a block ---- */

static int chunk_save(struct forward *f, size_t i, const struct state_at *at, int fd,
                      const char *path, struct err *e)
{
    void *h[2] = {NULL, NULL}, *x;

    for (int w = 0; w < f->ways; w++)
        if (store_load(f->way[w].store, f->held[i].place, 0, &h[w], &x, e) < 0)
            return -1;
    return state_write_stream(f, i, at, h, fd, path, NULL, e);
}

static int lane_save(struct forward *f, size_t i, size_t end, const struct state_at *at,
                     struct err *e)
{
    char *path = lane_path(f, i, BEFORE, e);
    struct fs_out out;
    int rc = path && fs_check_regular(path, e) == 0 ? fs_out_open(&out, path, e) : -1;

    if (rc == 0) {
        for (; i < end && rc == 0; i++)
            rc = chunk_save(f, i, at, out.fd, path, e);
        if (rc == 0)
            rc = fs_out_finish(&out, e);
        else
            fs_out_drop(&out);
    }
    free(path);
    return rc;
}

int state_save(struct forward *f, size_t next, struct err *e)
{
    const struct state_at at = {.block = next, .commits = f->passed};

    for (size_t i = 0, end; f->o.state && i < f->count; i = end)
        if (lane_whole(f, &i, &end) && f->held[i].from < next && lane_save(f, i, end, &at, e) < 0)
            return err_prefix(e, "--state");
    return 0;
}

/* ---- inside ---- */

/* For the stream of a chunk, and for the rest of it. */
static uint64_t stream_room(const struct forward *f, size_t i)
{
    const uint64_t T = f->held[i].view.T;

    return HEAD + T * sizeof(int32_t) + (uint64_t)f->ways * T * config_row(f->c) * sizeof(float);
}

static uint64_t rest_room(const struct forward *f, size_t i)
{
    const uint64_t T = f->held[i].view.T;

    return HEAD + T * sizeof(float) + (uint64_t)f->ways * T * f->kept;
}

/* fd stands where chunk i has its stream, or the rest. */
static int seek(const struct forward *f, size_t i, int rest, int fd, const char *path,
                struct err *e)
{
    uint64_t at = rest ? stream_room(f, i) : 0;

    for (; i && f->held[i - 1].view.lane == f->held[i].view.lane; i--)
        at += stream_room(f, i - 1) + rest_room(f, i - 1);
    return lseek(fd, (off_t)at, SEEK_SET) < 0
               ? err_sys(e, "cannot go to byte %llu of '%s'", (unsigned long long)at, path)
               : 0;
}

static int chunk_keep(struct forward *f, size_t i, const struct state_at *at, void *const h[2],
                      char *const kept[2], int fd, const char *path, struct err *e)
{
    struct held *c = &f->held[i];
    struct state_at stream;
    uint64_t n = 0, rest = 0;
    int changed = 0;

    for (; c->stream.next <= at->stop; c->stream.next++)
        changed |= block_step_writes(f->way[0].block, c->stream.next);
    if (changed) {
        if (seek(f, i, 0, fd, path, e) < 0 || state_write_stream(f, i, at, h, fd, path, &n, e) < 0)
            return -1;
        c->stream.stop = at->stop;
        c->stream.commits = at->commits;
    }
    stream = (struct state_at){at->block, c->stream.stop, c->stream.commits};
    if (seek(f, i, 1, fd, path, e) < 0 ||
        state_write_rest(f, i, at, &stream, kept, fd, path, &rest, e) < 0)
        return -1;
    return n <= stream_room(f, i) && rest <= rest_room(f, i)
               ? 0
               : err_set(e, ERR_SYS, "'%s': a state of %llu and %llu bytes has no room", path,
                         (unsigned long long)n, (unsigned long long)rest);
}

static int stop_keep(struct forward *f, size_t i, const struct state_at *at, void *const h[2],
                     char *const kept[2], struct err *e)
{
    char *path = lane_path(f, i, INSIDE, e);
    int rc = path ? fs_check_regular(path, e) : -1, fd = -1;

    if (rc == 0 && (fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666)) < 0)
        rc = err_sys(e, "cannot write to '%s'", path);
    if (rc == 0)
        rc = chunk_keep(f, i, at, h, kept, fd, path, e);
    if (fd >= 0 && close(fd) < 0 && rc == 0)
        rc = err_sys(e, "cannot write to '%s'", path);
    free(path);
    return rc;
}

int state_keep(struct forward *f, size_t i, const struct site *s, void *const h[2],
               char *const kept[2], struct err *e)
{
    const struct state_at at = {.block = s->block, .stop = s->stop, .commits = f->passed};
    struct held *c = &f->held[i];
    size_t first = i, end;

    if (!f->o.state)
        return 0;
    if (!s->stop) {
        c->stream.stop = c->stream.next = 0;
        c->stream.commits = f->passed;
        return 0;
    }
    if (!emit_can_again(f) || !lane_whole(f, &first, &end))
        return 0;
    return stop_keep(f, i, &at, h, kept, e) < 0 ? err_prefix(e, "--state") : 0;
}

/* ---- in ---- */

static void stands(struct held *c, const struct state_at *at)
{
    c->from = at->block;
    c->stop = at->stop;
    c->commits = at->commits;
}

/* Before a block: of all chunks of a lane, or of none. 1; 0: there is no such file; -1. */
static int before_read(struct forward *f, size_t i, size_t end, struct err *e)
{
    char *path = lane_path(f, i, BEFORE, e);
    struct state_at at[2];
    uint64_t bytes;
    int rc = path ? fs_exists(path) : -1, fd = -1;

    if (rc > 0 && (fd = fs_open(path, &bytes, e)) < 0)
        rc = -1;
    for (size_t k = i; rc > 0 && k < end; k++) {
        struct msg *m = NULL;

        rc = state_read_stream(f, k, fd, path, &m, &at[k > i], e);
        if (rc == 0)
            rc = err_set(e, ERR_DATA, "'%s' ends before chunk %llu", path,
                         (unsigned long long)f->held[k].view.chunk);
        else if (rc > 0 && (at[k > i].stop || (k > i && (at[1].block != at[0].block ||
                                                         at[1].commits != at[0].commits))))
            rc = err_set(e, ERR_USE,
                         "'%s': chunk %llu is of another block or of other commits than those "
                         "before it",
                         path, (unsigned long long)f->held[k].view.chunk);
        else if (rc > 0 && state_put(f, k, m, NULL, e) < 0)
            rc = -1;
        msg_destroy(&m);
    }
    for (size_t k = i; rc > 0 && k < end; k++)
        stands(&f->held[k], &at[0]);
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

/* Is the stream of the rest at hand: in *m, or (it was before the block) in the store? */
static int stream_find(struct forward *f, size_t i, const struct state_at *stream, int fd,
                       const char *path, struct msg **m, struct err *e)
{
    const struct held *c = &f->held[i];
    struct state_at at = {.block = c->from, .commits = c->commits};
    int rc = 1;

    if (stream->stop && (rc = seek(f, i, 0, fd, path, e)) == 0)
        rc = state_read_stream(f, i, fd, path, m, &at, e);
    if (rc < 0)
        return -1;
    return rc && at.block == stream->block && at.stop == stream->stop &&
                   at.commits == stream->commits
               ? 0
               : err_set(e, ERR_DATA,
                         "'%s': chunk %llu has not the stream of block %zu that its rows go with",
                         path, (unsigned long long)c->view.chunk, stream->block);
}

/* 1: chunk i goes on inside a block, which is farther than where it stood; 0: it does not, *bad may
 * say why; -1. */
static int inside_read(struct forward *f, size_t i, int fd, const char *path, struct err *bad,
                       struct err *e)
{
    struct held *c = &f->held[i];
    struct msg *rest = NULL, *m = NULL;
    struct state_at at, stream;
    int rc = seek(f, i, 1, fd, path, bad) == 0 &&
             state_read_rest(f, i, fd, path, &rest, &at, &stream, bad) > 0 && at.block >= c->from &&
             stream_find(f, i, &stream, fd, path, &m, bad) == 0;

    if (rc && (rc = state_put(f, i, m, rest, e)) == 0) {
        stands(c, &at);
        c->stream.stop = stream.stop;
        c->stream.next = at.stop + 1;
        c->stream.commits = stream.commits;
        rc = 1;
    }
    msg_destroy(&m);
    msg_destroy(&rest);
    return rc;
}

static int lane_load(struct forward *f, size_t i, size_t end, struct err *bad, struct err *e)
{
    char *path = lane_path(f, i, INSIDE, e);
    uint64_t bytes;
    int rc = 0, fd = -1;

    if (!path)
        return -1;
    if (before_read(f, i, end, bad) < 0)
        for (size_t k = i; k < end; k++)
            for (int w = 0; w < f->ways; w++)
                if (begin_embed(f, &f->way[w], k, e) < 0)
                    rc = -1;
    if (rc == 0 && fs_exists(path))
        fd = fs_open(path, &bytes, bad);
    for (; fd >= 0 && i < end && rc >= 0; i++)
        rc = inside_read(f, i, fd, path, bad, e);
    if (fd >= 0)
        close(fd);
    free(path);
    return rc < 0 ? -1 : 0;
}

int state_load(struct forward *f, const struct forward_io *io, struct err *e)
{
    const struct held *first = &f->held[0];
    struct err bad = {0};
    size_t chunks = 0;

    if (f->o.state && fs_mkdir(f->o.state, e) < 0)
        return err_prefix(e, "--state");
    for (size_t i = 0, end; f->o.state && f->o.from_site && i < f->count; i = end)
        if (lane_whole(f, &i, &end) && lane_load(f, i, end, &bad, e) < 0)
            return -1;
    for (size_t i = 0; i < f->count; i++) {
        const struct held *c = &f->held[i];

        chunks += c->from || c->stop;
        if (c->from < first->from || (c->from == first->from && c->stop < first->stop))
            first = c;
    }
    if (io->goes_on && f->o.from_site)
        io->goes_on(io->ctx, chunks, first->from,
                    first->stop ? state_site(f, first->from, first->stop)->name : NULL,
                    bad.kind ? &bad : NULL);
    return (int)first->from;
}

int state_check(const struct forward *f, size_t index, size_t stop, struct err *e)
{
    char *path;

    for (size_t i = 0; i < f->count && (index || stop); i++) {
        const struct held *c = &f->held[i];

        if (c->from != index || c->stop != stop || c->commits == f->passed)
            continue;
        if ((path = lane_path(f, i, stop ? INSIDE : BEFORE, e)))
            err_set(e, ERR_DATA,
                    "'%s' was made with other commits than those before %s%sblock %zu: remove the "
                    "folder and start again",
                    path, stop ? state_site(f, index, stop)->name : "", stop ? " of " : "", index);
        free(path);
        return -1;
    }
    return 0;
}
