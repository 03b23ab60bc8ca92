/* SPDX-License-Identifier: Apache-2.0 */
/* program_build - what families say: one function for each kind of operation. A result is a new
 * slot, -1 after a mistake. */
#ifndef PTQ_PROGRAM_BUILD_H
#define PTQ_PROGRAM_BUILD_H

#include "program.h"

/* width: of the stream */
void program_init(struct program *p, const char *prefix, size_t width);

int program_carry(struct program *p, size_t width); /* the first slot of a block that has one */
int program_slot(struct program *p, size_t width, int route); /* route: -1, or of program_route */
/* With the weight NAME.weight. */
int program_norm(struct program *p, int in, const char *name, const struct norm_spec *spec);
/* The same in place for each of the heads of a slot. */
void program_norm_heads(struct program *p, int slot, size_t heads, const char *name,
                        const struct norm_spec *spec);
/* The norm of each head without weights; in place: in slot. */
int program_unit(struct program *p, int in, size_t heads, double eps);
void program_unit_in(struct program *p, int slot, size_t heads, double eps);
/* slot *= the tensor NAME of `count` numbers (one for all, or one for each of a row) times by. */
void program_times(struct program *p, int slot, const char *name, size_t count, double by);
/* Numbers [first, first + width) of each row. */
int program_cut(struct program *p, int in, size_t first, size_t width);
/* The same of each of its heads. */
int program_cut_heads(struct program *p, int in, size_t heads, size_t first, size_t width);
/* The rows of a slot become numbers [first, ...) of those of another. */
void program_lay(struct program *p, int from, int to, size_t first);
/* Each of the heads of a, and behind it that of b; shared: b has one, for all of them. */
int program_concat(struct program *p, int a, int b, size_t heads, int shared);

struct program_linear {
    const char *name; /* "self_attn.q_proj": what its solution and a written checkpoint call it */
    size_t rows;      /* N */
    const char *site; /* "attn.qkv"; NULL: it is not quantized. expert: "%zu" for its number */
    const char *fused;
    /* Where the checkpoint has no NAME.weight: it is cut from this tensor, from row `first` on;
     * total: rows there, of each of the `stacked` matrices (0: one), of which it is in `which`.
     * turned: these are [K, N], and it is one of them. */
    const char *whole;
    size_t first, total, stacked, which;
    int turned;
};
int program_linear(struct program *p, int in, const struct program_linear *l);
void program_linear_add(struct program *p, int in, int to, const struct program_linear *l);
/* Of one expert: the rows of in and to that are its own. */
void program_linear_expert(struct program *p, int in, int to, size_t expert,
                           const struct program_linear *l);
/* NAME.bias of the linear that wrote into the slot last. has 0: config.json says that there is
 * none (some quantized checkpoints have one all the same). */
void program_bias(struct program *p, int slot, int has);
/* Of the linear of an expert. whole: the bias is cut from this tensor [stacked, total] where
 * NAME.bias is not there. */
void program_bias_expert(struct program *p, int slot, size_t expert, const char *whole);
void program_rope(struct program *p, int slot, size_t heads, const struct rope_spec *spec);
/* The same of numbers [first, ...) of each head. */
void program_rope_from(struct program *p, int slot, size_t heads, size_t first,
                       const struct rope_spec *spec);
/* slot *= 1 + rate ln(1 + floor(position / original)) */
void program_temper(struct program *p, int slot, double rate, size_t original);
int program_attention(struct program *p, int q, int k, int v, const struct attention_shape *s);
/* With the scores of a tensor (its whole name), one for each head, in the softmax. */
int program_attention_sinks(struct program *p, int q, int k, int v, const struct attention_shape *s,
                            const char *sinks);
/* Gate and up, by turns in each row: min(gate, limit) sigmoid(alpha gate) (up + 1), up clamped. */
int program_swiglu(struct program *p, int both, double alpha, double limit);
/* silu of a convolution with NAME.weight [width, 1, taps] over the rows of each sequence. */
int program_conv(struct program *p, int in, const char *name, size_t taps);
void program_vector(struct program *p, int slot, const char *name); /* slot += the tensor NAME */
void program_decay(struct program *p, int slot, const char *rates); /* op_decay.c */
/* rows: [q | k | v]; beta and decay: a number for each head of v. */
int program_delta(struct program *p, int rows, int beta, int decay, const struct delta_shape *s);
void program_shift(struct program *p, int slot, const char *name); /* += NAME.bias */
void program_activate(struct program *p, int slot, enum activation a);
void program_gate(struct program *p, int gate, int up, enum activation a); /* gate = a(gate) up */
void program_add(struct program *p, int to, int from, double scale);       /* to += scale from */
void program_deepstack(struct program *p, size_t level);     /* stream += what the tower gives */
void program_share(struct program *p, int slot, int number); /* slot *= sigmoid(number) */
/* Softmax over the experts, the `top` largest, perhaps normalized to sum 1: [T, experts], 0 for
 * those that a token does not go to. */
int program_route(struct program *p, int logits, size_t top, int normalize);
/* Sigmoids, of which those count that are largest with a correction added (the vector
 * CORRECTION), of the groups_top best of the groups, times scale: as program_route. */
struct program_choice {
    size_t top, groups, groups_top;
    int normalize;
    double scale;
    const char *correction;
};
int program_choose(struct program *p, int logits, const struct program_choice *c);
int program_gather(struct program *p, int in, int route); /* rows of the experts */
/* to += the rows of the experts, each with the weight of its route. */
void program_scatter(struct program *p, int in, int route, int to);
int program_scatter_new(struct program *p, int in, int route); /* the same into a slot of its own */
/* slot *= the number of its expert in the tensor NAME. */
void program_experts_times(struct program *p, int slot, int route, const char *name);

#endif
