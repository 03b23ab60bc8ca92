/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_gptq - GPTQ checkpoints: a folder of packed codes must give the bits of a folder
 * that holds the same weights in f32; then everything that is not as it should be, refused by
 * name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <unistd.h>
#include "../../common/base/fs.h"
#include "../../common/base/json.h"
#include "../../common/base/rng.h"
#include "../../common/format/format_gptq.h"
#include "../../common/format/grid.h"
#include "../../common/tensor/blas.h"
#include "model_run.h"

#define SOURCE "tests/golden/conformance/qwen3"

/* How the packed folder departs from the plain one. */
struct spec {
    int bits;
    int64_t group;
    int permute;      /* 0: no g_idx, 1: k / group, 2: shuffled, 3: out of range */
    const char *drop; /* suffix of tensors left out */
    enum dtype scales;
};

static char packed_dir[64], dense_dir[64];

static void dirs_make(void)
{
    struct err err = {0};

    snprintf(packed_dir, sizeof packed_dir, "/tmp/ptq-gptq-%ld-p", (long)getpid());
    snprintf(dense_dir, sizeof dense_dir, "/tmp/ptq-gptq-%ld-d", (long)getpid());
    must(fs_mkdir(packed_dir, &err) == 0);
    must(fs_mkdir(dense_dir, &err) == 0);
}

static void dirs_remove(void)
{
    struct err err = {0};

    must(fs_remove_tree(packed_dir, &err) == 0);
    must(fs_remove_tree(dense_dir, &err) == 0);
}

/* config.json of the source, with quantization_config when text is given. */
static void write_config(const char *dir, const char *quantization)
{
    struct err err = {0};
    struct json *j = json_read(SOURCE "/config.json", &err), *q;
    char path[128], *text;

    must(j);
    if (quantization) {
        must(q = json_parse(quantization, strlen(quantization), "test", &err));
        assert_int_equal(json_set(j, "quantization_config", q), 0);
    }
    must(text = json_print(j, 2, &err));
    snprintf(path, sizeof path, "%s/config.json", dir);
    must(fs_publish(path, text, strlen(text), &err) == 0);
    free(text);
    json_destroy(&j);
}

struct part {
    char name[TENSOR_NAME + 16];
    enum dtype type;
    int ndim;
    uint64_t shape[2];
    void *data;
    size_t bytes;
};

struct parts {
    struct part p[512];
    size_t n;
};

static void *part_add(struct parts *l, const char *name, const char *suffix, enum dtype type,
                      int ndim, uint64_t a, uint64_t b)
{
    struct part *p = &l->p[l->n++];

    assert_true(l->n <= 512);
    *p = (struct part){.type = type, .ndim = ndim, .shape = {a, b}};
    snprintf(p->name, sizeof p->name, "%s%s", name, suffix);
    p->bytes = (size_t)(ndim == 2 ? a * b : a) * dtype_size(type);
    p->data = calloc(1, p->bytes);
    assert_non_null(p->data);
    return p->data;
}

static void parts_write(struct parts *l, const char *dir, const char *drop)
{
    struct err err = {0};
    char path[128];
    struct st_writer *w;

    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    must(w = st_create(path, &err));
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < l->n; i++) {
            const struct part *p = &l->p[i];
            size_t n = strlen(p->name), m = drop ? strlen(drop) : 0;

            if (drop && n > m && strcmp(p->name + n - m, drop) == 0)
                continue;
            must((round ? st_put(w, p->name, p->data, p->bytes, &err)
                        : st_declare(w, p->name, p->type, p->ndim, p->shape, &err)) == 0);
        }
        if (!round)
            must(st_begin(w, &err) == 0);
    }
    must(st_publish(&w, &err) == 0);
    for (size_t i = 0; i < l->n; i++)
        free(l->p[i].data);
    l->n = 0;
}

static void group_indices(const struct spec *s, size_t K, size_t G, struct rng *r, int32_t *g)
{
    const size_t width = G == 1 ? K : (size_t)s->group;

    for (size_t k = 0; k < K; k++)
        g[k] = (int32_t)(k / width);
    for (size_t k = K; s->permute == 2 && k > 1; k--) {
        size_t other = (size_t)rng_below(r, k);
        int32_t t = g[k - 1];

        g[k - 1] = g[other];
        g[other] = t;
    }
    if (s->permute == 3)
        g[K - 1] = (int32_t)G;
}

/* Random codes, scales and zeros of one linear, packed and written out as weights. */
static void make_linear(const struct spec *s, const char *name, size_t N, size_t K, struct rng *r,
                        struct parts *packed, struct parts *dense)
{
    struct err err = {0};
    const size_t b = (size_t)s->bits, G = grid_groups(K, s->group);
    uint8_t *codes = calloc(N * K, 1), *zeros = calloc(N * G, 1);
    int32_t *g = calloc(K, sizeof *g);
    void *scales = part_add(packed, name, ".scales", s->scales, 2, G, N);
    float *w = part_add(dense, name, ".weight", DT_F32, 2, N, K), *scale = run_array(N * G);

    assert_true(codes && zeros && g);
    for (size_t i = 0; i < N * K; i++)
        codes[i] = (uint8_t)rng_below(r, UINT64_C(1) << b);
    for (size_t i = 0; i < N * G; i++) {
        zeros[i] = (uint8_t)(1 + rng_below(r, (UINT64_C(1) << b) - 1));
        scale[i] = (float)(0.5 + rng_unit(r)) / (float)(1 << b) / 8.0f;
    }
    dtype_from_f32(s->scales, scale, N * G, scales);
    dtype_to_f32(s->scales, scales, N * G, scale); /* [G, N], as it is stored */
    group_indices(s, K, G, r, g);
    must(gptq_pack_codes(N, K, s->bits, codes,
                         part_add(packed, name, ".qweight", DT_I32, 2, K * b / 32, N)) == 0);
    must(gptq_pack_zeros(N, G, s->bits, 1, zeros,
                         part_add(packed, name, ".qzeros", DT_I32, 2, G, N * b / 32), name,
                         &err) == 0);
    if (s->permute)
        memcpy(part_add(packed, name, ".g_idx", DT_I32, 1, K, 1), g, K * sizeof *g);
    for (size_t n = 0; n < N; n++)
        for (size_t k = 0; k < K; k++) {
            size_t at = (size_t)g[k] < G ? (size_t)g[k] : 0;

            w[n * K + k] =
                scale[at * N + n] * (float)((int)codes[n * K + k] - (int)zeros[n * G + at]);
        }
    free(codes);
    free(zeros);
    free(g);
    free(scale);
}

static void make_folders(const struct spec *s)
{
    static struct parts packed, dense;
    struct err err = {0};
    struct st_set *src = st_open_folder(SOURCE, &err);
    struct rng r;

    must(src);
    rng_seed(&r, 3, 0);
    for (size_t i = 0; i < src->count; i++) {
        const struct st_entry *x = &src->entries[i];
        struct tensor t;
        char name[TENSOR_NAME];

        if (strstr(x->name, "_proj.weight")) {
            snprintf(name, sizeof name, "%.*s", (int)(strlen(x->name) - strlen(".weight")),
                     x->name);
            make_linear(s, name, (size_t)x->shape[0], (size_t)x->shape[1], &r, &packed, &dense);
            continue;
        }
        must(st_load(src, x, &t, &err) == 0);
        memcpy(part_add(&packed, x->name, "", x->dtype, x->ndim, x->shape[0], x->shape[1]), t.data,
               t.bytes);
        memcpy(part_add(&dense, x->name, "", x->dtype, x->ndim, x->shape[0], x->shape[1]), t.data,
               t.bytes);
        tensor_release(&t);
    }
    parts_write(&packed, packed_dir, s->drop);
    parts_write(&dense, dense_dir, NULL);
    st_close(&src);
}

static void write_gptq_config(const struct spec *s)
{
    char q[256];

    snprintf(q, sizeof q,
             "{\"quant_method\": \"gptq\", \"bits\": %d, \"group_size\": %lld, \"desc_act\": %s, "
             "\"sym\": false, "
             "\"checkpoint_format\": \"gptq\"}",
             s->bits, (long long)s->group, s->permute > 1 ? "true" : "false");
    write_config(packed_dir, q);
    write_config(dense_dir, NULL);
}

static float *hidden_of(const char *dir, int quantized)
{
    struct err err = {0};
    struct par *p = par_open(2, &err);
    struct model *m = model_open(dir, p, &err);
    const int32_t length = 30;
    const struct rows r = {.T = 30, .nseq = 1, .lengths = &length};
    int32_t ids[30];
    float *h;

    must(m);
    assert_int_equal(model_is_quantized(m), quantized);
    for (int i = 0; i < 30; i++)
        ids[i] = i * 11 % 320;
    h = run_hidden(m, &r, ids);
    model_close(&m);
    par_close(&p);
    return h;
}

static void test_same_bits(void **state)
{
    static const struct spec specs[] = {
        {.bits = 4, .group = 32, .scales = DT_F16},
        {.bits = 4, .group = -1, .permute = 1, .scales = DT_F16},
        {.bits = 8, .group = 32, .permute = 2, .scales = DT_F16},
        {.bits = 3, .group = 32, .permute = 1, .scales = DT_BF16},
        {.bits = 2, .group = 32, .permute = 2, .scales = DT_F32},
    };

    (void)state;
    dirs_make();
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        float *a, *b;

        make_folders(&specs[i]);
        write_gptq_config(&specs[i]);
        a = hidden_of(packed_dir, 1);
        b = hidden_of(dense_dir, 0);
        assert_true(memcmp(a, b, 30 * 64 * sizeof *a) == 0);
        free(a);
        free(b);
    }
    dirs_remove();
}

/* Rules speak for a linear: the first that matches its name from the start, with or without a
 * sign; what they do not say is the base's. */
static void test_rules(void **state)
{
    const struct spec spec = {.bits = 4, .group = 32, .scales = DT_F16};
    float *a, *b;

    (void)state;
    dirs_make();
    make_folders(&spec);
    write_gptq_config(&spec);
    write_config(packed_dir, "{\"quant_method\": \"gptq\", \"bits\": 8, \"group_size\": 32, "
                             "\"dynamic\": {\"-:self_attn\": {}, "
                             "\"+:^model\\\\.layers\\\\.\\\\d+\\\\.mlp\\\\.(?:up|gate|down)_proj$"
                             "\": {\"bits\": 4, \"sym\": false}, "
                             "\"model.*_proj\": {\"bits\": 4, \"group_size\": 32}, \"-:.*\": {}}}");
    a = hidden_of(packed_dir, 1);
    b = hidden_of(dense_dir, 0);
    assert_true(memcmp(a, b, 30 * 64 * sizeof *a) == 0);
    free(a);
    free(b);
    dirs_remove();
}

static void refused(const char *word)
{
    struct err e = {0};
    struct par *p = par_open(1, &e);
    struct model *m = model_open(packed_dir, p, &e);
    struct block *b = m ? block_open(m, 0, &e) : NULL;
    int rc = b ? block_load_site(b, 0, &e) : -1;

    assert_int_equal(rc, -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, word))
        fail_msg("'%s' does not name '%s'", e.text, word);
    block_close(&b);
    model_close(&m);
    par_close(&p);
}

static void test_refused_config(void **state)
{
    static const char *const cases[][2] = {
        {"[]", "quantization_config"},
        {"{\"bits\": 4, \"group_size\": 32}", "quant_method"},
        {"{\"quant_method\": \"hqq\", \"bits\": 4, \"group_size\": 32}", "hqq"},
        {"{\"quant_method\": \"gptq\", \"bits\": 5, \"group_size\": 32}", "bits"},
        {"{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 0}", "group_size"},
        {"{\"quant_method\": \"gptq\", \"bits\": 4}", "group_size"},
        {"{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 48}", "48"},
        {"{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 32, \"checkpoint_format\": "
         "\"gptq_p\"}",
         "gptq_p"},
        {"{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 32, \"lm_head\": 1}",
         "lm_head"},
        {"{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 32, \"dynamic\": [1]}",
         "dynamic"},
        {"{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 32, \"dynamic\": {\"+:x\": 1}}",
         "'+:x' must be an object"},
        {"{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 32, \"dynamic\": {\"+:x\": "
         "{\"bits\": 5}}}",
         "bits is 5"},
        {"{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 32, \"dynamic\": {\"+:(\": "
         "{}}}",
         "dynamic '+:('"},
        {"{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 32, \"dynamic\": "
         "{\"-:.*up_proj\": {}}}",
         "is not quantized"},
        {"{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 32, \"dynamic\": "
         "{\"+:.*up_proj\": {\"group_size\": 64}}}",
         "up_proj.qzeros"},
        {"{\"quant_method\": \"gptq\", \"bits\": 8, \"group_size\": 32, \"dynamic\": {\"up_proj\": "
         "{\"bits\": 8}, \"model.*q_proj\": {\"bits\": 4}}}",
         "k_proj.qweight"},
        {"{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 32, \"pack_dtype\": \"int8\"}",
         "pack_dtype"},
        {"{\"quant_method\": \"gptq\", \"bits\": 8, \"group_size\": 32}", "qweight"},
        {"{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 64}", "qzeros"},
    };

    (void)state;
    dirs_make();
    make_folders(&(struct spec){.bits = 4, .group = 32, .scales = DT_F16});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_config(packed_dir, cases[i][0]);
        refused(cases[i][1]);
    }
    write_config(packed_dir, NULL); /* packed tensors, but config.json does not say so */
    refused("q_proj.weight");
    dirs_remove();
}

static void test_refused_tensors(void **state)
{
    struct spec s = {.bits = 4, .group = 32, .scales = DT_F16, .permute = 3};

    (void)state;
    dirs_make();
    make_folders(&s);
    write_gptq_config(&s);
    refused("g_idx");
    s.permute = 1;
    s.drop = "k_proj.qzeros";
    make_folders(&s);
    refused("model.layers.0.self_attn.k_proj.qzeros");
    s.drop = NULL;
    s.scales = DT_I32; /* not a float type */
    make_folders(&s);
    refused("scales");
    dirs_remove();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_config),
        cmocka_unit_test(test_refused_tensors),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_rules),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("model_gptq", tests, NULL, NULL);
}
