/* SPDX-License-Identifier: Apache-2.0 */
/* importance_fisher - the diagonal of the Fisher information of the linears (SqueezeLLM, arXiv
 * 2306.07629): the mean over sequences of the squares of the gradient of their loss. For --solver
 * squeeze --fisher. Private to the stage. */
#ifndef PTQ_IMPORTANCE_FISHER_H
#define PTQ_IMPORTANCE_FISHER_H

#include "../../common/model/block_back.h"

struct fisher; /* 4 bytes for each weight */
struct fisher *fisher_open(const struct sites *s, struct err *e);
void fisher_close(struct fisher **f);
/* The gradients of a block from one sequence; what none reached counts as 0. */
void fisher_add(struct fisher *f, size_t block, const struct block_back *k);
/* NAME.weight F32 of each linear. */
int fisher_write(const struct fisher *f, const char *path, size_t sequences, struct err *e);

#endif
