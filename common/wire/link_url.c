/* SPDX-License-Identifier: Apache-2.0 */
/* link_url - see link_url.h. */
#include "link_url.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "../base/fs.h"
#include "link_zmq.h"

/* A tcp address that only this host can reach. */
static int host_is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost:", 10) == 0 ||
           strncmp(host, "[::1]:", 6) == 0 || strncmp(host, "lo:", 3) == 0;
}

/* Somebody listens on the path already: ZeroMQ would take it over without a word. */
static int path_is_served(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd, r;

    if (strlen(path) >= sizeof a.sun_path)
        return 0;
    memcpy(a.sun_path, path, strlen(path) + 1);
    if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
        return 0;
    r = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    return r;
}

static int ipc_prepare(const char *path, struct err *e)
{
    struct sockaddr_un a;
    const char *slash = strrchr(path, '/');
    char dir[sizeof a.sun_path];

    if (strlen(path) >= sizeof a.sun_path)
        return err_set(e, ERR_USE, "ipc path '%s' is longer than %zu bytes", path,
                       sizeof a.sun_path - 1);
    if (path[0] == '@' || path[0] == '*')
        return 0;
    if (path_is_served(path))
        return err_set(e, ERR_USE, "cannot bind 'ipc://%s': another process is listening there",
                       path);
    if (!slash || slash == path)
        return 0;
    memcpy(dir, path, (size_t)(slash - path));
    dir[slash - path] = '\0';
    if (fs_exists(dir))
        return fs_is_dir(dir)
                   ? 0
                   : err_set(e, ERR_USE, "cannot bind 'ipc://%s': '%s' is not a folder", path, dir);
    if (fs_mkdir(dir, e) != 0)
        return -1;
    return chmod(dir, 0700) == 0 ? 0 : err_sys(e, "cannot close folder '%s' to others", dir);
}

/* ZeroMQ takes any number, modulo 65536. Whoever binds may leave the choice. */
static int check_port(const char *url, const char *port, int bind, struct err *e)
{
    const size_t digits = strspn(port, "0123456789");
    const long n = strtol(port, NULL, 10);

    if (bind && (strcmp(port, "*") == 0 || strcmp(port, "0") == 0))
        return 0;
    if (digits && digits < 6 && !port[digits] && n > 0 && n <= UINT16_MAX)
        return 0;
    return err_set(e, ERR_USE, "'%s': a port is a number up to %d%s", url, UINT16_MAX,
                   bind ? ", or *" : "");
}

static int check_one(const char *url, int bind, int open, struct err *e)
{
    const char *rest = strstr(url, "://"), *colon;

    rest = rest ? rest + 3 : "";
    if (strncmp(url, "ipc://", 6) == 0 && *rest)
        return bind ? ipc_prepare(rest, e) : 0;
    colon = strrchr(rest, ':');
    if (!zsock_is_tcp(url) || !colon || colon == rest)
        return err_set(e, ERR_USE, "'%s' is not an endpoint: say ipc://PATH or tcp://HOST:PORT",
                       url);
    if (check_port(url, colon + 1, bind, e) < 0)
        return -1;
    if (bind && !open && !host_is_loopback(rest))
        return err_set(
            e, ERR_USE,
            "binding '%s' would let anybody on the network in: give --keys DIR (ptq keys "
            "makes them), bind 127.0.0.1, or say --insecure",
            url);
    return 0;
}

int url_check(const char *url, int bind, int open, struct err *e)
{
    char one[ZS_URL];
    const char *rest = zsock_url(url, one);

    if (strlen(one) == ZS_URL - 1)
        return check_one(url, bind, open, e); /* too long, as it will say */
    if (check_one(one, bind, open, e) < 0)
        return -1;
    if (rest && (!bind || strstr(rest, ",tcp://")))
        return err_set(e, ERR_USE, "'%s': one URL to connect to, at most two to bind", url);
    return rest ? check_one(rest, bind, open, e) : 0;
}
