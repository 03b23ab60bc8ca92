/* SPDX-License-Identifier: Apache-2.0 */
/* eval_states - the reference's last hidden states over all windows, kept in a file: several
 * models are then compared with one reference for the cost of one pass through it. The head is
 * applied each time, so that the file holds d numbers a token and not a vocabulary.
 *
 * A safetensors file with "hidden" F32 [tokens, d] and, in its metadata, a key: digest of the
 * reference's files, of the windows, and the CPU kernels that the numbers depend on. What was
 * kept gives the same bytes as what is computed. */
#ifndef PTQ_EVAL_STATES_H
#define PTQ_EVAL_STATES_H

#include "../../common/model/model.h"
#include "eval_windows.h"

struct states;

/* Reads the file when it is there (ERR_USE when it is of something else), else begins it. */
struct states *states_open(const char *path, const char *ref_dir, const struct model *ref,
                           const struct windows *w, struct err *e);
/* 1: states_get gives them; 0: states_put is to be called, in order */
int states_kept(const struct states *s);
int states_get(struct states *s, size_t first, size_t tokens, float *to, struct err *e);
int states_put(struct states *s, size_t first, size_t tokens, const float *from, struct err *e);
int states_finish(struct states *s, struct err *e); /* a begun file is published */
void states_close(struct states **s);               /* one that was not finished is removed */

#endif
