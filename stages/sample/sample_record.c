/* SPDX-License-Identifier: Apache-2.0 */
/* sample_record - the provenance record: what the rows depend on, and the audit. Field by field:
 * common/wire/INTERFACES.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/hash.h"
#include "../../common/base/version.h"
#include "../../common/model/fingerprint.h"
#include "sample_images.h"
#include "sample_impl.h"
#include "sample_rows.h"

static const char *const mode_names[] = {"concat", "crops", "head", "whole"};
static const char *const bos_names[] = {"auto", "yes", "no"};
static const char *const draw_names[] = {"stratified", "uniform", "fixed"};
static const char *const crops_names[] = {"independent", "nested"};
static const char *const short_names[] = {"error", "join"};

/* Of pictures, where there are any. */
static int images_audit(const struct sample *s, struct json *j)
{
    const struct sample_audit *a = &s->audit;
    int bad = 0;

    if (a->images)
        bad |= json_set_int(j, "images", (int64_t)a->images) < 0;
    if (a->images_bad)
        bad |= json_set_int(j, "images_bad", (int64_t)a->images_bad) < 0;
    if (a->longer)
        bad |= json_set_int(j, "documents_longer", (int64_t)a->longer) < 0;
    return bad;
}

static struct json *audit_json(const struct sample *s)
{
    const struct sample_audit *a = &s->audit;
    const struct {
        const char *name;
        uint64_t v;
    } counts[] = {
        {"documents_read", a->read},
        {"documents_passed", a->passed},
        {"documents_used", a->used},
        {"documents_cropped", a->cropped},
        {"documents_dropped", a->dropped},
        {"duplicates", a->duplicates},
        {"double_bos", a->double_bos},
        {"remainder", a->remainder},
        {"rows_joined", a->joined},
        {"lengths_capped", a->capped},
        {"chats", a->chats},
        {"bos_removed", a->bos_removed},
        {"weights_uniform", a->weights_uniform},
        {"blocks_uniform", a->blocks_uniform},
    };
    struct json *j = json_new_object(), *files = json_new_array(), *lengths = json_new_array();
    const size_t *length;
    int bad = 0;
    size_t i;

    for (i = 0; i < sizeof counts / sizeof *counts; i++)
        bad |= json_set_int(j, counts[i].name, (int64_t)counts[i].v) < 0;
    for (i = 0; i < s->o.ndata; i++)
        bad |= json_push(files, json_new_int((int64_t)s->file_tokens[i])) < 0;
    for (i = sample_lengths(s, &length); i-- > 0;) {
        struct json *pair = json_new_array();

        bad |= json_push(pair, json_new_int((int64_t)length[i])) < 0;
        bad |= json_push(pair, json_new_int((int64_t)sample_rows_of(s, length[i]))) < 0;
        bad |= json_push(lengths, pair) < 0;
    }
    if (a->lines_skipped)
        bad |= json_set_int(j, "lines_skipped", (int64_t)a->lines_skipped) < 0;
    if (a->repaired)
        bad |= json_set_int(j, "documents_repaired", (int64_t)a->repaired) < 0;
    if (a->tokens_masked)
        bad |= json_set_int(j, "tokens_masked", (int64_t)a->tokens_masked) < 0;
    if (a->chats_refused)
        bad |= json_set_int(j, "chats_refused", (int64_t)a->chats_refused) < 0;
    if (a->answers)
        bad |= json_set_int(j, "tokens_answers", (int64_t)a->answers) < 0;
    bad |= images_audit(s, j);
    bad |= json_set_real(j, "effective", a->effective) < 0;
    bad |= json_set(j, "file_tokens", files) < 0;
    bad |= json_set(j, "lengths", lengths) < 0;
    if (bad)
        json_destroy(&j);
    return j;
}

/* Of each file its share and the tokens of its rows. */
static struct json *shares_json(const struct sample *s)
{
    struct json *all = json_new_array();
    int bad = 0;
    size_t i;

    for (i = 0; i < s->ngroups; i++) {
        struct json *pair = json_new_array();

        bad |= json_push(pair, json_new_real(s->o.shares[i])) < 0;
        bad |= json_push(pair, json_new_int((int64_t)s->group[i].tokens)) < 0;
        bad |= json_push(all, pair) < 0;
    }
    if (bad)
        json_destroy(&all);
    return all;
}

static int record_weights(const struct sample *s, struct json *r)
{
    char digest[17];
    int bad;

    hash_hex(s->weight_digest, digest);
    bad = json_set_text(r, "token_weights", digest) < 0;
    return bad | (weigh_clip_record(&s->o.clip, r) < 0);
}

/* The pictures as they are prepared: one digest of all of them, in the order of the rows. */
static int record_images(const struct sample *s, struct json *r)
{
    char digest[17];
    int bad = 0;

    hash_hex(sample_images_digest(s), digest);
    bad |= json_set_text(r, "images", digest) < 0;
    if (s->o.bad_images == SAMPLE_IMAGES_SKIP)
        bad |= json_set_text(r, "bad_images", "skip") < 0;
    return bad;
}

/* What was asked of lengths, crops and weights, where it is not the usual. */
static int record_draw(const struct sample *s, struct json *r)
{
    const struct sample_opts *o = &s->o;
    struct json *lengths = json_new_array();
    char digest[17];
    int bad = 0;
    size_t i;

    for (i = s->nset; i-- > 0;)
        bad |= json_push(lengths, json_new_int((int64_t)s->set[i])) < 0;
    if (o->nlengths) {
        bad |= json_set(r, "lengths", lengths) < 0;
        bad |= json_set_text(r, "draw", draw_names[o->draw]) < 0;
    } else {
        json_destroy(&lengths);
        bad |= json_set_int(r, "length",
                            (int64_t)(o->mode == SAMPLE_WHOLE ? s->set[0] : o->length)) < 0;
    }
    if (o->mode == SAMPLE_CROPS) {
        bad |= json_set_text(r, "crops", crops_names[o->crops]) < 0;
        bad |= json_set_text(r, "short", short_names[o->too_short]) < 0;
    }
    if (o->shares)
        bad |= json_set(r, "shares", shares_json(s)) < 0;
    if (s->o.token_weights)
        bad |= record_weights(s, r);
    if (sample_first_weighs(s))
        bad |= json_set_real(r, "first_weight", *o->first_weight) < 0;
    if (o->docs.bad_lines == DOCS_BAD_SKIP)
        bad |= json_set_text(r, "bad_lines", "skip") < 0;
    if (o->docs.bad_chats == DOCS_BAD_SKIP)
        bad |= json_set_text(r, "bad_chats", "skip") < 0;
    if (o->docs.text_column)
        bad |= json_set_text(r, "text_column", o->docs.text_column) < 0;
    if (s->prepare)
        bad |= record_images(s, r);
    if (s->chat) {
        hash_hex(chat_digest(s->chat), digest);
        bad |= json_set_text(r, "template", digest) < 0;
    }
    bad |= json_set_text(r, "weights", o->weights == SAMPLE_WEIGHTS_LENGTH ? "length" : "none") < 0;
    return bad;
}

/* A folder without weights will do for sampling: then the run does not say of which model it is. */
static void run_make(struct sample *s, const char *rest)
{
    struct st_set *weights = st_open_folder(s->o.model, NULL);
    uint64_t model;

    if (weights && fingerprint_model(s->config.file, weights, &model, NULL) == 0)
        run_id_make(s->run, model, rest, NULL);
    else
        snprintf(s->run, sizeof s->run, "%s", rest);
    st_close(&weights);
}

int sample_record_build(struct sample *s, struct err *e)
{
    const struct sample_opts *o = &s->o;
    char data[17], tokenizer[17] = "", *text = NULL;
    struct json *r = s->record = json_new_object();
    int bad = 0;

    hash_hex(s->data_digest, data);
    if (s->tokenizer)
        hash_hex(tokenizer_digest(s->tokenizer), tokenizer);
    bad |= json_set_text(r, "stage", "sample") < 0;
    bad |= json_set_text(r, "version", PTQ_VERSION) < 0;
    bad |= json_set_text(r, "mode", mode_names[o->mode]) < 0;
    bad |= record_draw(s, r);
    bad |= json_set_int(r, "tokens", (int64_t)sample_tokens(s)) < 0;
    bad |= json_set_int(r, "sequences", (int64_t)s->nrow) < 0;
    bad |= json_set_int(r, "seed", (int64_t)o->seed) < 0;
    bad |= json_set_text(r, "bos", bos_names[o->bos]) < 0;
    bad |= json_set_int(r, "lanes", (int64_t)s->lanes) < 0;
    bad |= json_set_int(r, "chunks", (int64_t)s->chunks) < 0;
    bad |= json_set_int(r, "chunk_tokens", (int64_t)o->chunk_tokens) < 0;
    bad |= json_set_int(r, "vocab", (int64_t)s->config.vocab) < 0;
    bad |= json_set_text(r, "data", data) < 0;
    bad |= json_set(r, "tokenizer", tokenizer[0] ? json_new_text(tokenizer) : json_new_null()) < 0;
    bad |= json_set(r, "audit", audit_json(s)) < 0;
    if (bad)
        return err_set(e, ERR_SYS, "no memory for the provenance record");
    if (!(text = json_print(r, 0, e)))
        return -1;
    hash_hex(hash_bytes(text, strlen(text)), data);
    run_make(s, data);
    free(text);
    return 0;
}
