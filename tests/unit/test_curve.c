/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: folders that are no such, then who is let in by tcp and who is not. */
#include "link_pair.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include "../../common/wire/curve.h"
#include "../../ops/tools/keys/keys.h"

static char keys[128], head[160], worker[160], other[160];

static int keys_make(void **state)
{
    struct err e = {0};

    setup(state);
    snprintf(keys, sizeof keys, "%s/keys-%.100s", folder, strrchr(path, '/') + 1);
    snprintf(head, sizeof head, "%s/head", keys);
    snprintf(worker, sizeof worker, "%s/worker", keys);
    snprintf(other, sizeof other, "%s/other", keys);
    if (keys_head(keys, &e) != 1 || keys_worker(keys, "worker", &e) != 0 ||
        keys_worker(keys, "other", &e) != 0)
        fail_msg("%s", e.text);
    return 0;
}

static void put(const char *dir, const char *name, const char *text)
{
    char *at = fs_join(dir, name, NULL);
    FILE *f = fopen(at, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    free(at);
}

static char *get(const char *dir, const char *name)
{
    char *at = fs_join(dir, name, NULL), *text = fs_read(at, 1 << 20, NULL, NULL);

    assert_non_null(text);
    free(at);
    return text;
}

static void refused(const char *dir, int bind, const char *text)
{
    struct err e = {0};
    struct curve *c = curve_open(dir, bind, &e);

    if (c)
        fail_msg("'%s' was taken", dir);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, text))
        fail_msg("'%s' does not say '%s'", e.text, text);
}

static void test_bad_keys(void **state)
{
    char *at = fs_join(head, CURVE_HEAD_KEY, NULL);
    struct err e = {0};

    (void)state;
    refused("/no/such/folder", 1, "/no/such/folder/head.key");
    refused(worker, 1, "worker/head.key");
    refused(head, 0, "head/worker.key");
    assert_int_equal(chmod(at, 0640), 0);
    refused(head, 1, "chmod 600");
    assert_int_equal(chmod(at, 0600), 0);
    put(head, CURVE_ALLOWED, "worker abc\n");
    refused(head, 1, "allowed': line 1: expected NAME KEY");
    put(head, CURVE_ALLOWED, "\nworker");
    refused(head, 1, "line 2");
    put(head, CURVE_ALLOWED, "../x 0123456789012345678901234567890123456789\n");
    refused(head, 1, "line 1");
    put(worker, CURVE_HEAD_PUB, "secret 0123456789012345678901234567890123456789\n");
    refused(worker, 0, "head.pub': expected a line 'public'");
    put(head, CURVE_HEAD_KEY, "public x\n");
    refused(head, 1, "head.key': expected a line 'public'");
    assert_int_equal(keys_worker(keys, "third", &e), -1);
    free(at);
    assert_false(curve_name_fits(""));
    assert_false(curve_name_fits("../x"));
    assert_false(curve_name_fits(".x"));
    assert_false(curve_name_fits("a b"));
    assert_true(curve_name_fits("node-07.rack_2"));
}

static void test_folders(void **state)
{
    char *before = get(head, CURVE_HEAD_KEY), *after, *list;
    struct err e = {0};
    struct stat st;

    (void)state;
    assert_int_equal(keys_head(keys, &e), 0);
    after = get(head, CURVE_HEAD_KEY);
    assert_string_equal(before, after);
    assert_int_equal(keys_worker(keys, "worker", &e), -1);
    assert_non_null(strstr(e.text, "take another name"));
    list = get(head, CURVE_ALLOWED);
    assert_int_equal(strncmp(list, "worker ", 7), 0);
    assert_non_null(strstr(list, "\nother "));
    assert_int_equal(stat(head, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    free(list);
    free(after);
    free(before);
}

static int kept = -1; /* standard error, while it goes to a file */

static int log_keep(void)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    kept = dup(2);
    dup2(fd, 2);
    return fd;
}

static void log_end(int *log)
{
    dup2(kept, 2);
    close(kept);
    close(*log);
    kept = *log = -1;
}

static void log_says(int fd, const char *text)
{
    char log[4000] = "";
    double until = clock_wall() + 10;

    while (clock_wall() < until) {
        assert_true(pread(fd, log, sizeof log - 1, 0) >= 0);
        if (strstr(log, text))
            return;
        poll(NULL, 0, 5);
    }
    log_end(&fd);
    fail_msg("'%s' does not say '%s'", log, text);
}

static void raw_say(const char *address, const char *text)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    shutdown(fd, SHUT_WR);
    while (read(fd, &a, sizeof a) > 0)
        ;
    close(fd);
}

/* A sender with these keys is refused, and learns why, or that handshakes break off. */
static void sender_refused(const char *address, const char *with, const char *text)
{
    struct link *l = open_ok(address, LINK_OUT, OUT(.keys = with));
    const off_t from = lseek(2, 0, SEEK_END);
    double until = clock_wall() + 20;
    char log[8000];
    struct err e = {0};
    int r;

    while ((r = link_check(l, &e)) == 0 && clock_wall() < until) {
        ssize_t n = pread(2, log, sizeof log - 1, from);

        log[n > 0 ? n : 0] = '\0';
        if (strstr(log, "the handshake: was it started") || strstr(log, "each handshake: it may"))
            break;
        poll(NULL, 0, 5);
    }
    if (r < 0 ? e.kind != ERR_USE || !strstr(e.text, text) : clock_wall() >= until) {
        r = dup(2);
        log_end(&r);
        fail_msg("'%s' and '%s' do not say '%s'", e.text, log, text);
    }
    link_close(&l);
}

static void test_door(void **state)
{
    struct link *in, *out;
    char *list, *line;
    int log;

    (void)state;
    list = get(head, CURVE_ALLOWED); /* without `other` */
    line = strstr(list, "other ");
    *line = '\0';
    put(head, CURVE_ALLOWED, list);
    free(list);
    log = log_keep();
    in = open_ok("@tcp://0.0.0.0:*", LINK_IN, IN(.keys = head));
    snprintf(url, sizeof url, "tcp://127.0.0.1:%s", strrchr(link_address(in), ':') + 1);
    out = open_ok(url, LINK_OUT, OUT(.keys = worker));
    send_ok(out, 1, 100000);
    raw_say(url, "GET / HTTP/1.0\r\n\r\n");
    log_says(log, ": it said nothing that can be understood");
    sender_refused(url, NULL, "takes only those with a key");
    log_says(log, " without a key");
    sender_refused(url, other, "not among those allowed there");
    log_says(log, "head/allowed'");
    log_end(&log);
    recv_ok(in, 1); /* and goes on as if nobody had come */
    send_ok(out, 2, 10);
    recv_ok(in, 2);
    link_close(&out);
    link_close(&in);
}

/* One that knows another head than it reaches learns that, and is told apart. */
static void test_other_head(void **state)
{
    int log = log_keep();
    struct link *in = open_ok("@tcp://127.0.0.1:*", LINK_IN, IN(.keys = head)), *out;
    char *pub = get(worker, CURVE_HEAD_PUB);

    (void)state;
    keys_make(state);
    out = open_ok(link_address(in), LINK_OUT, OUT(.keys = worker));
    log_says(log, "it broke off the handshake");
    log_says(log, "its head.pub is another's");
    link_close(&out);
    put(worker, CURVE_HEAD_PUB, pub);
    free(pub);
    sender_refused(link_address(in), worker, "not among those allowed there");
    link_close(&in);
    in = open_ok("@tcp://127.0.0.1:*", LINK_IN, IN());
    sender_refused(link_address(in), worker, "started without --keys");
    link_close(&in);
    log_end(&log);
}

/* Two places of one end: no keys where only its owner comes, keys by tcp. */
static void test_two_places(void **state)
{
    char both[300], tcp[64] = "";
    struct link *in, *a, *b;
    struct err e = {0};
    int log = log_keep();

    (void)state;
    snprintf(both, sizeof both, "%s,tcp://127.0.0.1:*", url);
    assert_null(link_open(both, LINK_OUT, OUT(), &e));
    assert_non_null(strstr(e.text, "one URL to connect to"));
    snprintf(both, sizeof both, "%s,tcp://127.0.0.1:*,tcp://127.0.0.1:*", bound);
    assert_null(link_open(both, LINK_IN, IN(), &e));
    snprintf(both, sizeof both, "%s,tcp://0.0.0.0:*", bound);
    assert_null(link_open(both, LINK_IN, IN(), &e));
    assert_non_null(strstr(e.text, "--keys"));
    in = open_ok(both, LINK_IN, IN(.peers = 2, .keys = head));
    assert_string_equal(link_address(in), url);
    snprintf(tcp, sizeof tcp, "tcp://127.0.0.1:%s",
             strrchr(zsock_address(((struct sock *)in)->z, 1), ':') + 1);
    a = open_ok(url, LINK_OUT, OUT());
    send_ok(a, 1, 5000);
    recv_ok(in, 1);
    b = open_ok(tcp, LINK_OUT, OUT(.keys = worker));
    send_ok(b, 2, 5000);
    recv_ok(in, 2);
    sender_refused(tcp, NULL, "takes only those with a key");
    log_says(log, " without a key");
    link_close(&a);
    link_close(&b);
    link_close(&in);
    log_end(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_bad_keys, keys_make),
        cmocka_unit_test_setup(test_folders, keys_make),
        cmocka_unit_test_setup(test_door, keys_make),
        cmocka_unit_test_setup(test_other_head, keys_make),
        cmocka_unit_test_setup(test_two_places, keys_make),
    };

    return link_tests_run("curve", tests, sizeof tests / sizeof *tests);
}
