/* SPDX-License-Identifier: Apache-2.0 */
/* curve - see curve.h. */
#include "curve.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>
#include "../base/fs.h"
#include "../base/mem.h"

#define KEY_BYTES 32
#define FILE_MAX_BYTES ((size_t)1 << 20)
#define KEYED "keys" /* domains: where keys are asked for, and where none are */
#define PLAIN "none"
#define DOOR "inproc://zeromq.zap.01"
/* of a request: version, id, domain, address, identity, mechanism, key where there is one */
#define FRAMES 7

struct guest {
    char name[CURVE_NAME];
    uint8_t key[KEY_BYTES];
};

struct curve {
    int bind;
    char *dir;
    struct curve_pair pair;
    char other[CURVE_TEXT]; /* of an end that connects: the key of the one that binds */
    struct guest *guest;
    size_t guests, room;
    void *door;
};

int curve_pair_make(struct curve_pair *p, struct err *e)
{
    if (zmq_curve_keypair(p->open, p->secret) == 0)
        return 0;
    return err_set(e, ERR_SYS, "no keys: %s%s", zmq_strerror(zmq_errno()),
                   zmq_has("curve") ? "" : " (this ZeroMQ was built without CURVE)");
}

static int key_fits(const char *text)
{
    uint8_t key[KEY_BYTES];

    return strlen(text) == CURVE_TEXT - 1 && zmq_z85_decode(key, text) != NULL;
}

int curve_name_fits(const char *name)
{
    const size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  ".-_");

    return n && n < CURVE_NAME && !name[n] && name[0] != '.';
}

/* The line "WORD KEY" at *at into key; *at goes behind it. */
static int line_take(char **at, const char *word, char key[CURVE_TEXT], const char *path,
                     struct err *e)
{
    char *end = strchr(*at, '\n'), *line = *at;
    const size_t n = strlen(word);

    *at = end ? end + 1 : line + strlen(line);
    if (end)
        *end = '\0';
    if (strncmp(line, word, n) != 0 || line[n] != ' ' || !key_fits(line + n + 1))
        return err_set(e, ERR_USE,
                       "'%s': expected a line '%s' and a key: ptq keys makes such files", path,
                       word);
    memcpy(key, line + n + 1, CURVE_TEXT);
    return 0;
}

static int check_private(const char *path, struct err *e)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return err_sys(e, "cannot look at '%s'", path);
    return st.st_mode & 077
               ? err_set(e, ERR_USE, "'%s' can be read by others than its owner: chmod 600 it",
                         path)
               : 0;
}

int curve_pair_read(const char *path, struct curve_pair *p, struct err *e)
{
    char *text = fs_read(path, FILE_MAX_BYTES, NULL, e), *at = text;
    int rc = text && check_private(path, e) == 0 && line_take(&at, "public", p->open, path, e) == 0
                 ? line_take(&at, "secret", p->secret, path, e)
                 : -1;

    free(text);
    return rc;
}

static int read_head(struct curve *c, const char *path, struct err *e)
{
    char *text = fs_read(path, FILE_MAX_BYTES, NULL, e), *at = text;
    int rc = text ? line_take(&at, "public", c->other, path, e) : -1;

    free(text);
    return rc;
}

static int guest_add(struct curve *c, const char *line, const char *path, size_t number,
                     struct err *e)
{
    const char *key = strchr(line, ' ');
    struct guest *g;

    if (mem_grow((void **)&c->guest, &c->room, c->guests + 1, sizeof *c->guest, e) < 0)
        return -1;
    g = &c->guest[c->guests];
    snprintf(g->name, sizeof g->name, "%.*s", key ? (int)(key - line) : 0, line);
    if (!curve_name_fits(g->name) || !key_fits(key + 1) || !zmq_z85_decode(g->key, key + 1))
        return err_set(e, ERR_USE, "'%s': line %zu: expected NAME KEY", path, number);
    c->guests++;
    return 0;
}

static int read_allowed(struct curve *c, const char *path, struct err *e)
{
    char *text = fs_read(path, FILE_MAX_BYTES, NULL, e), *at = text, *end;
    size_t number = 0;
    int rc = text ? 0 : -1;

    for (; rc == 0 && *at; at = end) {
        end = strchr(at, '\n');
        end = end ? (*end = '\0', end + 1) : at + strlen(at);
        number++;
        if (*at)
            rc = guest_add(c, at, path, number, e);
    }
    free(text);
    return rc;
}

struct curve *curve_open(const char *dir, int bind, struct err *e)
{
    struct curve *c = mem_array(1, sizeof *c, e);
    char *own = fs_join(dir, bind ? CURVE_HEAD_KEY : CURVE_WORKER_KEY, e),
         *others = fs_join(dir, bind ? CURVE_ALLOWED : CURVE_HEAD_PUB, e);

    if (c && own && others && (c->dir = mem_text(dir, e)) &&
        curve_pair_read(own, &c->pair, e) == 0 &&
        (bind ? read_allowed(c, others, e) : read_head(c, others, e)) == 0)
        c->bind = bind;
    else
        curve_close(&c);
    free(own);
    free(others);
    return c;
}

void curve_close(struct curve **cp)
{
    struct curve *c = *cp;

    *cp = NULL;
    if (!c)
        return;
    if (c->door)
        zmq_close(c->door);
    free(c->guest);
    free(c->dir);
    free(c);
}

static int text_set(void *sock, int option, const char *text)
{
    return zmq_setsockopt(sock, option, text, strlen(text));
}

int curve_use(const struct curve *c, void *sock, int on)
{
    const int server = on && c->bind;

    /* first: it also says whether the socket has keys at all */
    if (zmq_setsockopt(sock, ZMQ_CURVE_SERVER, &server, sizeof server) != 0 ||
        (c->bind && text_set(sock, ZMQ_ZAP_DOMAIN, on ? KEYED : PLAIN) != 0))
        return -1;
    if (!on)
        return 0;
    if (text_set(sock, ZMQ_CURVE_SECRETKEY, c->pair.secret) != 0)
        return -1;
    return !c->bind && (text_set(sock, ZMQ_CURVE_PUBLICKEY, c->pair.open) != 0 ||
                        text_set(sock, ZMQ_CURVE_SERVERKEY, c->other) != 0)
               ? -1
               : 0;
}

/* ---- the door ---- */

int curve_door_open(struct curve *c, void *zmq_ctx, struct err *e)
{
    const int none = 0;

    c->door = zmq_socket(zmq_ctx, ZMQ_REP);
    if (c->door && zmq_setsockopt(c->door, ZMQ_LINGER, &none, sizeof none) == 0 &&
        zmq_bind(c->door, DOOR) == 0)
        return 0;
    return err_set(e, ERR_SYS, "cannot ask connections for their keys: %s",
                   zmq_strerror(zmq_errno()));
}

void *curve_door(const struct curve *c)
{
    return c->door;
}

struct frame {
    unsigned char data[256];
    size_t n;
};

/* 1: a request; 0: none waits; -1: one that is no such, and was taken too. */
static int request_take(void *door, struct frame f[FRAMES])
{
    size_t n = 0;
    int more = 1, bad = 0;
    zmq_msg_t m;

    for (; more; n++) {
        zmq_msg_init(&m);
        if (zmq_msg_recv(&m, door, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&m);
            return 0;
        }
        more = zmq_msg_more(&m);
        if (n < FRAMES && zmq_msg_size(&m) < sizeof f[n].data) {
            f[n].n = zmq_msg_size(&m);
            memcpy(f[n].data, zmq_msg_data(&m), f[n].n);
            f[n].data[f[n].n] = '\0';
        } else {
            bad = 1;
        }
        zmq_msg_close(&m);
    }
    f[FRAMES - 1].n = n < FRAMES ? 0 : f[FRAMES - 1].n;
    return bad || n < FRAMES - 1 ? -1 : 1;
}

static const struct guest *guest_find(const struct curve *c, const struct frame *key)
{
    for (size_t i = 0; i < c->guests && key->n == KEY_BYTES; i++)
        if (memcmp(c->guest[i].key, key->data, KEY_BYTES) == 0)
            return &c->guest[i];
    return NULL;
}

static void answer(void *door, const struct frame *id, int in, const char *name)
{
    const char *const text[] = {in ? "200" : "400", in ? "" : "not listed", name, ""};

    if (zmq_send(door, "1.0", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_send(door, id->data, id->n, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return; /* it has gone */
    for (size_t i = 0; i < 4; i++)
        if (zmq_send(door, text[i], strlen(text[i]), (i < 3 ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT) < 0)
            return;
}

static int is_text(const struct frame *f, const char *text)
{
    return f->n == strlen(text) && memcmp(f->data, text, f->n) == 0;
}

void curve_door_serve(struct curve *c, curve_refused *refused, void *ctx)
{
    static const struct frame nobody = {.n = 0};
    struct frame f[FRAMES];
    int r;

    while (c->door && (r = request_take(c->door, f)) != 0) {
        const int keyed = r > 0 && is_text(&f[2], KEYED) && is_text(&f[5], "CURVE"),
                  plain = r > 0 && is_text(&f[2], PLAIN) && is_text(&f[5], "NULL");
        const struct guest *g = keyed ? guest_find(c, &f[6]) : NULL;
        char key[CURVE_TEXT] = "?", why[160];

        if (!g && !plain) {
            if (keyed && f[6].n == KEY_BYTES)
                zmq_z85_encode(key, f[6].data, KEY_BYTES);
            snprintf(why, sizeof why, "its key %s is not in '%.80s/" CURVE_ALLOWED "'", key,
                     c->dir);
            refused(ctx, r > 0 ? (char *)f[3].data : "somebody", why);
        }
        answer(c->door, r > 0 ? &f[1] : &nobody, g || plain, g ? g->name : "");
    }
}
