/* SPDX-License-Identifier: Apache-2.0 */
/* write_opts - see write_opts.h. */
#include "write_opts.h"

#include <string.h>

#define AT(field) offsetof(struct write_command, field)
static const struct opt_choice heads[] = {{"keep", 0}, {"4", 4}, {"8", 8}, {NULL, 0}};

static const struct opt_choice visions[] = {{"full", 0}, {"quantize", 1}, {NULL, 0}};

static const struct opt_choice kernels[] = {{"same", 0}, {"any", 1}, {NULL, 0}};

static const struct opt rows[] = {
    {"model", OPT_TEXT, AT(core.model), "DIR",
     .help = "the model that is being quantized (a Hugging Face folder)", .must = 1,
     .file = OPT_READS},
    {"commits", OPT_TEXT, AT(commits), "EP",
     .help = "where commits go; without it forward stages follow OUT", .wiring = 1},
    {"format", OPT_TEXT, AT(core.formats), "LIST",
     .help = "formats to write, comma-separated, several get a folder each", FORMAT_DEFAULT,
     .nth = format_choice, .aside = 1},
    {"vision", OPT_CHOICE, AT(core.tower), "HOW",
     .help = "of the vision tower: full, or quantize as ptq-forward --vision quantize does", "full",
     .choices = visions},
    {"lm-head", OPT_CHOICE, AT(core.head_bits), "BITS",
     .help =
         "gguf: round the head and the embedding to nearest in blocks of 32 (Q4_0, Q8_0); gptq, "
         "gptq-v2,\ncompressed-tensors, awq (4): round the head, where the model has its own",
     "keep", .choices = heads, .aside = 1},
    {"overwrite", OPT_FLAG, AT(core.overwrite),
     .help = "replace an earlier output of ptqflow in OUT, finished or not", .aside = 1},
    {"keep-parts", OPT_FLAG, AT(core.keep_parts),
     .help = "keep the commits in OUT/.ptqflow/parts after the end", .aside = 1},
    {"note", OPT_TEXT, AT(core.note), "FILE",
     .help = "a text (Markdown) that says why it was made so: goes into the journal and the model "
             "card",
     .aside = 1},
    {"kernels", OPT_CHOICE, AT(core.any_kernels), "WHICH",
     .help =
         "of workers of other hosts (ptq run --listen): same: those of this CPU's kernels\nany: "
         "others too, so that another run gives other last bits, which the journal and the "
         "model card say",
     "same", .choices = kernels},
    {"shard-size", OPT_SIZE, AT(core.shard_bytes), "BYTES",
     .help = "tensor bytes after which a new weight file begins", OPT_NUMBER(WRITE_SHARD_BYTES),
     .min = 1 << 20, .aside = 1},
    {"from-site", OPT_INT, AT(core.from_site), "N",
     .help = "an earlier run has committed the sites before this one to OUT: go on there (ptq run "
             "says which)",
     "0", 0, 1000000, .wiring = 1},
    {"same-run", OPT_FLAG, AT(core.same_run),
     .help = "with --from-site: all but the writer are still there; what is committed behind it "
             "stays too (ptq run says it)",
     .wiring = 1},
    {"lease", OPT_TEXT, AT(lease_text), "PLACE/EPOCH",
     .help = "should this writer be lost, another is started at its place, with a higher epoch "
             "(ptq run gives it)",
     .wiring = 1},
    {"from-parts", OPT_FLAG, AT(core.from_parts),
     .help =
         "no solutions come: a checkpoint of the finished parts in OUT, of a run that cannot go "
         "on; the other sites stay at full precision",
     .wiring = 1},
    {"peers", OPT_INT, AT(peers), "N", .help = "solvers at the start; others may come and go", "1",
     1, 65536, .wiring = 1},
    {"commit-peers", OPT_INT, AT(commit_peers), "N", .help = "forward workers that take commits",
     "1", 1, 65536, .wiring = 1},
    {.name = NULL},
};

static int check(const struct stage *s, struct err *e)
{
    struct write_command *c = s->own;
    const struct format *formats[FORMATS_MAX];
    size_t count;

    c->core.out = s->args.arg[0];
    c->core.commits = c->commits != NULL;
    if (c->core.overwrite && c->core.from_site)
        return err_set(e, ERR_USE, "--overwrite throws away what --from-site would go on with");
    if (c->core.from_parts && (c->core.overwrite || c->core.from_site))
        return err_set(e, ERR_USE, "--from-parts takes what is there: leave --%s out",
                       c->core.overwrite ? "overwrite" : "from-site");
    if (c->core.from_parts && (c->commits || strcmp(s->in, "-") != 0))
        return err_set(e, ERR_USE, "--from-parts takes no solutions: leave --%s out",
                       c->commits ? "commits" : "in");
    if (!c->core.shard_bytes)
        return err_set(e, ERR_USE, WRITE_NO_SHARDS);
    if (c->core.same_run && !c->core.from_site)
        return err_set(e, ERR_USE, "--same-run goes with --from-site");
    if (c->lease_text && link_lease_parse(c->lease_text, &c->lease, e) < 0)
        return err_prefix(e, "--lease");
    if (format_parse(c->core.formats, formats, &count, e) < 0)
        return -1;
    for (size_t i = 0; c->core.head_bits && i < count; i++)
        if (formats[i]->container != FORMAT_GGUF && !formats[i]->heads)
            return err_set(e, ERR_USE,
                           "--lm-head %d: the %s format keeps head and embedding as they are here; "
                           "gguf, gptq, gptq-v2, awq and compressed-tensors hold a quantized one",
                           c->core.head_bits, formats[i]->name);
    return 0;
}

const struct stage_spec write_spec = {
    .name = "write",
    .about = "makes solutions durable and writes the quantized checkpoint",
    .usage = "--model DIR [options] OUT",
    .notes = "OUT must be absent or empty; with --overwrite it may hold an earlier output. While "
             "the run goes on it holds\nonly OUT/.ptqflow; the checkpoint appears at the end, or "
             "not at all.",
    .args_min = 1,
    .args_max = 1,
    .in = "solutions",
    .shared = STAGE_STATUS | STAGE_INSECURE | STAGE_FAULT,
    .rows = rows,
    .size = sizeof(struct write_command),
    .check = check,
};
