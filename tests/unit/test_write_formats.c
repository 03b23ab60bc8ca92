/* SPDX-License-Identifier: Apache-2.0 */
/* What the writer leaves: tensors byte for byte, config, shards, provenance; the same in every
 * run and order of arrival. */
#include "../../common/base/version.h"
#include "../../common/format/format_gptq.h"
#include "../../common/wire/follow.h"
#include "../../stages/write/write_assemble.h"
#include "writer_run.h"

/* Names and bytes of all files below dir, hidden ones left out. */
static void tree_hash(const char *dir, struct hash *h)
{
    struct err e = {0};
    char **names, path[600];
    size_t count;
    uint64_t one;

    assert_int_equal(fs_list(dir, &names, &count, &e), 0);
    for (size_t i = 0; i < count; i++) {
        if (*names[i] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        hash_add(h, names[i], strlen(names[i]) + 1);
        if (fs_is_dir(path)) {
            tree_hash(path, h);
            continue;
        }
        assert_int_equal(hash_file(path, &one, &e), 0);
        hash_add(h, &one, sizeof one);
    }
    fs_names_free(&names, count);
}

static uint64_t out_hash(void)
{
    struct hash h;

    hash_start(&h);
    tree_hash(out, &h);
    return hash_end(&h);
}

static struct st_set *open_out(const char *dir)
{
    struct err e = {0};
    struct st_set *s = st_open_folder(dir, &e);

    if (!s)
        fail_msg("%s", e.text);
    return s;
}

static void load(const struct st_set *s, const char *name, const char *part, struct tensor *t)
{
    char full[TENSOR_NAME + 16];
    struct err e = {0};
    const struct st_entry *x;

    snprintf(full, sizeof full, "%s%s", name, part);
    if (!(x = st_find(s, full)))
        fail_msg("no tensor '%s'", full);
    assert_int_equal(st_load(s, x, t, &e), 0);
}

/* Unquantized tensors are the source's bytes, and none is missing or new. */
static void check_copies(const struct st_set *s, size_t others)
{
    struct err e = {0};
    struct st_set *source = open_out(model);
    size_t copies = 0;

    for (size_t i = 0; i < source->count; i++) {
        const char *name = source->entries[i].name;
        struct tensor a, b;

        if (strstr(name, "_proj.weight"))
            continue;
        load(source, name, "", &a);
        load(s, name, "", &b);
        assert_int_equal(a.dtype, b.dtype);
        assert_int_equal(a.bytes, b.bytes);
        assert_memory_equal(a.data, b.data, a.bytes);
        tensor_release(&a);
        tensor_release(&b);
        copies++;
    }
    assert_int_equal(s->count, copies + others);
    assert_null(st_find(s, "lm_head.weight"));
    st_close(&source);
    assert_int_equal(e.kind, 0);
}

static void check_gptq_linear(const struct st_set *s, const struct solution_linear *l)
{
    size_t words = l->K * (size_t)l->bits / 32 * l->N,
           zwords = l->G * (l->N * (size_t)l->bits / 32);
    struct tensor qweight, qzeros, scales, g_idx;
    uint32_t *want = malloc((words + zwords) * sizeof *want);
    uint8_t *zeros = malloc(l->N * l->G);
    struct coded c;
    struct err e = {0};

    load(s, l->name, ".qweight", &qweight);
    load(s, l->name, ".qzeros", &qzeros);
    load(s, l->name, ".scales", &scales);
    load(s, l->name, ".g_idx", &g_idx);
    assert_int_equal(gptq_pack_codes(l->N, l->K, l->bits, l->codes->data, want), 0);
    assert_int_equal(coded_read(l, &c, &e), 0);
    coded_zeros(&c, zeros);
    assert_int_equal(gptq_pack_zeros(l->N, l->G, l->bits, 1, zeros, want + words, l->name, &e), 0);
    assert_true(tensor_has_shape(&qweight, 2, (uint64_t[]){l->K * (size_t)l->bits / 32, l->N}));
    assert_true(tensor_has_shape(&qzeros, 2, (uint64_t[]){l->G, l->N * (size_t)l->bits / 32}));
    assert_true(tensor_has_shape(&scales, 2, (uint64_t[]){l->G, l->N}));
    assert_true(tensor_has_shape(&g_idx, 1, (uint64_t[]){l->K}));
    assert_int_equal(scales.dtype, l->scales->dtype);
    assert_memory_equal(qweight.data, want, words * 4);
    assert_memory_equal(qzeros.data, want + words, zwords * 4);
    for (size_t n = 0; n < l->N; n++)
        for (size_t g = 0; g < l->G; g++)
            assert_int_equal(((uint16_t *)scales.data)[g * l->N + n],
                             ((uint16_t *)l->scales->data)[n * l->G + g]);
    for (size_t k = 0; k < l->K; k++)
        assert_int_equal(((int32_t *)g_idx.data)[k], l->group < 0 ? 0 : (int64_t)k / l->group);
    free(want);
    free(zeros);
    tensor_release(&qweight);
    tensor_release(&qzeros);
    tensor_release(&scales);
    tensor_release(&g_idx);
}

static void check_gptq(const char *dir, const struct tiny_opts *o)
{
    struct st_set *s = open_out(dir);
    struct solution_view v;
    struct err e = {0};

    for (size_t order = 0; order < TINY_SITES; order++) {
        struct msg *m = tiny_solution(model, order, o);

        assert_int_equal(solution_read(m, &v, &e), 0);
        for (size_t i = 0; i < v.nlinears; i++)
            check_gptq_linear(s, &v.linear[i]);
        msg_destroy(&m);
    }
    check_copies(s, 4 * 7 * TINY_LAYERS);
    st_close(&s);
}

static void check_dense(const char *dir, const struct tiny_opts *o)
{
    struct st_set *s = open_out(dir);
    struct solution_view v;
    struct err e = {0};
    static float w[96 * 96];

    for (size_t order = 0; order < TINY_SITES; order++) {
        struct msg *m = tiny_solution(model, order, o);

        assert_int_equal(solution_read(m, &v, &e), 0);
        for (size_t i = 0; i < v.nlinears; i++) {
            const struct solution_linear *l = &v.linear[i];
            struct coded c;
            struct tensor t;

            load(s, l->name, ".weight", &t);
            assert_int_equal(t.dtype, DT_BF16);
            assert_int_equal(coded_read(l, &c, &e), 0);
            assert_int_equal(coded_decode(&c, 0, l->N, w, &e), 0);
            for (size_t k = 0; k < l->N * l->K; k++)
                assert_int_equal(((uint16_t *)t.data)[k], f32_to_bf16(w[k]));
            tensor_release(&t);
        }
        msg_destroy(&m);
    }
    check_copies(s, 7 * TINY_LAYERS);
    st_close(&s);
}

static void writes_every_width(void **state)
{
    static const int bits[] = {2, 3, 4, 8};
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        for (int asym = 0; asym < 2; asym++) {
            struct tiny_opts o = {bits[i], i % 2 ? -1 : 32, asym ? DT_BF16 : DT_F16, asym, 0, NULL};
            struct json *c;
            int sym;

            whole_run("gptq,dense", &o, 0, 1, 0);
            check_gptq(at("@gptq"), &o);
            check_dense(at("@dense"), &o);
            assert_non_null(c = json_read(at("@gptq/quantize_config.json"), &e));
            assert_int_equal(json_as_bool(json_get(c, "sym"), &sym), 0);
            assert_int_equal(sym, !asym);
            json_destroy(&c);
        }
    }
}

static void files_and_config(void **state)
{
    struct err e = {0};
    struct json *c, *q;
    char *text, *copy;
    size_t n;

    (void)state;
    whole_run("gptq", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    assert_true(fs_exists(at("@tokenizer.json")));
    assert_true(fs_exists(at("@LICENSE")));
    assert_false(fs_exists(at("@pytorch_model.bin")));
    assert_non_null(text = fs_read(at("@README.md"), 1 << 20, &n, &e)); /* ours */
    assert_non_null(strstr(text, "\n- gptq\n"));
    assert_non_null(strstr(text, " | 4 | 32 | sym |\n"));
    assert_non_null(strstr(text, "Loads in: transformers, GPTQModel, vLLM, OpenVINO.\n"));
    free(text);
    assert_false(fs_exists(at("@model.safetensors.index.json")));
    assert_false(fs_exists(at("@" FOLLOW_PARTS)));
    assert_true(fs_exists(at("@" FOLLOW_DIR "/journal.jsonl")));
    assert_non_null(c = json_read(at("@config.json"), &e));
    assert_string_equal(json_as_text(json_get(c, "torch_dtype")), "float16");
    assert_string_equal(json_as_text(json_get(json_get(c, "quantization_config"), "quant_method")),
                        "gptq");
    assert_string_equal(
        json_as_text(json_get(json_get(c, "quantization_config"), "checkpoint_format")), "gptq");
    assert_non_null(q = json_read(at("@quantize_config.json"), &e));
    assert_non_null(text = json_print(json_get(c, "quantization_config"), 0, &e));
    assert_non_null(copy = json_print(q, 0, &e));
    assert_string_equal(text, copy);
    assert_string_equal(
        text,
        "{\"bits\":4,\"group_size\":32,\"desc_act\":false,\"static_groups\":true,\"sym\":true,"
        "\"lm_head\":false,\"true_sequential\":true,\"damp_percent\":0.01,\"quant_method\":"
        "\"gptq\","
        "\"checkpoint_format\":\"gptq\",\"format\":\"gptq\",\"pack_dtype\":\"int32\"}");
    free(text);
    free(copy);
    json_destroy(&c);
    json_destroy(&q);
    assert_non_null(text = fs_read(at("@config.json"), 1 << 20, &n, &e));
    assert_non_null(strstr(text, "\"rms_norm_eps\": 1e-06,\n")); /* the source's spelling */
    free(text);
    whole_run("dense", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    assert_non_null(text = fs_read(at("@config.json"), 1 << 20, &n, &e));
    assert_string_equal(text, tiny_config);
    assert_false(fs_exists(at("@quantize_config.json")));
    free(text);
}

static void edits_config(void **state)
{
    struct err e = {0};
    struct json *q = json_new_object();
    char *text;
    static const char nested[] =
        "{\"text_config\":{\"dtype\":\"float32\"},\"note\":\"\\\"dtype\\\": }\",\"dtype\" : null}";

    (void)state;
    assert_null(config_edit("[]", 2, q, DT_F16, "c", &e));
    assert_null(config_edit("{", 1, q, DT_F16, "c", &e));
    assert_null(config_edit("{\"quantization_config\":1}", 25, q, DT_F16, "c", &e));
    assert_non_null(text = config_edit("{}", 2, q, DT_BF16, "c", &e));
    assert_string_equal(text,
                        "{\n  \"torch_dtype\": \"bfloat16\",\n  \"quantization_config\": {}\n}\n");
    free(text);
    json_set_int(q, "bits", 4);
    assert_non_null(text = config_edit(nested, sizeof nested - 1, q, DT_F16, "c", &e));
    assert_string_equal(text, "{\"text_config\":{\"dtype\":\"float32\"},\"note\":\"\\\"dtype\\\": "
                              "}\",\"dtype\" : \"float16\",\n"
                              "  \"quantization_config\": {\n    \"bits\": 4\n  }\n}\n");
    free(text);
    json_destroy(&q);
}

static void same_bytes(void **state)
{
    struct tiny_opts o = TINY_OPTS;
    uint64_t first, other;

    (void)state;
    whole_run("gptq,dense", &o, 0, 1, 0);
    first = out_hash();
    whole_run("gptq,dense", &o, 7, 5, 0);
    assert_true(out_hash() == first);
    o.group = 16;
    whole_run("gptq,dense", &o, 0, 1, 0);
    other = out_hash();
    assert_true(other != first);
}

static void shards(void **state)
{
    struct tiny_opts o = TINY_OPTS;
    struct err e = {0};
    struct json *index;
    struct st_set *s;
    uint64_t first;
    int64_t total;

    (void)state;
    whole_run("gptq", &o, 0, 1, 8192);
    first = out_hash();
    s = open_out(out);
    assert_true(s->nshards > 3);
    assert_non_null(strstr(s->paths[0], "model-00001-of-0000"));
    for (size_t i = 0, from = 0; i < s->nshards; i++, from = 0) {
        for (size_t k = 0; k < s->count; k++)
            from += s->entries[k].shard == i ? s->entries[k].bytes : 0;
        assert_true(from <= 8192);
    }
    assert_non_null(index = json_read(at("@model.safetensors.index.json"), &e));
    assert_int_equal(json_as_int(json_get(json_get(index, "metadata"), "total_size"), &total), 0);
    for (size_t k = 0; k < s->count; k++)
        total -= (int64_t)s->entries[k].bytes;
    assert_int_equal(total, 0);
    json_destroy(&index);
    st_close(&s);
    check_gptq(out, &o);
    whole_run("gptq", &o, 3, 3, 8192);
    assert_true(out_hash() == first);
}

static void provenance(void **state)
{
    struct tiny_opts o = TINY_OPTS;
    struct err e = {0};
    struct writer *w;
    struct st_set *s;
    struct msg *m;

    (void)state;
    whole_run("dense", &o, 0, 1, 0);
    s = open_out(out);
    assert_string_equal(json_as_text(json_get(s->metadata, "format")), "pt");
    assert_string_equal(
        json_as_text(json_get(s->metadata, "ptqflow")),
        "[{\"stage\":\"solve\",\"bits\":4},{\"stage\":\"write\",\"version\":\"" PTQ_VERSION
        "\",\"format\":\"dense\"}]");
    st_close(&s);
    w = need_open("dense", 1); /* the solver was swapped after three sites */
    for (size_t i = 0; i < TINY_SITES; i++) {
        m = tiny_solution(model, i, &o);
        if (i >= 3)
            json_set(m->meta, "prov", json_parse("[{\"stage\":\"other\"}]", 19, "prov", &e));
        assert_int_equal(write_solution(w, &m, &e), 1);
        msg_destroy(&m);
    }
    assert_int_equal(write_finish(w, &e), 0);
    write_close(&w);
    s = open_out(out);
    assert_string_equal(json_as_text(json_get(s->metadata, "ptqflow")),
                        "[{\"prov\":[{\"stage\":\"solve\",\"bits\":4}],\"from\":0,\"sites\":3},"
                        "{\"prov\":[{\"stage\":\"other\"}],\"from\":3,\"sites\":5},"
                        "{\"stage\":\"write\",\"version\":\"" PTQ_VERSION
                        "\",\"format\":\"dense\"}]");
    st_close(&s);
}

static void set_source_records(const char *text)
{
    char path[128];
    struct err e = {0};
    struct st_set *s = open_out(model);
    struct st_writer *w;

    snprintf(path, sizeof path, "%s/model.safetensors", model);
    assert_non_null(w = st_create(path, &e));
    assert_int_equal(st_meta(w, "ptqflow", text, &e), 0);
    for (size_t i = 0; i < s->count; i++)
        assert_int_equal(st_declare(w, s->entries[i].name, s->entries[i].dtype, s->entries[i].ndim,
                                    s->entries[i].shape, &e),
                         0);
    assert_int_equal(st_begin(w, &e), 0);
    for (size_t i = 0; i < s->count; i++)
        assert_int_equal(st_copy(w, s->entries[i].name, s, &s->entries[i], &e), 0);
    assert_int_equal(st_publish(&w, &e), 0);
    st_close(&s);
}

/* A model that was rotated says so when it is quantized, in every format and every shard; what
 * is not our record is not taken for one. */
static void records_of_the_source(void **state)
{
    static const char *const strange[] = {"not JSON", "{\"stage\":\"rotate\"}"};
    struct tiny_opts o = TINY_OPTS;
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        set_source_records(strange[i]);
        whole_run("gptq", &o, 0, 1, 0);
        struct st_set *s = open_out(out);
        assert_memory_equal(json_as_text(json_get(s->metadata, "ptqflow")), "[{\"stage\":\"solve\"",
                            17);
        st_close(&s);
    }
    set_source_records("[{\"stage\":\"rotate\",\"kind\":\"hadamard\"}]");
    for (size_t i = 0; i < 2; i++) {
        whole_run(i ? "gptq" : "dense", &o, 0, 1, 8192);
        struct st_set *s = open_out(out);
        assert_true(s->nshards > 1);
        for (size_t k = 0; k < s->nshards; k++) {
            struct st_set *one = st_open(s->paths[k], &e);
            struct json *records = one ? st_records(one) : NULL;

            assert_int_equal(json_count(records), 3);
            assert_string_equal(json_as_text(json_get(json_at(records, 0), "kind")), "hadamard");
            assert_string_equal(json_as_text(json_get(json_at(records, 1), "stage")), "solve");
            assert_string_equal(json_as_text(json_get(json_at(records, 2), "stage")), "write");
            json_destroy(&records);
            st_close(&one);
        }
        st_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(writes_every_width, remove_out),
        cmocka_unit_test_teardown(files_and_config, remove_out),
        cmocka_unit_test(edits_config),
        cmocka_unit_test_teardown(same_bytes, remove_out),
        cmocka_unit_test_teardown(shards, remove_out),
        cmocka_unit_test_teardown(provenance, remove_out),
        cmocka_unit_test_teardown(records_of_the_source, remove_out),
    };

    return cmocka_run_group_tests_name("write_formats", tests, make_root, remove_root);
}
