/* SPDX-License-Identifier: Apache-2.0 */
/* test_write_changed - tensors of no linear that a solution changes: what is refused, that the
 * checkpoint gets them and nothing else changes, and that a writer that goes on has them too. */
#include "writer_run.h"

#include "../../common/tensor/safetensors.h"

#define NORM "model.layers.0.input_layernorm.weight"

static const uint64_t width[1] = {TINY_D};

static struct msg *with(size_t order, const char *name, enum dtype type, const uint64_t *shape,
                        unsigned char fill)
{
    struct tiny_opts o = TINY_OPTS;
    struct msg *m = tiny_solution(model, order, &o);
    struct tensor t;
    struct err e = {0};

    assert_int_equal(tensor_alloc(&t, name, type, 1, shape, &e), 0);
    memset(t.data, fill, t.bytes);
    assert_int_equal(solution_add_changed(m, &t, 1, &e), 0);
    tensor_release(&t);
    return m;
}

static void refused_with(struct writer *w, struct msg *m, const char *text)
{
    struct err e = {0};

    assert_int_equal(write_solution(w, &m, &e), WRITE_REFUSED);
    if (!strstr(e.text, text))
        fail_msg("'%s' does not say '%s'", e.text, text);
}

static struct msg *named(struct json *list)
{
    struct msg *m = with(0, NORM, DT_BF16, width, 1);

    json_set(m->meta, "changed", list);
    return m;
}

static struct json *twice(const char *a, const char *b)
{
    struct json *list = json_new_array();

    json_push(list, json_new_text(a));
    json_push(list, json_new_text(b));
    return list;
}

static void refuses(void **state)
{
    static const uint64_t less[1] = {TINY_D - 1};
    struct writer *w = need_open("gptq", 0);

    (void)state;
    refused_with(w, named(json_new_text(NORM)), "must be an array of 1 to 8 names");
    refused_with(w, named(json_new_array()), "must be an array of 1 to 8 names");
    refused_with(w, named(twice(NORM, NORM)), "is there twice");
    refused_with(w, named(twice(NORM, "nothing")), "'nothing' is no tensor of the message");
    refused_with(w, with(0, NORM, DT_U8, width, 1), "not a float type");
    refused_with(w, with(0, NORM, DT_BF16, width, 255), "not finite");
    refused_with(w, with(0, "nothing", DT_BF16, width, 1), "does not have");
    refused_with(w, with(0, NORM, DT_F16, width, 1), "must be [64] of BF16");
    refused_with(w, with(0, NORM, DT_BF16, less, 1), "must be [64] of BF16");
    refused_with(w, with(0, "model.layers.0.self_attn.q_proj.weight", DT_BF16, width, 1),
                 "which is of a linear");
    write_close(&w);
}

static void run(size_t from, size_t to, int finish, unsigned char fill)
{
    struct err e = {0};
    struct writer *w = write_open(
        &(struct write_opts){
            .model = model, .out = out, .formats = "gptq,dense", .from_site = from},
        &e);

    if (!w)
        fail_msg("%s", e.text);
    for (size_t i = from; i < to; i++) {
        struct tiny_opts o = TINY_OPTS;
        struct msg *m = i ? tiny_solution(model, i, &o) : with(0, NORM, DT_BF16, width, fill);

        if (write_solution(w, &m, &e) != 1)
            fail_msg("%s", e.text);
        msg_destroy(&m);
    }
    if (to > 1)
        refused_with(w, with(2, NORM, DT_BF16, width, fill), "which site 0 has changed");
    if (finish && write_finish(w, &e) < 0)
        fail_msg("%s", e.text);
    write_close(&w);
}

static struct st_set *checkpoint(const char *folder)
{
    struct err e = {0};
    struct st_set *s = st_open_folder(folder, &e);

    if (!s)
        fail_msg("%s", e.text);
    return s;
}

static void same(const struct st_set *source, const struct st_set *made, const char *name,
                 int differs)
{
    struct err e = {0};
    struct tensor a, b;

    assert_int_equal(st_load(source, st_find(source, name), &a, &e), 0);
    assert_int_equal(st_load(made, st_find(made, name), &b, &e), 0);
    assert_int_equal(a.bytes, b.bytes);
    assert_int_equal(memcmp(a.data, b.data, a.bytes) != 0, differs);
    if (differs)
        for (size_t i = 0; i < b.bytes; i++)
            assert_int_equal(((unsigned char *)b.data)[i], 0x3f);
    tensor_release(&a);
    tensor_release(&b);
}

/* The second half by another writer, from the parts of the first. */
static void stand_in_the_checkpoint(void **state)
{
    struct st_set *source = checkpoint(model), *made;

    (void)state;
    run(0, 3, 0, 0x3f);
    run(3, TINY_SITES, 1, 0);
    made = checkpoint(at("@gptq"));
    same(source, made, NORM, 1);
    same(source, made, "model.layers.1.input_layernorm.weight", 0);
    same(source, made, "model.layers.0.post_attention_layernorm.weight", 0);
    same(source, made, "model.norm.weight", 0);
    st_close(&made);
    st_close(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(refuses, remove_out),
        cmocka_unit_test_teardown(stand_in_the_checkpoint, remove_out),
    };

    return cmocka_run_group_tests(tests, make_root, remove_root);
}
