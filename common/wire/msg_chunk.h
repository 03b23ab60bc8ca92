/* SPDX-License-Identifier: Apache-2.0 */
/* msg_chunk - typed views of the messages that run between sample, forward and reduce. Each
 * *_read checks every field and fills a struct that borrows from the message; each *_write makes
 * a message. Field by field: INTERFACES.md. */
#ifndef PTQ_MSG_CHUNK_H
#define PTQ_MSG_CHUNK_H

#include "../text/role.h"
#include "msg.h"
#include "msg_expert.h"
#include "msg_images.h"

#define CHUNK_SITES_MAX 262144 /* in site_weights: those of 256 experts in many blocks */

struct chunk_view {
    uint64_t chunk, chunks; /* this one, of how many in the run */
    uint64_t lane, lanes;   /* lane = fixed run of consecutive chunks */
    uint64_t vocab;         /* ids are below this */
    size_t T, nseq;
    const int32_t *ids;      /* "ids" I32 [T] */
    const int32_t *lengths;  /* "lengths" I32 [nseq] */
    const float *weights;    /* "weights" F32 [T], token weights; NULL: all 1 */
    const uint8_t *modality; /* "modality" U8 [T]; NULL: all text (0) */
    const uint8_t *role;     /* "role" U8 [T], enum role; NULL: all plain text (0) */
    struct chunk_images images;
    size_t blocks;
    /* "block_weights" F32 [blocks, nseq], weight of each sequence in each block; NULL: all 1 */
    const float *block_weights;
    /* "site_weights" F32 [nsites, T], weight of each token at single sites, whichever they are */
    size_t nsites;
    const float *site_weights;
    /* field "site_weights": array of nsites {"block", "site"}, none twice; NULL: there are none */
    const struct json *sites;
    /* field "site_ratios": array of {"block", "site", "text", "image"}: how much the rows of
     * each modality are to count at a site where they are mixed; NULL: it is not said */
    const struct json *ratios;
    const struct json *prov; /* provenance so far: array of records, one per stage */
};
int chunk_read(const struct msg *m, struct chunk_view *v, struct err *e);
/* [T] of one site; NULL: all 1. guess: where in the list it may stand, as its place among all sites
 * of the model; looked at first. */
const float *chunk_site_weights(const struct chunk_view *v, uint64_t block, const char *site,
                                size_t guess);
/* The ratios of one site, as modality_ratios_read takes them; NULL: not said. */
const struct json *chunk_ratios(const struct chunk_view *v, uint64_t block, const char *site);
/* Fields and tensors that chunk_read knows, NULL at the end; and those of weights. */
extern const char *const chunk_known[];
extern const char *const weights_known[];
struct msg *chunk_write(const struct chunk_view *v, const char *stage, struct err *e); /* copies */

/* The rows of one chunk at one site. */
struct acts_view {
    uint64_t block, order, sites; /* order = position of the site in the run, of `sites` */
    const char *site;             /* "attn.qkv" */
    /* lane_first: first chunk of the lane, lane_count chunks in it */
    uint64_t chunk, chunks, lane, lanes, lane_first, lane_count;
    size_t T, K, nseq;
    const struct tensor *x; /* "x" BF16 or F32 [T,K] */
    /* "xf", like x: the same rows in the full-precision model; NULL when that stream does not
     * run */
    const struct tensor *xf;
    const float *w;          /* "w" F32 [T]; NULL: 1 */
    const uint8_t *modality; /* "modality" U8 [T], of each row; NULL: all text (0) */
    const int32_t *lengths;  /* "lengths" I32 [nseq]: for the histogram */
    /* of an expert's site: "routed" U8 [T], 1 for the rows that its router sends there; NULL:
     * all of them */
    const uint8_t *routed;
    struct msg_expert expert;
};
int acts_read(const struct msg *m, struct acts_view *v, struct err *e);
/* Header and lengths, w and modality copied; the caller fills x in place: *x is its data. xf:
 * NULL, or where the data of "xf" is to be returned. */
struct msg *acts_write(const struct acts_view *v, enum dtype x_type, void **x, void **xf,
                       const char *stage, struct err *e);
/* The same over the rows v->x and v->xf, which it borrows. */
struct msg *acts_over(const struct acts_view *v, const char *stage, struct err *e);

#define WEIGHTS_LINEARS 64

/* The weights of a site, from the worker that holds chunk 0; once per site. Tensors that are not in
 * the list of linears may be there too. */
struct weights_view {
    uint64_t block, order, sites;
    const char *site;
    size_t K;
    /* array of {"name", "rows"}; the tensors bear these names, [rows,K], as in the checkpoint */
    const struct json *linears;
    size_t nlinears; /* by weights_read, as linear[] in the order of the list */
    const struct tensor *linear[WEIGHTS_LINEARS];
    /* of which weights_create makes field "ratios": what chunk_ratios gives; NULL: nothing */
    const struct json *ratios;
    const struct json *prov;
};
int weights_read(const struct msg *m, struct weights_view *v, struct err *e);
/* Header and metadata; the caller then adds every linear of v->linears as a tensor. */
struct msg *weights_create(const struct weights_view *v, const char *stage, struct err *e);

#endif
