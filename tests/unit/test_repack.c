/* SPDX-License-Identifier: Apache-2.0 */
/* Repacking: what one run writes in two formats is what the first becomes when it is put into the
 * second; what a format cannot hold is refused before a byte is written. */
#include <signal.h>
#include "../../common/base/sig.h"
#include "../../common/format/format_gptq.h"
#include "../../common/model/config_text.h"
#include "../../stages/write/write_repack.h"
#include "writer_run.h"

static char to[64];

static int repack_from(const char *from, const char *format, struct repack_report *r, struct err *e)
{
    assert_int_equal(fs_remove_tree(to, NULL), 0);
    assert_int_equal(fs_mkdir(to, e), 0);
    return repack_run(&(struct repack_opts){from, to, format_find(format), WRITE_SHARD_BYTES}, r,
                      e);
}

static int repack(const char *format, struct repack_report *r, struct err *e)
{
    return repack_from(out, format, r, e);
}

static void refused_repack(const char *format, const char *word)
{
    struct repack_report r;
    struct err e = {0};
    int empty;

    assert_int_equal(repack(format, &r, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, word))
        fail_msg("'%s' does not say '%s'", e.text, word);
    assert_int_equal(fs_empty_dir(to, &empty, &e), 0);
    assert_int_equal(empty, 1);
}

static void same_tensors(const char *a, const char *b)
{
    struct err e = {0};
    struct st_set *x = st_open_folder(a, &e), *y = st_open_folder(b, &e);

    assert_true(x && y);
    assert_int_equal(x->count, y->count);
    for (size_t i = 0; i < x->count; i++) {
        const struct st_entry *s = &x->entries[i], *t = st_find(y, s->name);
        struct tensor p, q;

        assert_non_null(t);
        assert_int_equal(s->dtype, t->dtype);
        assert_int_equal(st_load(x, s, &p, &e), 0);
        assert_int_equal(st_load(y, t, &q, &e), 0);
        assert_int_equal(p.bytes, q.bytes);
        assert_memory_equal(p.data, q.data, p.bytes);
        tensor_release(&p);
        tensor_release(&q);
    }
    st_close(&x);
    st_close(&y);
}

static char *config_at(const char *dir)
{
    char path[128];
    struct err e = {0};
    size_t n;
    char *text;

    snprintf(path, sizeof path, "%s/config.json", dir);
    assert_non_null(text = fs_read(path, 1 << 20, &n, &e));
    return text;
}

static void every_pair(void **state)
{
    static const char *const names[] = {"gptq", "gptq-v2", "compressed-tensors", "awq"};
    static const char all[] = "gptq,gptq-v2,compressed-tensors,awq";
    struct repack_report r;
    struct err e = {0};

    (void)state;
    for (int asym = 0; asym < 2; asym++) {
        struct tiny_opts o = TINY_OPTS;

        o.asym = asym;
        whole_run(all, &o, 0, 1, 0);
        for (size_t i = 0; i < 4; i++)
            for (size_t k = 0; k < 4; k++) {
                char from[160], want[160];

                snprintf(from, sizeof from, "%s/%s", out, names[i]);
                snprintf(want, sizeof want, "%s/%s", out, names[k]);
                if (repack_from(from, names[k], &r, &e))
                    fail_msg("%s to %s: %s", names[i], names[k], e.text);
                assert_ptr_equal(r.from, format_find(names[i]));
                assert_true(r.linears == 14 && r.kept == 0 && r.exact);
                same_tensors(want, to);
            }
    }
}

static void configs_and_files(void **state)
{
    struct tiny_opts o = TINY_OPTS;
    struct repack_report r;
    struct err e = {0};
    char path[96], *got, *want;

    (void)state;
    whole_run("gptq", &o, 0, 1, 0);
    if (repack("compressed-tensors", &r, &e))
        fail_msg("%s", e.text);
    snprintf(path, sizeof path, "%s/quantize_config.json", to);
    assert_false(fs_exists(path)); /* of the other format */
    snprintf(path, sizeof path, "%s/tokenizer.json", to);
    assert_true(fs_exists(path));
    got = config_at(to);
    whole_run("compressed-tensors", &o, 0, 1, 0);
    want = config_at(out);
    assert_string_equal(got, want);
    free(got);
    free(want);
    /* what is dense again says nothing of codes */
    if (repack("dense", &r, &e))
        fail_msg("%s", e.text);
    assert_false(r.exact);
    got = config_at(to);
    assert_null(strstr(got, "quantization_config"));
    free(got);
}

static void refuses(void **state)
{
    struct tiny_opts o = TINY_OPTS;

    (void)state;
    whole_run("dense", &o, 0, 1, 0);
    refused_repack("gptq", "no linear that is quantized");
    o.bits = 8;
    whole_run("gptq", &o, 0, 1, 0);
    refused_repack("awq", "AWQ stores 4 bits, not 8");
    o = (struct tiny_opts)TINY_OPTS;
    o.scale_type = DT_BF16;
    whole_run("compressed-tensors", &o, 0, 1, 0);
    refused_repack("awq", "BF16");
}

#define UP "model.layers.1.mlp.up_proj"

/* Weights written anew with other words in one tensor. */
static void put_words(const char *tensor, const void *data)
{
    struct err e = {0};
    struct st_set *s = st_open_folder(out, &e);
    struct st_writer *w = st_create(at("@model.safetensors"), &e);

    assert_true(s && w);
    for (size_t i = 0; i < s->count; i++)
        assert_int_equal(st_declare(w, s->entries[i].name, s->entries[i].dtype, s->entries[i].ndim,
                                    s->entries[i].shape, &e),
                         0);
    assert_int_equal(st_begin(w, &e), 0);
    for (size_t i = 0; i < s->count; i++) {
        const struct st_entry *x = &s->entries[i];

        assert_int_equal(strcmp(x->name, tensor) ? st_copy(w, x->name, s, x, &e)
                                                 : st_put(w, x->name, data, x->bytes, &e),
                         0);
    }
    assert_int_equal(st_publish(&w, &e), 0);
    st_close(&s);
}

/* A zero point of 0, which only v2, compressed-tensors and AWQ hold; permuted groups, which only
 * GPTQ and weights hold. */
static void what_is_not_in_every_format(void **state)
{
    static uint32_t zeros[2 * 96 * 4 / 32];
    static int32_t groups[64];
    struct tiny_opts o = TINY_OPTS;
    struct repack_report r;
    struct err e = {0};

    (void)state;
    whole_run("gptq-v2", &o, 0, 1, 0);
    put_words(UP ".qzeros", zeros);
    refused_repack("gptq", "'" UP "': zero point 0 (row 0, group 0)");
    assert_int_equal(repack("awq", &r, &e), 0);
    whole_run("gptq", &o, 0, 1, 0);
    for (size_t k = 0; k < 64; k++)
        groups[k] = k % 2;
    put_words(UP ".g_idx", groups);
    refused_repack("awq", "in the awq format no reader of today takes");
    assert_int_equal(repack("dense", &r, &e), 0);
    assert_int_equal(repack("gptq-v2", &r, &e), 0);
}

static void drop(const char *text, const char *want)
{
    char *copy = strdup(text);
    struct err e = {0};

    assert_int_equal(config_text_drop(&copy, "q", &e), 0);
    assert_string_equal(copy, want);
    free(copy);
}

static void drops_members(void **state)
{
    (void)state;
    drop("{}", "{}");
    drop("{\"a\": {\"q\": 1}}", "{\"a\": {\"q\": 1}}");
    drop("{\"q\": {\"x\": [1, \"}\"], \"y\": {}}, \"a\": 1}", "{\"a\": 1}");
    drop("{\n  \"a\": 1e-06,\n  \"q\": [\"]\", {}]\n}\n", "{\n  \"a\": 1e-06\n}\n");
    drop("{\"a\": 1, \"q\": 2, \"b\": 3}", "{\"a\": 1, \"b\": 3}");
    drop("{\"q\": \"x,\\\"\"}", "{}");
}

static void set_all(const char *text, const char *want)
{
    char *copy = strdup(text);
    struct err e = {0};

    assert_int_equal(config_text_set_all(&copy, "q", "false", &e), 0);
    assert_string_equal(copy, want);
    free(copy);
}

static void sets_a_key_wherever_it_stands(void **state)
{
    (void)state;
    set_all("{}", "{\n  \"q\": false\n}\n");
    set_all("{\"q\": true, \"t\": {\"a\": [{\"q\": {\"q\": 1}}], \"q\": true}}",
            "{\"q\": false, \"t\": {\"a\": [{\"q\": false}], \"q\": false}}");
    set_all("{\"t\": {\"q\": true, \"s\": \"q\"}}",
            "{\"t\": {\"q\": false, \"s\": \"q\"},\n  \"q\": false\n}\n");
}

/* The last test: the flag stays. */
static void a_signal_stops_it(void **state)
{
    struct tiny_opts o = TINY_OPTS;
    struct repack_report r;
    struct err e = {0};

    (void)state;
    whole_run("gptq", &o, 0, 1, 0);
    assert_int_equal(sig_init(&e), 0);
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(repack("dense", &r, &e), -1);
    assert_int_equal(e.kind, ERR_SYS);
    assert_non_null(strstr(e.text, "stopped by a signal"));
}

static int make_roots(void **state)
{
    const int rc = make_root(state);

    snprintf(to, sizeof to, "%s/to", root);
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_pair, remove_out),
        cmocka_unit_test_teardown(configs_and_files, remove_out),
        cmocka_unit_test_teardown(refuses, remove_out),
        cmocka_unit_test_teardown(what_is_not_in_every_format, remove_out),
        cmocka_unit_test(drops_members),
        cmocka_unit_test(sets_a_key_wherever_it_stands),
        cmocka_unit_test_teardown(a_signal_stops_it, remove_out),
    };

    return cmocka_run_group_tests_name("repack", tests, make_roots, remove_root);
}
