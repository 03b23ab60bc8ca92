/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-convert - a quantized checkpoint in another format. The work is in write_repack.c. */
#include <inttypes.h>

#include "../../../common/base/log.h"
#include "../../../stages/write/write_repack.h"
#include "../newdir.h"
#include "convert_opts.h"

static int run(struct stage *s, struct err *e)
{
    const struct convert_command *c = s->own;
    const struct format *formats[FORMATS_MAX];
    struct repack_report r;
    struct newdir d;
    size_t count;

    if (format_parse(c->format, formats, &count, e) < 0)
        return err_prefix(e, "--format");
    if (count > 1)
        return err_set(e, ERR_USE, "--format: one format at a time, not '%s'", c->format);
    if (newdir_begin(&d, s->args.arg[0], e) < 0)
        return -1;
    if (repack_run(&(struct repack_opts){c->model, d.part, formats[0], c->shard_bytes}, &r, e)) {
        newdir_abort(&d);
        return -1;
    }
    if (newdir_publish(&d, e) < 0)
        return -1;
    if (r.from->unpacked) {
        log_info("'%s': %s unpacked, %" PRIu64 " tensor bytes where %" PRIu64
                 " were; weights are the same",
                 s->args.arg[0], r.from->title, r.after, r.before);
        return 0;
    }
    log_info("'%s': %s to %s, %zu of %zu linears, %" PRIu64 " tensor bytes where %" PRIu64
             " were%s",
             s->args.arg[0], r.from->title, formats[0]->title, r.linears - r.kept, r.linears,
             r.after, r.before,
             r.exact ? "; codes, scales and zero points are the same"
                     : "; weights were rounded to the type of the scales");
    return 0;
}

int main(int argc, char **argv)
{
    return stage_main(&convert_spec, run, argc, argv);
}
