/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-sample - reads calibration data, tokenizes it and sends it out in chunks. The core is
 * sample.c. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/log.h"
#include "../../common/base/opt.h"
#include "../../common/base/sig.h"
#include "../../common/base/status.h"
#include "../../common/wire/link.h"
#include "sample.h"

struct sample_main_opts {
    struct opt_texts data, share;
    const char *model, *out, *lengths, *token_weights, *weight_clip, *chat_template, *date;
    double first_weight;
    int64_t tokens, length, seed, chunk_tokens, lanes, peers, status_fd;
    int mode, bos, draw, crops, too_short, weights, zstd, insecure, quiet, verbose;
};

#define AT(field) offsetof(struct sample_main_opts, field)
static const struct opt table[] = {
    {"model", OPT_TEXT, AT(model), "DIR",
     "checkpoint folder: config.json, tokenizer.json (not needed for input_ids)", 0, 0, NULL},
    {"data", OPT_TEXTS, AT(data), "FILE",
     ".txt (one document) or .jsonl ({\"text\"}, {\"input_ids\"} or {\"messages\"} a line); may be "
     "repeated",
     0, 0, NULL},
    {"share", OPT_TEXTS, AT(share), "X",
     "part of the tokens that comes from each --data, in their order\n(any unit; without it the "
     "files follow each other)",
     0, 0, NULL},
    {"tokens", OPT_INT, AT(tokens), "N",
     "how many tokens in all, cut down to whole rows; 0: all there are", 0, 1e12, NULL},
    {"length", OPT_INT, AT(length), "N", "tokens in a row (default 2048)", 2, 1 << 24, NULL},
    {"lengths", OPT_TEXT, AT(lengths), "N,N,...",
     "rows of these lengths instead (MaCa: 256,512,1024,2048,4096)", 0, 0, NULL},
    {"draw", OPT_CHOICE, AT(draw), "HOW",
     "how lengths are drawn\nstratified: as many rows of each\nuniform: each by itself\nfixed: one "
     "length",
     0, 0, "stratified|uniform|fixed"},
    {"mode", OPT_CHOICE, AT(mode), "MODE",
     "concat: documents joined, cut into rows\ncrops: random windows in random documents\nhead: "
     "the beginning of each document\n"
     "auto: crops with --lengths, else concat",
     0, 0, "concat|crops|head|auto"},
    {"crops", OPT_CHOICE, AT(crops), "HOW",
     "independent: each length draws its own windows\nnested: prefixes of one window of the "
     "longest length",
     0, 0, "independent|nested"},
    {"short", OPT_CHOICE, AT(too_short), "HOW",
     "when too few documents are long enough for crops\nerror: refuse\njoin: cut rows from joined "
     "documents, and count them",
     0, 0, "error|join"},
    {"weights", OPT_CHOICE, AT(weights), "HOW",
     "none: tokens count alike\nlength: 1/L in a row of L tokens, so that rows count alike", 0, 0,
     "none|length"},
    {"token-weights", OPT_TEXT, AT(token_weights), "FILE",
     "weights multiplied in: .jsonl ({\"weights\": [each token],\n\"blocks\": [the row in each "
     "block]}, either or both,\n"
     "for each row) or .safetensors (\"weights\" [tokens],\n\"blocks\" [blocks, rows]); mean 1 in "
     "a row, in a block",
     0, 0, NULL},
    {"weight-clip", OPT_TEXT, AT(weight_clip), "LO,HI", "bounds of these weights", 0, 0, NULL},
    {"first-weight", OPT_REAL, AT(first_weight), "X",
     "weight of the first token of each row, multiplied in; 0 leaves it out of the sums:\n"
     "many models rest their attention on it, with inputs like no other token's",
     0, 1e6, NULL},
    {"chat-template", OPT_TEXT, AT(chat_template), "FILE",
     "Jinja template of \"messages\" instead of the model's own", 0, 0, NULL},
    {"date", OPT_TEXT, AT(date), "YYYY-MM-DD", "today's date, for chat templates that ask for it",
     0, 0, NULL},
    {"seed", OPT_INT, AT(seed), "N", "of the drawing in crops", 0, 9e15, NULL},
    {"bos", OPT_CHOICE, AT(bos), "WHEN",
     "rows begin with the BOS token\nauto: text in crops and head, if the tokenizer adds one", 0, 0,
     "auto|yes|no"},
    {"chunk-tokens", OPT_INT, AT(chunk_tokens), "N",
     "a chunk is whole rows of about so many tokens", 1, 1 << 24, NULL},
    {"lanes", OPT_INT, AT(lanes), "N", "runs of chunks; the unit handed to one worker", 1, 1 << 16,
     NULL},
    {"out", OPT_TEXT, AT(out), "EP", "where chunks go: @URL, URL, a file, or - for stdout", 0, 0,
     NULL},
    {"peers", OPT_INT, AT(peers), "N",
     "wait for so many workers and share the lanes out among them", 1, 1 << 16, NULL},
    {"zstd", OPT_FLAG, AT(zstd), NULL, "compress chunks (files and networks)", 0, 0, NULL},
    {"status-fd", OPT_INT, AT(status_fd), "FD", "descriptor for status lines (-1: none)", -1,
     1 << 20, NULL},
    {"insecure", OPT_FLAG, AT(insecure), NULL, "allow binding tcp beyond loopback without keys", 0,
     0, NULL},
    {"quiet", OPT_FLAG, AT(quiet), NULL, "warnings and errors only", 0, 0, NULL},
    {"verbose", OPT_FLAG, AT(verbose), NULL, "more lines", 0, 0, NULL},
    {NULL, OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};

static const struct opt_spec spec = {
    "ptq-sample",
    "calibration data to chunks of tokens",
    "--model DIR --data FILE [options]",
    table,
    NULL,
    0,
    0,
};

/* "256,512,..." */
static int lengths_parse(const char *text, size_t *out, size_t *count, struct err *e)
{
    const char *at = text;

    for (*count = 0; at; at++) {
        char *end;
        long long v = strtoll(at, &end, 10);

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

static int shares_parse(const struct sample_main_opts *o, double *share, struct sample_opts *s,
                        struct err *e)
{
    size_t i;

    if (!o->share.count)
        return 0;
    if (o->share.count != o->data.count)
        return err_set(e, ERR_USE, "%zu --share for %zu --data: each file needs one",
                       o->share.count, o->data.count);
    for (i = 0; i < o->share.count; i++) {
        char *end;

        share[i] = strtod(o->share.text[i], &end);
        if (end == o->share.text[i] || *end)
            return err_set(e, ERR_USE, "--share '%s' is no number", o->share.text[i]);
    }
    s->shares = share;
    return 0;
}

static int opts_make(const struct sample_main_opts *o, size_t *lengths, double *share,
                     struct sample_opts *s, struct err *e)
{
    *s = (struct sample_opts){.model = o->model,
                              .data = o->data.text,
                              .ndata = o->data.count,
                              .tokens = (uint64_t)o->tokens,
                              .length = o->length ? (size_t)o->length : 2048,
                              .seed = (uint64_t)o->seed,
                              .chunk_tokens = (size_t)o->chunk_tokens,
                              .lanes = (size_t)o->lanes,
                              .bos = (enum sample_bos)o->bos,
                              .draw = (enum sample_draw)o->draw,
                              .crops = (enum sample_crops)o->crops,
                              .too_short = (enum sample_short)o->too_short,
                              .weights = (enum sample_weights)o->weights,
                              .token_weights = o->token_weights,
                              .first_weight = &o->first_weight,
                              .chat_template = o->chat_template,
                              .date = o->date};
    s->mode = o->mode < 3 ? (enum sample_mode)o->mode : o->lengths ? SAMPLE_CROPS : SAMPLE_CONCAT;
    if (!o->model || !o->data.count)
        return err_set(e, ERR_USE, "--model DIR and --data FILE are needed");
    if (o->lengths && o->length)
        return err_set(e, ERR_USE, "--length and --lengths: only one of them");
    if (o->weight_clip && !o->token_weights)
        return err_set(e, ERR_USE, "--weight-clip needs --token-weights");
    if ((o->weight_clip && weigh_clip_parse(o->weight_clip, &s->clip, e) < 0) ||
        shares_parse(o, share, s, e) < 0)
        return -1;
    s->lengths = lengths;
    return o->lengths ? lengths_parse(o->lengths, lengths, &s->nlengths, e) : 0;
}

static void rows_log(const struct sample *s)
{
    char text[1024] = "";
    const size_t *length;
    size_t n = sample_lengths(s, &length), used = 0, i;

    if (n == 1)
        snprintf(text, sizeof text, "of %zu", length[0]);
    for (i = n; n > 1 && i && used < sizeof text - 64; i--)
        used += (size_t)snprintf(
            text + used, sizeof text - used, "%s%zu: %llu%s", i == n ? "(" : ", ", length[i - 1],
            (unsigned long long)sample_rows_of(s, length[i - 1]), i == 1 ? ")" : "");
    log_info("%zu rows %s = %llu tokens in %zu chunks, %zu lanes; run %s", sample_rows(s), text,
             (unsigned long long)sample_tokens(s), sample_chunks(s), sample_lanes(s),
             sample_run(s));
}

static void audit_log(const struct sample *s, const struct sample_main_opts *o)
{
    const struct sample_audit *a = sample_audit(s);
    uint64_t i;

    rows_log(s);
    log_info("documents: %llu read, %llu used (%llu not whole), %llu dropped, %llu passed over, "
             "%llu duplicates",
             (unsigned long long)a->read, (unsigned long long)a->used,
             (unsigned long long)a->cropped, (unsigned long long)a->dropped,
             (unsigned long long)a->passed, (unsigned long long)a->duplicates);
    for (i = 0; i < a->files; i++)
        log_detail("%s: %llu tokens read", o->data.text[i], (unsigned long long)a->file_tokens[i]);
    if (o->weights || o->token_weights || o->first_weight < 1 || o->first_weight > 1)
        log_info("effective sample size: %.0f tokens", a->effective);
    if (a->remainder)
        log_info("%llu tokens of the budget make no row", (unsigned long long)a->remainder);
    if (a->capped)
        log_warn("%llu of the lengths are beyond the model's context and were cut down to it",
                 (unsigned long long)a->capped);
    if (a->joined)
        log_warn("%llu rows are cut from joined documents: too few documents are that long",
                 (unsigned long long)a->joined);
    if (a->chats)
        log_info("%llu of the documents are chats", (unsigned long long)a->chats);
    if (a->bos_removed)
        log_warn("%llu chats began with BOS twice: one of them was taken off",
                 (unsigned long long)a->bos_removed);
    if (a->weights_uniform)
        log_warn("%llu rows have no usable token weights and count with 1",
                 (unsigned long long)a->weights_uniform);
    if (a->blocks_uniform)
        log_warn("in %llu blocks no row has a usable weight, and all count with 1",
                 (unsigned long long)a->blocks_uniform);
    if (a->double_bos)
        log_warn("%llu rows begin with BOS twice: say --bos no", (unsigned long long)a->double_bos);
}

struct sink {
    struct link *link;
    uint64_t done, total;
};

static int sink_send(void *ctx, size_t peer, struct msg **m, struct err *e)
{
    struct sink *k = ctx;

    if (sig_draining())
        return err_set(e, ERR_DATA, "asked to stop");
    if (link_send_to(k->link, peer, m, e) < 0)
        return -1;
    status_update("sending", -1, "", ++k->done, k->total, "chunks");
    return 0;
}

static int send_all(struct sample *s, struct link *out, struct err *e)
{
    struct sink k = {out, 0, sample_chunks(s)};
    int peers = link_peers(out, e), rc;

    if (peers < 1)
        return peers < 0 ? -1 : err_set(e, ERR_DATA, "no worker came");
    rc = sample_emit(s, (size_t)peers, sink_send, &k, e);
    if (rc < 0) {
        link_end(out, 0, e->text, NULL);
        return -1;
    }
    return link_end(out, 1, NULL, e);
}

int main(int argc, char **argv)
{
    struct sample_main_opts o = {.out = "-",
                                 .tokens = 65536,
                                 .seed = 1,
                                 .chunk_tokens = 2048,
                                 .lanes = 8,
                                 .mode = 3,
                                 .peers = 1,
                                 .first_weight = 1,
                                 .status_fd = -1};
    size_t lengths[SAMPLE_LENGTHS_MAX];
    double share[OPT_TEXTS_MAX];
    struct sample_opts opts;
    struct err e = {0};
    struct sample *s = NULL;
    struct link *out = NULL;
    int rc = opt_parse(&spec, &o, NULL, argc, argv, &e);

    if (rc > 0)
        return 0;
    log_init("sample", o.quiet ? LOG_QUIET : o.verbose ? LOG_VERBOSE : LOG_NORMAL);
    if (rc < 0 || (rc = opts_make(&o, lengths, share, &opts, &e)) < 0 || (rc = sig_init(&e)) < 0)
        goto out;
    status_init("sample", (int)o.status_fd);
    status_update("reading", -1, "", 0, 0, "");
    rc = -1;
    s = sample_open(&opts, &e);
    if (!s)
        goto out;
    audit_log(s, &o);
    out = link_open(o.out, LINK_OUT,
                    &(struct link_opts){.role = "sample",
                                        .run = sample_run(s),
                                        .peers = (size_t)o.peers,
                                        .compress = o.zstd ? FRAME_ZSTD : FRAME_RAW,
                                        .insecure = o.insecure},
                    &e);
    if (out)
        rc = send_all(s, out, &e);
out:
    if (rc < 0)
        log_fatal(&e);
    status_end();
    link_close(&out);
    sample_close(&s);
    return rc < 0 ? err_exit(&e) : 0;
}
