/* SPDX-License-Identifier: Apache-2.0 */
/* convert_opts - see convert_opts.h. */
#include "convert_opts.h"

#include "../../../common/format/format.h"
#include "../../../stages/write/write.h"

#define AT(field) offsetof(struct convert_command, field)
static const struct opt rows[] = {
    {"model", OPT_TEXT, AT(model), "DIR", .help = "quantized checkpoint, or a GGUF file",
     .must = 1},
    {"format", OPT_TEXT, AT(format), "NAME", .help = "the format that it is to have", .must = 1,
     .nth = format_choice},
    {"shard-size", OPT_SIZE, AT(shard_bytes), "BYTES",
     .help = "tensor bytes after which a new weight file begins", OPT_NUMBER(WRITE_SHARD_BYTES),
     .min = 1 << 20},
    {.name = NULL},
};

static int check(const struct stage *s, struct err *e)
{
    const struct convert_command *c = s->own;

    return c->shard_bytes ? 0 : err_set(e, ERR_USE, WRITE_NO_SHARDS);
}

const struct stage_spec convert_spec = {
    .name = "convert",
    .about = "put a quantized checkpoint into another format, from its own codes",
    .usage = "--model DIR --format NAME [options] OUT",
    .notes = "OUT must not exist or be empty. Between formats of codes nothing is lost; what a "
             "format cannot hold is refused.\n"
             "Example: ptq-convert --model smollm2-w4 --format awq smollm2-awq\n",
    .args_min = 1,
    .args_max = 1,
    .rows = rows,
    .size = sizeof(struct convert_command),
    .check = check,
};
