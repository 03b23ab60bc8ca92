/* SPDX-License-Identifier: Apache-2.0 */
/* named - see named.h. */
#include "named.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../common/base/fs.h"
#include "../ops/tools/metrics/metrics_address.h"
#include "disk.h"
#include "hosts_url.h"

/* Of stages, read late or only where the data ask for it. */
static const char *const files[] = {"note", "weight-file", "chat-template"};

static int check_file(const char *option, const char *path, struct err *e)
{
    if (fs_is_dir(path))
        return err_set(e, ERR_USE, "--%s: '%s' is a folder, not a file", option, path);
    return access(path, R_OK) == 0
               ? 0
               : err_set(e, ERR_USE, "--%s: cannot read '%s': %s", option, path, strerror(errno));
}

static int check_stage(const struct stage *s, struct err *e)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        void *values;
        const struct opt *row = opt_find(s->group, s->ngroups, files[i], strlen(files[i]), &values);
        const char *path = row ? *(const char *const *)((const char *)values + row->offset) : NULL;

        if (path && check_file(files[i], path, e) < 0)
            return -1;
    }
    return stage_check_tmp(s, e);
}

int named_check(const struct named_opts *o, const struct route *t, struct err *e)
{
    struct sockaddr_storage a;
    char base[ZS_URL];
    long port;

    for (size_t i = 0; i < t->r->nstages; i++)
        if (t->stage[i] && check_stage(t->stage[i], e) < 0)
            return -1;
    if (o->metrics && metrics_address_read(o->metrics, 0, &a, e) < 0)
        return err_prefix(e, "--metrics");
    if (o->listen && hosts_url_read(o->listen, o->open, base, &port, e) < 0)
        return -1;
    if (o->log && fs_check_dash(o->log, e) < 0)
        return err_prefix(e, "--log");
    return o->log ? disk_check_folder("--log", o->log, e) : 0;
}
