/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-keys - makes the keys with which the hosts of a run know each other. */
#include "../../../common/base/log.h"
#include "keys.h"
#include "keys_opts.h"

static int run(struct stage *s, struct err *e)
{
    const struct keys_command *c = s->own;
    const char *const dir = s->args.arg[0], *const one[] = {"worker"};
    const char *const *name = c->workers.count ? c->workers.text : one;
    const size_t n = c->workers.count ? c->workers.count : 1;

    if (keys_head(dir, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (keys_worker(dir, name[i], e) < 0)
            return -1;
        log_info("'%s/%s' is for that worker alone: take it there by a safe way", dir, name[i]);
    }
    log_info("head: --keys %s/" KEYS_HEAD "; worker: --keys %s/%s", dir, dir, name[0]);
    return 0;
}

int main(int argc, char **argv)
{
    return stage_main(&keys_spec, run, argc, argv);
}
