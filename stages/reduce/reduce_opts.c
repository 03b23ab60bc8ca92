/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_opts - see reduce_opts.h. */
#include "reduce_opts.h"

#include "../../common/tensor/blas.h"
#include "../../common/wire/modality.h"

static const struct opt_choice classes[] = {{"none", 0},
                                            {"length", CLASS_LENGTH},
                                            {"position", CLASS_POSITION},
                                            {"both", CLASS_LENGTH | CLASS_POSITION},
                                            {"modality", CLASS_MODALITY},
                                            {"length,modality", CLASS_LENGTH | CLASS_MODALITY},
                                            {"position,modality", CLASS_POSITION | CLASS_MODALITY},
                                            {"all", CLASS_LENGTH | CLASS_POSITION | CLASS_MODALITY},
                                            {NULL, 0}};

static const struct opt_choice modalities[] = {
    {"none", 0}, {"image", 1 << MODALITY_IMAGE}, {NULL, 0}};

#define AT(field) offsetof(struct reduce_command, field)
static const struct opt rows[] = {
    {"record", OPT_TEXT, AT(record), "FILE",
     .help = "also keep the problems (or partial sums) in a file (several times the model), for "
             "ptq report or to "
             "solve them "
             "again later",
     .aside = 1, .file = OPT_WRITES},
    {"commits", OPT_TEXT, AT(commits), "EP",
     .help = "where ptq-write announces commits: until then a problem is kept, and given to "
             "another solver "
             "when its own is lost",
     .wiring = 1},
    {"overdue", OPT_REAL, AT(overdue), "S",
     .help = "with --commits: a problem that a solver has had in hand for so many seconds goes to "
             "another too (0: ten times what the slowest so far would take for the largest, at "
             "least 120)",
     "0", 0, 1e6},
    {"peers", OPT_INT, AT(peers), "N",
     .help = "forward workers, or reducers with --partial, whose end is the end of the stream", "1",
     1, 65536, .wiring = 1},
    {"only", OPT_TEXTS, AT(only), "PATTERN",
     .help =
         "take only rows of sites whose name fits, as 'mlp.*', attn.o or b3.mlp.down, or of one "
         "share of all sites, as 2/3: several reducers share them",
     .wiring = 1},
    {"partial", OPT_FLAG, AT(core.partial),
     .help = "send the sums of each lane as soon as its rows are in, instead of problems, for "
             "another ptq-reduce to add up; it makes the very problems of a single one",
     .wiring = 1},
    {"holdout", OPT_INT, AT(core.how.holdout), "N",
     .help =
         "hold every Nth chunk out of the sums and sum it apart, to judge solutions on (0: none)",
     "0", 0, 1000000},
    {"plain-sums", OPT_FLAG, AT(core.how.plain),
     .help = "beside the sums with the token weights keep others with every weight 1 (ptq-solve "
             "--sums plain)"},
    {"length-diagonals", OPT_FLAG, AT(core.how.length_diagonals),
     .help = "keep the diagonal of the sums for each sequence length, for ptq report"},
    {"classes", OPT_CHOICE, AT(core.how.classes), "KIND",
     .help =
         "also keep the sums by length of the sequence, by position in it, or both; by modality of "
         "the row:\nptq-solve then tells the loss on each class, and can mix modalities anew "
         "(--mix)",
     "none", .choices = classes},
    {"apart", OPT_CHOICE, AT(apart), "MODALITY",
     .help = "the sums of this class come from a reducer of its own, with --rows-of: the problems "
             "are those of one that sums all itself",
     "none", .choices = modalities, .wiring = 1},
    {"rows-of", OPT_CHOICE, AT(rows_of), "MODALITY",
     .help =
         "with --partial: all rows are of this modality (ptq-forward --images-out), and go into "
         "the sums of its class",
     "none", .choices = modalities, .wiring = 1},
    {"credit", OPT_SIZE, AT(credit), "BYTES", .help = "rows that each worker may have under way",
     "64M", .aside = 1},
    {"from-site", OPT_INT, AT(core.from_site), "N",
     .help = "an earlier run has committed the sites before this one: no rows of them come (ptq "
             "run says which)",
     "0", 0, 1000000, .wiring = 1},
    {"lease", OPT_TEXT, AT(lease_text), "PLACE/EPOCH",
     .help = "should this reducer be lost, another is started at its place, with a higher epoch "
             "(ptq run gives it)",
     .wiring = 1},
    {.name = NULL},
};

static int check(const struct stage *s, struct err *e)
{
    struct reduce_command *c = s->own;

    if (c->core.how.holdout == 1)
        return err_set(e, ERR_USE,
                       "--holdout 1 holds every chunk out and leaves none to solve with: use 2 or "
                       "more, or 0");
    if (c->core.partial && c->commits)
        return err_set(e, ERR_USE,
                       "--commits is for the reducer that makes the problems, not with --partial");
    if (c->rows_of && !c->core.partial)
        return err_set(e, ERR_USE, "--rows-of goes with --partial");
    if (c->apart && (c->core.partial || !(c->core.how.classes & CLASS_MODALITY)))
        return err_set(e, ERR_USE,
                       "--apart is for the reducer that makes the problems, with --classes "
                       "modality");
    if (c->lease_text && link_lease_parse(c->lease_text, &c->lease, e) < 0)
        return err_prefix(e, "--lease");
    c->core.apart = (unsigned)(c->apart | c->rows_of);
    c->core.share = c->only.count > 0;
    c->core.mem = s->mem;
    c->core.tmp = s->tmp;
    return 0;
}

const struct stage_spec reduce_spec = {
    .name = "reduce",
    .about = "adds up the inputs of each site over all calibration rows; one problem per site",
    .usage = "[--in EP] [--out EP] [options]",
    .notes =
        "The sums are the same bytes for any number of workers and threads on one type of CPU "
        "kernel\n(OPENBLAS_CORETYPE; chosen from the CPU when it is not set). --mem bounds S and D "
        "of the site and of the lanes\nthat are added up; the problem of a site is sent whole, so "
        "that it is the least there is.\nEnvironment: TMPDIR, OPENBLAS_CORETYPE.",
    .in = "rows",
    .out = "problems",
    .mem = "2G",
    .mem_for = "memory for sums; the rest goes to a spill file",
    .shared = STAGE_TMP | STAGE_THREADS | STAGE_ZSTD | STAGE_STATUS | STAGE_INSECURE | STAGE_FAULT,
    .rows = rows,
    .size = sizeof(struct reduce_command),
    .check = check,
    .start = blas_start,
};
