/* SPDX-License-Identifier: Apache-2.0 */
/* What each stage foresees of itself: values worked out by hand where shapes alone decide, and
 * that more of anything never takes less. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../common/model/vision.h"
#include "../../stages/forward/forward_begin.h"
#include "../../stages/forward/forward_forecast.h"
#include "../../common/model/config_read.h"
#include "../../common/tensor/blas.h"
#include "../../common/tensor/blas_cpu.h"
#include "../../stages/reduce/reduce_forecast.h"
#include "../../stages/sample/sample_forecast.h"
#include "../../stages/sample/sample_opts.h"
#include "../../stages/solve/solve_forecast.h"
#include "../../stages/write/write_forecast.h"
#include "tiny_model.h"

/* Of the tiny model: mlp.down has the most inputs, mlp.up (two linears) the most weights. */
enum { K = TINY_FF, WEIGHTS = 2 * TINY_FF * TINY_D, LINEAR = TINY_FF * TINY_D };
enum { SQUARE = 8 * K * K, TRIANGLE = 8 * K * (K + 1) / 2, TILE = 8 * 64 * K };
enum { ROW = 4 * TINY_D + 2 * K }; /* hidden state of a token: the stream f32, a site's rows bf16 */
enum { STREAM = 64 * 4 * TINY_D, ROWS = 64 * 2 * K }; /* of a chunk */

static struct config config;
static struct sites sites;

static int open_model(void **state)
{
    struct err e = {0};

    (void)state;
    return config_parse(tiny_config, strlen(tiny_config), "tiny", &config, &e) < 0 ||
                   sites_make(&sites, &config, &e) < 0
               ? -1
               : 0;
}

static int close_model(void **state)
{
    (void)state;
    sites_release(&sites);
    config_release(&config);
    return 0;
}

static struct sample_opts sampler(uint64_t tokens, size_t length)
{
    struct sample_opts o = sample_opts_default();

    o.tokens = tokens;
    o.length = length;
    return o;
}

static struct reduce_command reducer(void)
{
    return (struct reduce_command){.core.mem = 1 << 30, .credit = 1 << 30};
}

/* 16 chunks of 64 tokens in 8 lanes; rows of bf16; one process of each stage on one core. */
static struct forecast usual(int dual)
{
    struct forecast f = {.forwards = 1, .solvers = 1, .cores = 1};
    struct sample_opts s = sampler(1024, 64);
    const struct forward_opts forward = {.acts = DT_BF16, .dual = dual};
    const struct reduce_command reduce = reducer();
    struct err e = {0};

    s.chunk_tokens = 64;
    forecast_model(&f, &sites);
    assert_int_equal(sample_forecast_chunks(&s, config.context, &f, &e), 0);
    assert_int_equal(forward_forecast_rows(&forward, &f, &e), 0);
    reduce_forecast_sums(&reduce, &f);
    return f;
}

static struct forward_forecast forward_of(const struct forecast *f, uint64_t mem)
{
    const struct forward_opts o = {.acts = f->acts, .mem = mem, .mem_rows = mem};
    struct forward_forecast x;
    struct err e = {0};

    assert_int_equal(forward_forecast_make(&o, &config, f, &x, &e), 0);
    return x;
}

static struct reduce_forecast reduce_of(const struct reduce_command *c, struct forecast *f)
{
    struct reduce_forecast x;
    struct err e = {0};

    reduce_forecast_sums(c, f);
    assert_int_equal(reduce_forecast_make(c, f, &x, &e), 0);
    return x;
}

static const struct solve_opts plain;

static uint64_t solve_of(const char *solver, const struct forecast *f)
{
    uint64_t bytes = 0;
    struct err e = {0};

    assert_int_equal(solve_forecast_memory(&plain, solver, f, &bytes, &e), 0);
    return bytes;
}

static void bad_chunks(void **state)
{
    const struct sample_opts good = sampler(1024, 64);
    const size_t none[1] = {0};
    const struct {
        struct sample_opts o;
        const char *says;
    } bad[] = {{sampler(0, 64), "--tokens 0"},
               {sampler(64, 0), "--lengths"},
               {{.tokens = 64, .length = 64, .chunk_tokens = 64}, "--lanes"},
               {{.tokens = 64, .length = 64, .lanes = 8}, "--chunk-tokens"},
               {{.tokens = 64, .lanes = 8, .chunk_tokens = 64, .lengths = none, .nlengths = 1},
                "--lengths"},
               {{.tokens = 64, .lanes = 8, .chunk_tokens = 64, .nlengths = 65}, "--lengths"}};
    struct forecast f;
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(sample_forecast_chunks(&bad[i].o, 0, &f, &e), -1);
        assert_int_equal(e.kind, ERR_USE);
        assert_non_null(strstr(e.text, bad[i].says));
    }
    assert_int_equal(sample_forecast_chunks(&good, 0, &f, &e), 0);
}

static void bad_stages(void **state)
{
    const struct forward_opts odd = {.acts = DT_U8}, forward = {.acts = DT_BF16};
    const struct reduce_command reduce = reducer();
    struct forecast f = usual(0);
    struct forward_forecast x;
    struct reduce_forecast y;
    uint64_t bytes;
    struct err e = {0};

    (void)state;
    assert_int_equal(forward_forecast_rows(&odd, &f, &e), -1);
    assert_int_equal(solve_forecast_memory(&plain, "nosuch", &f, &bytes, &e), -1);
    assert_int_equal(solve_forecast_memory(&plain, NULL, &f, &bytes, &e), -1);
    f.forwards = f.solvers = 0;
    assert_int_equal(forward_forecast_make(&forward, &config, &f, &x, &e), -1);
    assert_int_equal(reduce_forecast_make(&reduce, &f, &y, &e), -1);
    assert_int_equal(solve_forecast_memory(&plain, "gptq", &f, &bytes, &e), -1);
    f = usual(0);
    f.lanes = 0;
    assert_int_equal(forward_forecast_make(&forward, &config, &f, &x, &e), -1);
    assert_int_equal(reduce_forecast_make(&reduce, &f, &y, &e), -1);
}

static void sizes_of_the_model(void **state)
{
    struct forecast f = {.cores = 8};

    (void)state;
    forecast_model(&f, &sites);
    assert_true(f.inputs == K && f.weights == WEIGHTS && f.linear == LINEAR);
    assert_true(forecast_square(&f) == SQUARE && forecast_triangle(&f) == TRIANGLE);
    assert_true(forecast_source(&f) == 2 * WEIGHTS);
    assert_true(forecast_threads(&f, 3) == 2);
    assert_true(forecast_threads(&f, 9) == 1);
    assert_true(forecast_threads(&f, 0) == 1);
}

/* Sums of all experts of a block are there at once, each of its share of the rows. */
static void experts_are_ready_together(void **state)
{
    static const char text[] =
        "{\"model_type\": \"mixtral\", \"hidden_size\": 64, \"num_hidden_layers\": 2, "
        "\"num_attention_heads\": 4, \"intermediate_size\": 96, \"vocab_size\": 320, "
        "\"num_local_experts\": 4, \"num_experts_per_tok\": 2}";
    struct forecast f = {.cores = 8};
    struct reduce_command c = reducer();
    struct reduce_forecast one, all;
    struct config moe;
    struct sites table;
    struct err e = {0};

    (void)state;
    forecast_model(&f, &sites);
    assert_true(f.together == 1);
    assert_int_equal(config_parse(text, sizeof text - 1, "x", &moe, &e), 0);
    assert_int_equal(sites_make(&table, &moe, &e), 0);
    assert_true(table.site[0].share == 1 && table.site[2].share == 0.5);
    forecast_model(&f, &table);
    assert_true(f.inputs == 96 && f.together == 4);
    f = usual(0);
    one = reduce_of(&c, &f);
    f.together = 4;
    all = reduce_of(&c, &f);
    assert_true(all.sums + all.spilled == 4 * (one.sums + one.spilled));
    sites_release(&table);
    config_release(&moe);
}

static void chunks_and_lanes(void **state)
{
    const size_t lengths[] = {64, 256, 512, 32};
    struct sample_opts o = sampler(1000, 100);
    struct forecast f = {.forwards = 3};
    struct err e = {0};

    (void)state;
    o.chunk_tokens = 250; /* two rows of 100 */
    o.lanes = 4;
    assert_int_equal(sample_forecast_chunks(&o, 0, &f, &e), 0);
    assert_int_equal(f.chunk, 200);
    assert_int_equal(f.chunks, 5);
    assert_int_equal(f.lanes, 4);
    assert_true(forecast_share(&f) == 3); /* two lanes of four, hence of five chunks */
    o.chunk_tokens = 1;                   /* whole rows: one at least */
    assert_int_equal(sample_forecast_chunks(&o, 0, &f, &e), 0);
    assert_int_equal(f.chunk, 100);
    assert_int_equal(f.chunks, 10);
    o.chunk_tokens = 1 << 20; /* all of it; fewer chunks than lanes */
    assert_int_equal(sample_forecast_chunks(&o, 0, &f, &e), 0);
    assert_int_equal(f.chunk, 1000);
    assert_int_equal(f.lanes, 1);
    o.lengths = lengths;
    o.nlengths = 4;
    assert_int_equal(sample_forecast_chunks(&o, 0, &f, &e), 0);
    assert_int_equal(f.length, 512);
    assert_int_equal(f.lengths, 4);
    assert_int_equal(sample_forecast_chunks(&o, 128, &f, &e), 0); /* cut to the context */
    assert_int_equal(f.length, 128);
    assert_int_equal(f.lengths, 3);
}

/* A .txt is one document, and its length counts. */
static void memory_of_a_text(void **state)
{
    char path[] = "/tmp/ptq-forecast-XXXXXX.txt";
    const char *data[] = {"/nonexistent.txt", path};
    struct sample_opts o = {.data = data, .ndata = 2};
    int fd = mkstemps(path, 4);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(sample_forecast_text(&o, "pipelines/demo/tale-qwen3"), 0);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    assert_int_equal(sample_forecast_text(&o, "pipelines/demo/tale-qwen3"), 9 << 20);
    assert_int_equal(sample_forecast_text(&o, "/nonexistent"), 0); /* it will be refused */
    close(fd);
    unlink(path);
}

static void memory_of_sample_and_write(void **state)
{
    struct forecast f = usual(0), more = f;

    (void)state;
    more.tokens += 1000;
    assert_int_equal(sample_forecast_memory(&more, 0) - sample_forecast_memory(&f, 0), 5000);
    assert_true(sample_forecast_memory(&f, 1 << 20) >= sample_forecast_memory(&f, 0) + (1 << 20));
    more.weights *= 2;
    assert_true(write_forecast_memory(&more) > write_forecast_memory(&f) + WEIGHTS);
}

/* With products of bf16 the weights of the site at work are half as large. */
static void memory_of_products(void **state)
{
    const struct forecast one = usual(0), two = usual(1);
    struct forward_opts o = {.acts = DT_BF16, .mem = 1 << 30, .mem_rows = 1 << 30};
    struct forward_forecast x, y;
    struct err e = {0};

    (void)state;
    for (uint64_t ways = 1; ways <= 2; ways++) {
        const struct forecast *f = ways == 1 ? &one : &two;

        o.products = PRODUCTS_F32;
        assert_int_equal(forward_forecast_make(&o, &config, f, &x, &e), 0);
        o.products = PRODUCTS_BF16X2;
        assert_int_equal(forward_forecast_make(&o, &config, f, &y, &e), 0);
        assert_int_equal(x.bytes, y.bytes);
        o.products = PRODUCTS_BF16;
        assert_int_equal(forward_forecast_make(&o, &config, f, &y, &e), 0);
        assert_int_equal(x.bytes - y.bytes, ways * 2 * (uint64_t)f->weights);
        assert_true(x.hidden == y.hidden && x.flops == y.flops);
    }
}

/* A weight of each token at each site: of the chunks of a worker, and of some that come. */
static void memory_of_weights(void **state)
{
    struct forecast f = usual(0);
    struct forward_opts o = {.acts = DT_BF16, .mem = 1 << 30, .mem_rows = 1 << 30};
    struct forward_forecast x, y;
    struct err e = {0};
    double chunks;

    (void)state;
    assert_int_equal(forward_forecast_make(&o, &config, &f, &x, &e), 0);
    f.weighted = 1000;
    assert_int_equal(forward_forecast_make(&o, &config, &f, &y, &e), 0);
    chunks = (double)(y.bytes - x.bytes) / (4000.0 * (double)f.chunk);
    /* three under way, one that is made, and what may be between */
    assert_true(chunks > forecast_share(&f) + 1 && chunks < forecast_share(&f) + 5);
}

static void is_room(struct store_room r, uint64_t h, uint64_t x)
{
    assert_int_equal(r.h, h);
    assert_int_equal(r.x, x);
}

static struct store_room budget(uint64_t all, uint64_t rows, struct forward_row row)
{
    return forward_budget((struct forward_mem){all, rows}, 2, row, 100, 20);
}

static void budget_of_a_stream(void **state)
{
    const struct forward_row row = {3, 2};

    (void)state;
    is_room(budget(1000, 1000, row), 300, 200); /* all fits */
    /* x goes first, less a chunk of 20 tokens for those of the file */
    is_room(budget(999, 1000, row), 300, 499 - 300 - 40);
    is_room(budget(680, 1000, row), 300, 0);
    is_room(budget(679, 1000, row), 339 - 100, 0);
    is_room(budget(100, 1000, row), 0, 0);
    /* of x no more than its own share */
    is_room(budget(1000, 60, row), 300, 30);
    is_room(budget(999, 60, row), 300, 30);
    is_room(budget(999, 0, row), 300, 0);
    is_room(budget(680, 60, row), 300, 0);
}

/* Features of images wait within --mem until the run begins. */
static void features_of_images(void **state)
{
    struct vision tower = {.branches = 1};
    struct config sees = config;
    struct forecast f = usual(0);
    const uint64_t features = 1024 * sees.d * sizeof(float) * 2;
    struct forward_opts o = {.acts = DT_BF16, .mem = 1024 * ROW, .mem_rows = 1024 * ROW};
    struct forward_forecast x;
    struct err e = {0};

    (void)state;
    sees.vision = &tower;
    assert_int_equal(forward_forecast_make(&o, &sees, &f, &x, &e), 0);
    assert_int_equal(x.spilled, 0); /* text alone */
    f.modalities = 2;
    f.pictures.tokens = 1024;
    assert_int_equal(forward_forecast_make(&o, &sees, &f, &x, &e), 0);
    assert_true(x.spilled > 0);
    o.mem += features;
    assert_int_equal(forward_forecast_make(&o, &sees, &f, &x, &e), 0);
    assert_int_equal(x.spilled, 0);
    assert_true(x.bytes >= x.hidden + features);
}

/* Those of one chunk are there while the tower looks at it; the sampler makes the next ones. */
static void pixels(void **state)
{
    struct vision tower = {.d = 8, .merge = 1, .out = 8};
    struct config sees = config;
    struct forecast f = usual(0), none = f;
    const struct forward_opts o = {.acts = DT_BF16, .mem = 1 << 30, .mem_rows = 1 << 30};
    struct forward_forecast before, x;
    struct err e = {0};

    (void)state;
    sees.vision = &tower;
    assert_int_equal(forward_forecast_make(&o, &sees, &f, &before, &e), 0);
    f.pictures = (struct forecast_pictures){
        .bytes = 8 << 20, .rows = 4096, .most = 1024, .decoded = 3 << 20, .tokens = 16};
    assert_int_equal(forward_forecast_make(&o, &sees, &f, &x, &e), 0);
    assert_true(x.bytes > before.bytes && x.bytes > 8 << 20);
    assert_true(sample_forecast_memory(&f, 0) >= sample_forecast_memory(&none, 0) + (22 << 20));
}

static void hidden_states(void **state)
{
    const struct forecast one = usual(0), two = usual(1);
    struct forecast f = one;
    struct forward_forecast x = forward_of(&one, 1 << 30), y;

    (void)state;
    assert_int_equal(x.hidden, 1024 * ROW);
    assert_int_equal(x.spilled, 0);
    y = forward_of(&two, 1 << 30);
    assert_int_equal(y.hidden, 2 * 1024 * ROW);
    assert_true(y.flops > 1.999 * x.flops && y.flops < 2.001 * x.flops);
    /* the streams and the rows of three of 16 chunks, one of which is what those of the file come
     * into */
    y = forward_of(&one, 16 * STREAM + 3 * ROWS + 100);
    assert_int_equal(y.hidden, 16 * STREAM + 3 * ROWS);
    assert_int_equal(y.spilled, 14 * ROWS);
    assert_int_equal(x.bytes - y.bytes, 13 * ROWS);
    y = forward_of(&one, 4 * STREAM + ROWS + 100); /* not even the streams */
    assert_int_equal(y.hidden, 4 * STREAM + ROWS);
    assert_int_equal(y.spilled, 13 * STREAM + 16 * ROWS);
    f.forwards = 3; /* three of eight lanes, hence six chunks */
    assert_int_equal(forward_of(&f, 1 << 30).hidden, 6 * 64 * ROW);
    f = one;
    f.cores = 4;
    assert_true(forward_of(&f, 1 << 30).bytes > x.bytes);
    f = one;
    f.credit = 0;
    assert_true(forward_of(&f, 1 << 30).bytes < x.bytes);
}

static void sums_of_a_problem(void **state)
{
    struct forecast f = usual(0), dual = usual(1);
    struct reduce_command c = reducer();

    (void)state;
    assert_int_equal(f.credit, 1 << 30);
    assert_true(f.sums == TRIANGLE && f.apart == 0 && !f.holds_out);
    assert_true(dual.sums == TRIANGLE + SQUARE);
    c.core.how = (struct kept_how){.holdout = 4, .plain = 1, .classes = CLASS_LENGTH};
    reduce_forecast_sums(&c, &dual);
    assert_true(dual.apart == TRIANGLE && dual.holds_out);
    assert_true(dual.sums == 3 * (TRIANGLE + SQUARE) + TRIANGLE);
    c.core.how.classes = CLASS_MODALITY; /* of text alone, with D */
    reduce_forecast_sums(&c, &dual);
    assert_true(dual.apart == TRIANGLE + SQUARE);
    c.core.how.classes = CLASS_POSITION; /* 0 and 1-127 are reached by sequences of 64 */
    reduce_forecast_sums(&c, &dual);
    assert_true(dual.apart == 2 * TRIANGLE);
}

/* Rows of one weight are multiplied in the bf16 that they came in, where the CPU does that. */
static void rows_as_they_came(void **state)
{
    const struct reduce_command c = reducer();
    struct forecast f = usual(0), narrow = f, whole;
    const uint64_t wide = 64 * blas_row(K) * sizeof(float);

    (void)state;
    assert_false(f.weighed);
    f.weighed = 1;
    assert_int_equal(reduce_of(&c, &f).bytes - reduce_of(&c, &narrow).bytes,
                     blas_cpu().bf16 ? wide : 0);
    whole = f;
    whole.dual = narrow.dual = 1; /* the drift is of numbers in f32 */
    assert_int_equal(reduce_of(&c, &whole).bytes, reduce_of(&c, &narrow).bytes);
}

static void sums_in_memory(void **state)
{
    struct forecast f = usual(0);
    struct reduce_command c = reducer();
    struct reduce_forecast x = reduce_of(&c, &f), y;

    (void)state;
    assert_int_equal(x.sums, 2 * TRIANGLE); /* the total and one lane */
    assert_int_equal(x.spilled, 0);
    c.core.mem = 0; /* the total is sent whole */
    y = reduce_of(&c, &f);
    assert_int_equal(y.sums, TRIANGLE);
    assert_int_equal(y.spilled, TRIANGLE);
    assert_int_equal(x.bytes - y.bytes, TRIANGLE);
    c = reducer();
    c.core.how.plain = 1;
    y = reduce_of(&c, &f);
    assert_int_equal(y.sums, 4 * TRIANGLE);
    c = reducer();
    f.forwards = 2;
    assert_true(reduce_of(&c, &f).sums > 3 * TRIANGLE);
    assert_true(reduce_of(&c, &f).sums < 4 * TRIANGLE);
    assert_true(reduce_of(&c, &f).bytes > x.bytes);
    c.credit = 0; /* what is under way lies with the workers */
    f.forwards = 1;
    assert_int_equal(x.bytes, reduce_of(&c, &f).bytes);
    assert_true(reduce_forecast_flops(10, 3, 0) == 90);
    assert_true(reduce_forecast_flops(10, 3, 1) == 270);
}

static void squares_of_solvers(void **state)
{
    const struct forecast f = usual(0), dual = usual(1);

    (void)state;
    /* one thread, one tile of rows, once more where a solver looks back */
    assert_int_equal(solve_of("qep", &f), solve_of("qep+rtn", &f) + SQUARE + TILE);
    assert_int_equal(solve_of("ojbkq", &f), solve_of("gptq", &f));
    assert_int_equal(solve_of("foem", &f), solve_of("ojbkq", &f));
    assert_int_equal(solve_of("qep+foem", &f), solve_of("qep", &f));
    assert_int_equal(solve_of("foem", &dual), solve_of("gptq", &dual) + SQUARE);
    assert_int_equal(solve_of("gptaq", &dual), solve_of("foem", &dual));
    assert_int_equal(solve_of("rescomp", &dual), solve_of("gptaq", &dual) + SQUARE);
    assert_int_equal(solve_of("qronos", &dual), solve_of("gptq", &dual) + 8 * LINEAR);
    assert_int_equal(solve_of("qep", &dual), solve_of("gptq", &dual) + SQUARE + 8 * LINEAR);
    assert_int_equal(solve_of("qep+gptq", &dual), solve_of("qep", &dual));
    assert_int_equal(solve_of("qep+gptaq", &dual), solve_of("qep", &dual) + SQUARE);
    assert_true(solve_of("rtn", &dual) < solve_of("gptq", &dual));
    for (size_t i = 0; solver_at(i); i++) /* who takes H factors it */
        assert_int_equal((solver_at(i)->needs & SOLVER_NEEDS_H) != 0, solver_at(i)->squares > 0);
}

static void contests(void **state)
{
    struct forecast f = usual(1);
    const uint64_t one = solve_of("rescomp", &f), held = solve_of("best:gptq,rescomp", &f);

    (void)state;
    assert_int_equal(held, one + WEIGHTS); /* its codes beside those of the best so far */
    f.holds_out = 1;
    assert_int_equal(solve_of("best:gptq,rescomp", &f), held + 2 * SQUARE);
    f.holds_out = 0;
    f.apart = 1000;
    assert_int_equal(solve_of("rescomp", &f), one + 1000);
    assert_true(solve_forecast_flops(5, 3) == 5 * 9 + 9);
}

static void who_needs_the_second_stream(void **state)
{
    struct solve_opts o = {.solver = "gptq"};
    struct overrides lines = OVERRIDES_NONE;
    struct err e = {0};

    (void)state;
    assert_int_equal(solve_forecast_dual(&(struct solve_opts){.solver = "nosuch"}, &e), -1);
    assert_int_equal(solve_forecast_dual(&o, &e), 0);
    o.solver = "best:gptq,gptaq";
    assert_int_equal(solve_forecast_dual(&o, &e), 1);
    o.solver = "rtn";
    o.overrides = &lines;
    assert_int_equal(overrides_add(&lines, "attn.o: solver=qronos", 21, "--override", &e), 0);
    assert_int_equal(solve_forecast_dual(&o, &e), 1);
    assert_int_equal(overrides_add(&lines, "attn.o: solver=nosuch", 21, "--override", &e), 0);
    assert_int_equal(solve_forecast_dual(&o, &e), -1);
    assert_non_null(strstr(e.text, "--override"));
    overrides_release(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_chunks),
        cmocka_unit_test(bad_stages),
        cmocka_unit_test(sizes_of_the_model),
        cmocka_unit_test(experts_are_ready_together),
        cmocka_unit_test(chunks_and_lanes),
        cmocka_unit_test(memory_of_sample_and_write),
        cmocka_unit_test(memory_of_a_text),
        cmocka_unit_test(memory_of_products),
        cmocka_unit_test(memory_of_weights),
        cmocka_unit_test(budget_of_a_stream),
        cmocka_unit_test(features_of_images),
        cmocka_unit_test(pixels),
        cmocka_unit_test(hidden_states),
        cmocka_unit_test(rows_as_they_came),
        cmocka_unit_test(sums_of_a_problem),
        cmocka_unit_test(sums_in_memory),
        cmocka_unit_test(squares_of_solvers),
        cmocka_unit_test(contests),
        cmocka_unit_test(who_needs_the_second_stream),
    };
    return cmocka_run_group_tests_name("forecast", tests, open_model, close_model);
}
