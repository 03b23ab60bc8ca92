/* SPDX-License-Identifier: Apache-2.0 */
/* Formats: the list; what is refused before a run; and of every format in the list, the way there
 * and back: what `tensors` announces is what `put` gives, and a checkpoint made of it loads as the
 * weights that the codes stand for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/base/rng.h"
#include "../../common/format/format.h"
#include "../../common/format/grid_affine.h"

enum { N = 64, K = 128, GROUP = 32, G = K / GROUP };

static void list(void **state)
{
    const struct format *at[FORMATS_MAX], *f;
    struct err e = {0};
    size_t n;

    (void)state;
    assert_int_equal(format_parse("", at, &n, &e), -1);
    assert_int_equal(format_parse("gptq,", at, &n, &e), -1);
    assert_int_equal(format_parse("gptq,paper", at, &n, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_non_null(strstr(
        e.text, "'paper' is not known (gptq, gptq-v2, compressed-tensors, awq, gguf, dense, ptq)"));
    assert_int_equal(format_parse("dense,gptq,dense", at, &n, &e), -1);
    assert_non_null(strstr(e.text, "'dense' is given twice"));
    assert_null(format_find("paper"));
    assert_int_equal(format_parse("dense,gptq", at, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_ptr_equal(at[1], format_find("gptq"));
    assert_int_equal(format_parse("fp8", at, &n, &e), -1);
    assert_non_null(strstr(e.text, "'fp8' is not written, only read (written are gptq,"));
    for (n = 0; (f = format_at(n)); n++) {
        assert_ptr_equal(format_find(f->name), f);
        if (!f->put) {
            assert_true(f->claims && f->engines);
            assert_true(f->unpacked ? !f->read && !f->load && !f->mark : f->read && f->look);
            continue;
        }
        assert_string_equal(format_names()[n], f->name);
        assert_true(f->title && f->about && f->check && f->tensors && f->put);
        if (f->container == FORMAT_FOLDER)
            assert_true(f->find && !f->read != !f->load);
        else
            assert_true(f->find && f->read && f->load && f->mark);
        assert_true(!f->mark == !f->claims && !f->mark == !f->look);
    }
    assert_null(format_names()[n]);
}

static struct format_linear linear(void)
{
    return (struct format_linear){.name = "model.layers.0.mlp.up_proj",
                                  .N = N,
                                  .K = K,
                                  .source_type = DT_F32,
                                  .bits = 4,
                                  .group = GROUP,
                                  .G = G,
                                  .grid = &grid_sym,
                                  .scale_type = DT_F16,
                                  .symmetric = 1};
}

static void refused(const struct format *f, const struct format_linear *l, const char *word)
{
    struct err e = {0};

    assert_int_equal(f->check(l, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, word) || !strstr(e.text, l->name))
        fail_msg("'%s' does not say '%s'", e.text, word);
}

static void checks_shapes(void **state)
{
    const struct grid table = {.name = "levels", .table = 1};
    const struct format *f = format_find("gptq");
    struct format_linear l = linear();
    struct err e = {0};

    (void)state;
    l.bits = 5;
    refused(f, &l, "not 5");
    l = linear();
    l.group = 48;
    refused(f, &l, "group 48");
    l = linear();
    l.N = 63;
    refused(f, &l, "63 outputs");
    l = linear();
    l.scale_type = DT_F32;
    refused(f, &l, "F32");
    l = linear();
    l.grid = &table;
    refused(f, &l, "levels");
    /* what is not known is not refused */
    l = (struct format_linear){.N = 63, .K = K, .scale_type = DT_COUNT};
    assert_int_equal(f->check(&l, &e), 0);
    l.bits = 4;
    assert_int_equal(f->check(&l, &e), 0);
    l.group = -1;
    refused(f, &l, "63 outputs");
}

static struct err long_name(const struct format *f)
{
    struct format_linear l = linear();
    struct format_tensor t[FORMAT_TENSORS];
    struct err e = {0};

    memset(l.name, 'x', sizeof l.name - 1);
    assert_int_equal(f->tensors(&l, t, &e), -1);
    return e;
}

/* ---- there and back ---- */

struct sink {
    const struct format *f;
    struct st_writer *w;
    struct format_tensor t[FORMAT_TENSORS];
    int count, seen;
    uint64_t bytes;
};

static int emit(void *ctx, const char *name, const void *data, size_t bytes, struct err *e)
{
    struct sink *s = ctx;
    size_t elements, want;

    for (int i = 0; i < s->count; i++)
        if (strcmp(s->t[i].name, name) == 0) {
            assert_int_equal(tensor_measure(s->t[i].dtype, s->t[i].ndim, s->t[i].shape, name,
                                            &elements, &want, e),
                             0);
            assert_int_equal(bytes, want);
            s->seen++;
            s->bytes += bytes;
            return st_put(s->w, name, data, bytes, e);
        }
    fail_msg("%s: tensor '%s' was not announced", s->f->name, name);
    return -1;
}

static void write_out(const struct format *f, const struct format_linear *l, const struct coded *c,
                      const char *dir)
{
    struct sink s = {.f = f};
    struct err e = {0};
    char path[96];
    uint64_t bytes;

    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    assert_non_null(s.w = st_create(path, &e));
    s.count = f->tensors(l, s.t, &e);
    assert_in_range(s.count, 1, FORMAT_TENSORS);
    for (int i = 0; i < s.count; i++)
        assert_int_equal(st_declare(s.w, s.t[i].name, s.t[i].dtype, s.t[i].ndim, s.t[i].shape, &e),
                         0);
    assert_int_equal(st_begin(s.w, &e), 0);
    if (f->put(l, c, emit, &s, &e))
        fail_msg("%s", e.text);
    assert_int_equal(s.seen, s.count);
    assert_int_equal(format_bytes(f, l, &bytes, &e), 0);
    assert_int_equal(bytes, s.bytes);
    assert_int_equal(st_publish(&s.w, &e), 0);
}

static struct json *config_of(const struct format *f, const struct format_linear *l)
{
    const struct format_model m = {.count = 1, .linear = &l, .damp = 0.01};
    struct json *config = json_new_object();
    enum dtype dtype = DT_COUNT;
    struct err e = {0};

    assert_int_equal(json_set_text(config, "model_type", "qwen3"), 0);
    if (f->config)
        assert_int_equal(json_set(config, "quantization_config", f->config(&m, &dtype, &e)), 0);
    return config;
}

static void read_back(const struct format *f, const struct format_linear *l, const float *want,
                      const char *dir)
{
    struct json *config = config_of(f, l);
    struct err e = {0};
    struct st_set *set = st_open_folder(dir, &e);
    struct format_reader *r = set ? format_open(config, dir, set, &e) : NULL;
    const struct format *stored;
    struct format_linear seen;
    float *w = calloc(N * K, sizeof *w);

    if (!r)
        fail_msg("%s: %s", f->name, e.text);
    assert_ptr_equal(format_of(r), f);
    assert_int_equal(format_is_quantized(r), f->claims != NULL);
    stored = format_packed(set, l->name); /* tensors do not tell GPTQ v2 from v1 */
    assert_ptr_equal(stored ? stored->look : NULL, f->look);
    assert_int_equal(format_find_linear(r, l->name, N, K + 1, &e), -1);
    assert_int_equal(format_find_linear(r, "model.layers.0.mlp.down_proj", N, K, &e), -1);
    if (format_find_linear(r, l->name, N, K, &e) || format_load_linear(r, l->name, N, K, w, &e))
        fail_msg("%s: %s", f->name, e.text);
    assert_memory_equal(w, want, N * K * sizeof *w);
    for (size_t i = 0; f->look && i < set->count; i++) {
        const char *dot = strrchr(set->entries[i].name, '.');

        if (strcmp(dot + 1, f->mark))
            continue;
        assert_int_equal(f->look(set, &set->entries[i], &seen), 1);
        assert_string_equal(seen.name, l->name);
        assert_true(seen.N == N && seen.K == K && seen.bits == l->bits && seen.group == GROUP);
    }
    format_close(&r);
    st_close(&set);
    json_destroy(&config);
    free(w);
}

static void there_and_back(const char *dir, const struct grid *grid, int bits)
{
    static uint8_t codes[N * K], zeros[N * G];
    static float w[N * K];
    uint16_t scales[N * G];
    struct coded c = {.grid = grid,
                      .N = N,
                      .K = K,
                      .G = G,
                      .bits = bits,
                      .group = GROUP,
                      .codes = codes,
                      .scale_type = DT_F16,
                      .scales = scales,
                      .zeros = grid->zeros ? zeros : NULL,
                      .tensor_scale = 1.0};
    struct format_linear l = linear();
    const struct format *f;
    struct err e = {0};
    struct rng r;

    l.grid = grid;
    l.bits = bits;
    l.symmetric = !grid->zeros;
    rng_seed(&r, 5, 0);
    for (size_t i = 0; i < N * K; i++)
        codes[i] = (uint8_t)rng_below(&r, (uint64_t)1 << bits);
    for (size_t i = 0; i < N * G; i++) {
        zeros[i] = (uint8_t)(1 + rng_below(&r, ((uint64_t)1 << bits) - 1));
        scales[i] = f32_to_f16((float)(1 + rng_below(&r, 500)) / 4096);
    }
    for (int round = 0; round < 2; round++) {
        assert_int_equal(coded_decode(&c, 0, N, w, &e), 0);
        for (size_t i = 0; (f = format_at(i)); i++) {
            if (f->container != FORMAT_FOLDER || !f->put || f->check(&l, &e) ||
                (f->check_codes && f->check_codes(&l, &c, &e)))
                continue;
            write_out(f, &l, &c, dir);
            read_back(f, &l, w, dir);
            assert_non_null(strstr(long_name(f).text, "too long"));
        }
        zeros[7] = 0; /* which not every format can hold */
    }
    f = format_find("gptq");
    assert_int_equal(f->check_codes(&l, &c, &e), grid->zeros ? -1 : 0);
    assert_null(format_find("gptq-v2")->check_codes);
}

static void every_format(void **state)
{
    char dir[] = "/tmp/ptq-format-XXXXXX";
    const struct grid *grid;
    struct err e = {0};

    (void)state;
    assert_non_null(mkdtemp(dir));
    for (size_t g = 0; (grid = grid_at(g)); g++)
        for (size_t b = 0; grid_bits_names()[b]; b++)
            if (grid_takes_bits(grid, grid_bits_at(b)) && affine_is(grid)) /* test_ct_float.c */
                there_and_back(dir, grid, grid_bits_at(b));
    assert_int_equal(fs_remove_tree(dir, &e), 0);
}

static void config_refused(const char *quantization, const char *word)
{
    char text[160];
    struct err e = {0};
    struct json *config;

    snprintf(text, sizeof text, "{\"quantization_config\": %s}", quantization);
    assert_non_null(config = json_parse(text, strlen(text), "test", &e));
    assert_null(format_open(config, "folder", NULL, &e));
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, word) || !strstr(e.text, "folder/config.json"))
        fail_msg("'%s' does not say '%s'", e.text, word);
    json_destroy(&config);
}

/* Where others look too; NULL: it is plain. */
static void place_refused(const char *text, const char *word)
{
    struct err e = {0};
    struct json *config = json_parse(text, strlen(text), "test", &e);
    struct format_reader *r;

    assert_non_null(config);
    r = format_open(config, "folder", NULL, &e);
    assert_int_equal(!r, word != NULL);
    format_close(&r);
    if (word && !strstr(e.text, word))
        fail_msg("'%s' does not say '%s'", e.text, word);
    assert_int_equal(format_check_plain(config, "folder", &e), word ? -1 : 0);
    json_destroy(&config);
}

static void refuses_configs(void **state)
{
    (void)state;
    config_refused("[]", "must be an object");
    config_refused("{}", "quant_method");
    config_refused("{\"quant_method\": 1}", "quant_method");
    config_refused("{\"quant_method\": \"hqq\"}",
                   "'hqq' is not supported (known: gptq, gptq-v2, compressed-tensors, awq, gguf, "
                   "ptq, fp8, mxfp4)");
    config_refused("{\"quant_method\": \"gptq\"}", "bits");
    place_refused("{\"compression_config\": {\"quant_method\": \"gptq\"}}",
                  "in compression_config:");
    place_refused("{\"quantization_config\": null, \"text_config\": {\"quantization_config\": "
                  "{\"quant_method\": \"fp8\"}}}",
                  "in text_config.quantization_config:");
    place_refused("{\"text_config\": {\"quantization_config\": null}, \"compression_config\": {}}",
                  NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list),
        cmocka_unit_test(checks_shapes),
        cmocka_unit_test(refuses_configs),
        cmocka_unit_test(every_format),
    };

    return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
