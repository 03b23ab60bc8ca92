/* SPDX-License-Identifier: Apache-2.0 */
/* sample - opens model folder and data, has the rows planned, divides them into chunks and lanes.
 */
#include "sample.h"

#include <stdlib.h>
#include <string.h>

#include "../../common/base/hash.h"
#include "../../common/base/mem.h"
#include "../../common/model/config_read.h"
#include "../../common/wire/msg_chunk.h"
#include "sample_images.h"
#include "sample_impl.h"

/* ---- opening ---- */

static int tokenizer_find(struct sample *s, struct err *e)
{
    if (tokenizer_is_there(s->o.model) && !(s->tokenizer = tokenizer_open(s->o.model, e)))
        return -1;
    /* an added token may lie beyond: if it occurs, the line is refused */
    if (s->tokenizer && tokenizer_vocab_base(s->tokenizer) > s->config.vocab)
        return err_set(e, ERR_USE,
                       "%s: the tokenizer has token ids up to %zu, config.json has vocab_size %zu: "
                       "they do not belong together",
                       s->o.model, tokenizer_vocab_base(s->tokenizer) - 1, s->config.vocab);
    s->bos = s->tokenizer ? tokenizer_bos(s->tokenizer) : -1;
    if (s->bos < 0 && s->o.bos == SAMPLE_BOS_YES) {
        if (s->config.bos < 0 || (uint64_t)s->config.bos >= s->config.vocab)
            return err_set(
                e, ERR_USE,
                "'%s': --bos yes, but neither tokenizer nor config.json names a BOS token",
                s->o.model);
        s->bos = (int32_t)s->config.bos;
    }
    return 0;
}

static int limits_check(const struct sample *s, struct err *e)
{
    const struct sample_opts *o = &s->o;

    if (o->mode == SAMPLE_WHOLE) {
        if (o->nlengths)
            return err_set(e, ERR_USE, "--lengths: rows of --mode whole have their documents'");
    } else if (o->nlengths) {
        if (o->tokens && o->tokens < s->set[s->nset - 1])
            return err_set(e, ERR_USE,
                           "--tokens %llu is less than one row of the shortest of --lengths, %zu",
                           (unsigned long long)o->tokens, s->set[s->nset - 1]);
    } else if (o->length < 2)
        return err_set(e, ERR_USE, "--length %zu: a row has at least 2 tokens", o->length);
    else if (s->config.context && o->length > s->config.context)
        return err_set(e, ERR_USE, "--length %zu is more than max_position_embeddings %zu of '%s'",
                       o->length, s->config.context, o->model);
    else if (o->tokens && o->tokens < o->length)
        return err_set(e, ERR_USE, "--tokens %llu is less than one row of --length %zu",
                       (unsigned long long)o->tokens, o->length);
    if (!o->lanes || !o->chunk_tokens)
        return err_set(e, ERR_USE, "--lanes and --chunk-tokens are at least 1");
    return 0;
}

int sample_check_limits(const struct sample_opts *o, const struct config *c, struct err *e)
{
    struct sample s = {.o = *o, .config = *c};

    if (o->mode_auto && !o->longest && prepare_wanted(c->file))
        s.o.mode = SAMPLE_WHOLE; /* which it may become: then no length is asked for */
    return sample_set(&s, e) < 0 ? -1 : limits_check(&s, e);
}

int sample_check_images(const struct sample_opts *o, const struct config *c, const struct doc *d,
                        struct err *e)
{
    return sample_images_known(o, c, d, e);
}

static int chunks_cut(struct sample *s, struct err *e)
{
    size_t i, tokens = 0;

    if (!(s->chunk_row = mem_array(s->nrow + 1, sizeof *s->chunk_row, e)))
        return -1;
    for (i = 0; i < s->nrow; i++) {
        if (i && tokens + s->row[i].length <= s->o.chunk_tokens) {
            tokens += s->row[i].length;
            continue;
        }
        s->chunk_row[s->chunks++] = i;
        tokens = s->row[i].length;
    }
    s->chunk_row[s->chunks] = s->nrow;
    s->lanes = s->o.lanes < s->chunks ? s->o.lanes : s->chunks;
    return 0;
}

/* Copies the tokens of a row to out. */
static void row_fill(const struct sample *s, const struct row *w, int32_t *out)
{
    size_t left = w->length, doc = w->doc, offset = w->offset;

    if (w->bos) {
        *out++ = s->bos;
        left--;
    }
    while (left) {
        const struct document *x = &s->document[doc++];
        size_t take = x->n - offset < left ? x->n - offset : left;

        memcpy(out, x->ids + offset, take * sizeof *out);
        out += take;
        left -= take;
        offset = 0;
    }
}

/* Roles of the tokens of a row to out, which is zeroed; returns how many are answers. */
static uint64_t row_roles(const struct sample *s, const struct row *w, uint8_t *out)
{
    size_t left = w->length, doc = w->doc, offset = w->offset;
    uint64_t answers = 0;

    if (w->bos) {
        *out++ = s->document[doc].role ? ROLE_PROMPT : ROLE_TEXT;
        left--;
    }
    for (; left; left--, offset++) {
        while (offset == s->document[doc].n) {
            doc++;
            offset = 0;
        }
        if (s->document[doc].role)
            *out = s->document[doc].role[offset];
        answers += *out++ == ROLE_ANSWER;
    }
    return answers;
}

static int rows_audit(struct sample *s, struct err *e)
{
    const size_t *lengths;
    const size_t longest = sample_lengths(s, &lengths) ? lengths[0] : 0;
    int32_t *ids = mem_array(longest, sizeof *ids, e);
    uint8_t *roles = ids ? mem_array(longest, 1, e) : NULL;
    int rc = roles ? 0 : -1;
    size_t i;

    for (i = 0; rc == 0 && i < s->nrow; i++) {
        row_fill(s, &s->row[i], ids);
        s->audit.double_bos +=
            s->bos >= 0 && s->row[i].length > 1 && ids[0] == s->bos && ids[1] == s->bos;
        if (s->roles) {
            memset(roles, ROLE_TEXT, s->row[i].length);
            s->audit.answers += row_roles(s, &s->row[i], roles);
        }
    }
    free(ids);
    free(roles);
    return rc;
}

/* Rows of a model that sees are whole chats, if the data have images. */
static int mode_choose(struct sample *s, struct err *e)
{
    int images = 0;

    if (!s->o.mode_auto || !s->o.ndata || !prepare_wanted(s->config.file))
        return 0;
    if (sample_images_first(s, &images, e) < 0)
        return -1;
    if (images)
        s->o.mode = SAMPLE_WHOLE;
    return 0;
}

struct sample *sample_open(const struct sample_opts *o, struct err *e)
{
    struct sample *s = mem_array(1, sizeof *s, e);

    if (!s)
        return NULL;
    s->o = *o;
    if (!o->ndata) {
        err_set(e, ERR_USE, "--data FILE is needed");
        goto fail;
    }
    if (config_read(o->model, &s->config, e) < 0)
        goto fail;
    s->config_open = 1;
    if (sample_digest(s, e) < 0 || mode_choose(s, e) < 0 || sample_set(s, e) < 0 ||
        limits_check(s, e) < 0 || tokenizer_find(s, e) < 0)
        goto fail;
    if (!(s->file_tokens = mem_array(o->ndata, sizeof *s->file_tokens, e)))
        goto fail;
    s->audit.file_tokens = s->file_tokens;
    s->audit.files = o->ndata;
    if (sample_groups(s, e) < 0 || sample_plan(s, e) < 0 || sample_interleave(s, e) < 0 ||
        sample_whole_lengths(s, e) < 0)
        goto fail;
    s->audit.remainder = o->tokens ? o->tokens - sample_tokens(s) : 0;
    if (chunks_cut(s, e) < 0 || rows_audit(s, e) < 0 || sample_weights_read(s, e) < 0 ||
        sample_weights_audit(s, e) < 0 || sample_record_build(s, e) < 0)
        goto fail;
    return s;
fail:
    sample_close(&s);
    return NULL;
}

void sample_close(struct sample **s)
{
    size_t i;

    if (!s || !*s)
        return;
    for (i = 0; i < (*s)->ndocuments; i++)
        document_release(&(*s)->document[i]);
    for (i = 0; i < (*s)->ngroups; i++)
        free((*s)->group[i].length);
    for (i = 0; i < (*s)->nfile; i++)
        data_file_close(&(*s)->file[i]);
    free((*s)->file);
    free((*s)->group);
    free((*s)->document);
    free((*s)->row);
    free((*s)->whole);
    prepare_close(&(*s)->prepare);
    free((*s)->weight);
    free((*s)->block_weight);
    sample_sites_release(*s);
    chat_close(&(*s)->chat);
    free((*s)->chunk_row);
    free((*s)->seen);
    free((*s)->file_tokens);
    json_destroy(&(*s)->record);
    tokenizer_close(&(*s)->tokenizer);
    if ((*s)->config_open)
        config_release(&(*s)->config);
    free(*s);
    *s = NULL;
}

size_t sample_chunks(const struct sample *s)
{
    return s->chunks;
}
size_t sample_lanes(const struct sample *s)
{
    return s->lanes;
}
const struct sample_audit *sample_audit(const struct sample *s)
{
    return &s->audit;
}
const struct json *sample_record(const struct sample *s)
{
    return s->record;
}
const char *sample_run(const struct sample *s)
{
    return s->run;
}

/* ---- emitting ---- */

/* First chunk of a lane. */
static size_t lane_first(const struct sample *s, size_t lane)
{
    return (size_t)((uint64_t)lane * s->chunks / s->lanes);
}

static size_t lane_of(const struct sample *s, size_t chunk)
{
    size_t lane = 0;

    while (lane + 1 < s->lanes && lane_first(s, lane + 1) <= chunk)
        lane++;
    return lane;
}

/* [T] of the rows of a chunk; NULL, too, where all are plain text. */
static int chunk_roles(const struct sample *s, size_t first, size_t rows, size_t T, uint8_t **out,
                       struct err *e)
{
    size_t at = 0, i;

    *out = NULL;
    if (!s->roles)
        return 0;
    if (!(*out = mem_array(T, 1, e)))
        return -1;
    for (i = 0; i < rows; i++) {
        row_roles(s, &s->row[first + i], *out + at);
        at += s->row[first + i].length;
    }
    for (i = 0; i < T && (*out)[i] == ROLE_TEXT; i++) {
    }
    if (i == T) {
        free(*out);
        *out = NULL;
    }
    return 0;
}

struct msg *sample_chunk(const struct sample *s, size_t chunk, struct err *e)
{
    size_t first = s->chunk_row[chunk], rows = s->chunk_row[chunk + 1] - first, T = 0, i, at = 0;
    int weighted = s->o.weights != SAMPLE_WEIGHTS_NONE || s->weight || sample_first_weighs(s);
    int32_t *ids = NULL, *lengths = mem_array(rows, sizeof *lengths, e);
    float *weights = NULL, *block_weights = NULL, *site_weights = NULL;
    uint8_t *roles = NULL;
    struct chunk_pictures pictures = {0};
    struct json *prov = json_new_array();
    struct msg *m = NULL;

    for (i = 0; i < rows; i++)
        T += s->row[first + i].length;
    if (!lengths || !(ids = mem_array(T, sizeof *ids, e)) ||
        (weighted && !(weights = mem_array(T, sizeof *weights, e))) ||
        (s->block_weight &&
         !(block_weights = mem_array(s->config.layers * rows, sizeof *block_weights, e))) ||
        (s->nsites && !(site_weights = sample_sites_fill(s, first, rows, T, e))) ||
        chunk_roles(s, first, rows, T, &roles, e) < 0)
        goto out;
    if (block_weights)
        sample_block_weights(s, first, rows, block_weights);
    if (json_push(prov, json_clone(s->record)) < 0) {
        err_set(e, ERR_SYS, "no memory for the provenance record");
        goto out;
    }
    for (i = 0; i < rows; i++) {
        row_fill(s, &s->row[first + i], ids + at);
        if (weighted)
            sample_weights_fill(s, &s->row[first + i], weights + at);
        lengths[i] = (int32_t)s->row[first + i].length;
        at += s->row[first + i].length;
    }
    if (sample_images_list(s, first, rows, ids, T, &pictures, e) < 0)
        goto out;
    m = chunk_write(&(struct chunk_view){.chunk = chunk,
                                         .chunks = s->chunks,
                                         .lane = lane_of(s, chunk),
                                         .lanes = s->lanes,
                                         .vocab = s->config.vocab,
                                         .T = T,
                                         .nseq = rows,
                                         .ids = ids,
                                         .lengths = lengths,
                                         .weights = weights,
                                         .role = roles,
                                         .modality = pictures.modality,
                                         .images = pictures.images,
                                         .blocks = s->config.layers,
                                         .block_weights = block_weights,
                                         .nsites = s->nsites,
                                         .site_weights = site_weights,
                                         .sites = s->sites,
                                         .prov = prov},
                    "sample", e);
    if (m && pictures.images.n && sample_images_fill(s, first, rows, m, e) < 0)
        msg_destroy(&m);
    if (m)
        memcpy(m->run, s->run, sizeof s->run);
out:
    json_destroy(&prov);
    free(weights);
    free(block_weights);
    free(site_weights);
    free(roles);
    chunk_pictures_release(&pictures);
    free(ids);
    free(lengths);
    return m;
}

static int emit_chunk(const struct sample *s, size_t peer, size_t chunk,
                      int (*emit)(void *ctx, size_t peer, struct msg **m, struct err *e), void *ctx,
                      struct err *e)
{
    struct msg *m = sample_chunk(s, chunk, e);
    int rc = m ? emit(ctx, peer, &m, e) : -1;

    msg_destroy(&m);
    return rc;
}

/* Lane by lane to whoever would be through first with one more; of those the first. */
static size_t *lanes_deal(const struct sample *s, size_t peers, const double *pace, struct err *e)
{
    size_t *owner = mem_array(s->lanes, sizeof *owner, e),
           *has = owner ? mem_array(peers, sizeof *has, e) : NULL;

    for (size_t lane = 0; has && lane < s->lanes; lane++) {
        double best = 0;

        for (size_t i = 0; i < peers; i++) {
            const double through = (double)(has[i] + 1) / (pace ? pace[i] : 1);

            if (i && through >= best)
                continue;
            best = through;
            owner[lane] = i;
        }
        has[owner[lane]]++;
    }
    if (!has) {
        free(owner);
        owner = NULL;
    }
    free(has);
    return owner;
}

struct turn {           /* of a peer */
    size_t lane, chunk; /* that it gets next; lane: s->lanes, it has them all */
};

static void turn_begin(const struct sample *s, const size_t *owner, size_t peer, size_t lane,
                       struct turn *t)
{
    while (lane < s->lanes && owner[lane] != peer)
        lane++;
    t->lane = lane;
    t->chunk = lane_first(s, lane);
}

int sample_emit(const struct sample *s, size_t peers, const double *pace,
                int (*emit)(void *ctx, size_t peer, struct msg **m, struct err *e), void *ctx,
                struct err *e)
{
    size_t *owner = lanes_deal(s, peers, pace, e), sent = 0;
    struct turn *turn = owner ? mem_array(peers, sizeof *turn, e) : NULL;
    int rc = turn ? 0 : -1;

    for (size_t i = 0; rc == 0 && i < peers; i++)
        turn_begin(s, owner, i, 0, &turn[i]);
    for (size_t i = 0; rc == 0 && sent < s->chunks; i = (i + 1) % peers) {
        struct turn *t = &turn[i];

        if (t->lane == s->lanes)
            continue;
        rc = emit_chunk(s, i, t->chunk, emit, ctx, e);
        sent++;
        if (++t->chunk == lane_first(s, t->lane + 1))
            turn_begin(s, owner, i, t->lane + 1, t);
    }
    free(owner);
    free(turn);
    return rc;
}

/* The lane at *at, which goes behind it; s->lanes: there is none. */
static size_t lane_read(const struct sample *s, const char **at)
{
    char *end;
    const unsigned long long n = **at >= '0' && **at <= '9' ? strtoull(*at, &end, 10) : s->lanes;

    if (n >= s->lanes)
        return s->lanes;
    *at = end;
    return (size_t)n;
}

/* "3-5" or "3" and what ends it. */
static int range_read(const struct sample *s, const char **at, size_t *from, size_t *to)
{
    *from = *to = lane_read(s, at);
    if (**at == '-') {
        (*at)++;
        *to = lane_read(s, at);
    }
    return *from <= *to && *to < s->lanes && (!**at || **at == ',') ? 0 : -1;
}

int sample_emit_lanes(const struct sample *s, const char *lanes, size_t peers,
                      int (*emit)(void *ctx, size_t peer, struct msg **m, struct err *e), void *ctx,
                      struct err *e)
{
    const char *at = lanes;
    size_t from, to, peer = 0;

    do {
        at += at > lanes; /* the comma */
        if (range_read(s, &at, &from, &to) < 0)
            return err_set(e, ERR_USE, "--only-lanes '%s': lanes are numbers below %zu, as 0,3-5",
                           lanes, s->lanes);
        for (size_t lane = from; lane <= to; lane++, peer = (peer + 1) % peers)
            for (size_t c = lane_first(s, lane); c < lane_first(s, lane + 1); c++)
                if (emit_chunk(s, peer, c, emit, ctx, e) < 0)
                    return -1;
    } while (*at);
    return 0;
}
