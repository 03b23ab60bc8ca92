/* SPDX-License-Identifier: Apache-2.0 */
/* hash - CRC32C (RFC 3720 appendix B.4: reflected polynomial 0x82f63b78) and XXH64 (its public
 * specification, github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md), seed 0. */
#include "hash.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#    include <nmmintrin.h>
#endif

#define POLY 0x82f63b78u

static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int k = 0; k < 8; k++)
            c = (c >> 1) ^ (c & 1 ? POLY : 0);
        table[0][i] = c;
    }
    for (int t = 1; t < 8; t++)
        for (uint32_t i = 0; i < 256; i++)
            table[t][i] = (table[t - 1][i] >> 8) ^ table[0][table[t - 1][i] & 255];
}

static uint32_t crc_table(uint32_t c, const unsigned char *p, size_t n)
{
    pthread_once(&table_once, table_fill);
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t x;

        memcpy(&x, p, 8);
        x ^= c;
        c = table[7][x & 255] ^ table[6][x >> 8 & 255] ^ table[5][x >> 16 & 255] ^
            table[4][x >> 24 & 255] ^ table[3][x >> 32 & 255] ^ table[2][x >> 40 & 255] ^
            table[1][x >> 48 & 255] ^ table[0][x >> 56];
    }
    for (; n; n--)
        c = (c >> 8) ^ table[0][(c ^ *p++) & 255];
    return c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t c, const unsigned char *p,
                                                            size_t n)
{
    uint64_t x, crc = c;

    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&x, p, 8);
        crc = _mm_crc32_u64(crc, x);
    }
    for (; n; n--)
        crc = _mm_crc32_u8((uint32_t)crc, *p++);
    return (uint32_t)crc;
}
#endif

uint32_t hash_crc32c(uint32_t crc, const void *data, size_t n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_sse42(~crc, data, n);
#endif
    return ~crc_table(~crc, data, n);
}

#define P1 0x9e3779b185ebca87u
#define P2 0xc2b2ae3d27d4eb4fu
#define P3 0x165667b19e3779f9u
#define P4 0x85ebca77c2b2ae63u
#define P5 0x27d4eb2f165667c5u

static uint64_t turn(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t get64(const unsigned char *p)
{
    uint64_t x;

    memcpy(&x, p, 8);
    return x;
}

static uint64_t lane_round(uint64_t lane, uint64_t x)
{
    return turn(lane + x * P2, 31) * P1;
}

static void stripe(uint64_t s[4], const unsigned char *p)
{
    for (int i = 0; i < 4; i++)
        s[i] = lane_round(s[i], get64(p + 8 * i));
}

void hash_start(struct hash *h)
{
    memset(h, 0, sizeof *h);
    h->state[0] = P1 + P2;
    h->state[1] = P2;
    h->state[3] = 0 - P1;
}

void hash_add(struct hash *h, const void *data, size_t n)
{
    const unsigned char *p = data;

    if (!n)
        return;
    h->total += n;
    if (h->ntail) {
        size_t take = sizeof h->tail - h->ntail;

        if (take > n)
            take = n;
        memcpy(h->tail + h->ntail, p, take);
        h->ntail += take;
        p += take;
        n -= take;
        if (h->ntail < sizeof h->tail)
            return;
        stripe(h->state, h->tail);
        h->ntail = 0;
    }
    for (; n >= 32; n -= 32, p += 32)
        stripe(h->state, p);
    memcpy(h->tail, p, n);
    h->ntail = n;
}

uint64_t hash_end(const struct hash *h)
{
    const unsigned char *p = h->tail;
    const uint64_t *s = h->state;
    size_t n = h->ntail;
    uint64_t a = P5;

    if (h->total >= 32) {
        a = turn(s[0], 1) + turn(s[1], 7) + turn(s[2], 12) + turn(s[3], 18);
        for (int i = 0; i < 4; i++)
            a = (a ^ lane_round(0, s[i])) * P1 + P4;
    }
    a += h->total;
    for (; n >= 8; n -= 8, p += 8)
        a = turn(a ^ lane_round(0, get64(p)), 27) * P1 + P4;
    if (n >= 4) {
        uint32_t x;

        memcpy(&x, p, 4);
        a = turn(a ^ x * P1, 23) * P2 + P3;
        n -= 4;
        p += 4;
    }
    for (; n; n--)
        a = turn(a ^ *p++ * P5, 11) * P1;
    a = (a ^ (a >> 33)) * P2;
    a = (a ^ (a >> 29)) * P3;
    return a ^ (a >> 32);
}

uint64_t hash_bytes(const void *data, size_t n)
{
    struct hash h;

    hash_start(&h);
    hash_add(&h, data, n);
    return hash_end(&h);
}

int hash_file(const char *path, uint64_t *digest, struct err *e)
{
    enum { ROOM = 1 << 18 };
    struct hash h;
    char *room;
    ssize_t got;
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = -1;

    if (fd < 0)
        return err_set(e, ERR_USE, "cannot open '%s': no such file, or no permission to read it",
                       path);
    room = malloc(ROOM);
    if (!room) {
        err_set(e, ERR_SYS, "out of memory: cannot allocate %d bytes", ROOM);
        goto out;
    }
    hash_start(&h);
    while ((got = read(fd, room, ROOM)) > 0)
        hash_add(&h, room, (size_t)got);
    if (got < 0) {
        err_sys(e, "cannot read '%s'", path);
        goto out;
    }
    *digest = hash_end(&h);
    rc = 0;
out:
    free(room);
    close(fd);
    return rc;
}

void hash_hex(uint64_t digest, char out[17])
{
    for (int i = 0; i < 16; i++)
        out[i] = "0123456789abcdef"[digest >> (60 - 4 * i) & 15];
    out[16] = 0;
}
