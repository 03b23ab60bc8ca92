/* SPDX-License-Identifier: Apache-2.0 */
/* role - what a token of calibration data is to the model: something given, or something that it
 * is to say. One byte a token, in documents, rows and chunks ("role", INTERFACES.md) alike. */
#ifndef PTQ_ROLE_H
#define PTQ_ROLE_H

enum role {
    ROLE_TEXT,   /* plain text, in which every token is both */
    ROLE_PROMPT, /* given: what users, tools and the template say */
    ROLE_ANSWER, /* to be said by the model, with the token that ends its turn */
    ROLES
};

#endif
