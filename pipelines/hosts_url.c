/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_url - see hosts_url.h. */
#include "hosts_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/wire/link_url.h"

int hosts_url_read(const char *listen, int open, char base[ZS_URL], long *port, struct err *e)
{
    const char *url = listen + (listen[0] == '@'), *colon = strrchr(url, ':');
    char *end = NULL;
    const int any = colon && strcmp(colon, ":*") == 0;

    if (!zsock_is_tcp(url) || colon < url + 6 || strlen(url) >= ZS_URL || strchr(url, ','))
        return err_set(e, ERR_USE, "--listen '%.200s': say tcp://ADDRESS:PORT", listen);
    *port = any ? 0 : strtol(colon + 1, &end, 10);
    if (!any && (end == colon + 1 || *end || *port < 1 || *port > HOSTS_PORT_MAX))
        return err_set(e, ERR_USE, "--listen '%.200s': a port is a number up to %d, or *", listen,
                       HOSTS_PORT_MAX);
    snprintf(base, ZS_URL, "%.*s", (int)(colon - url), url);
    return url_check(url, 1, open, e);
}
