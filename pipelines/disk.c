/* SPDX-License-Identifier: Apache-2.0 */
/* disk - see disk.h. */
#include "disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "../common/base/bytes.h"
#include "../common/base/fs.h"
#include "../common/base/mem.h"
#include "../common/run/override.h"
#include "../common/tensor/safetensors.h"
#include "../common/wire/follow.h"
#include "../stages/forward/forward_opts.h"
#include "../stages/reduce/reduce_opts.h"
#include "../stages/solve/solve_forecast.h"
#include "../stages/write/write_opts.h"
#include "foresight.h"

#define PART_SHARE 0.8 /* of the bits of codes, that packing leaves at least: .88 was measured */

/* Free bytes where `path` lies, or the nearest folder above it that is there. */
static int free_bytes(const char *path, const char *option, uint64_t *bytes, struct err *e)
{
    char *at = mem_printf(e, "%s", path), *slash;
    struct statvfs v;
    int rc;

    if (!at)
        return -1;
    while ((rc = statvfs(at, &v)) < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        slash = strrchr(at, '/');
        if (slash == at && !at[1])
            break;
        if (slash)
            slash[slash == at] = '\0';
        else
            strcpy(at, at[0] == '.' && !at[1] ? "/" : ".");
    }
    if (rc < 0)
        err_sys(e, "%s: cannot ask for the free bytes of '%s'", option, at);
    else /* what has no blocks at all, as /proc, is no disk: making the folder says more of it */
        *bytes = v.f_blocks ? (uint64_t)v.f_bavail * v.f_frsize : UINT64_MAX;
    free(at);
    return rc;
}

/* The path itself, or what is nearest above it and there. Owned by the caller. */
static char *nearest(const char *path, struct err *e)
{
    char *at = mem_printf(e, "%s", *path ? path : "."), *slash;

    while (at && !fs_is_named(at)) {
        slash = strrchr(at, '/');
        if (slash)
            slash[slash == at] = '\0';
        else
            strcpy(at, ".");
    }
    return at;
}

int disk_check_folder(const char *option, const char *dir, struct err *e)
{
    char *at = nearest(dir, e), *probe = at ? fs_join(at, ".ptq-XXXXXX", e) : NULL;
    int rc = -1;

    if (!probe)
        goto out;
    if (!fs_is_dir(at))
        err_set(e, ERR_USE,
                fs_exists(at) ? "%s '%s': '%s' is not a folder"
                              : "%s '%s': '%s' is a link to nothing: remove it, or name another",
                option, dir, at);
    else if (fs_is_dir(dir) ? access(dir, W_OK | X_OK) != 0 : !mkdtemp(probe))
        /* of a folder to be made a mode does not say enough: not to root, not below /proc */
        err_set(e, errno == ENOSPC || errno == EDQUOT ? ERR_SYS : ERR_USE,
                "%s '%s': nothing can be made in '%s': %s", option, dir, at, strerror(errno));
    else
        rc = fs_is_dir(dir) || rmdir(probe) == 0
                 ? 0
                 : err_sys(e, "%s: cannot remove '%s'", option, probe);
out:
    free(probe);
    free(at);
    return rc;
}

struct sum {
    const struct overrides *o;
    const struct format_linear *all;
    const struct format *const *formats;
    size_t nformats;
    const struct st_set *set;
    uint64_t bytes;
    double parts; /* what is committed, until the checkpoint is put together */
};

/* In place of its weights: what each format stores. */
static int add_linear(struct sum *s, const struct site *site, size_t i, struct err *e)
{
    struct format_linear l;
    struct st_entry x;
    uint64_t one;
    const int found = sites_source(s->set, &site->linear[i], &x, e);

    if (found <= 0)
        return found; /* not there: the writer says more of it */
    if (x.ndim != 2 || x.shape[0] != site->linear[i].rows || x.shape[1] != site->inputs)
        return 0; /* not what the config says: forward says more of it */
    overrides_linear(s->o, s->all, site, i, &l);
    if (l.kept)
        return 0;
    l.source_type = l.sparse_type = x.dtype;
    l.G = grid_groups(l.K, l.group);
    s->parts += PART_SHARE * (double)l.N * (double)l.K * l.bits / 8 + 2.0 * (double)(l.N * l.G);
    for (size_t f = 0; f < s->nformats; f++) {
        if (format_bytes(s->formats[f], &l, &one, e) < 0)
            return -1;
        s->bytes = s->bytes - x.bytes + one;
    }
    return 0;
}

static int add_all(struct sum *s, const struct sites *sites, struct err *e)
{
    for (size_t i = 0; i < s->set->count; i++)
        s->bytes += s->nformats * s->set->entries[i].bytes;
    for (size_t k = 0; k < sites->count; k++)
        for (size_t i = 0; i < sites->site[k].count; i++)
            if (add_linear(s, &sites->site[k], i, e) < 0)
                return -1;
    return 0;
}

/* Bytes that go to OUT, with the options of this solver. */
struct need {
    uint64_t tensors, parts, states;
};

static int output_bytes(const struct write_command *w, const struct solve_command *c,
                        const struct sites *sites, struct need *n, struct err *e)
{
    const struct format_linear all = solve_forecast_linear(&c->core, 0);
    const struct format *formats[FORMATS_MAX];
    struct sum s = {.o = &c->lines, .all = &all, .formats = formats};
    struct st_set *set;
    int rc = -1;

    if (format_parse(w->core.formats, formats, &s.nformats, e) < 0 ||
        !(set = st_open_folder(w->core.model, e)))
        return -1;
    s.set = set;
    rc = add_all(&s, sites, e);
    *n = (struct need){.tensors = s.bytes, .parts = (uint64_t)s.parts};
    st_close(&set);
    return rc;
}

static uint64_t states_bytes(const struct route *t, const struct config *c,
                             const struct sites *sites)
{
    struct foresight f;

    return foresight_make(t, c, sites, &f) ? f.forward.state : 0;
}

/* Of a run that goes on a part is there already: how much of it then is to come is not counted. */
static int is_begun(const char *out, int *begun, struct err *e)
{
    char *parts = fs_join(out, FOLLOW_PARTS, e);

    *begun = parts && fs_exists(parts);
    free(parts);
    return parts ? 0 : -1;
}

int disk_check(const struct route *t, const struct config *config, const struct sites *sites,
               uint64_t reserve, int states, struct err *e)
{
    const struct stage *w = route_stage(t, &write_spec, 0), *s = route_stage(t, &solve_spec, 0);
    const struct write_command *c = w ? w->own : NULL;
    char a[BYTES_TEXT], b[BYTES_TEXT], d[BYTES_TEXT], f[BYTES_TEXT];
    struct need n;
    uint64_t need, there;
    int begun;

    /* solvers with options of their own share the sites in a way that is not known here */
    if (!c || c->core.overwrite || !s || route_stage(t, &solve_spec, 1))
        return 0;
    if (output_bytes(c, s->own, sites, &n, e) < 0 || is_begun(c->core.out, &begun, e) < 0 ||
        free_bytes(c->core.out, "--out", &there, e) < 0)
        return -1;
    n.states = states ? states_bytes(t, config, sites) : 0;
    need = n.tensors + (begun ? 0 : n.parts + n.states);
    if (need <= there && reserve <= there - need)
        return 0;
    return err_set(
        e, ERR_SYS,
        "--out: '%s' needs at least %s (%s for the checkpoint, the rest for what it is put "
        "together from%s), and %s more are to stay free (--reserve), but only %s are free: make "
        "room, or give a folder on another disk",
        c->core.out, bytes_text((double)need, a), bytes_text((double)n.tensors, b),
        n.states ? " and for --save-state" : "", bytes_text((double)reserve, d),
        bytes_text((double)there, f));
}

/* What all processes of a stage will have in their files; a folder for each of the two stages. */
struct spills {
    const char *states_in, *sums_in;
    uint64_t states, sums;
};

/* 1, 0: not known before the start. */
static int spills_of(const struct route *t, const struct config *c, const struct sites *sites,
                     struct spills *x)
{
    struct foresight f;

    if (!foresight_make(t, c, sites, &f))
        return 0;
    *x = (struct spills){
        ((const struct forward_command *)route_stage(t, &forward_spec, 0)->own)->core.tmp,
        ((const struct reduce_command *)route_stage(t, &reduce_spec, 0)->own)->core.tmp,
        f.forward.spilled * f.all.forwards, f.reduce.spilled * f.all.reducers};
    return 1;
}

static int check_folder(const char *dir, uint64_t states, uint64_t sums, struct err *e)
{
    char a[BYTES_TEXT], b[BYTES_TEXT], c[BYTES_TEXT], d[BYTES_TEXT];
    uint64_t there;

    if (!states && !sums)
        return 0;
    if (free_bytes(dir, "--tmp", &there, e) < 0)
        return -1;
    if (states <= there && sums <= there - states)
        return 0;
    return err_set(e, ERR_SYS,
                   "--tmp: '%s' needs %s for what --mem leaves out (%s of hidden states, %s of "
                   "sums), but only %s are free: make room, give a folder on another disk, or "
                   "more --mem",
                   dir, bytes_text((double)states + (double)sums, a), bytes_text((double)states, b),
                   bytes_text((double)sums, c), bytes_text((double)there, d));
}

int disk_check_tmp(const struct route *t, const struct config *c, const struct sites *sites,
                   struct err *e)
{
    struct spills x;

    if (!spills_of(t, c, sites, &x))
        return 0;
    if (strcmp(x.states_in, x.sums_in) == 0)
        return check_folder(x.states_in, x.states, x.sums, e);
    return check_folder(x.states_in, x.states, 0, e) < 0 ? -1
                                                         : check_folder(x.sums_in, 0, x.sums, e);
}
