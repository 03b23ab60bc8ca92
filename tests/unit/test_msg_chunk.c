/* SPDX-License-Identifier: Apache-2.0 */
/* Views of chunk, acts and weights: a good message, then each field and tensor made wrong in
 * turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/wire/frame.h"
#include "../../common/wire/modality.h"
#include "../../common/wire/msg_chunk.h"

static const int32_t ids[6] = {5, 0, 99, 3, 4, 7}, lengths[2] = {4, 2};
static const float weights[6] = {1, 0, 0.5f, 1, 2, 1};
static const uint8_t modality[6] = {0, 1, 1, 0, 0, 0}, role[6] = {1, 1, 2, 2, 0, 0};

static struct json *prov(void)
{
    struct json *a = json_new_array(), *r = json_new_object();

    json_set_text(r, "stage", "sample");
    json_push(a, r);
    return a;
}

/* attn.o of block 2, mlp.down of block 0 */
static struct json *sites(void)
{
    struct json *list = json_new_array();

    for (int i = 0; i < 2; i++) {
        struct json *x = json_new_object();

        json_set_int(x, "block", i ? 0 : 2);
        json_set_text(x, "site", i ? "mlp.down" : "attn.o");
        json_push(list, x);
    }
    return list;
}

static const float of_sites[12] = {1, 2, 3, 4, 5, 6, 0, 0, 0.5f, 1, 2, 1};

static struct msg *chunk(void)
{
    struct json *p = prov(), *list = sites();
    struct chunk_view v = {.chunk = 11,
                           .chunks = 20,
                           .lane = 4,
                           .lanes = 8,
                           .vocab = 100,
                           .T = 6,
                           .nseq = 2,
                           .ids = ids,
                           .lengths = lengths,
                           .weights = weights,
                           .modality = modality,
                           .role = role,
                           .blocks = 3,
                           .block_weights = weights,
                           .nsites = 2,
                           .site_weights = of_sites,
                           .sites = list,
                           .prov = p};
    struct err e = {0};
    struct msg *m = chunk_write(&v, "sample", &e);

    json_destroy(&p);
    json_destroy(&list);
    assert_non_null(m);
    return m;
}

static struct msg *acts(void)
{
    struct acts_view v = {.block = 3,
                          .order = 12,
                          .sites = 120,
                          .site = "attn.qkv",
                          .chunk = 11,
                          .chunks = 20,
                          .lane = 4,
                          .lanes = 8,
                          .lane_first = 10,
                          .lane_count = 2,
                          .T = 6,
                          .K = 3,
                          .nseq = 2,
                          .w = weights,
                          .modality = modality,
                          .lengths = lengths};
    struct err e = {0};
    void *x;
    struct msg *m = acts_write(&v, DT_BF16, &x, NULL, "forward", &e);

    assert_non_null(m);
    memset(x, 0, 36);
    return m;
}

static struct msg *site_weights(void)
{
    struct json *list = json_new_array(), *l = json_new_object();
    struct weights_view v = {
        .block = 3, .order = 12, .sites = 120, .site = "attn.qkv", .K = 4, .linears = list};
    uint64_t shape[2] = {5, 4};
    struct err e = {0};

    json_set_text(l, "name", "q_proj");
    json_set_int(l, "rows", 5);
    json_push(list, l);
    struct msg *m = weights_create(&v, "forward", &e);
    assert_non_null(m);
    memset(msg_add_new(m, "q_proj", DT_BF16, 2, shape, &e), 0, 40);
    json_destroy(&list);
    return m;
}

static int read_any(const struct msg *m, struct err *e)
{
    struct chunk_view c;
    struct acts_view a;
    struct weights_view w;

    memset(e, 0, sizeof *e);
    if (m->kind == MSG_CHUNK)
        return chunk_read(m, &c, e);
    return m->kind == MSG_ACTS ? acts_read(m, &a, e) : weights_read(m, &w, e);
}

/* With field = value (NULL: gone) the message is refused; the error names message and field. */
static void field_refused(struct msg *(*make)(void), const char *field, struct json *value)
{
    struct msg *m = make();
    struct err e;

    assert_int_equal(value ? json_set(m->meta, field, value) : json_del(m->meta, field), 0);
    if (read_any(m, &e) == 0 || e.kind != ERR_USE || !strstr(e.text, m->id) ||
        !strstr(e.text, field))
        fail_msg("%s of %s: '%s'", field, m->id, e.text);
    msg_destroy(&m);
}

static void test_chunk_fields(void **state)
{
    (void)state;
    field_refused(chunk, "chunk", json_new_int(20));
    field_refused(chunk, "chunk", json_new_int(-1));
    field_refused(chunk, "chunk", NULL);
    field_refused(chunk, "chunks", json_new_int(0));
    field_refused(chunk, "lane", json_new_int(5));
    field_refused(chunk, "lanes", json_new_int(21));
    field_refused(chunk, "vocab", json_new_int(0));
    field_refused(chunk, "vocab", json_new_text("100"));
    field_refused(chunk, "prov", json_new_int(1));
    struct json *a = json_new_array();
    json_push(a, json_new_object());
    field_refused(chunk, "prov", a);
    field_refused(chunk, "site_weights", NULL);
    field_refused(chunk, "site_weights", json_new_text("attn.o"));
    field_refused(chunk, "site_weights", json_new_array());
    for (int i = 0; i < 4; i++) { /* an entry too many, none, without a block, twice the same */
        struct json *list = sites(), *x = (struct json *)(uintptr_t)json_at(list, 1);

        if (i == 0)
            json_push(list, json_clone(x));
        else if (i < 3)
            json_del(x, i == 1 ? "site" : "block");
        else {
            json_set_text(x, "site", "attn.o");
            json_set_int(x, "block", 2);
        }
        field_refused(chunk, "site_weights", list);
    }
}

static struct json *ratio_list(double text, double image)
{
    struct json *list = sites();
    const double ratio[MODALITIES] = {text, image};

    for (size_t i = 0; i < json_count(list); i++)
        modality_ratios_put((struct json *)(uintptr_t)json_at(list, i), ratio);
    return list;
}

/* The ratios of a site come with the chunk and go on with its weights. */
static void test_ratios(void **state)
{
    struct json *list = ratio_list(1, 0.25), *linears = json_new_array();
    const struct json *first = json_at(list, 0);
    struct msg *m = chunk(), *w;
    struct weights_view weights_of = {.sites = 1, .site = "attn.o", .K = 4, .linears = linears};
    struct chunk_view v;
    double ratio[MODALITIES];
    int64_t block;
    struct err e = {0};

    (void)state;
    field_refused(chunk, "site_ratios", json_new_array());
    field_refused(chunk, "site_ratios", json_new_text("attn.o"));
    field_refused(chunk, "site_ratios", sites());
    field_refused(chunk, "site_ratios", ratio_list(1, -1));
    field_refused(chunk, "site_ratios", ratio_list(0, 0));
    json_as_int(json_get(first, "block"), &block);
    json_set(m->meta, "site_ratios", json_clone(list));
    assert_int_equal(chunk_read(m, &v, &e), 0);
    assert_null(chunk_ratios(&v, (uint64_t)block, "none.such"));
    weights_of.ratios = chunk_ratios(&v, (uint64_t)block, json_as_text(json_get(first, "site")));
    assert_non_null(weights_of.ratios);
    w = weights_create(&weights_of, "test", &e);
    assert_int_equal(modality_ratios_read(json_get(w->meta, "ratios"), ratio), 0);
    assert_true(ratio[0] == 1 && ratio[1] == 0.25);
    assert_null(json_get(json_get(w->meta, "ratios"), "site"));
    msg_destroy(&w);
    msg_destroy(&m);
    json_destroy(&list);
    json_destroy(&linears);
}

static void test_acts_fields(void **state)
{
    (void)state;
    field_refused(acts, "block", json_new_int(-1));
    field_refused(acts, "order", json_new_int(120));
    field_refused(acts, "sites", NULL);
    field_refused(acts, "site", json_new_text(""));
    field_refused(acts, "site", json_new_int(3));
    field_refused(acts, "lane", json_new_int(3));
    field_refused(acts, "lane_first", json_new_int(9));
    field_refused(acts, "lane_count", json_new_int(3));
}

static void test_weights_fields(void **state)
{
    struct json *twice = json_new_array();

    (void)state;
    field_refused(site_weights, "K", json_new_int(0));
    field_refused(site_weights, "linears", json_new_array());
    field_refused(site_weights, "linears", json_new_text("q_proj"));
    for (int i = 0; i < 2; i++) {
        struct json *l = json_new_object();

        json_set_text(l, "name", "q_proj");
        json_set_int(l, "rows", 5);
        json_push(twice, l);
    }
    field_refused(site_weights, "linears", twice);
}

/* The tensor is replaced by one of another type or shape. */
static void tensor_refused(struct msg *(*make)(void), const char *name, enum dtype t, int ndim,
                           uint64_t a, uint64_t b)
{
    struct msg *m = make();
    uint64_t shape[2] = {a, b};
    struct err e;

    for (size_t i = 0; i < m->ntensors; i++)
        if (!strcmp(m->tensors[i].name, name)) {
            tensor_release(&m->tensors[i]);
            assert_int_equal(tensor_alloc(&m->tensors[i], name, t, ndim, shape, &e), 0);
            memset(m->tensors[i].data, 1, m->tensors[i].bytes);
        }
    if (read_any(m, &e) == 0 || !strstr(e.text, name) || !strstr(e.text, m->id))
        fail_msg("%s of %s: '%s'", name, m->id, e.text);
    msg_destroy(&m);
}

static void test_tensors(void **state)
{
    (void)state;
    tensor_refused(chunk, "ids", DT_I64, 1, 6, 0);
    tensor_refused(chunk, "ids", DT_I32, 2, 6, 1);
    tensor_refused(chunk, "ids", DT_I32, 1, 0, 0);
    tensor_refused(chunk, "ids", DT_I32, 1, 6, 0); /* 0x01010101 is beyond the vocabulary */
    tensor_refused(chunk, "lengths", DT_I32, 1, 0, 0);
    tensor_refused(chunk, "lengths", DT_I32, 1, 2, 0);
    tensor_refused(chunk, "weights", DT_F32, 1, 5, 0);
    tensor_refused(chunk, "weights", DT_F16, 1, 6, 0);
    tensor_refused(chunk, "modality", DT_U8, 1, 7, 0);
    tensor_refused(chunk, "role", DT_U8, 1, 5, 0);
    tensor_refused(chunk, "role", DT_I8, 1, 6, 0);
    tensor_refused(chunk, "block_weights", DT_F32, 2, 3, 3); /* two sequences */
    tensor_refused(chunk, "block_weights", DT_F32, 2, 0, 2);
    tensor_refused(chunk, "block_weights", DT_F32, 1, 6, 0);
    tensor_refused(chunk, "block_weights", DT_F16, 2, 3, 2);
    tensor_refused(chunk, "site_weights", DT_F32, 2, 2, 5);
    tensor_refused(chunk, "site_weights", DT_F32, 2, 1, 6); /* two entries */
    tensor_refused(chunk, "site_weights", DT_F32, 1, 12, 0);
    tensor_refused(chunk, "site_weights", DT_BF16, 2, 2, 6);
    tensor_refused(acts, "x", DT_F16, 2, 6, 3);
    tensor_refused(acts, "x", DT_F32, 1, 18, 0);
    tensor_refused(acts, "x", DT_F32, 2, 6, 0);
    tensor_refused(acts, "w", DT_F32, 1, 7, 0);
    tensor_refused(acts, "modality", DT_U8, 1, 5, 0);
    tensor_refused(acts, "modality", DT_I8, 1, 6, 0);
    tensor_refused(site_weights, "q_proj", DT_BF16, 2, 4, 5);
    tensor_refused(site_weights, "q_proj", DT_U8, 2, 5, 4);
}

static void test_values(void **state)
{
    struct msg *m = chunk();
    struct err e;

    (void)state;
    ((int32_t *)m->tensors[0].data)[2] = -1;
    assert_int_equal(read_any(m, &e), -1);
    ((int32_t *)m->tensors[0].data)[2] = 100;
    assert_int_equal(read_any(m, &e), -1);
    assert_non_null(strstr(e.text, "token 2 is 100"));
    msg_destroy(&m);
    m = chunk();
    ((int32_t *)m->tensors[1].data)[0] = 0;
    assert_int_equal(read_any(m, &e), -1);
    msg_destroy(&m);
    m = chunk();
    ((float *)m->tensors[2].data)[5] = -1;
    assert_int_equal(read_any(m, &e), -1);
    ((uint32_t *)m->tensors[2].data)[5] = 0x7fc00000;
    assert_int_equal(read_any(m, &e), -1);
    msg_destroy(&m);
    m = chunk();
    ((uint8_t *)m->tensors[3].data)[5] = 2;
    assert_int_equal(read_any(m, &e), -1);
    msg_destroy(&m);
    m = chunk();
    ((uint8_t *)msg_tensor(m, "role")->data)[3] = 3;
    assert_int_equal(read_any(m, &e), -1);
    assert_non_null(strstr(e.text, "'role': token 3 is 3"));
    msg_destroy(&m);
    m = chunk();
    ((float *)msg_tensor(m, "site_weights")->data)[7] = -1;
    assert_int_equal(read_any(m, &e), -1);
    assert_non_null(strstr(e.text, "'site_weights': weight 7"));
    msg_destroy(&m);
    m = acts();
    assert_int_equal(read_any(m, &e), 0);
    ((uint8_t *)msg_tensor(m, "modality")->data)[4] = 2;
    assert_int_equal(read_any(m, &e), -1);
    assert_non_null(strstr(e.text, "token 4 is 2"));
    msg_destroy(&m);
    m = acts(); /* two messages of one chunk: the second would count as a repeat */
    msg_set_id(m, &e, "b3.attn.qkv@image/c11");
    assert_int_equal(read_any(m, &e), -1);
    assert_non_null(strstr(e.text, "must be 'b3.attn.qkv/c11'"));
    msg_destroy(&m);
    m = site_weights();
    m->kind = MSG_ACTS;
    assert_int_equal(read_any(m, &e), -1);
    m->kind = MSG_CHUNK;
    assert_int_equal(read_any(m, &e), -1);
    msg_destroy(&m);
}

/* Through bytes and back. */
static struct msg *travel(struct msg *m)
{
    struct part *parts;
    size_t n;
    struct err e = {0};

    assert_int_equal(frame_encode(m, FRAME_ZSTD, &parts, &n, &e), 0);
    for (size_t i = 0; i < n; i++)
        if (!parts[i].release) { /* as if it had come from elsewhere */
            void *copy = malloc(parts[i].bytes + 1);

            memcpy(copy, parts[i].data, parts[i].bytes);
            parts[i] = (struct part){copy, parts[i].bytes, free, copy};
        }
    msg_destroy(&m);
    m = frame_decode(parts, n, NULL, &e);
    free(parts);
    assert_non_null(m);
    return m;
}

static void test_round_trip(void **state)
{
    struct chunk_view c;
    struct acts_view a;
    struct weights_view w;
    struct err e = {0};
    struct msg *m = travel(chunk());

    (void)state;
    assert_int_equal(chunk_read(m, &c, &e), 0);
    assert_string_equal(m->id, "c11");
    assert_true(c.chunk == 11 && c.chunks == 20 && c.lane == 4 && c.lanes == 8 && c.vocab == 100 &&
                c.T == 6 && c.nseq == 2);
    assert_memory_equal(c.ids, ids, sizeof ids);
    assert_memory_equal(c.lengths, lengths, sizeof lengths);
    assert_memory_equal(c.weights, weights, sizeof weights);
    assert_memory_equal(c.modality, modality, sizeof modality);
    assert_memory_equal(c.role, role, sizeof role);
    assert_int_equal(c.blocks, 3);
    assert_memory_equal(c.block_weights, weights, sizeof weights);
    assert_int_equal(c.nsites, 2);
    assert_memory_equal(chunk_site_weights(&c, 2, "attn.o", 0), of_sites, 6 * sizeof *of_sites);
    assert_memory_equal(chunk_site_weights(&c, 0, "mlp.down", 0), of_sites + 6,
                        6 * sizeof *of_sites);
    for (size_t guess = 1; guess < 4; guess++)
        assert_ptr_equal(chunk_site_weights(&c, 2, "attn.o", guess),
                         chunk_site_weights(&c, 2, "attn.o", 0));
    assert_null(chunk_site_weights(&c, 1, "attn.o", 0));
    assert_null(chunk_site_weights(&c, 2, "mlp.down", 0));
    assert_string_equal(json_as_text(json_get(json_at(c.prov, 0), "stage")), "sample");
    msg_destroy(&m);
    m = travel(acts());
    assert_int_equal(acts_read(m, &a, &e), 0);
    assert_string_equal(m->id, "b3.attn.qkv/c11");
    assert_true(a.block == 3 && a.order == 12 && a.sites == 120 && a.lane_first == 10 &&
                a.lane_count == 2 && a.K == 3);
    assert_string_equal(a.site, "attn.qkv");
    assert_memory_equal(a.modality, modality, sizeof modality);
    assert_int_equal(a.x->dtype, DT_BF16);
    assert_memory_equal(a.w, weights, sizeof weights);
    msg_destroy(&m);
    m = travel(site_weights());
    assert_int_equal(weights_read(m, &w, &e), 0);
    assert_string_equal(m->id, "b3.attn.qkv/w");
    assert_int_equal(json_count(w.linears), 1);
    msg_destroy(&m);
}

/* As many as models with many experts have: each is found, a second one of a name too. */
static void test_many_sites(void **state)
{
    enum { SITES = 20000 };
    float *w = calloc(SITES, sizeof *w);
    const int32_t id = 7, one = 1;
    struct json *list = json_new_array();
    struct chunk_view c = {.chunks = 1,
                           .lanes = 1,
                           .vocab = 100,
                           .T = 1,
                           .nseq = 1,
                           .ids = &id,
                           .lengths = &one,
                           .nsites = SITES,
                           .site_weights = w,
                           .sites = list};
    struct err e = {0};
    struct chunk_view v;
    struct msg *m;

    (void)state;
    for (size_t i = 0; i < SITES; i++) {
        struct json *x = json_new_object();
        char name[32];

        w[i] = (float)i;
        snprintf(name, sizeof name, "expert.%zu.up", i % 256);
        json_set_text(x, "site", name);
        json_set_int(x, "block", (int64_t)(i / 256));
        json_push(list, x);
    }
    m = chunk_write(&c, "sample", &e);
    assert_non_null(m);
    assert_int_equal(chunk_read(m, &v, &e), 0);
    for (size_t i = 0; i < SITES; i++) {
        const struct json *x = json_at(list, i);
        const float *at = chunk_site_weights(&v, i / 256, json_as_text(json_get(x, "site")), i);

        assert_true(at && *at == (float)i);
    }
    json_set_text((struct json *)(uintptr_t)json_at(list, SITES - 1), "site", "expert.3.up");
    msg_destroy(&m);
    m = chunk_write(&c, "sample", &e);
    assert_int_equal(chunk_read(m, &v, &e), -1);
    assert_non_null(strstr(e.text, "expert.3.up of block 78 twice"));
    msg_destroy(&m);
    json_destroy(&list);
    free(w);
}

static void test_hand_on(void **state)
{
    const uint64_t shape[2] = {2, 3};
    struct err e = {0};
    struct msg *m = chunk(), *copy, *a = acts();

    (void)state;
    memcpy(msg_add_new(m, "depth", DT_F32, 2, shape, &e), weights, 24);
    json_set_text(m->meta, "origin", "a film");
    json_set_int(m->meta, "block", 77); /* acts say this themselves */
    copy = msg_copy(m, &e);
    assert_non_null(copy);
    assert_string_equal(copy->id, m->id);
    assert_int_equal(json_count(copy->meta), json_count(m->meta));
    assert_int_equal(msg_checksum(copy), msg_checksum(m));
    assert_ptr_not_equal(msg_tensor(copy, "depth")->data, msg_tensor(m, "depth")->data);
    assert_int_equal(msg_hand_on(a, m, chunk_known, 1, &e), 0);
    assert_memory_equal(msg_tensor(a, "depth")->data, weights, 24);
    assert_true(tensor_has_shape(msg_tensor(a, "depth"), 2, shape));
    assert_string_equal(json_as_text(json_get(a->meta, "origin")), "a film");
    assert_null(msg_tensor(a, "site_weights"));
    assert_null(msg_tensor(a, "role"));
    assert_null(json_get(a->meta, "vocab"));
    assert_int_equal(read_any(a, &e), 0);
    assert_int_equal(msg_hand_on(a, m, chunk_known, 1, &e), -1); /* it is there now */
    assert_non_null(strstr(e.text, "'depth' is there twice"));
    msg_destroy(&a);
    msg_destroy(&copy);
    msg_destroy(&m);
    m = site_weights();
    memcpy(msg_add_new(m, "depth", DT_F32, 2, shape, &e), weights, 24);
    assert_int_equal(read_any(m, &e), 0);
    msg_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunk_fields), cmocka_unit_test(test_ratios),
        cmocka_unit_test(test_acts_fields),  cmocka_unit_test(test_weights_fields),
        cmocka_unit_test(test_tensors),      cmocka_unit_test(test_values),
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_many_sites),
        cmocka_unit_test(test_hand_on),
    };

    return cmocka_run_group_tests_name("msg_chunk", tests, NULL, NULL);
}
