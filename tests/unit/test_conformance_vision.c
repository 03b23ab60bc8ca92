/* SPDX-License-Identifier: Apache-2.0 */
/* test_conformance_vision - models that see images against transformers, tensor by tensor, as
 * test_conformance does it for text: the decoder from the embeddings that the golden has, with
 * its positions and the images of its tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../common/tensor/blas.h"
#include "model_run.h"
#include "shared.h"

struct golden {
    const char *name;
    double hidden, logits; /* f32 against f64, of the README */
};

static const struct golden goldens[] = {
    {"idefics3", 2.41e-5, 1.73e-5}, {"smolvlm", 2.4e-5, 2.09e-5},
    {"llava", 3.01e-5, 1.87e-5},    {"llava_onevision", 2.83e-5, 2.6e-5},
    {"qwen2_vl", 3.3e-5, 2.1e-5},   {"qwen2_5_vl", 5.74e-5, 4.9e-5},
    {"qwen3_vl", 1.69e-5, 2.06e-5}, {"gemma3-vision", 1.17e-5, 3.71e-6},
};
enum { GOLDENS = sizeof goldens / sizeof goldens[0], GATE = 20 };

static const char *folder(const struct golden *x)
{
    static char own[128];
    char name[128];

    snprintf(own, sizeof own, "tests/golden/conformance/%s", x->name);
    if (access(own, R_OK) == 0)
        return own;
    snprintf(name, sizeof name, "data/conformance/%s", x->name);
    return shared_path(name);
}

static const char *name_of(const char *pattern, int seq, size_t i)
{
    static char out[64];

    snprintf(out, sizeof out, pattern, seq, i);
    return out;
}

/* What a sequence of a golden holds. */
struct sequence {
    size_t T, images;
    int32_t *ids, length, *axis, *image, *feature;
    float *deep[2];
    struct rows_seen seen;
    struct rows rows;
};

/* position_ids [3, T], where there are three. */
static void axes_read(struct sequence *q, const struct st_set *g, int seq)
{
    const char *name = name_of("position_ids.%d", seq, 0);
    int32_t *at;
    size_t n;

    if (!st_find(g, name) || st_find(g, name)->shape[0] != 3)
        return;
    at = run_ids(g, name, &n);
    assert_int_equal(n, 3 * q->T);
    q->axis = (int32_t *)calloc(n, sizeof *q->axis);
    assert_non_null(q->axis);
    for (size_t t = 0; t < q->T; t++)
        for (size_t a = 0; a < 3; a++)
            q->axis[3 * t + a] = at[a * q->T + t];
    q->seen.axis = q->axis;
    q->seen.reach = q->T;
    free(at);
}

/* The image of each token: as many tokens as the others have, one image behind the other. */
static void images_read(struct sequence *q, const struct st_set *g, int seq)
{
    size_t n;
    int32_t *at = run_ids(g, name_of("image_positions.%d", seq, 0), &n), *which;

    which = run_ids(g, name_of("images.%d", seq, 0), &q->images);
    free(which);
    q->image = (int32_t *)calloc(q->T, sizeof *q->image);
    q->feature = (int32_t *)calloc(q->T, sizeof *q->feature);
    assert_true(q->image && q->feature);
    for (size_t t = 0; t < q->T; t++)
        q->image[t] = q->feature[t] = -1;
    for (size_t i = 0, image = 0; i < n; i++) {
        image += i && at[i] != at[i - 1] + 1;
        q->image[at[i]] = (int32_t)image;
        q->feature[at[i]] = (int32_t)i;
    }
    q->seen.image = q->image;
    q->seen.feature = q->feature;
    free(at);
}

static void sequence_read(struct sequence *q, const struct st_set *g, int seq)
{
    size_t n;

    memset(q, 0, sizeof *q);
    q->ids = run_ids(g, name_of("input_ids.%d", seq, 0), &q->T);
    q->length = (int32_t)q->T;
    axes_read(q, g, seq);
    images_read(q, g, seq);
    for (size_t l = 0; l < 2 && st_find(g, name_of("deepstack.%d.%zu", (int)l, (size_t)seq)); l++) {
        q->deep[l] = run_golden(g, name_of("deepstack.%d.%zu", (int)l, (size_t)seq), &n);
        q->seen.deeps = l + 1;
    }
    q->seen.deep = (const float *const *)q->deep;
    q->rows = (struct rows){.T = q->T, .nseq = 1, .lengths = &q->length, .seen = &q->seen};
}

static void sequence_release(struct sequence *q)
{
    free(q->ids);
    free(q->axis);
    free(q->image);
    free(q->feature);
    free(q->deep[0]);
    free(q->deep[1]);
}

/* hidden.s.layer.i stands before the addition. */
static void layer_compare(const struct st_set *g, int seq, size_t layer, const struct sequence *q,
                          size_t d, const float *h, double tolerance)
{
    float *before = run_array(q->T * d);

    memcpy(before, h, q->T * d * sizeof *h);
    for (size_t t = 0; layer < q->seen.deeps && t < q->T; t++)
        for (size_t i = 0; i < d && q->feature[t] >= 0; i++)
            before[t * d + i] -= q->deep[layer][(size_t)q->feature[t] * d + i];
    run_compare(g, name_of("hidden.%d.layer.%zu", seq, layer), before, q->T * d, tolerance);
    free(before);
}

static void run_decoder(struct model *m, const struct st_set *g, int seq, const struct golden *x)
{
    const struct config *c = model_config(m);
    struct sequence q;
    struct err err = {0};
    float *h, *logits;
    size_t n;

    sequence_read(&q, g, seq);
    h = run_golden(g, name_of("hidden.%d.embed", seq, 0), &n);
    assert_int_equal(n, q.T * c->d);
    for (size_t l = 0; l < c->layers; l++) {
        struct block *b = block_open(m, l, &err);

        must(b && block_load_all(b, &err) == 0);
        must(block_forward(b, &q.rows, h, &err) == 0);
        block_close(&b);
        layer_compare(g, seq, l, &q, c->d, h, GATE * x->hidden);
    }
    must(model_final_norm(m, q.T, h, &err) == 0);
    run_compare(g, name_of("hidden.%d.norm", seq, 0), h, q.T * c->d, GATE * x->hidden);
    logits = run_array(q.T * c->vocab);
    must(model_logits(m, q.T, h, logits, &err) == 0);
    run_compare(g, name_of("logits.%d", seq, 0), logits, q.T * c->vocab, GATE * x->logits);
    free(logits);
    free(h);
    sequence_release(&q);
}

static void conforms(void **state)
{
    const struct golden *x = *state;
    const char *dir = folder(x);
    char path[1100];
    struct err err = {0};
    struct par *p;
    struct st_set *g;
    struct model *m;

    if (!dir) {
        print_message("skip: conformance/%s is not on this machine (PTQ_SHARED)\n", x->name);
        skip();
    }
    snprintf(path, sizeof path, "%s/golden.safetensors", dir);
    must(g = st_open(path, &err));
    must(p = par_open(2, &err));
    must(m = model_open(dir, p, &err));
    for (int seq = 0; seq < 2; seq++)
        run_decoder(m, g, seq, x);
    model_close(&m);
    par_close(&p);
    st_close(&g);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[GOLDENS];
    struct err e = {0};

    (void)argc;
    for (size_t i = 0; i < GOLDENS; i++)
        tests[i] = (struct CMUnitTest){.name = goldens[i].name,
                                       .test_func = conforms,
                                       .initial_state = (void *)(uintptr_t)&goldens[i]};
    if (blas_start(argv, &e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("conformance_vision", tests, NULL, NULL);
}
