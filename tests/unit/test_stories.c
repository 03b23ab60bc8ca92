/* SPDX-License-Identifier: Apache-2.0 */
/* test_stories - a llama2.c checkpoint, turned into a Hugging Face folder, must tell the story
 * that llama2.c tells (greedy, 200 tokens), and give the logits of an independent f64 run.
 *
 * llama2.c's legacy format: seven int32 (dim, hidden, layers, heads, kv heads, vocabulary,
 * context), then f32 matrices by kind, each for all layers. It rotates neighbouring pairs of a
 * head, Hugging Face pairs i with i + head_dim / 2: rows of q and k are reordered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <unistd.h>
#include "../../common/base/fs.h"
#include "../../common/base/json.h"
#include "../../common/tensor/blas.h"
#include "../../stages/generate/generate.h"
#include "model_run.h"
#include "shared.h"

enum { STEPS = 200 };

struct header {
    int32_t dim, hidden, layers, heads, kv_heads, vocab, context;
};

static char dir[64];

struct piece {
    char name[96];
    uint64_t rows, cols;
    const float *data;
    float *own;
};
struct pieces {
    struct piece p[128];
    size_t n;
};

static void add(struct pieces *l, const char *name, size_t rows, size_t cols, const float *data)
{
    assert_true(l->n < 128);
    l->p[l->n] = (struct piece){.rows = rows, .cols = cols, .data = data};
    snprintf(l->p[l->n++].name, sizeof l->p[0].name, "%s.weight", name);
}

/* Rows 0, 2, 4, ... of a head first, then 1, 3, 5, ... */
static void add_rotated(struct pieces *l, const char *name, size_t heads, size_t head_dim,
                        size_t cols, const float *data)
{
    float *w = run_array(heads * head_dim * cols);

    for (size_t h = 0; h < heads; h++)
        for (size_t i = 0; i < head_dim; i++) {
            size_t from = i < head_dim / 2 ? 2 * i : 2 * (i - head_dim / 2) + 1;

            memcpy(w + (h * head_dim + i) * cols, data + (h * head_dim + from) * cols,
                   cols * sizeof *w);
        }
    add(l, name, heads * head_dim, cols, w);
    l->p[l->n - 1].own = w;
}

static const float *take(const float **at, size_t n)
{
    const float *p = *at;

    *at += n;
    return p;
}

static void collect(struct pieces *l, const struct header *h, const float *at)
{
    const size_t d = (size_t)h->dim, ff = (size_t)h->hidden, L = (size_t)h->layers,
                 V = (size_t)h->vocab;
    const size_t hd = d / (size_t)h->heads, kv = (size_t)h->kv_heads * hd;
    const float *embed = take(&at, V * d), *norm1 = take(&at, L * d), *q = take(&at, L * d * d),
                *k = take(&at, L * kv * d);
    const float *v = take(&at, L * kv * d), *o = take(&at, L * d * d), *norm2 = take(&at, L * d);
    const float *gate = take(&at, L * ff * d), *down = take(&at, L * d * ff),
                *up = take(&at, L * ff * d), *last = take(&at, d);
    char name[80];

    add(l, "model.embed_tokens", V, d, embed);
    add(l, "model.norm", d, 0, last);
    for (size_t i = 0; i < L; i++) {
#define NAME(part) (snprintf(name, sizeof name, "model.layers.%zu.%s", i, part), name)
        add(l, NAME("input_layernorm"), d, 0, norm1 + i * d);
        add(l, NAME("post_attention_layernorm"), d, 0, norm2 + i * d);
        add_rotated(l, NAME("self_attn.q_proj"), (size_t)h->heads, hd, d, q + i * d * d);
        add_rotated(l, NAME("self_attn.k_proj"), (size_t)h->kv_heads, hd, d, k + i * kv * d);
        add(l, NAME("self_attn.v_proj"), kv, d, v + i * kv * d);
        add(l, NAME("self_attn.o_proj"), d, d, o + i * d * d);
        add(l, NAME("mlp.gate_proj"), ff, d, gate + i * ff * d);
        add(l, NAME("mlp.up_proj"), ff, d, up + i * ff * d);
        add(l, NAME("mlp.down_proj"), d, ff, down + i * d * ff);
#undef NAME
    }
}

static void write_folder(const struct header *h, struct pieces *l)
{
    struct err err = {0};
    char path[128], config[512];
    struct st_writer *w;

    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    must(w = st_create(path, &err));
    for (size_t i = 0; i < l->n; i++)
        must(st_declare(w, l->p[i].name, DT_F32, l->p[i].cols ? 2 : 1,
                        (const uint64_t[]){l->p[i].rows, l->p[i].cols}, &err) == 0);
    must(st_begin(w, &err) == 0);
    for (size_t i = 0; i < l->n; i++) {
        size_t n = (size_t)(l->p[i].rows * (l->p[i].cols ? l->p[i].cols : 1));

        must(st_put(w, l->p[i].name, l->p[i].data, n * sizeof(float), &err) == 0);
        free(l->p[i].own);
    }
    must(st_publish(&w, &err) == 0);
    snprintf(config, sizeof config,
             "{\"model_type\": \"llama\", \"hidden_size\": %d, \"intermediate_size\": %d, "
             "\"num_hidden_layers\": %d, \"num_attention_heads\": %d, "
             "\"num_key_value_heads\": %d, \"vocab_size\": %d, \"max_position_embeddings\": %d, "
             "\"rms_norm_eps\": 1e-5, "
             "\"tie_word_embeddings\": true}",
             h->dim, h->hidden, h->layers, h->heads, h->kv_heads, h->vocab, h->context);
    snprintf(path, sizeof path, "%s/config.json", dir);
    must(fs_publish(path, config, strlen(config), &err) == 0);
}

/* The folder, opened; NULL when the data is not on this machine. */
static struct model *convert(const char *file, struct par **par)
{
    struct err err = {0};
    static struct pieces list;
    struct header h;
    struct model *m;
    size_t length;
    char *data = fs_read(file, 1 << 24, &length, &err);
    float *numbers;

    must(data);
    assert_true(length > sizeof h);
    memcpy(&h, data, sizeof h);
    assert_true(h.dim == 64 && h.layers == 5 && h.vocab == 512);
    numbers = run_array((length - sizeof h) / sizeof(float));
    memcpy(numbers, data + sizeof h, (length - sizeof h) / sizeof(float) * sizeof(float));
    snprintf(dir, sizeof dir, "/tmp/ptq-stories-%ld", (long)getpid());
    must(fs_mkdir(dir, &err) == 0);
    list.n = 0;
    collect(&list, &h, numbers);
    write_folder(&h, &list);
    free(numbers);
    free(data);
    must(*par = par_open(2, &err));
    must(m = model_open(dir, *par, &err));
    return m;
}

static void discard(struct model *m, struct par *par)
{
    struct err err = {0};

    model_close(&m);
    par_close(&par);
    must(fs_remove_tree(dir, &err) == 0);
}

/* llama2.c's tokenizer.bin: int32 longest, then per token f32 score, int32 length, bytes.
 * Appends what token `id` prints after `prev`. */
static void print_token(const char *bin, size_t size, int32_t prev, int32_t id, char *out)
{
    size_t at = 4;
    int32_t n = 0;
    unsigned byte;
    char piece[128];

    for (int32_t i = 0; i <= id; i++) {
        at += i ? 8 + (size_t)n : 0;
        assert_true(at + 8 <= size);
        memcpy(&n, bin + at + 4, sizeof n);
        assert_true(n >= 0 && (size_t)n < sizeof piece && at + 8 + (size_t)n <= size);
    }
    memcpy(piece, bin + at + 8, (size_t)n);
    piece[n] = '\0';
    if (sscanf(piece, "<0x%02X>", &byte) == 1)
        snprintf(piece, sizeof piece, "%c", (char)byte);
    strcat(out, prev == 1 && piece[0] == ' ' ? piece + 1 : piece);
}

static void test_greedy(void **state)
{
    static char text[16384];
    struct err err = {0};
    int32_t ids[STEPS + 1] = {1};
    size_t size, length;
    char *bin, *want;
    struct par *par;
    struct model *m;
    size_t V;

    (void)state;
    shared_or_skip(weights, "data/stories260k/checkpoint_legacy.bin");
    shared_or_skip(tokens, "data/stories260k/tokenizer.bin");
    shared_or_skip(golden, "data/stories260k/golden_greedy_n200.txt");
    must(bin = fs_read(tokens, 1 << 20, &size, &err));
    must(want = fs_read(golden, 1 << 20, &length, &err));
    m = convert(weights, &par);
    V = model_config(m)->vocab;
    for (size_t t = 0; t < STEPS; t++) {
        float *logits = run_logits(m, ids, t + 1);

        ids[t + 1] = (int32_t)run_argmax(logits + t * V, V);
        free(logits);
        print_token(bin, size, ids[t], ids[t + 1], text);
    }
    while (length > 0 && want[length - 1] == '\n')
        want[--length] = '\0';
    assert_string_equal(text, want);
    discard(m, par);
    free(bin);
    free(want);
}

static int take_ids(void *ctx, size_t i, const int32_t *ids, size_t prompt, size_t count,
                    struct err *e)
{
    (void)i;
    (void)e;
    assert_int_equal(prompt, 1);
    assert_int_equal(count, STEPS + 1);
    memcpy(ctx, ids, count * sizeof *ids);
    return 0;
}

/* The same text with every token once through the model, by the core of ptq-generate. */
static void test_greedy_cached(void **state)
{
    static char text[16384];
    struct err err = {0};
    int32_t ids[STEPS + 1], start = 1;
    const struct prompt prompt = {&start, 1};
    const struct generate_opts o = {
        .count = 1, .tokens = STEPS, .slots = 1, .mem = UINT64_MAX, .pick = {.top_p = 1}};
    const struct generate_io io = {.ctx = ids, .take = take_ids};
    struct generate_stats stats;
    size_t size, length;
    char *bin, *want;
    struct par *par;
    struct model *m;

    (void)state;
    shared_or_skip(weights, "data/stories260k/checkpoint_legacy.bin");
    shared_or_skip(tokens, "data/stories260k/tokenizer.bin");
    shared_or_skip(golden, "data/stories260k/golden_greedy_n200.txt");
    must(bin = fs_read(tokens, 1 << 20, &size, &err));
    must(want = fs_read(golden, 1 << 20, &length, &err));
    m = convert(weights, &par);
    must(generate_run(m, par, &prompt, 1, &o, &io, &stats, &err) == 0);
    for (size_t t = 0; t < STEPS; t++)
        print_token(bin, size, ids[t], ids[t + 1], text);
    while (length > 0 && want[length - 1] == '\n')
        want[--length] = '\0';
    assert_string_equal(text, want);
    discard(m, par);
    free(bin);
    free(want);
}

/* Gate as in test_model: 20 times the f32 error of the conformance models (4 or 5 blocks, logits
 * of the same size). */
static void test_logits(void **state)
{
    struct err err = {0};
    struct json *j;
    int32_t ids[512];
    struct par *par;
    struct model *m;
    float *logits;
    double want;
    size_t T, V;

    (void)state;
    shared_or_skip(weights, "data/stories260k/checkpoint_legacy.bin");
    shared_or_skip(golden, "data/golden-logits/stories260k.json");
    must(j = json_read(golden, &err));
    m = convert(weights, &par);
    V = model_config(m)->vocab;
    T = json_count(json_get(j, "ids"));
    assert_in_range(T, 2, 512);
    for (size_t t = 0; t < T; t++) {
        int64_t id;

        assert_int_equal(json_as_int(json_at(json_get(j, "ids"), t), &id), 0);
        ids[t] = (int32_t)id;
    }
    logits = run_logits(m, ids, T);
    for (size_t t = 0; t + 1 < T; t++) {
        assert_int_equal(json_as_real(json_at(json_get(j, "nll"), t), &want), 0);
        assert_true(fabs(run_nll(logits + t * V, V, (size_t)ids[t + 1]) - want) <= 20 * 3.02e-5);
    }
    for (size_t v = 0; v < V; v++) {
        assert_int_equal(json_as_real(json_at(json_get(j, "last_logits"), v), &want), 0);
        assert_true(fabs((double)logits[(T - 1) * V + v] - want) <= 20 * 3.02e-5);
    }
    free(logits);
    json_destroy(&j);
    discard(m, par);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_greedy),
                                       cmocka_unit_test(test_greedy_cached),
                                       cmocka_unit_test(test_logits)};
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("stories", tests, NULL, NULL);
}
