/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-merge - one stream of problems out of several. The work is in merge.c. */
#include "../../../common/base/log.h"
#include "../../../common/base/plural.h"
#include "merge_opts.h"

static int run(struct stage *s, struct err *e)
{
    const struct merge_command *c = s->own;
    const struct link_opts lo = {.name = "merge", .compress = s->zstd ? FRAME_ZSTD : FRAME_RAW};
    struct link *out = link_open(s->out, LINK_OUT, &lo, e);
    size_t count;
    int rc;

    if (!out)
        return -1;
    rc = merge_run(s->args.arg, s->args.count, c->by, out, &count, e);
    if (link_end(out, rc == 0, rc ? e->text : NULL, rc ? NULL : e))
        rc = -1;
    if (rc == 0)
        log_info("%zu problem%s of %zu files each", count, plural_s(count), s->args.count);
    link_close(&out);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(&merge_spec, run, argc, argv);
}
