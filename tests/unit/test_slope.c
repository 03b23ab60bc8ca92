/* SPDX-License-Identifier: Apache-2.0 */
/* test_slope - shares of steps as messages: what is refused, that the gradients that come back are
 * those of the window on any number of threads, and that late answers are passed over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../common/base/rng.h"
#include "../../common/model/fingerprint.h"
#include "../../common/wire/run_id.h"
#include "../../stages/slide/slope.h"
#include "grad_run.h"

#define OWN "tests/golden/conformance/qwen3"
enum { ROWS = 24, BLOCKS = 2 };
static const int32_t lengths[] = {9, 15};

struct run {
    struct par *par;
    struct model *m;
    struct slope *slope;
    char id[RUN_ID];
    float *x, *target;
    struct slide_job j;
    struct slide_block *block[BLOCKS];
    struct slide_window w;
};

static void open_run(struct run *r, size_t threads)
{
    struct err err = {0};
    struct rng rng;
    uint64_t print;
    size_t n;

    *r = (struct run){.par = par_open(threads, &err)};
    must(r->m = model_open(OWN, r->par, &err));
    must(r->slope = slope_open(OWN, r->par, &err));
    must(fingerprint_model(model_config(r->m)->file, model_tensors(r->m), &print, &err) == 0);
    run_id_make(r->id, print, "0123456789abcdef", NULL);
    n = ROWS * model_config(r->m)->d;
    r->x = run_array(n);
    r->target = run_array(n);
    rng_seed(&rng, 7, 0);
    for (size_t i = 0; i < n; i++) {
        r->x[i] = (float)rng_normal(&rng);
        r->target[i] = (float)rng_normal(&rng);
    }
    r->j = (struct slide_job){
        .window = 3,
        .step = 5,
        .part = 1,
        .count = BLOCKS,
        .share = 0.5,
        .shape = {.bits = 2, .group = 16, .rank = 4, .clips = 1, .scales = 1, .scale_type = DT_F16},
        .batch = {{.T = ROWS, .nseq = 2, .lengths = lengths}, r->x, r->target, NULL, 100}};
    r->j.shape.grid = grid_find("asym");
    for (size_t b = 0; b < BLOCKS; b++)
        must(r->block[b] = slide_block_open(r->m, b, &r->j.shape, 1, &err));
    r->w = (struct slide_window){.par = r->par, .block = r->block, .count = BLOCKS};
}

static void close_run(struct run *r)
{
    for (size_t b = 0; b < BLOCKS; b++)
        slide_block_close(&r->block[b]);
    slope_close(&r->slope);
    model_close(&r->m);
    par_close(&r->par);
    free(r->x);
    free(r->target);
}

static struct msg *job_of(struct run *r)
{
    struct err err = {0};
    struct msg *m = slide_job_make(&r->j, &r->w, r->id, &err);

    must(m);
    return m;
}

static void refused(struct run *r, struct msg *m, const char *text)
{
    struct err e = {0};
    struct msg *sum = NULL;

    assert_int_equal(slope_take(r->slope, m, &sum, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_null(sum);
    if (!strstr(e.text, text))
        fail_msg("'%s' does not say '%s'", e.text, text);
    msg_destroy(&m);
}

static struct msg *with_int(struct run *r, const char *key, int64_t v)
{
    struct msg *m = job_of(r);

    json_set_int(m->meta, key, v);
    return m;
}

static void refuses(void **state)
{
    struct run r;
    struct msg *m;

    (void)state;
    open_run(&r, 1);
    m = job_of(&r);
    run_id_make(m->run, 1, "0123456789abcdef", NULL);
    refused(&r, m, m->run);
    m = job_of(&r);
    json_del(m->meta, "blocks");
    refused(&r, m, "blocks");
    refused(&r, with_int(&r, "blocks", 1000), "blocks");
    refused(&r, with_int(&r, "first", -1), "first");
    refused(&r, with_int(&r, "bits", 9), "bits");
    refused(&r, with_int(&r, "bits", 7), "no grid 'asym' of 7 bits");
    refused(&r, with_int(&r, "group", 0), "no grid");
    refused(&r, with_int(&r, "act_bits", 1), "activations of 1 bits");
    refused(&r, with_int(&r, "rank", 17), "rank");
    refused(&r, with_int(&r, "rank", 3), "must have");
    m = job_of(&r);
    json_set_text(m->meta, "grid", "nvfp4");
    refused(&r, m, "no grid 'nvfp4'");
    m = job_of(&r);
    json_set_real(m->meta, "share", 0);
    refused(&r, m, "must be above 0");
    m = job_of(&r);
    ((int32_t *)msg_tensor(m, "lengths")->data)[0] = 8;
    refused(&r, m, "as many as 'lengths' says");
    ((int32_t *)msg_tensor(m = job_of(&r), "lengths")->data)[0] = -15;
    refused(&r, m, "below 1");
    ((float *)msg_tensor(m = job_of(&r), "x")->data)[7] = NAN;
    refused(&r, m, "must be finite");
    ((float *)msg_tensor(m = job_of(&r), "b1.p0")->data)[3] = INFINITY;
    refused(&r, m, "'b1.p0' must have");
    close_run(&r);
}

/* What goes out and comes back is what is done here, to the last bit. */
static void gradients_are_those_of_the_window(void **state)
{
    struct run r[2];
    struct msg *sum[2], *job;
    struct err err = {0};
    double loss, back;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        open_run(&r[i], 1 + 2 * i);
        job = job_of(&r[i]);
        for (size_t again = 0; again < 2; again++) { /* of what it has there, too */
            must(slope_take(r[i].slope, job, &sum[i], &err) == 0);
            if (!again)
                msg_destroy(&sum[i]);
        }
        msg_destroy(&job);
    }
    assert_true(msg_checksum(sum[0]) == msg_checksum(sum[1]));
    must(slide_window_narrow(&r[0].w, 0.5, &err) == 0);
    must(slide_window_back(&r[0].w, &r[0].j.batch, &loss, &err) == 0);
    job = slide_sum_make(&r[0].j, &r[0].w, loss, r[0].id, &err);
    must(job);
    assert_true(msg_checksum(job) == msg_checksum(sum[0]));
    must(slide_sum_add(job, &r[0].w, 1, &back, &err) == 0);
    assert_true(back == loss);
    must(slide_sum_add(job, &r[0].w, 0, &back, &err) == 0);
    assert_true(back == 2 * loss);
    assert_int_equal(slide_sum_part(job, &r[0].j, 4, &err), 1);
    r[0].j.step = 6;
    assert_int_equal(slide_sum_part(job, &r[0].j, 4, &err), 4);
    json_del(job->meta, "part");
    assert_int_equal(slide_sum_part(job, &r[0].j, 4, &err), -1);
    msg_destroy(&job);
    for (size_t i = 0; i < 2; i++) {
        msg_destroy(&sum[i]);
        close_run(&r[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(gradients_are_those_of_the_window),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
