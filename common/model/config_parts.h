/* SPDX-License-Identifier: Apache-2.0 */
/* config_parts - what the files that read config.json share, families included. Errors name file
 * and key; a key with null is one that is not there. */
#ifndef PTQ_CONFIG_PARTS_H
#define PTQ_CONFIG_PARTS_H

#include "config.h"
#include "family.h"

#define CONFIG_POSITIONS (INT64_C(1) << 40) /* more than any context */

int config_size(const struct json *j, const char *key, int64_t max, size_t *out, const char *what,
                struct err *e);
int config_size_or(const struct json *j, const char *key, int64_t max, size_t def, size_t *out,
                   const char *what, struct err *e);
int config_positive(double v, const char *key, const char *what, struct err *e);
int config_need_positive(const struct json *j, const char *key, double *v, const char *what,
                         struct err *e);
int config_positive_or(const struct json *j, const char *key, double def, double *v,
                       const char *what, struct err *e);

/* ---- of a model of several parts, nothing for others ---- */

/* Behind the identity: c->json and c->nested, those of the decoder. */
int config_nested_find(struct config *c, const char *what, struct err *e);
size_t config_nested_size(const struct config *c, const char *key); /* 0: no default */
/* Behind the sizes: the tower. */
int config_nested_vision(struct config *c, const char *what, struct err *e);
/* tie_word_embeddings: of the decoder or of the whole, def where neither says anything. */
int config_nested_tied(const struct config *c, int def, int *tied, const char *what, struct err *e);

/* c->rope and c->rope_window, behind the sizes. */
int config_read_rope(struct config *c, const struct family *f, const char *what, struct err *e);

/* Behind the settle: layer_types agrees with what the other keys said; window 0 where no block has
 * one. */
int config_check_blocks(struct config *c, const char *what, struct err *e);

/* hidden_act or hidden_activation, whichever the family goes by. */
int config_read_activation(struct config *c, const char *what, struct err *e);
/* Behind all others: what is said under two names is the same. */
int config_check_pairs(const struct config *c, const char *what, struct err *e);
/* 1: the key is one of those for the number of experts, and the family reads one of them. */
int config_counts_experts(const struct family *f, const char *key);

/* ---- for the settle of families ---- */

/* A key that may be absent, or say what is known. */
int config_only_text(const struct json *j, const char *key, const char *known, const char *what,
                     struct err *e);

/* Blocks with a window: those that layer_types names, where it is there; else all but each
 * pattern-th (0: all). window 0: none has one. */
int config_windows(struct config *c, int64_t window, size_t pattern, const char *what,
                   struct err *e);
/* use_sliding_window, sliding_window, max_window_layers: the blocks from that one on. */
int config_windows_from(struct config *c, const char *what, struct err *e);
/* sliding_window_pattern: a number, or as many letters ("LLLG"). */
int config_pattern_key(const struct config *c, int64_t def, int64_t *pattern, const char *what,
                       struct err *e);
/* sliding_window, which may be null. */
int config_window_key(const struct config *c, int64_t def, int64_t *window, const char *what,
                      struct err *e);
/* layer_types: 1 read into BLOCK_WINDOW, 0 not there, -1. */
int config_layer_types(struct config *c, const char *what, struct err *e);

#endif
