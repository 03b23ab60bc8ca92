/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_address - see metrics_address.h. */
#include "metrics_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define PORT_MAX 65535

/* text: "HOST:PORT" with numbers only. */
static int read_numbers(const char *address, struct sockaddr_storage *a, struct err *e)
{
    const char *text = address;
    const struct addrinfo how = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                 .ai_socktype = SOCK_STREAM};
    const char *colon = strrchr(text, ':');
    struct addrinfo *found = NULL;
    char host[64];
    size_t n = colon ? (size_t)(colon - text) : 0;

    if (n > 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    if (n && n < sizeof host) {
        memcpy(host, text, n);
        host[n] = '\0';
        if (strlen(colon + 1) > 5 || strtol(colon + 1, NULL, 10) > PORT_MAX)
            return err_set(e, ERR_USE, "'%.100s': a port is a number up to %d, or 0 for a free one",
                           address, PORT_MAX);
        if (colon[1] && getaddrinfo(host, colon + 1, &how, &found) == 0) {
            memcpy(a, found->ai_addr, found->ai_addrlen);
            freeaddrinfo(found);
            return 0;
        }
    }
    return err_set(e, ERR_USE, "'%.100s': say ADDRESS:PORT, as 127.0.0.1:9090 or [::1]:9090",
                   address);
}

static int is_loopback(const struct sockaddr_storage *a)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;

    return a->ss_family == AF_INET ? ntohl(v4->sin_addr.s_addr) >> 24 == 127
                                   : IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

int metrics_address_read(const char *address, int anywhere, struct sockaddr_storage *a,
                         struct err *e)
{
    if (read_numbers(address, a, e) < 0)
        return -1;
    return anywhere || is_loopback(a)
               ? 0
               : err_set(e, ERR_USE,
                         "'%.100s' is more than loopback, and anybody there could read how far the "
                         "run is: take 127.0.0.1, or ptq metrics --insecure",
                         address);
}
