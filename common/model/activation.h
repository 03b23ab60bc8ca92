/* SPDX-License-Identifier: Apache-2.0 */
/* activation - the functions between the matrices of an MLP, by the names that config.json gives
 * them; of decoders and towers alike. */
#ifndef PTQ_ACTIVATION_H
#define PTQ_ACTIVATION_H

#include <stddef.h>
#include "../base/err.h"

enum activation {
    ACTIVATION_SILU,
    ACTIVATION_GELU_TANH,
    ACTIVATION_GELU,       /* by erf */
    ACTIVATION_GELU_QUICK, /* x sigmoid(1.702 x) */
    ACTIVATION_RELU,
    ACTIVATION_RELU2,  /* its square */
    ACTIVATION_SIGMOID /* of gates alone: no config.json names it */
};
#define ACTIVATIONS (ACTIVATION_SIGMOID + 1)

/* By its name in config.json; -1: not known, `key` of the file `what`. */
int activation_find(const char *name, enum activation *a, const char *key, const char *what,
                    struct err *e);

void activation_row(enum activation a, float *x, size_t n);                      /* x = a(x) */
void activation_gate(enum activation a, float *gate, const float *up, size_t n); /* a(gate) up */
/* The product of activation_gate with the gradient g of its result, which becomes that of gate;
 * up_grad += that of up. */
void activation_gate_back(enum activation a, const float *gate, const float *up, size_t n, float *g,
                          float *up_grad);
double activation_slope(enum activation a, double x); /* da / dx; 0 at the corner of a relu */

#endif
