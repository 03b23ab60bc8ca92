/* SPDX-License-Identifier: Apache-2.0 */
/* journal - what a run did, in JSON lines: OUT/.ptqflow/journal.jsonl.
 *
 * Each line is one object with "record":
 *   start    {"format":1,"version","model","formats","time","kernels"?}
 *            once, when the writer begins
 *   site     {"order","sites","block","site","run","linears":[{"name","rows","bits","group","grid",
 *            "loss","rel_loss","round_off","trace","asym_loss"}],"loss","rel_loss","solver","damp",
 *            "attempts","fallback","dead","tokens","sequences","sum_w","ess","inputs","coverage",
 *            "raised","lengths","seconds","bytes_in","bytes_raw","bytes_part","wall","digest"}
 *            the site's part file is durable; one line per site;
 *            a linear left as it is has "kept":true and neither grid nor losses;
 *            a linear has "bound" too where the solver knows one; after a contest of solvers also
 *            "contenders":[{"solver","loss","asym_loss","hold_loss"}],"judged_on","criterion"
 *   note     {"text"}             why it is made so (ptq-write --note); also after a resume
 *   resume   {"from","wall"}      a later run goes on: sites before `from` are taken over
 *   from_parts {"sites","left"}        no run goes on: these many had a part, the others stay as
 *            they were
 *   publish  {"files":[...]}                    these files (paths in OUT) are about to appear
 *   done     {"sites","bytes_before","bytes_after","wall"}              all of them are there
 * journal_site.h has the site records typed. A line is durable (fsync) when journal_append()
 * returns. What varies between runs of the same job (times, bytes moved) stands here and nowhere
 * else in OUT. A last line without its newline is what a cut left: it is dropped. */
#ifndef PTQ_JOURNAL_H
#define PTQ_JOURNAL_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../base/json.h"

#define JOURNAL_NAME "journal.jsonl"
#define JOURNAL_JOB "job.json" /* beside it: what ptq run was asked for */
#define JOURNAL_FORMAT 1
#define JOURNAL_MAX ((size_t)256 << 20) /* bytes of a journal that is read back */

struct journal;

/* The records of a journal that may be growing: an array, the caller's. Nothing is checked but
 * that each is an object with "record"; *cut says whether there is a last line without its
 * newline, which is left out. NULL: no file, or a line that is not a record, which the error
 * names. */
struct json *journal_read(const char *path, int *cut, struct err *e);

/* Reads what is there (nothing: an empty journal) and opens it for appending; the file is made.
 * A line that is not a record, or a start record of another format, is an error that names the
 * line. */
struct journal *journal_open(const char *path, struct err *e);
void journal_close(struct journal **j);
size_t journal_count(const struct journal *j);
/* The last record of this kind, or NULL. */
const struct json *journal_last(const struct journal *j, const char *record);
/* Record i, of journal_count(). */
const struct json *journal_at(const struct journal *j, size_t i);
/* Forgets the sites from this one on, durably and at once: a later run makes them anew. */
int journal_forget(struct journal *j, uint64_t from, struct err *e);
/* Takes *record over in any case: NULL afterwards. NULL record: out of memory, an error. */
int journal_append(struct journal *j, struct json **record, struct err *e);
/* Forgets everything: the file is empty and durable. */
int journal_clear(struct journal *j, struct err *e);

#endif
