/* SPDX-License-Identifier: Apache-2.0 */
/* mixed_choose - the choice. With a text several are measured on the recording: what the scores
 * choose and the same bits everywhere, then what is learned from those already measured. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/fs.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "mixed_parts.h"

#define CHOICE_MAX ((size_t)16 << 20)

/* Ways of choosing; the first is that of a run that measures none. */
static const struct way {
    const char *name, *score, *protect; /* score NULL: the same bits everywhere */
    int learned;                        /* by what was measured */
} ways[] = {{"relative losses", "agreed", "ends", 0},
            {"the same bits everywhere", NULL, NULL, 0},
            {"round-off", "round-off", "ends", 0},
            {"relative losses, no block protected", "relative", "none", 0}},
  learned = {"what was measured so far", "relative", "ends", 1};
#define WAYS (sizeof ways / sizeof *ways)

struct tries {
    size_t count, best; /* measured; best: SIZE_MAX none */
    struct divergence of;
    double bits; /* of the best */
};

/* ---- a choice ---- */

/* One width, where it is within the target. */
static int choose_one(const struct mixed *x, const char *file, struct err *e)
{
    char text[80];

    snprintf(text, sizeof text, "# the same bits everywhere: %d\n*: bits=%d\n", x->first, x->first);
    return fs_publish(file, text, strlen(text), e);
}

static int words_target(const struct mixed *x, struct words *w, struct err *e)
{
    char value[32];

    snprintf(value, sizeof value, "%.17g", allocate_target_value(&x->o->target));
    return words_option(w, allocate_target_name(&x->o->target), value, e);
}

static char *try_path(const struct mixed *x, size_t n, const char *end, struct err *e)
{
    return mem_printf(e, "%s/%zu%s", x->tries, n, end);
}

static int words_measured(const struct mixed *x, struct words *w, size_t count, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        char *dir = try_path(x, i, "", e);

        rc = dir ? words_option(w, "measured", dir, e) : -1;
        free(dir);
    }
    return rc;
}

static int words_widths(const struct mixed *x, struct words *w, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < x->count && rc == 0; i++) {
        char *dir = mixed_folder(x, x->bits[i], e);

        rc = dir ? words_add(w, dir, e) : -1;
        free(dir);
    }
    return rc;
}

/* measured: so many choices that were. */
static int choose(struct mixed *x, const struct way *by, size_t measured, const char *file,
                  struct err *e)
{
    struct words w = {0};
    char seed[32];
    int rc;

    if (!by->score)
        return choose_one(x, file, e);
    snprintf(seed, sizeof seed, "%zu", measured);
    rc = words_add(&w, "allocate", e) < 0 || words_target(x, &w, e) < 0 ||
                 words_option(&w, "score", by->score, e) < 0 ||
                 words_option(&w, "protect", by->protect, e) < 0 ||
                 (by->learned && !(x->o->target.kl > 0) &&
                  (words_option(&w, "search", "explore", e) < 0 ||
                   words_option(&w, "seed", seed, e) < 0)) ||
                 words_measured(x, &w, measured, e) < 0 || words_option(&w, "out", file, e) < 0 ||
                 words_widths(x, &w, e) < 0
             ? -1
             : steps_run(&x->steps, NULL, by->name, &w, e);
    words_release(&w);
    return rc < 0 ? -1 : 0;
}

/* ---- what it diverges ---- */

/* Its lines, without what is said above them; the caller's. */
static char *lines_of(const char *path, struct err *e)
{
    char *text = fs_read(path, CHOICE_MAX, NULL, e), *from = text;

    while (from && *from == '#')
        from = strchr(from, '\n') ? strchr(from, '\n') + 1 : from + strlen(from);
    if (from)
        memmove(text, from, strlen(from) + 1);
    return text;
}

/* Is the choice in `file` one of those that were measured? */
static int is_known(const struct mixed *x, const char *file, size_t count, struct err *e)
{
    char *lines = lines_of(file, e);
    int rc = lines ? 0 : -1;

    for (size_t i = 0; i < count && rc == 0; i++) {
        char *path = try_path(x, i, ".txt", e), *other = path ? lines_of(path, e) : NULL;

        rc = other ? strcmp(lines, other) == 0 : -1;
        free(other);
        free(path);
    }
    free(lines);
    return rc;
}

/* The recording solved as it was chosen, and its divergence. */
static int measure(struct mixed *x, const char *file, const char *out, struct divergence *d,
                   struct err *e)
{
    struct words w = {0}, judge = {0};
    int rc = mixed_words_resolve(x, &w, x->first, out, e) < 0 ||
                     words_option(&w, "overrides", file, e) < 0 ||
                     steps_run(&x->steps, NULL, "the recording, solved so", &w, e) < 0 ||
                     mixed_words_judge(x, &judge, out, e) < 0 ||
                     steps_run(&x->steps, NULL, "its divergence on the text", &judge, e) < 0 ||
                     steps_divergence(out, d, e) < 0
                 ? -1
                 : steps_keep_journal(out, e);

    words_release(&w);
    words_release(&judge);
    return rc;
}

/* 1: it was measured, *d; 0: it was before; -1. */
static int try_way(struct mixed *x, const struct way *by, struct tries *t, struct divergence *d,
                   struct err *e)
{
    char *file = try_path(x, t->count, ".txt", e), *out = try_path(x, t->count, "", e);
    int rc = file && out ? choose(x, by, by->learned ? t->count : 0, file, e) : -1;

    if (rc == 0)
        rc = is_known(x, file, t->count, e);
    if (rc == 0 && (rc = measure(x, file, out, d, e)) == 0) {
        log_info("choice %zu, by %s: KL %.4g \u00b1 %.2g", ++t->count, by->name, d->kl, d->se);
        rc = 1;
    } else if (rc == 1) {
        rc = 0;
    }
    free(file);
    free(out);
    return rc;
}

/* ---- the best of several ---- */

static int follow(const struct mixed *x, size_t best, struct err *e)
{
    char *file = try_path(x, best, ".txt", e);
    const int rc = file ? fs_copy(file, x->choice, e) : -1;

    free(file);
    return rc;
}

static void keep_least(struct tries *t, const struct divergence *d)
{
    if (t->best != SIZE_MAX && !(d->kl < t->of.kl))
        return;
    t->best = t->count - 1;
    t->of = *d;
}

/* Within a size or a share: the one that diverges least. */
static int choose_least(struct mixed *x, struct err *e)
{
    const int one = x->bpw > 0 && mixed_bits(x, x->first) <= x->bpw;
    struct tries t = {.best = SIZE_MAX};
    struct divergence d;
    int rc = 0;

    for (size_t i = 0; i < WAYS && t.count < x->o->trials && rc >= 0; i++)
        if ((ways[i].score || one) && (rc = try_way(x, &ways[i], &t, &d, e)) > 0)
            keep_least(&t, &d);
    while (rc >= 0 && t.count < x->o->trials) {
        if ((rc = try_way(x, &learned, &t, &d, e)) == 0) {
            log_info("no other choice is near: %zu were measured", t.count);
            break;
        }
        if (rc > 0)
            keep_least(&t, &d);
    }
    return rc < 0 ? -1 : follow(x, t.best, e);
}

/* Bits a weight, as the first line of a choice says. */
static double bits_said(const struct mixed *x, size_t n, struct err *e)
{
    char *file = try_path(x, n, ".txt", e),
         *text = file ? fs_read(file, CHOICE_MAX, NULL, e) : NULL;
    double bits = NAN;

    if (text && strncmp(text, "# ", 2) == 0)
        bits = strtod(text + 2, NULL);
    free(text);
    free(file);
    return bits;
}

/* No choice that was measured diverges so little: the least width that does. */
static int choose_width(struct mixed *x, struct err *e)
{
    struct divergence d = {.kl = NAN};

    for (size_t i = 0; i < x->count; i++) {
        char *dir = mixed_folder(x, x->bits[i], e);
        const int rc = dir ? steps_divergence(dir, &d, e) : -1;

        free(dir);
        if (rc < 0)
            return -1;
        if (d.kl > x->o->target.kl)
            continue;
        x->first = x->bits[i];
        return choose_one(x, x->choice, e);
    }
    return err_set(e, ERR_DATA,
                   "--max-kl %g: no choice that was measured on '%s' diverges so little, %d bits "
                   "everywhere by %.4g: allow more, or other --choose-bits",
                   x->o->target.kl, x->o->on, x->bits[x->count - 1], d.kl);
}

/* The fewest bits that diverge no more: each choice that was measured says better which those
 * are. */
static int choose_kl(struct mixed *x, struct err *e)
{
    static const struct way by = {"divergence foreseen", "relative", "ends", 1};
    struct tries t = {.best = SIZE_MAX};
    struct divergence d;
    int rc = 1;

    while (rc > 0 && t.count < x->o->trials) {
        double bits;

        if ((rc = try_way(x, &by, &t, &d, e)) <= 0)
            break;
        bits = bits_said(x, t.count - 1, e);
        if (d.kl <= x->o->target.kl && (t.best == SIZE_MAX || bits < t.bits)) {
            t.best = t.count - 1;
            t.bits = bits;
        }
    }
    if (rc < 0)
        return -1;
    return t.best == SIZE_MAX ? choose_width(x, e) : follow(x, t.best, e);
}

static int choose_measured(struct mixed *x, struct err *e)
{
    int rc = fs_exists(x->tries) ? fs_remove_tree(x->tries, e) : 0;

    if (rc == 0)
        rc = fs_mkdir(x->tries, e);
    if (rc == 0)
        rc = x->o->target.kl > 0 ? choose_kl(x, e) : choose_least(x, e);
    return rc;
}

/* What stands above the lines of the choice. */
static int say(const struct mixed *x, struct err *e)
{
    char *text = fs_read(x->choice, CHOICE_MAX, NULL, e);

    for (char *s = text, *end; s && *s == '#' && (end = strchr(s, '\n')); s = end + 1)
        log_info("%.*s", (int)(end - s - 2), s + 2);
    free(text);
    return text ? 0 : -1;
}

int mixed_choose(struct mixed *x, struct err *e)
{
    if ((x->o->on ? choose_measured(x, e) : choose(x, &ways[0], 0, x->choice, e)) < 0)
        return -1;
    return say(x, e);
}
