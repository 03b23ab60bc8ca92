/* ptq-sample - reads calibration data, tokenizes it and sends it out in chunks. The core is sample.c. */
#include <stddef.h>

#include "../../common/base/log.h"
#include "../../common/base/opt.h"
#include "../../common/base/sig.h"
#include "../../common/base/status.h"
#include "../../common/wire/link.h"
#include "sample.h"

struct sample_main_opts {
    struct opt_texts data;
    const char *model, *out;
    int64_t tokens, length, seed, chunk_tokens, lanes, peers, status_fd;
    int mode, bos, zstd, insecure, quiet, verbose;
};

#define AT(field) offsetof(struct sample_main_opts, field)
static const struct opt table[] = {
    { "model", OPT_TEXT, AT(model), "DIR", "checkpoint folder: config.json, tokenizer.json (not needed for input_ids)", 0, 0, NULL },
    { "data", OPT_TEXTS, AT(data), "FILE", ".txt (one document) or .jsonl ({\"text\"} or {\"input_ids\"} a line); may be repeated", 0, 0,
      NULL },
    { "tokens", OPT_INT, AT(tokens), "N", "how many tokens in all, cut down to whole rows; 0: all there are", 0, 1e12, NULL },
    { "length", OPT_INT, AT(length), "N", "tokens in a row", 2, 1 << 24, NULL },
    { "mode", OPT_CHOICE, AT(mode), "MODE",
      "concat: documents joined, cut into rows\ncrops: random windows in random documents\nhead: the beginning of each document", 0, 0,
      "concat|crops|head" },
    { "seed", OPT_INT, AT(seed), "N", "of the drawing in crops", 0, 9e15, NULL },
    { "bos", OPT_CHOICE, AT(bos), "WHEN",
      "rows begin with the BOS token\nauto: text in crops and head, if the tokenizer adds one", 0, 0, "auto|yes|no" },
    { "chunk-tokens", OPT_INT, AT(chunk_tokens), "N", "a chunk is whole rows of about so many tokens", 1, 1 << 24, NULL },
    { "lanes", OPT_INT, AT(lanes), "N", "runs of chunks; the unit handed to one worker", 1, 1 << 16, NULL },
    { "out", OPT_TEXT, AT(out), "EP", "where chunks go: @URL, URL, a file, or - for stdout", 0, 0, NULL },
    { "peers", OPT_INT, AT(peers), "N", "wait for so many workers and share the lanes out among them", 1, 1 << 16, NULL },
    { "zstd", OPT_FLAG, AT(zstd), NULL, "compress chunks (files and networks)", 0, 0, NULL },
    { "status-fd", OPT_INT, AT(status_fd), "FD", "descriptor for status lines (-1: none)", -1, 1 << 20, NULL },
    { "insecure", OPT_FLAG, AT(insecure), NULL, "allow binding tcp beyond loopback without keys", 0, 0, NULL },
    { "quiet", OPT_FLAG, AT(quiet), NULL, "warnings and errors only", 0, 0, NULL },
    { "verbose", OPT_FLAG, AT(verbose), NULL, "more lines", 0, 0, NULL },
    { NULL, OPT_FLAG, 0, NULL, NULL, 0, 0, NULL },
};

static const struct opt_spec spec = {
    "ptq-sample", "calibration data to chunks of tokens", "--model DIR --data FILE [options]", table, NULL, 0, 0,
};

static void audit_log(const struct sample *s, const struct sample_main_opts *o)
{
    const struct sample_audit *a = sample_audit(s);
    uint64_t i;

    log_info("%zu rows of %lld = %llu tokens in %zu chunks, %zu lanes; run %s", sample_rows(s), (long long)o->length,
             (unsigned long long)sample_tokens(s), sample_chunks(s), sample_lanes(s), sample_run(s));
    log_info("documents: %llu read, %llu used (%llu not whole), %llu dropped, %llu passed over, %llu duplicates",
             (unsigned long long)a->read, (unsigned long long)a->used, (unsigned long long)a->cropped, (unsigned long long)a->dropped,
             (unsigned long long)a->passed, (unsigned long long)a->duplicates);
    for (i = 0; i < a->files; i++) log_detail("%s: %llu tokens read", o->data.text[i], (unsigned long long)a->file_tokens[i]);
    if (a->remainder) log_info("%llu tokens of the budget make no row", (unsigned long long)a->remainder);
    if (a->double_bos) log_warn("%llu rows begin with BOS twice: say --bos no", (unsigned long long)a->double_bos);
}

struct sink {
    struct link *link;
    uint64_t done, total;
};

static int sink_send(void *ctx, size_t peer, struct msg **m, struct err *e)
{
    struct sink *k = ctx;

    if (sig_draining()) return err_set(e, ERR_DATA, "asked to stop");
    if (link_send_to(k->link, peer, m, e) < 0) return -1;
    status_update("sending", -1, "", ++k->done, k->total, "chunks");
    return 0;
}

static int send_all(struct sample *s, struct link *out, struct err *e)
{
    struct sink k = { out, 0, sample_chunks(s) };
    int peers = link_peers(out, e), rc;

    if (peers < 1) return peers < 0 ? -1 : err_set(e, ERR_DATA, "no worker came");
    rc = sample_emit(s, (size_t)peers, sink_send, &k, e);
    if (rc < 0) {
        link_end(out, 0, e->text, NULL);
        return -1;
    }
    return link_end(out, 1, NULL, e);
}

int main(int argc, char **argv)
{
    struct sample_main_opts o = { .out = "-", .tokens = 65536, .length = 2048, .seed = 1, .chunk_tokens = 2048, .lanes = 8,
                                  .peers = 1, .status_fd = -1 };
    struct err e = { 0 };
    struct sample *s = NULL;
    struct link *out = NULL;
    int rc = opt_parse(&spec, &o, NULL, argc, argv, &e);

    if (rc > 0) return 0;
    log_init("sample", o.quiet ? LOG_QUIET : o.verbose ? LOG_VERBOSE : LOG_NORMAL);
    if (rc == 0 && (!o.model || !o.data.count)) rc = err_set(&e, ERR_USE, "--model DIR and --data FILE are needed");
    if (rc < 0 || (rc = sig_init(&e)) < 0) goto out;
    status_init("sample", (int)o.status_fd);
    status_update("reading", -1, "", 0, 0, "");
    rc = -1;
    s = sample_open(&(struct sample_opts){ .model = o.model, .data = o.data.text, .ndata = o.data.count, .tokens = (uint64_t)o.tokens,
                                           .length = (size_t)o.length, .mode = (enum sample_mode)o.mode, .seed = (uint64_t)o.seed,
                                           .chunk_tokens = (size_t)o.chunk_tokens, .lanes = (size_t)o.lanes,
                                           .bos = (enum sample_bos)o.bos }, &e);
    if (!s) goto out;
    audit_log(s, &o);
    out = link_open(o.out, LINK_OUT, &(struct link_opts){ .role = "sample", .run = sample_run(s), .peers = (size_t)o.peers,
                                                          .compress = o.zstd ? FRAME_ZSTD : FRAME_RAW, .insecure = o.insecure }, &e);
    if (out) rc = send_all(s, out, &e);
out:
    if (rc < 0) log_fatal(&e);
    status_end();
    link_close(&out);
    sample_close(&s);
    return rc < 0 ? err_exit(&e) : 0;
}
