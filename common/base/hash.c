/* SPDX-License-Identifier: Apache-2.0 */
/* hash - CRC32C (RFC 3720) from isa-l, XXH64 with seed 0 from libxxhash. */
#include "hash.h"

#include <fcntl.h>
#include <isa-l/crc.h>
#include <stdlib.h>
#include <unistd.h>

/* The layout of the state, so that struct hash can hold it without an allocation. */
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

_Static_assert(sizeof(((struct hash *)0)->state) == sizeof(XXH64_state_t) &&
                   _Alignof(struct hash) >= _Alignof(XXH64_state_t),
               "struct hash holds the state of libxxhash");

/* isa-l counts in int, and neither inverts the value it begins with nor the one it returns. */
uint32_t hash_crc32c(uint32_t crc, const void *data, size_t n)
{
    enum { PIECE = 1 << 30 };
    unsigned char *p = (unsigned char *)(uintptr_t)data; /* it does not write */
    unsigned c = ~crc;

    for (; n > PIECE; n -= PIECE, p += PIECE)
        c = crc32_iscsi(p, PIECE, c);
    return ~crc32_iscsi(p, (int)n, c);
}

static XXH64_state_t *state_of(struct hash *h)
{
    return (XXH64_state_t *)(void *)h->state;
}

void hash_start(struct hash *h)
{
    XXH64_reset(state_of(h), 0);
}

void hash_add(struct hash *h, const void *data, size_t n)
{
    if (n)
        XXH64_update(state_of(h), data, n);
}

uint64_t hash_end(const struct hash *h)
{
    return XXH64_digest((const XXH64_state_t *)(const void *)h->state);
}

uint64_t hash_bytes(const void *data, size_t n)
{
    return XXH64(data, n, 0);
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
