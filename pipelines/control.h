/* SPDX-License-Identifier: Apache-2.0 */
/* control - the socket through which a run is asked and told things while it goes on.
 *
 * A Unix stream socket DIR/control, in a folder that only its user can enter. Both sides send
 * JSON objects, one a line. Requests: {"cmd":"status"}, {"cmd":"scale","stage":S,"count":N},
 * {"cmd":"swap","stage":S,"command":[WORD,...]}, {"cmd":"pause"},
 * {"cmd":"resume"}, {"cmd":"drain","host":H}, {"cmd":"stop"}; scale and swap also with
 * "wait": seconds for new processes to join. Answers: any number of
 * {"event":TEXT}, then one with "ok": true, or false with "error" and "code" (an exit code). */
#ifndef PTQ_CONTROL_H
#define PTQ_CONTROL_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include "../common/base/err.h"
#include "../common/base/json.h"

#define CONTROL_CLIENTS 16
/* "wait" where a request does not say, and the most */
#define CONTROL_WAIT 60
#define CONTROL_WAIT_MAX 86400
#define CONTROL_FDS (1 + CONTROL_CLIENTS)
#define CONTROL_NAME "control"

/* A connection to the socket at path, which may be a link; -1, and errno: nobody listens. */
int control_dial(const char *path);

struct control;
typedef void (*control_handle)(void *ctx, uint64_t client, const struct json *request);

struct control *control_open(const char *dir, struct err *e);
/* Fills CONTROL_FDS entries; -1 in those that are free. */
void control_poll(const struct control *c, struct pollfd *p);
/* Deals with what poll() found; calls handle for each request. */
void control_serve(struct control *c, const struct pollfd *p, control_handle handle, void *ctx);
/* Sends a line and frees it. A client that has gone, or does not read, is forgotten. */
void control_say(struct control *c, uint64_t client, struct json **line);
/* The answer that says yes, with these words for people. */
void control_grant(struct control *c, uint64_t client, const char *text);
/* The answer that says no: what e says, and its exit code. */
void control_refuse(struct control *c, uint64_t client, const struct err *e);
void control_close(struct control **c);

#endif
