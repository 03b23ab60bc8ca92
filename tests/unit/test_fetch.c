/* SPDX-License-Identifier: Apache-2.0 */
/* A head that lends its model and a worker that gets it, over loopback; then each of them played by
 * hand and hostile: a worker that asks for what is not there, a head that says what is not so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../common/base/clock.h"
#include "../../common/base/fs.h"
#include "../../common/base/log.h"
#include "../../common/base/mem.h"
#include "../../common/wire/talk.h"
#include "../../pipelines/fetch.h"
#include "../../pipelines/lend.h"
#include "../../pipelines/lent.h"

#define HANG_S 30.0
#define WEIGHTS ((size_t)3 * LEND_PIECE + 4) /* so that pieces and a rest of one travel */

static char dir[] = "/tmp/ptq-fetch-XXXXXX", model[64], cache[64];

static int setup(void **state)
{
    static const char head[] =
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[%zu],\"data_offsets\":[0,%zu]}}";
    char path[100], text[128] = {0}, *file;
    struct err e = {0};
    uint64_t n;
    int rc;

    (void)state;
    log_init("test", LOG_QUIET);
    if (!mkdtemp(dir))
        return -1;
    snprintf(model, sizeof model, "%s/model", dir);
    snprintf(cache, sizeof cache, "%s/cache", dir);
    snprintf(path, sizeof path, "%s/config.json", model);
    n = (uint64_t)snprintf(text, sizeof text, head, WEIGHTS / 4, WEIGHTS);
    if (fs_mkdir(model, &e) || fs_publish(path, "{}", 2, &e) ||
        !(file = mem_array(8 + n + WEIGHTS, 1, &e)))
        return -1;
    memcpy(file, &n, 8);
    memcpy(file + 8, text, n);
    for (size_t i = 0; i < WEIGHTS; i++)
        file[8 + n + i] = (char)(i * 2654435761u >> 24);
    snprintf(path, sizeof path, "%s/model.safetensors", model);
    rc = fs_publish(path, file, 8 + n + WEIGHTS, &e);
    free(file);
    return rc;
}

static int teardown(void **state)
{
    (void)state;
    return fs_remove_tree(dir, NULL);
}

static int clear_up(void **state)
{
    (void)state;
    return fs_exists(cache) ? fs_remove_tree(cache, NULL) : 0;
}

static struct fetch *get(const char *url, uint64_t most)
{
    struct err e = {0};
    struct fetch *f = fetch_open(
        &(struct fetch_opts){.url = url, .identity = "me", .dir = cache, .most = most}, &e);

    if (!f)
        fail_msg("%s", e.text);
    return f;
}

static enum fetch_state ends(struct fetch *f)
{
    const double until = clock_wall() + HANG_S;
    enum fetch_state s;
    uint64_t bytes, of;

    while ((s = fetch_look(f, &bytes, &of)) < FETCH_DONE && clock_wall() < until)
        poll(NULL, 0, 1);
    return s;
}

static void fails(struct fetch *f, enum err_kind kind, const char *why)
{
    assert_int_equal(ends(f), FETCH_FAILED);
    if (fetch_error(f)->kind != kind || !strstr(fetch_error(f)->text, why))
        fail_msg("'%s' does not say '%s'", fetch_error(f)->text, why);
    fetch_close(&f);
}

static void same_files(const char *copy)
{
    static const char *const names[] = {"config.json", "model.safetensors"};
    size_t n, m;

    for (size_t i = 0; i < 2; i++) {
        char *a = fs_join(model, names[i], NULL), *b = fs_join(copy, names[i], NULL);
        char *x = fs_read(a, WEIGHTS * 2, &n, NULL), *y = fs_read(b, WEIGHTS * 2, &m, NULL);

        assert_non_null(x);
        assert_non_null(y);
        assert_int_equal(n, m);
        assert_memory_equal(x, y, n);
        free(a);
        free(b);
        free(x);
        free(y);
    }
}

/* ---- both ends ---- */

static void test_lent(void **state)
{
    struct err e = {0};
    struct lend *l = lend_open(model, "tcp://127.0.0.1:*", NULL, &e);
    struct fetch *f, *g;
    uint64_t sent;

    (void)state;
    assert_non_null(l);
    f = get(lend_address(l), 1 << 30);
    if (ends(f) != FETCH_DONE)
        fail_msg("%s", fetch_error(f)->text);
    same_files(fetch_model(f));
    sent = lend_sent(l);
    assert_true(sent > WEIGHTS);
    g = get(lend_address(l), 1 << 30); /* the next has the copy */
    assert_int_equal(ends(g), FETCH_DONE);
    assert_string_equal(fetch_model(g), fetch_model(f));
    assert_int_equal(lend_sent(l), sent);
    assert_int_equal(fetch_came(g), 0);
    fetch_close(&g);
    fetch_close(&f);
    lend_close(&l);
}

static void test_too_large(void **state)
{
    struct lend *l = lend_open(model, "tcp://127.0.0.1:*", NULL, NULL);

    (void)state;
    fails(get(lend_address(l), WEIGHTS), ERR_USE, "raise --fetch");
    assert_false(fs_exists(cache));
    lend_close(&l);
}

static void test_no_model(void **state)
{
    struct lend *l = lend_open("/nonexistent", "tcp://127.0.0.1:*", NULL, NULL);

    (void)state;
    fails(get(lend_address(l), 1 << 30), ERR_USE, "/nonexistent");
    lend_close(&l);
}

/* ---- one end by hand ---- */

static struct msg *answer(struct zsock *z, struct zid *from)
{
    const double until = clock_wall() + HANG_S;
    struct err e = {0};
    struct msg *m = NULL;

    while (talk_recv_piece(z, from, LEND_PIECE, &m, &e) <= 0 && clock_wall() < until)
        zsock_wait(z, -1, 100);
    if (!m)
        fail_msg("nothing came");
    return m;
}

static void ask(struct zsock *z, const char *meta)
{
    struct msg *m = msg_create(MSG_FILE, "worker", NULL);
    struct err e = {0};

    json_destroy(&m->meta);
    m->meta = json_parse(meta, strlen(meta), "test", &e);
    assert_int_equal(talk_send(z, NULL, &m, &e), ZS_OK);
}

static void test_hostile_worker(void **state)
{
    static const char *const questions[] = {
        "{\"number\":-1,\"from\":0}", "{\"number\":2,\"from\":0}",
        "{\"number\":0,\"from\":2}",  "{\"number\":0,\"from\":-1}",
        "{\"number\":\"../x\"}",      "{\"number\":0,\"from\":9223372036854775807}",
        "{\"number\":1e300}"};
    struct lend *l = lend_open(model, "tcp://127.0.0.1:*", NULL, NULL);
    struct zsock *z = zsock_open(lend_address(l), 0, "bad", TALK_BYTES, NULL, NULL);
    struct zid from;
    struct msg *m;
    int listed = 0;

    (void)state;
    ask(z, questions[0]); /* before anybody has looked at the files */
    m = answer(z, &from);
    assert_int_equal(m->kind, MSG_FAIL);
    msg_destroy(&m);
    while (!listed) {
        ask(z, "{}");
        m = answer(z, &from);
        assert_int_equal(m->kind, MSG_FILE);
        listed = json_has(m->meta, "files");
        msg_destroy(&m);
    }
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        ask(z, questions[i]);
        m = answer(z, &from);
        assert_int_equal(m->kind, MSG_FAIL);
        assert_non_null(strstr(json_text_or(m->meta, "text", ""), "no such bytes"));
        msg_destroy(&m);
    }
    ask(z, "{\"number\":0,\"from\":1}"); /* and goes on */
    m = answer(z, &from);
    assert_int_equal(msg_tensor(m, "bytes")->shape[0], 1);
    msg_destroy(&m);
    zsock_close(&z, 0);
    lend_close(&l);
}

static struct zsock *head_open(void)
{
    return zsock_open("tcp://127.0.0.1:*", 1, "", TALK_STRANGE, NULL, NULL);
}

static void say(struct zsock *z, const struct zid *to, const char *meta, const char *bytes)
{
    struct msg *m = msg_create(MSG_FILE, "head", NULL);
    struct err e = {0};
    const uint64_t n = bytes ? strlen(bytes) : 0;

    json_destroy(&m->meta);
    m->meta = json_parse(meta, strlen(meta), "test", &e);
    if (bytes)
        memcpy(msg_add_new(m, "bytes", DT_U8, 1, &n, &e), bytes, n);
    assert_int_equal(talk_send(z, to, &m, &e), ZS_OK);
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define LIST "{\"files\":[{\"name\":\"config.json\",\"bytes\":2,\"digest\":\"" ZEROS "\"}]}"

/* A head that lists this, and then, if bytes is not NULL, answers each question with them. */
static void hostile(const char *list, const char *meta, const char *bytes, enum err_kind kind,
                    const char *why)
{
    struct zsock *z = head_open();
    struct fetch *f = get(zsock_address(z, 0), 1 << 30);
    const double until = clock_wall() + HANG_S;
    uint64_t n, of;
    struct zid from;
    struct msg *m;

    m = answer(z, &from);
    msg_destroy(&m);
    say(z, &from, list, NULL);
    while (bytes && fetch_look(f, &n, &of) < FETCH_DONE && clock_wall() < until) {
        struct err e = {0};

        zsock_wait(z, -1, 1);
        if (talk_recv(z, &from, TALK_STRANGE, &m, &e) <= 0)
            continue;
        if (json_has(m->meta, "number"))
            say(z, &from, meta, bytes);
        msg_destroy(&m);
    }
    fails(f, kind, why);
    zsock_close(&z, 0);
}

static void test_hostile_head(void **state)
{
    (void)state;
    hostile("{\"files\":[{\"name\":\"../../x\",\"bytes\":2,\"digest\":\"" ZEROS "\"}]}", NULL, NULL,
            ERR_USE, "a name is");
    hostile("{\"files\":7}", NULL, NULL, ERR_USE, "must be a list");
    hostile("{\"counted\":-1}", NULL, NULL, ERR_USE, "counted");
    hostile("{\"files\":[{\"name\":\"config.json\",\"bytes\":4611686018427387904,\"digest\":"
            "\"" ZEROS "\"}]}",
            NULL, NULL, ERR_USE, "raise --fetch");
    assert_false(fs_exists(cache));
    hostile(LIST, "{\"number\":0,\"from\":0}", "abc", ERR_USE, "more bytes than");
    hostile(LIST, "{\"number\":0,\"from\":0}", "{}", ERR_DATA, "came 2 times and is not what");
    hostile(LIST, "{\"number\":-1,\"from\":0}", "{}", ERR_USE, "number");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_too_large, clear_up),
        cmocka_unit_test_teardown(test_no_model, clear_up),
        cmocka_unit_test_teardown(test_lent, clear_up),
        cmocka_unit_test_teardown(test_hostile_worker, clear_up),
        cmocka_unit_test_teardown(test_hostile_head, clear_up),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
