/* SPDX-License-Identifier: Apache-2.0 */
/* recorded - see recorded.h. */
#include "recorded.h"

#include <sys/stat.h>
#include <unistd.h>

#include "../common/base/fs.h"
#include "../common/model/fingerprint.h"
#include "../common/wire/frame.h"
#include "../common/wire/run_id.h"
#include "../stages/solve/solve.h"
#include "../stages/solve/solve_forecast.h"
#include "../stages/solve/solve_opts.h"

/* The message at the head of the file: 1; 0 when it holds none. */
static int first_of(const char *path, struct msg **m, struct err *e)
{
    const struct frame_limits limits = FRAME_LIMITS_DEFAULT;
    uint64_t bytes;
    const int fd = fs_open(path, &bytes, e);
    const int got = fd < 0 ? -1 : frame_read(fd, m, &limits, path, NULL, e);

    if (fd >= 0)
        close(fd);
    return got;
}

static int check_model(const struct msg *m, const struct config *c, const char *dir, struct err *e)
{
    struct st_set *weights = st_open_folder(dir, e);
    uint64_t print;
    int rc = weights ? fingerprint_model(c->file, weights, &print, e) : -1;

    st_close(&weights);
    if (rc == 0 && run_id_check_model(m->run, print, dir, &(struct err){0}) < 0)
        rc = err_set(e, ERR_USE,
                     "it was recorded from another model than --model '%s': name the one that it "
                     "was recorded from",
                     dir);
    return rc;
}

/* A solver of some later site, too. */
static int check_solver(const struct solve_opts *o, struct msg *m, struct err *e)
{
    const int dual = solve_forecast_dual(o, e);

    if (dual < 0 || solve_check_problem(o, m, e) < 0)
        return -1;
    if (dual && !msg_tensor(m, "D"))
        return err_set(e, ERR_USE,
                       "it holds no D, which a solver of an --override needs: record it anew with "
                       "ptq run gptaq --record");
    return 0;
}

static int check_first(const struct route *t, struct msg *m, const struct config *c,
                       const char *dir, struct err *e)
{
    const struct stage *s;

    if (m->kind != MSG_PROBLEM)
        return err_set(e, ERR_USE, "it holds no problems, but begins with '%s'",
                       msg_kind_name(m->kind));
    if (check_model(m, c, dir, e) < 0)
        return -1;
    for (size_t i = 0; (s = route_stage(t, &solve_spec, i)); i++)
        if (check_solver(&((const struct solve_command *)s->own)->core, m, e) < 0)
            return -1;
    return 0;
}

int recorded_check(const struct route *t, const struct config *c, const char *dir, struct err *e)
{
    const char *path = recipe_value(t->r, "problems");
    struct msg *m = NULL;
    struct stat st;
    int rc = 0;

    if (!path || (stat(path, &st) == 0 && !S_ISREG(st.st_mode)))
        return 0;
    if ((rc = first_of(path, &m, e)) == 1)
        rc = check_first(t, m, c, dir, e);
    msg_destroy(&m);
    return rc < 0 ? err_prefix(e, "--problems '%s'", path) : 0;
}
