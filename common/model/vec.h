/* SPDX-License-Identifier: Apache-2.0 */
/* vec - rows of f32 numbers: the elementwise parts of a forward pass. Single-threaded; sums run
 * in 16 fixed lanes, so a result depends on the numbers and their count alone, not on the width
 * of the CPU's registers. */
#ifndef PTQ_VEC_H
#define PTQ_VEC_H

#include <stddef.h>

int vec_finite(const float *x, size_t n); /* 1: no NaN, no infinity */
float vec_max(const float *x, size_t n);  /* -inf for n = 0 */
/* x = exp(x - shift), arguments in [-87, 88]; returns the sum */
float vec_exp_sum(float *x, size_t n, float shift);
/* Sums of a distribution, terms in f32, runs of 512 of them added in f64: sum of exp(x - shift);
 * and with y beside it sum of exp(x - sx) ((x - sx) - (y - sy)), *total the plain sum. */
double vec_exp_total(const float *x, size_t n, float shift);
double vec_exp_moment(const float *x, const float *y, size_t n, float sx, float sy, double *total);
void vec_scale(float *x, size_t n, float a);
void vec_add(float *x, const float *y, size_t n);
void vec_add_times(float *x, const float *y, size_t n, float a);    /* x += a y */
void vec_add_scaled(double *y, const float *x, size_t n, double a); /* y += a x in f64 */
/* gate = gate / (1 + exp(-gate)) * up */
void vec_silu_mul(float *gate, const float *up, size_t n);
/* gate = gate / 2 (1 + tanh(sqrt(2 / pi) (gate + 0.044715 gate^3))) * up */
void vec_gelu_mul(float *gate, const float *up, size_t n);
void vec_sigmoid_mul(float *gate, const float *up, size_t n); /* gate = up / (1 + exp(-gate)) */
/* Their products with the gradient g of the result, which becomes that of gate; up_grad += that
 * of up. */
void vec_silu_mul_back(const float *gate, const float *up, size_t n, float *g, float *up_grad);
void vec_gelu_mul_back(const float *gate, const float *up, size_t n, float *g, float *up_grad);
void vec_cap(float *x, size_t n, float cap); /* x = cap tanh(x / cap) */
float vec_sigmoid(float x);
/* y = (w + one) x / sqrt(mean x^2 + eps); y may be x */
void vec_rmsnorm(const float *x, const float *w, size_t n, float eps, float one, float *y);
void vec_unit(const float *x, size_t n, float eps, float *y); /* the same with w = 1, one = 0 */
/* y = w (x - mean) / sqrt(mean (x - mean)^2 + eps); y may be x */
void vec_layernorm(const float *x, const float *w, size_t n, float eps, float *y);
/* pairs (x[i], x[i + half]), and (x[2 i], x[2 i + 1]) */
void vec_rotate(float *x, const float *cosine, const float *sine, size_t half);
void vec_rotate_pairs(float *x, const float *cosine, const float *sine, size_t half);

#endif
