/* SPDX-License-Identifier: Apache-2.0 */
/* family_experts - what families with a mixture of experts share: which blocks have experts, and
 * their sublayer. Routers, and the gate of a shared expert, are linears of no site: they stay as
 * they are. */
#ifndef PTQ_FAMILY_EXPERTS_H
#define PTQ_FAMILY_EXPERTS_H

#include "family.h"

/* How tensors are called, "%zu" for the number of an expert. */
struct family_experts {
    const char *router, *gate, *up, *down;
    /* Where these stand in two tensors for all experts: [experts, gate and up, d], and of down;
     * NULL: they do not. */
    const char *stacked_up, *stacked_down;
    /* One expert for all tokens, and the linear that says how much of it each gets; NULL: none. */
    const char *correction; /* sigmoids are chosen with this added (op_choose.c); NULL: softmax */
    const char *shared_gate, *shared_up, *shared_down, *share;
};

/* num_experts or num_local_experts, num_experts_per_tok, and, where `width` names it, the inner
 * size of an expert (else intermediate_size). All blocks have experts. */
int family_read_experts(struct config *c, size_t count, size_t top, const char *width,
                        const char *what, struct err *e);
/* mlp_only_layers and decoder_sparse_step: blocks without. */
int family_read_dense(struct config *c, const char *what, struct err *e);

/* n_routed_experts, which op_choose.c chooses by groups, n_shared_experts, first_k_dense_replace:
 * what counts where config.json does not say. */
struct family_choice {
    size_t experts, groups, groups_top;
    double scale;
    int64_t dense;
};
int family_read_choice(struct config *c, const struct family_choice *defaults, const char *what,
                       struct err *e);
/* The usual names: mlp.gate, mlp.experts.0.gate_proj, mlp.shared_experts.gate_proj. */
extern const struct family_experts family_experts_chosen;

/* What the experts of a route make of the rows x: [T top, d]. Without shared ones. */
int family_experts_rows(const struct config *c, struct program *p, int x, int route,
                        const struct family_experts *names);
/* Of the rows x, into the stream. */
void family_experts(const struct config *c, struct program *p, int x,
                    const struct family_experts *names);

#endif
