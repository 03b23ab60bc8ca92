/* SPDX-License-Identifier: Apache-2.0 */
/* write_take - see write_take.h. */
#include "write_take.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/base/fs.h"
#include "../../common/base/hash.h"
#include "../../common/wire/follow.h"
#include "../../common/wire/run_id.h"
#include "write_assemble.h"
#include "write_impl.h"

/* The digest by which the journal of the earlier run knows the site; NULL: it does not. */
static const char *journaled(const struct writer *w, uint64_t order)
{
    int64_t at;

    for (size_t i = 0; i < journal_count(w->out.journal); i++) {
        const struct json *r = journal_at(w->out.journal, i);
        const char *known = json_as_text(json_get(r, "digest"));

        if (strcmp(json_as_text(json_get(r, "record")), "site") == 0 &&
            json_as_int(json_get(r, "order"), &at) == 0 && (uint64_t)at == order)
            return known;
    }
    return NULL;
}

static int is_journaled(const struct writer *w, uint64_t order, uint64_t digest)
{
    const char *known = journaled(w, order);
    char hex[17];

    hash_hex(digest, hex);
    return known && strcmp(known, hex) == 0;
}

/* A site that an earlier run has committed, as if its solution had come. adopts: also one that the
 * journal does not know, which then becomes durable. */
static int take_part(struct writer *w, size_t order, int adopts, struct err *e)
{
    const struct solution_linear *linear[PROBLEM_LINEARS];
    struct solution_view v;
    struct msg *m = NULL;
    uint64_t digest;
    int rc = -1;

    if (assemble_part(w->out.parts, &w->plan, order, &m, &v, e) ||
        plan_check(&w->plan, &v, linear, &digest, e) ||
        run_id_check_model(m->run, w->print, w->plan.dir, e))
        goto out;
    if (!is_journaled(w, order, digest) && adopts) {
        if (write_storable(w, &v, linear, e) == 0 &&
            write_site_commit(w, &m, &v, linear, digest, e) == 1)
            rc = 0;
        goto out;
    }
    if (!is_journaled(w, order, digest)) {
        err_set(e, ERR_USE, "%s: the journal knows no such part", m->id);
        goto out;
    }
    if (write_storable(w, &v, linear, e) == 0)
        rc = plan_note(&w->plan, &v, linear, digest, e);
out:
    msg_destroy(&m);
    return rc;
}

/* 1: the part of a site is there, whole; 0: it is not, or *why says what is wrong with it; -1 */
static int is_found(const struct writer *w, size_t order, struct err *why, struct err *e)
{
    struct solution_view v;
    struct msg *m = NULL;
    char name[32], *path;
    int rc;

    follow_part_name(order, name);
    if (!(path = fs_join(w->out.parts, name, e)))
        return -1;
    rc = fs_exists(path) && assemble_part(w->out.parts, &w->plan, order, &m, &v, why) == 0;
    msg_destroy(&m);
    free(path);
    return rc;
}

/* Parts behind those that are taken over are made anew. */
static int drop_parts(const struct writer *w, uint64_t from, struct err *e)
{
    char **names = NULL;
    size_t count = 0;
    int rc = fs_list(w->out.parts, &names, &count, e);

    for (size_t i = 0; i < count && rc == 0; i++) {
        uint64_t order = strtoull(names[i], NULL, 10);
        int kept = order < from || (order < w->plan.sites && w->plan.site[order].done);
        char *path =
            kept && isdigit((unsigned char)*names[i]) ? NULL : fs_join(w->out.parts, names[i], e);

        if (path && unlink(path))
            rc = errno == EISDIR ? err_set(e, ERR_USE, "'%s' is a folder: remove it", path)
                                 : err_sys(e, "cannot remove '%s'", path);
        free(path);
    }
    fs_names_free(&names, count);
    return rc;
}

int take_over(struct writer *w, uint64_t from, int later, struct err *e)
{
    struct json *r = json_new_object();

    if (json_set_text(r, "record", "resume") || json_set_int(r, "from", (int64_t)from))
        json_destroy(&r);
    if (from > w->plan.sites) {
        json_destroy(&r);
        return err_set(e, ERR_USE, "--from-site %llu: the model has %zu sites",
                       (unsigned long long)from, w->plan.sites);
    }
    for (size_t i = 0; i < w->plan.sites; i++) {
        struct err why = {0};
        const int takes = i < from || (later && journaled(w, i)) ? 1
                          : later                                ? is_found(w, i, &why, e)
                                                                 : 0;

        if (takes < 0 || (takes && take_part(w, i, later, e))) {
            json_destroy(&r);
            part_advise(e);
            return err_prefix(e, "going on with '%s'", w->out.path);
        }
    }
    if ((!later && journal_forget(w->out.journal, from, e)) || drop_parts(w, from, e)) {
        json_destroy(&r);
        return -1;
    }
    return journal_append(w->out.journal, &r, e);
}

/* ---- all that there is, of a run that cannot go on ---- */

int take_look(const char *out, struct err *e)
{
    char *parts = fs_join(out, FOLLOW_PARTS, e);
    int rc = !parts ? -1
             : fs_is_dir(parts)
                 ? 0
                 : err_set(e, ERR_USE, "--from-parts: '%s' holds no parts of a run", out);

    free(parts);
    return rc;
}

static int found_record(struct writer *w, struct err *e)
{
    struct json *r = json_new_object();

    if (json_set_text(r, "record", "from_parts") ||
        json_set_int(r, "sites", (int64_t)(w->plan.sites - w->plan.left)) ||
        json_set_int(r, "left", (int64_t)w->plan.left))
        json_destroy(&r);
    return journal_append(w->out.journal, &r, e);
}

int take_found(struct writer *w, struct err *e)
{
    struct err why = {0};

    for (size_t i = 0; i < w->plan.sites; i++) {
        const int found = is_found(w, i, &why, e);

        if (found < 0 || (found && take_part(w, i, 0, e)))
            return err_prefix(e, "'%s'", w->out.path);
        if (why.kind && !w->unread.kind)
            w->unread = why;
    }
    if (!w->plan.done)
        return err_set(e, ERR_DATA, "'%s' holds no finished part%s%s", w->out.path,
                       w->unread.kind ? ": " : "", w->unread.kind ? w->unread.text : "");
    return plan_leave(&w->plan, e) || found_record(w, e) ? -1 : 0;
}
