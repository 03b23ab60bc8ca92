/* SPDX-License-Identifier: Apache-2.0 */
/* grad_run - golden gradients: reading and comparing them. Include after cmocka.h. */
#ifndef PTQ_TEST_GRAD_RUN_H
#define PTQ_TEST_GRAD_RUN_H

#include "model_run.h"
#include "shared.h"

/* What the backward pass promises; the reference's own f32 runs are off by up to 1e-6, or 1e-5
 * over all blocks. */
#define GRAD_TOLERANCE 1e-4

/* The model and the golden of a part; 0: one of them is not there. */
static inline int grad_open(const char *name, const char *part, struct par *par, struct model **m,
                            struct st_set **g)
{
    char path[2][128];
    struct err err = {0};
    const char *dir, *file;

    snprintf(path[0], sizeof path[0], "data/golden-backward/%s.%s.safetensors", name, part);
    snprintf(path[1], sizeof path[1], "data/%s%s",
             strcmp(name, "tale-qwen3") == 0 || strcmp(name, "shapes-vlm") == 0 ? ""
                                                                                : "conformance/",
             name);
    file = shared_path(path[0]);
    dir = shared_path(path[1]);
    if (!file || !dir)
        return 0;
    must(*m = model_open(dir, par, &err));
    must(*g = st_open(file, &err));
    return 1;
}

/* A golden tensor of f32, f64 or bytes, whole. */
static inline double *grad_golden(const struct st_set *g, const char *name, size_t *n)
{
    struct err err = {0};
    struct tensor t;
    double *out;

    must(st_load(g, run_find(g, name), &t, &err) == 0);
    *n = tensor_elements(&t);
    out = mem_array(*n ? *n : 1, sizeof *out, &err);
    must(out);
    for (size_t i = 0; i < *n; i++)
        out[i] = t.dtype == DT_F64   ? ((const double *)t.data)[i]
                 : t.dtype == DT_F32 ? (double)((const float *)t.data)[i]
                                     : (double)((const uint8_t *)t.data)[i];
    tensor_release(&t);
    return out;
}

/* The length of a difference over that of the golden. */
static inline double grad_distance(const float *x, const double *want, size_t n)
{
    double d = 0, w = 0;

    for (size_t i = 0; i < n; i++) {
        d += ((double)x[i] - want[i]) * ((double)x[i] - want[i]);
        w += want[i] * want[i];
    }
    return w > 0 ? sqrt(d / w) : sqrt(d);
}

static inline void grad_compare(const struct st_set *g, const char *what, const char *name,
                                const float *x, size_t n, double tolerance)
{
    size_t count;
    double *want = grad_golden(g, name, &count), d;

    assert_int_equal(count, n);
    d = grad_distance(x, want, n);
    if (!(d <= tolerance))
        fail_msg("%s: %s: differs by %g of itself, allowed %g", what, name, d, tolerance);
    free(want);
}

/* The first number of a golden's metadata, such as "layer". */
static inline size_t grad_number(const struct st_set *g, const char *key)
{
    const char *text = json_as_text(json_get(g->metadata, key));

    assert_non_null(text);
    return (size_t)strtoul(text, NULL, 10);
}

#endif
