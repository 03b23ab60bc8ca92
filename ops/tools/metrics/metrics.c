/* SPDX-License-Identifier: Apache-2.0 */
/* metrics - see metrics.h. Names and units follow Prometheus' habits: base units, _total for what
 * only grows. */
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct family {
    const char *name, *type, *about, *key;
    double factor; /* from the unit of the status */
};

static const struct family of_run[] = {
    {"ptq_run_seconds", "gauge", "Time since the run began, without pauses.", "seconds", 1},
    {"ptq_paused_seconds", "gauge", "Time since the run was paused; 0: it is not.", "paused_s", 1},
    {"ptq_sites", "gauge", "Sites of the model.", "sites", 1},
    {"ptq_sites_done", "gauge", "Sites that are committed.", "sites_done", 1},
    {"ptq_work_ratio", "gauge", "Share of the work that is done.", "share", 1},
    {"ptq_eta_seconds", "gauge", "Time that is left, as far as it is known.", "eta_s", 1},
    {"ptq_restarts_total", "counter", "Processes and runs that were started again.", "restarts", 1},
};

static const struct family of_process[] = {
    {"ptq_process_cpu_seconds_total", "counter", "CPU time of a process.", "cpu_s", 1},
    {"ptq_process_resident_bytes", "gauge", "Resident memory of a process.", "rss_mib", 1048576},
};

static const struct family of_status[] = {
    {"ptq_process_done", "gauge", "What a process has done, in its own unit.", "done", 1},
    {"ptq_process_tokens", "gauge", "Tokens that a process has forwarded.", "tokens", 1},
    {"ptq_process_received_bytes_total", "counter", "Bytes that came by links.", "received", 1},
    {"ptq_process_sent_bytes_total", "counter", "Bytes that went by links.", "sent", 1},
    {"ptq_process_queue_messages", "gauge", "Messages that came and wait for the process.", "queue",
     1},
};

static const struct family of_worker[] = {
    {"ptq_worker_forward_processes", "gauge", "Forward processes of a worker at work.", "forward",
     1},
    {"ptq_worker_solve_processes", "gauge", "Solver processes that a worker offers.", "solve", 1},
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void head(FILE *f, const char *name, const char *type, const char *about)
{
    fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, about, name, type);
}

static void label(FILE *f, const char *name, const char *value, int first)
{
    fprintf(f, "%s%s=\"", first ? "{" : ",", name);
    for (; *value; value++)
        if (*value == '\n')
            fputs("\\n", f);
        else if (*value == '"' || *value == '\\')
            fprintf(f, "\\%c", *value);
        else
            fputc(*value, f);
    fputc('"', f);
}

static void value(FILE *f, double v)
{
    fprintf(f, " %.15g\n", v);
}

static int is_over(const struct json *process)
{
    return strcmp(json_text_or(process, "state", ""), "ended") == 0;
}

static void put_run(FILE *f, const struct json *status)
{
    for (size_t i = 0; i < COUNT(of_run); i++) {
        const struct family *x = &of_run[i];
        double v;

        if (json_as_real(json_get(status, x->key), &v) != 0)
            continue;
        head(f, x->name, x->type, x->about);
        fputs(x->name, f);
        value(f, v * x->factor);
    }
}

/* How many of a stage are in each state. */
static void put_counts(FILE *f, const struct json *list)
{
    head(f, "ptq_processes", "gauge", "Processes of a stage in a state.");
    for (size_t i = 0; i < json_count(list); i++) {
        const char *stage = json_text_or(json_at(list, i), "stage", ""),
                   *state = json_text_or(json_at(list, i), "state", "");
        size_t before = 0, n = 0;

        for (size_t k = 0; k < json_count(list); k++)
            if (strcmp(json_text_or(json_at(list, k), "stage", ""), stage) == 0 &&
                strcmp(json_text_or(json_at(list, k), "state", ""), state) == 0) {
                before += k < i;
                n++;
            }
        if (before)
            continue;
        fputs("ptq_processes", f);
        label(f, "stage", stage, 1);
        label(f, "state", state, 0);
        fputc('}', f);
        value(f, (double)n);
    }
}

/* in: the member of a process that holds the key; NULL: it does itself. */
static void put_processes(FILE *f, const struct family *x, const struct json *list, const char *in)
{
    int said = 0;

    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *p = json_at(list, i), *of = in ? json_get(p, in) : p;
        const char *unit = json_text_or(of, "unit", "");
        double v;

        if (is_over(p) || json_as_real(json_get(of, x->key), &v) != 0)
            continue;
        if (!said++)
            head(f, x->name, x->type, x->about);
        fputs(x->name, f);
        label(f, "stage", json_text_or(p, "stage", ""), 1);
        label(f, "process", json_text_or(p, "name", ""), 0);
        if (strcmp(x->key, "done") == 0 && *unit)
            label(f, "unit", unit, 0);
        fputc('}', f);
        value(f, v * x->factor);
    }
}

static void put_workers(FILE *f, const struct json *list)
{
    if (!json_count(list))
        return;
    head(f, "ptq_worker_up", "gauge", "Is a worker of another host there?");
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *x = json_at(list, i);

        fputs("ptq_worker_up", f);
        label(f, "worker", json_text_or(x, "name", ""), 1);
        fputc('}', f);
        value(f, strcmp(json_text_or(x, "state", ""), "gone") != 0);
    }
    for (size_t k = 0; k < COUNT(of_worker); k++) {
        head(f, of_worker[k].name, of_worker[k].type, of_worker[k].about);
        for (size_t i = 0; i < json_count(list); i++) {
            const struct json *x = json_at(list, i);

            fputs(of_worker[k].name, f);
            label(f, "worker", json_text_or(x, "name", ""), 1);
            fputc('}', f);
            value(f, json_real_or(x, of_worker[k].key, 0));
        }
    }
}

char *metrics_text(const struct json *status, struct err *e)
{
    const struct json *list = json_get(status, "processes");
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    int bad;

    if (!f) {
        err_sys(e, "no memory for the metrics");
        return NULL;
    }
    put_run(f, status);
    put_counts(f, list);
    for (size_t i = 0; i < COUNT(of_process); i++)
        put_processes(f, &of_process[i], list, NULL);
    for (size_t i = 0; i < COUNT(of_status); i++)
        put_processes(f, &of_status[i], list, "status");
    put_workers(f, json_get(status, "hosts"));
    bad = ferror(f);
    if (fclose(f) != 0 || bad) {
        err_sys(e, "no memory for the metrics");
        free(text);
        return NULL;
    }
    return text;
}
