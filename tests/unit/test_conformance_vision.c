/* SPDX-License-Identifier: Apache-2.0 */
/* test_conformance_vision - models that see images against transformers, tensor by tensor, as
 * test_conformance does it for text: the tower from the pixel values on, block by block, to the
 * embeddings of image tokens; the decoder from the embeddings that the golden has, with its
 * positions and the images of its tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../common/model/seen.h"
#include "../../common/tensor/blas.h"
#include "model_run.h"
#include "shared.h"

struct golden {
    const char *name;
    double vision, features, hidden, logits; /* f32 against f64, of the README */
};

static const struct golden goldens[] = {
    {"idefics3", 6.88e-6, 2.71e-6, 2.41e-5, 1.73e-5},
    {"smolvlm", 9.5e-6, 4.82e-6, 2.4e-5, 2.09e-5},
    {"llava", 1.2e-5, 8.79e-6, 3.01e-5, 1.87e-5},
    {"llava_onevision", 6.47e-6, 7.06e-6, 2.83e-5, 2.6e-5},
    {"qwen2_vl", 1.47e-5, 5.44e-6, 3.3e-5, 2.1e-5},
    {"qwen2_5_vl", 2.56e-5, 8.72e-6, 5.74e-5, 4.9e-5},
    {"qwen3_vl", 3.14e-5, 5.79e-6, 1.69e-5, 2.06e-5},
    {"gemma3-vision", 6.65e-6, 2.69e-6, 1.17e-5, 3.71e-6},
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

/* ---- the tower ---- */

struct seen_input {
    float *pixels;
    int32_t rows[8], grid[24], size[16];
    struct pictures p;
};

/* As a chunk would carry them: what the reference has in other tensors for each kind of model. */
static void pictures_read(struct seen_input *x, const struct st_set *g, int seq, size_t images,
                          const struct vision *v)
{
    const struct st_entry *pixels = run_find(g, name_of("pixel_values.%d", seq, 0));
    size_t n, count = 0;
    int32_t *t;

    memset(x, 0, sizeof *x);
    x->pixels = run_golden(g, name_of("pixel_values.%d", seq, 0), &n);
    x->p = (struct pictures){
        .count = images, .pixels = x->pixels, .image_rows = x->rows, .grid = x->grid};
    x->p.width = v->side ? 3 * v->side * v->patch * v->side * v->patch : (size_t)pixels->shape[1];
    x->p.rows = n / x->p.width;
    if (st_find(g, name_of("image_grid_thw.%d", seq, 0))) {
        t = run_ids(g, name_of("image_grid_thw.%d", seq, 0), &count);
        memcpy(x->grid, t, count * sizeof *t);
        free(t);
    }
    if (v->side && !st_find(g, name_of("image_sizes.%d", seq, 0)))
        x->p.count = images = x->p.rows; /* each tile has tokens of its own */
    assert_true(images <= 8);
    for (size_t i = 0; i < images; i++)
        x->rows[i] = count ? x->grid[3 * i] * x->grid[3 * i + 1] * x->grid[3 * i + 2]
                           : (int32_t)(x->p.rows / images);
    if (!st_find(g, name_of("image_sizes.%d", seq, 0)))
        return;
    t = run_ids(g, name_of("image_sizes.%d", seq, 0), &count);
    memcpy(x->size, t, count * sizeof *t);
    x->p.size = x->size;
    for (size_t i = 0; i < images; i++) {
        x->grid[3 * i] = 1;
        x->grid[3 * i + 1] = x->grid[3 * i + 2] = x->rows[i] == 5 ? 2 : 0;
    }
    free(t);
}

static void features_compare(const struct st_set *g, int seq, const struct sequence *q,
                             const struct features *f, const struct golden *x)
{
    size_t n, T = q->T, d = f->d;
    float *embed = run_golden(g, name_of("hidden.%d.embed", seq, 0), &n), *rows;

    rows = run_array(T * d);
    memcpy(rows, embed, T * d * sizeof *rows);
    for (size_t t = 0; t < T; t++)
        if (q->feature[t] >= 0)
            memcpy(rows + t * d, f->x + (size_t)q->feature[t] * d, d * sizeof *rows);
    run_compare(g, name_of("hidden.%d.embed", seq, 0), rows, T * d, GATE * x->features);
    for (size_t l = 0; l < f->levels; l++)
        run_compare(g, name_of("deepstack.%d.%zu", (int)l, (size_t)seq), f->deep[l], f->rows * d,
                    GATE * 4.1e-6);
    free(rows);
    free(embed);
}

static void run_tower(struct model *m, const struct st_set *g, int seq, const struct golden *x)
{
    const struct vision *v = model_config(m)->vision;
    struct err err = {0};
    struct sequence q;
    struct seen_input in;
    struct features f, again;
    struct sight *s;
    size_t n;

    sequence_read(&q, g, seq);
    pictures_read(&in, g, seq, q.images, v);
    must(features_make(m, &in.p, &f, &err) == 0);
    must(s = sight_open(m, &in.p, &f, 0, &err));
    const float *rows = sight_rows(s, &n);
    run_compare(g, name_of("vision.%d.embed", seq, 0), rows, n * v->d, GATE * x->vision);
    for (size_t b = 0; b < v->run; b++) {
        must(sight_block(s, b, &err) == 0);
        rows = sight_rows(s, &n);
        run_compare(g, name_of("vision.%d.layer.%zu", seq, b), rows, n * v->d, GATE * x->vision);
    }
    must(sight_join(s, &err) == 0);
    sight_close(&s);
    features_compare(g, seq, &q, &f, x);
    must(sight_all(m, &in.p, &again, &err) == 0);
    assert_memory_equal(again.x, f.x, f.rows * f.d * sizeof *f.x);
    features_release(&again);
    features_release(&f);
    free(in.pixels);
    sequence_release(&q);
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

/* ---- from the pixel values to the logits ---- */

static void run_whole(struct model *m, const struct st_set *g, int seq, const struct golden *x)
{
    const struct config *c = model_config(m);
    struct err err = {0};
    struct sequence q;
    struct seen_input in;
    struct seen seen;
    float *h, *logits;

    sequence_read(&q, g, seq);
    pictures_read(&in, g, seq, q.images, c->vision);
    const struct seen_text text = {
        .T = q.T, .nseq = 1, .ids = q.ids, .lengths = &q.length, .image = q.image};
    must(seen_open(m, &text, &in.p, &seen, &err) == 0);
    if (q.axis)
        assert_memory_equal(seen.axis, q.axis, 3 * q.T * sizeof *q.axis);
    else
        assert_null(seen.axis);
    q.rows.seen = seen_rows(&seen);
    h = run_array(q.T * c->d);
    must(model_embed(m, q.ids, q.T, h, &err) == 0);
    seen_embed(&seen, q.T, h);
    for (size_t l = 0; l < c->layers; l++) {
        struct block *b = block_open(m, l, &err);

        must(b && block_load_all(b, &err) == 0 && block_forward(b, &q.rows, h, &err) == 0);
        block_close(&b);
    }
    must(model_final_norm(m, q.T, h, &err) == 0);
    logits = run_array(q.T * c->vocab);
    must(model_logits(m, q.T, h, logits, &err) == 0);
    run_compare(g, name_of("logits.%d", seq, 0), logits, q.T * c->vocab, GATE * x->logits);
    free(logits);
    free(h);
    seen_release(&seen);
    free(in.pixels);
    sequence_release(&q);
}

/* A golden and its model. */
struct opened {
    struct par *p;
    struct st_set *g;
    struct model *m;
};

/* Skips the test where there is none. */
static struct opened open_golden(const struct golden *x, size_t threads)
{
    const char *dir = folder(x);
    char path[1100];
    struct err err = {0};
    struct opened o;

    if (!dir) {
        print_message("skip: conformance/%s is not on this machine (PTQ_SHARED)\n", x->name);
        skip();
    }
    snprintf(path, sizeof path, "%s/golden.safetensors", dir);
    must((o.g = st_open(path, &err)) != NULL);
    must((o.p = par_open(threads, &err)) != NULL);
    must((o.m = model_open(dir, o.p, &err)) != NULL);
    return o;
}

static void close_golden(struct opened *o)
{
    model_close(&o->m);
    par_close(&o->p);
    st_close(&o->g);
}

/* Pictures that are the same go through the tower once, and stand in all their places. */
static void one_picture_in_two_places(void **state)
{
    struct err err = {0};
    struct opened o = open_golden(&goldens[0], 1);
    struct sequence q;
    struct seen_input in;

    (void)state;
    sequence_read(&q, o.g, 1);
    pictures_read(&in, o.g, 1, q.images, model_config(o.m)->vision);
    const size_t n = in.p.count, T = q.T, numbers = in.p.rows * in.p.width;
    int32_t *ids = mem_array(2 * T, sizeof *ids, &err),
            *image = mem_array(2 * T, sizeof *ids, &err), lengths[2] = {q.length, q.length};
    float *pixels = run_array(2 * numbers);
    uint64_t digest[16];
    struct seen once, all;

    must(2 * n <= 8);
    for (size_t i = 0; i < 2 * T; i++) {
        ids[i] = q.ids[i % T];
        image[i] = q.image[i % T] < 0 ? -1 : q.image[i % T] + (int32_t)(i / T * n);
    }
    for (size_t i = 0; i < 2 * numbers; i++)
        pixels[i] = in.pixels[i % numbers];
    for (size_t i = 0; i < 2 * n; i++) {
        digest[i] = 5 + i % n;
        in.rows[i] = in.rows[i % n];
        memcpy(in.grid + 3 * i, in.grid + 3 * (i % n), 3 * sizeof *in.grid);
    }
    in.p.count = 2 * n;
    in.p.rows *= 2;
    in.p.pixels = pixels;
    const struct seen_text text = {
        .T = 2 * T, .nseq = 2, .ids = ids, .lengths = lengths, .image = image};
    must(seen_open(o.m, &text, &in.p, &all, &err) == 0);
    assert_int_equal(all.f.count, 2 * n);
    in.p.digest = digest;
    must(seen_open(o.m, &text, &in.p, &once, &err) == 0);
    assert_int_equal(once.f.count, n);
    assert_int_equal(2 * once.f.rows, all.f.rows);
    for (size_t t = 0; t < T; t++) {
        assert_int_equal(once.feature[t], once.feature[T + t]);
        assert_int_equal(once.feature[t], all.feature[t]);
    }
    seen_release(&all);
    digest[n] = 99; /* another after all */
    must(seen_open(o.m, &text, &in.p, &all, &err) == 0);
    assert_int_equal(all.f.count, n + 1);
    seen_release(&all);
    seen_release(&once);
    free(ids);
    free(image);
    free(pixels);
    free(in.pixels);
    sequence_release(&q);
    close_golden(&o);
}

/* A picture too few or too many, a token of an image without one. */
static void wrong_pictures_are_refused(void **state)
{
    struct err err = {0};
    struct opened o = open_golden(&goldens[0], 1);
    struct sequence q;
    struct seen_input in;
    struct seen seen;

    (void)state;
    sequence_read(&q, o.g, 1);
    pictures_read(&in, o.g, 1, q.images, model_config(o.m)->vision);
    struct seen_text text = {
        .T = q.T, .nseq = 1, .ids = q.ids, .lengths = &q.length, .image = q.image};
    q.image[q.T - 1] = 1; /* a token more than the picture has features */
    assert_int_equal(seen_open(o.m, &text, &in.p, &seen, &err), -1);
    assert_non_null(strstr(err.text, "picture 1 has 5 tokens in the text, but the tower makes 4"));
    seen_release(&seen);
    in.p.rows--;
    assert_int_equal(seen_open(o.m, &text, &in.p, &seen, &err), -1);
    assert_non_null(strstr(err.text, "picture 1: 1 rows of pixels, 0 are left"));
    seen_release(&seen);
    in.p.rows++;
    in.p.width--;
    assert_int_equal(seen_open(o.m, &text, &in.p, &seen, &err), -1);
    assert_non_null(strstr(err.text, "tiles of 3071 numbers, not of 3072"));
    seen_release(&seen);
    text.image = NULL;
    in.p.count = 0;
    assert_int_equal(seen_open(o.m, &text, &in.p, &seen, &err), -1);
    assert_non_null(strstr(err.text, "that of an image (310), but there is no image for it"));
    seen_release(&seen);
    free(in.pixels);
    sequence_release(&q);
    close_golden(&o);
}

static void conforms(void **state)
{
    const struct golden *x = *state;
    struct opened o = open_golden(x, 2);

    for (int seq = 0; seq < 2; seq++) {
        run_tower(o.m, o.g, seq, x);
        run_decoder(o.m, o.g, seq, x);
        run_whole(o.m, o.g, seq, x);
    }
    close_golden(&o);
}

int main(void)
{
    struct CMUnitTest tests[GOLDENS + 2] = {
        [GOLDENS] = cmocka_unit_test(wrong_pictures_are_refused),
        [GOLDENS + 1] = cmocka_unit_test(one_picture_in_two_places)};
    struct err e = {0};

    for (size_t i = 0; i < GOLDENS; i++)
        tests[i] = (struct CMUnitTest){.name = goldens[i].name,
                                       .test_func = conforms,
                                       .initial_state = (void *)(uintptr_t)&goldens[i]};
    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("conformance_vision", tests, NULL, NULL);
}
