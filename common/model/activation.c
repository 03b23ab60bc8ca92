/* SPDX-License-Identifier: Apache-2.0 */
/* activation - names as transformers/activations.py has them, and the numbers. */
#include "activation.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "vec.h"

#define QUICK 1.702

static const struct {
    const char *name;
    enum activation is;
} names[] = {{"silu", ACTIVATION_SILU},
             {"swish", ACTIVATION_SILU},
             {"gelu_pytorch_tanh", ACTIVATION_GELU_TANH},
             {"gelu_new", ACTIVATION_GELU_TANH},
             {"gelu", ACTIVATION_GELU},
             {"quick_gelu", ACTIVATION_GELU_QUICK},
             {"relu", ACTIVATION_RELU},
             {"relu2", ACTIVATION_RELU2}};

int activation_find(const char *name, enum activation *a, const char *key, const char *what,
                    struct err *e)
{
    char known[128] = "";
    size_t used = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (name && strcmp(name, names[i].name) == 0) {
            *a = names[i].is;
            return 0;
        }
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "",
                                 names[i].name);
    }
    return err_set(e, ERR_USE, "%s: %s '%.64s' is not supported (known: %s)", what, key,
                   name ? name : "not a text", known);
}

/* Of those that vec.h has no product with an up of. NaN stays NaN. */
static float value(enum activation a, float x)
{
    const float above = x < 0 ? 0 : x;

    switch (a) {
    case ACTIVATION_GELU:
        return 0.5f * x * (1 + erff(x * 0.70710678f));
    case ACTIVATION_GELU_QUICK:
        return x * vec_sigmoid((float)QUICK * x);
    case ACTIVATION_RELU:
        return above;
    case ACTIVATION_RELU2:
        return above * above;
    default:
        return vec_sigmoid(x);
    }
}

double activation_slope(enum activation a, double x)
{
    const double quick = a == ACTIVATION_GELU_QUICK ? QUICK : 1, s = 1 / (1 + exp(-quick * x)),
                 root = sqrt(2 / M_PI), t = tanh(root * (x + 0.044715 * x * x * x));

    switch (a) {
    case ACTIVATION_SILU:
    case ACTIVATION_GELU_QUICK:
        return s * (1 + quick * x * (1 - s));
    case ACTIVATION_GELU_TANH:
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * root * (1 + 3 * 0.044715 * x * x);
    case ACTIVATION_GELU:
        return 0.5 * (1 + erf(x / M_SQRT2)) + x * exp(-x * x / 2) / sqrt(2 * M_PI);
    case ACTIVATION_RELU:
        return x > 0;
    case ACTIVATION_RELU2:
        return x > 0 ? 2 * x : 0;
    case ACTIVATION_SIGMOID:
        return s * (1 - s);
    }
    return 1;
}

/* x = a(x) by the functions with a second factor. */
static void by_gate(void (*gate)(float *, const float *, size_t), float b, float c, float *x,
                    size_t n)
{
    enum { STEP = 64 };
    float up[STEP];

    for (size_t i = 0; i < STEP; i++)
        up[i] = c;
    if (b != 1)
        vec_scale(x, n, b);
    for (size_t i = 0; i < n; i += STEP)
        gate(x + i, up, n - i < STEP ? n - i : STEP);
}

void activation_row(enum activation a, float *x, size_t n)
{
    const float quick = (float)QUICK;

    switch (a) {
    case ACTIVATION_SILU:
        by_gate(vec_silu_mul, 1, 1, x, n);
        break;
    case ACTIVATION_GELU_TANH:
        by_gate(vec_gelu_mul, 1, 1, x, n);
        break;
    case ACTIVATION_GELU_QUICK:
        by_gate(vec_silu_mul, quick, 1 / quick, x, n);
        break;
    default:
        for (size_t i = 0; i < n; i++)
            x[i] = value(a, x[i]);
    }
}

void activation_gate(enum activation a, float *gate, const float *up, size_t n)
{
    switch (a) {
    case ACTIVATION_SILU:
        vec_silu_mul(gate, up, n);
        break;
    case ACTIVATION_GELU_TANH:
        vec_gelu_mul(gate, up, n);
        break;
    case ACTIVATION_SIGMOID:
        vec_sigmoid_mul(gate, up, n);
        break;
    default:
        for (size_t i = 0; i < n; i++)
            gate[i] = value(a, gate[i]) * up[i];
    }
}

void activation_gate_back(enum activation a, const float *gate, const float *up, size_t n, float *g,
                          float *up_grad)
{
    switch (a) {
    case ACTIVATION_SILU:
        vec_silu_mul_back(gate, up, n, g, up_grad);
        break;
    case ACTIVATION_GELU_TANH:
        vec_gelu_mul_back(gate, up, n, g, up_grad);
        break;
    default:
        for (size_t i = 0; i < n; i++) {
            up_grad[i] += g[i] * value(a, gate[i]);
            g[i] *= up[i] * (float)activation_slope(a, (double)gate[i]);
        }
    }
}
