/* SPDX-License-Identifier: Apache-2.0 */
/* digest - see digest.h. The only file that knows libsodium, which comes with ZeroMQ's keys. */
#include "digest.h"

#include <sodium.h>
#include <string.h>

#define BYTES 32

_Static_assert(sizeof(crypto_generichash_state) <= sizeof(struct digest), "room for its state");

static crypto_generichash_state *state_of(struct digest *d)
{
    return (crypto_generichash_state *)(void *)d->state;
}

void digest_start(struct digest *d)
{
    const int found = sodium_init(); /* the fastest code for this CPU, once; else any will do */

    (void)found;
    crypto_generichash_init(state_of(d), NULL, 0, BYTES);
}

void digest_add(struct digest *d, const void *data, size_t n)
{
    crypto_generichash_update(state_of(d), data, n);
}

void digest_end(struct digest *d, char out[DIGEST_TEXT])
{
    unsigned char sum[BYTES];

    crypto_generichash_final(state_of(d), sum, sizeof sum);
    sodium_bin2hex(out, DIGEST_TEXT, sum, sizeof sum);
}

int digest_is_text(const char *text)
{
    return strlen(text) == DIGEST_TEXT - 1 && strspn(text, "0123456789abcdef") == DIGEST_TEXT - 1;
}
