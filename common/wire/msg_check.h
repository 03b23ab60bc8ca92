/* SPDX-License-Identifier: Apache-2.0 */
/* msg_check - checks that the typed views share. Errors name kind and id of the message and the
 * field. */
#ifndef PTQ_MSG_CHECK_H
#define PTQ_MSG_CHECK_H

#include "msg.h"

#define CHECK_COUNT_MAX ((int64_t)1 << 31)

/* Fails as "acts 'b3.attn.qkv/c12': text". Returns -1. */
int check_fail(const struct msg *m, struct err *e, const char *fmt, ...) ERR_PRINTF(3, 4);
/* "acts 'b3.attn.qkv/c12'" for the field getters of json.h; out has CHECK_WHAT bytes. */
#define CHECK_WHAT (MSG_ID + 16)
const char *check_what(const struct msg *m, char *out);
/* Kind, and a whole number of meta in [min, max]. */
int check_kind(const struct msg *m, enum msg_kind k, struct err *e);
int check_u64(const struct msg *m, const char *key, int64_t min, int64_t max, uint64_t *v,
              struct err *e);
/* A text of 1 to 60 characters of meta. */
const char *check_text(const struct msg *m, const char *key, struct err *e);
#define CHECK_SITES_MAX 1000000
/* block, order, sites, site; order is below sites, which are at most CHECK_SITES_MAX. */
int check_site(const struct msg *m, uint64_t *block, uint64_t *order, uint64_t *sites,
               const char **site, struct err *e);
/* The id is that of the site's messages: "b3.attn.qkv" with the suffix ("/c12", "/w", ...) behind
 * it. Under another name a message would be counted, dropped or waited for as what it is not. */
int check_site_id(const struct msg *m, uint64_t block, const char *site, const char *suffix,
                  struct err *e);
int check_put_site(struct msg *m, uint64_t block, uint64_t order, uint64_t sites, const char *site);
#define CHECK_LANES_MAX 65536
/* chunk below chunks, lane below lanes, of which there are at most CHECK_LANES_MAX; lane holds
 * chunk by the rule of the lanes. */
int check_lane(const struct msg *m, uint64_t *chunk, uint64_t *chunks, uint64_t *lane,
               uint64_t *lanes, struct err *e);
int64_t check_lanes_most(uint64_t chunks); /* how many lanes so many chunks can have */
/* prov: absent (NULL) or an array of records with a text "stage". */
int check_prov(const struct msg *m, const struct json **prov, struct err *e);
int check_put_prov(struct msg *m, const struct json *prov); /* NULL: an empty array */
/* "lengths" I32: each at least 1, together T. */
int check_lengths(const struct msg *m, size_t T, const int32_t **lengths, size_t *nseq,
                  struct err *e);
/* An optional tensor: 1 it is there, 0 it is not, -1 it is of another type or number of
 * dimensions. */
int check_optional(const struct msg *m, const char *name, enum dtype dtype, int ndim,
                   const struct tensor **t, struct err *e);
/* Weights: finite and not negative. Then an optional F32 [T] of them. */
int check_finite_weights(const struct msg *m, const char *name, const float *w, size_t n,
                         struct err *e);
int check_weights(const struct msg *m, const char *name, size_t T, const float **w, struct err *e);
/* list = array of {"name", "rows"}, 1 to CHECK_LINEARS of them, names different; each is a float
 * tensor [rows, K] of the message, all of it finite. out (may be NULL) has CHECK_LINEARS places. */
#define CHECK_LINEARS 64
int check_linears(const struct msg *m, const struct json *list, size_t K, const struct tensor **out,
                  size_t *count, struct err *e);

/* The sums of the weights of so many rows, and of their squares, as weights of F32 can have them;
 * name: of the field that holds them ("" or "hold: "). */
int check_weight_sums(const struct msg *m, const char *name, uint64_t tokens, double sum_w,
                      double sum_w2, struct err *e);
/* K, tokens, sequences, sum_w, sum_w2: the same in problem and solution. */
int check_sums(const struct msg *m, size_t *K, uint64_t *tokens, uint64_t *sequences, double *sum_w,
               double *sum_w2, struct err *e);
int check_put_sums(struct msg *m, size_t K, uint64_t tokens, uint64_t sequences, double sum_w,
                   double sum_w2);
/* Metadata could not be set: says so, destroys the message, returns NULL. */
struct msg *check_no_memory(struct msg **m, struct err *e);

#endif
