/* SPDX-License-Identifier: Apache-2.0 */
/* sample_opts - see sample_opts.h. */
#include "../../common/base/fs.h"
#include "../../common/jinja/chat.h"
#include "sample_opts.h"
#include "sample_paces.h"

#include <stdlib.h>
#include <string.h>

static const struct opt_choice modes[] = {{"concat", SAMPLE_CONCAT},  {"crops", SAMPLE_CROPS},
                                          {"head", SAMPLE_HEAD},      {"whole", SAMPLE_WHOLE},
                                          {"auto", SAMPLE_MODE_AUTO}, {NULL, 0}};
static const struct opt_choice bad_images[] = {
    {"refuse", SAMPLE_IMAGES_REFUSE}, {"skip", SAMPLE_IMAGES_SKIP}, {NULL, 0}};
static const struct opt_choice draws[] = {{"stratified", SAMPLE_STRATIFIED},
                                          {"uniform", SAMPLE_UNIFORM},
                                          {"fixed", SAMPLE_FIXED},
                                          {NULL, 0}};
static const struct opt_choice crops[] = {
    {"independent", SAMPLE_INDEPENDENT}, {"nested", SAMPLE_NESTED}, {NULL, 0}};
static const struct opt_choice shorts[] = {
    {"error", SAMPLE_SHORT_ERROR}, {"join", SAMPLE_SHORT_JOIN}, {NULL, 0}};
static const struct opt_choice weights[] = {
    {"none", SAMPLE_WEIGHTS_NONE}, {"length", SAMPLE_WEIGHTS_LENGTH}, {NULL, 0}};
static const struct opt_choice bos[] = {
    {"auto", SAMPLE_BOS_AUTO}, {"yes", SAMPLE_BOS_YES}, {"no", SAMPLE_BOS_NO}, {NULL, 0}};

#define AT(field) offsetof(struct sample_command, field)
static const struct opt rows[] = {
    {"model", OPT_TEXT, AT(core.model), "DIR",
     .help = "checkpoint folder: config.json, tokenizer.json or .model (not needed for input_ids)",
     .must = 1, .file = OPT_READS},
    {"data", OPT_TEXTS, AT(data), "FILE",
     .help =
         "calibration text: .txt (one document), .jsonl ({\"text\"}, {\"input_ids\"}, "
         "{\"messages\"} or another form of chats a line) or .json (a list of these), each also "
         "as .gz or .zst; may be repeated",
     .must = 1, .file = OPT_READS},
    {"share", OPT_TEXTS, AT(share), "X",
     .help = "part of the tokens that comes from each --data, in their order\n(any unit; without "
             "it the "
             "files follow each other)"},
    {"tokens", OPT_INT, AT(core.tokens), "N",
     .help = "calibration tokens in all, cut down to whole rows; 0: all there are", "65536", 0,
     1e12},
    {"length", OPT_INT, AT(length), "N",
     .help =
         "tokens of a sequence, at most with --mode whole (default " OPT_NUMBER(SAMPLE_LENGTH) ")",
     .min = 2, .max = 1 << 24},
    {"lengths", OPT_TEXT, AT(lengths_text), "N,N,...",
     .help = "sequences of these lengths instead (MaCa: 256,512,1024,2048,4096)"},
    {"draw", OPT_CHOICE, AT(core.draw), "HOW",
     .help = "how lengths are drawn\nstratified: as many rows of each\nuniform: each by "
             "itself\nfixed: one "
             "length",
     "stratified", .choices = draws},
    {"mode", OPT_CHOICE, AT(mode), "MODE",
     .help = "concat: documents joined, cut into rows\ncrops: random windows in random "
             "documents\nhead: "
             "the beginning of each document\nwhole: each document, of its own length\nauto: whole "
             "for chats "
             "with images, crops with --lengths, else concat",
     "auto", .choices = modes},
    {"crops", OPT_CHOICE, AT(core.crops), "HOW",
     .help =
         "independent: each length draws its own windows\nnested: prefixes of one window of the "
         "longest length",
     "independent", .choices = crops},
    {"short", OPT_CHOICE, AT(core.too_short), "HOW",
     .help = "when too few documents are long enough for crops\nerror: refuse\njoin: cut rows from "
             "joined "
             "documents, and count them",
     "error", .choices = shorts},
    {"weights", OPT_CHOICE, AT(core.weights), "HOW",
     .help = "none: tokens count alike\nlength: 1/L in a row of L tokens, so that rows count alike",
     "none", .choices = weights},
    {"weight-file", OPT_TEXT, AT(core.token_weights), "FILE",
     .help =
         "weights multiplied in: .jsonl ({\"weights\": [each token],\n\"blocks\": [the row in each "
         "block]}, either or both,\nfor each row) or .safetensors (\"weights\" "
         "[tokens],\n\"blocks\" "
         "[blocks, rows]); mean 1 in a row, in a block",
     .file = OPT_READS},
    {"weight-file-clip", OPT_TEXT, AT(clip_text), "LO,HI", .help = "bounds of these weights"},
    {"first-weight", OPT_REAL, AT(first_weight), "X",
     .help = "weight of the first token of each row, multiplied in; 0 leaves it out of the sums:\n"
             "many models rest their attention on it, with inputs like no other token's",
     "1", 0, 1e6},
    {"chat-template", OPT_TEXT, AT(core.chat_template), "FILE",
     .help = "Jinja template of \"messages\" instead of the model's own", .file = OPT_READS},
    {"date", OPT_TEXT, AT(core.date), "YYYY-MM-DD",
     .help = "today's date, for chat templates that ask for it"},
    {"text-column", OPT_TEXT, AT(core.docs.text_column), "NAME",
     .help = "the member of a line that is its text, instead of \"text\"; no other is read"},
    {"bad-lines", OPT_CHOICE, AT(core.docs.bad_lines), "HOW",
     .help = "a line of a .jsonl, or an element of a .json, that is no document\n"
             "refuse: an error, with file and line\nskip: leave it out, and count it",
     "refuse", .choices = docs_bad_choices},
    {"bad-chats", OPT_CHOICE, AT(core.docs.bad_chats), "HOW",
     .help = "a chat that its template refuses\nstop: an error, with file and line\n"
             "skip: leave it out, and count it",
     "stop", .choices = docs_chat_choices},
    {"bad-images", OPT_CHOICE, AT(core.bad_images), "HOW",
     .help = "a chat with an image that is absent, broken or beyond the limits\nrefuse: an error, "
             "with its name\nskip: leave the chat out, and count it",
     "refuse", .choices = bad_images},
    {"seed", OPT_INT, AT(core.seed), "N", .help = "of the drawing in crops", "1", 0,
     9007199254740992.0},
    {"bos", OPT_CHOICE, AT(core.bos), "WHEN",
     .help =
         "rows begin with the BOS token\nauto: text in crops and head, if the tokenizer adds one",
     "auto", .choices = bos},
    {"chunk-tokens", OPT_INT, AT(core.chunk_tokens), "N",
     .help = "a chunk is whole rows of about so many tokens", "2048", 1, 1 << 24},
    {"lanes", OPT_INT, AT(core.lanes), "N", .help = "runs of chunks; the unit handed to one worker",
     OPT_NUMBER(SAMPLE_LANES), 1, 1 << 16},
    {"peers", OPT_INT, AT(peers), "N",
     .help = "wait for so many workers and share the lanes out among them", "1", 1, 1 << 16,
     .wiring = 1},
    {"only-lanes", OPT_TEXT, AT(only), "LIST",
     .help = "send the chunks of these lanes alone, as 0,3-5 (ptq run, to workers that take the "
             "place of those that were lost)",
     .wiring = 1},
    {"paces", OPT_TEXT, AT(paces_text), "PLACE=X,...",
     .help = "how fast a worker is beside others (1), of each whose place (--lease) is this or "
             "begins with it and a dot: it gets as many more lanes (ptq run gives them)",
     .wiring = 1},
    {"lease", OPT_TEXT, AT(lease_text), "PLACE/EPOCH",
     .help = "should this sampler be lost while it deals, another is started at its place, with a "
             "higher epoch (ptq run gives it)",
     .wiring = 1},
    {.name = NULL},
};

/* "256,512,..." */
static int lengths_parse(const char *text, size_t *out, size_t *count, struct err *e)
{
    const char *at = text;

    for (*count = 0; at; at++) {
        char *end;
        long long v = strtoll(at, &end, 10);

        if (end != at && v <= 1 << 14 && (*end == 'k' || *end == 'K')) {
            v <<= 10;
            end++;
        }
        if (end == at || v < 2 || v > 1 << 24 || (*end && *end != ','))
            return err_set(e, ERR_USE,
                           "--lengths '%s': lengths from 2 to %d with commas between them", text,
                           1 << 24);
        if (*count == SAMPLE_LENGTHS_MAX)
            return err_set(e, ERR_USE, "--lengths: more than %d", SAMPLE_LENGTHS_MAX);
        out[(*count)++] = (size_t)v;
        if (!*end)
            return 0;
        at = end;
    }
    return 0;
}

/* The second reader of a pipe would find it empty. */
static int check_twice(const struct opt_texts *data, struct err *e)
{
    for (size_t i = 0, in = 0; i < data->count; i++)
        if (strcmp(data->text[i], "-") == 0 && in++)
            return err_set(e, ERR_USE, "--data - is given twice, and standard input is read once");
    return 0;
}

static int shares_parse(struct sample_command *c, struct err *e)
{
    if (!c->share.count)
        return 0;
    if (c->share.count != c->data.count)
        return err_set(e, ERR_USE, "%zu --share for %zu --data: each file needs one",
                       c->share.count, c->data.count);
    for (size_t i = 0; i < c->share.count; i++) {
        char *end;

        c->shares[i] = strtod(c->share.text[i], &end);
        if (end == c->share.text[i] || *end)
            return err_set(e, ERR_USE, "--share '%s' is no number", c->share.text[i]);
    }
    c->core.shares = c->shares;
    return 0;
}

struct sample_opts sample_opts_default(void)
{
    struct sample_command c = {.peers = 0};
    const struct opt_group group = {NULL, rows, &c};

    opt_defaults(&group, 1, NULL); /* a unit test checks the rows */
    c.core.length = SAMPLE_LENGTH;
    return c.core;
}

static int check(const struct stage *s, struct err *e)
{
    struct sample_command *c = s->own;
    struct sample_pace *paces;
    size_t npaces;

    c->core.data = c->data.text;
    c->core.ndata = c->data.count;
    c->core.length = c->length ? (size_t)c->length : SAMPLE_LENGTH;
    c->core.longest = (size_t)c->length;
    c->core.mode_auto = c->mode == SAMPLE_MODE_AUTO && !c->lengths_text;
    c->core.first_weight = &c->first_weight;
    c->core.mode = c->mode != SAMPLE_MODE_AUTO ? (enum sample_mode)c->mode
                   : c->lengths_text           ? SAMPLE_CROPS
                                               : SAMPLE_CONCAT;
    if (c->lengths_text && c->length)
        return err_set(e, ERR_USE, "--length and --lengths: only one of them");
    if (c->clip_text && !c->core.token_weights)
        return err_set(e, ERR_USE, "--weight-file-clip needs --weight-file");
    if (c->clip_text && weigh_clip_parse(c->clip_text, &c->core.clip, e) < 0)
        return err_prefix(e, "--weight-file-clip");
    if (c->core.date && chat_check_date(c->core.date, e) < 0)
        return err_prefix(e, "--date");
    if (check_twice(&c->data, e) < 0 || shares_parse(c, e) < 0)
        return -1;
    if (c->lease_text && link_lease_parse(c->lease_text, &c->lease, e) < 0)
        return err_prefix(e, "--lease");
    if (paces_parse(c->paces_text, &paces, &npaces, e) < 0)
        return err_prefix(e, "--paces");
    free(paces);
    c->core.lengths = c->lengths;
    return c->lengths_text ? lengths_parse(c->lengths_text, c->lengths, &c->core.nlengths, e) : 0;
}

const struct stage_spec sample_spec = {
    .name = "sample",
    .about = "calibration data to chunks of tokens",
    .usage = "--model DIR --data FILE [options]",
    .out = "chunks",
    .shared = STAGE_ZSTD | STAGE_STATUS | STAGE_PAUSES | STAGE_INSECURE | STAGE_FAULT,
    .rows = rows,
    .size = sizeof(struct sample_command),
    .check = check,
};
