/* SPDX-License-Identifier: Apache-2.0 */
/* solve_forecast - what a process of ptq-solve takes, known before there is a problem. */
#ifndef PTQ_SOLVE_FORECAST_H
#define PTQ_SOLVE_FORECAST_H

#include "../../common/format/format.h"
#include "../../common/run/forecast.h"
#include "solve_opts.h"

/* *bytes: peak with these options but this --solver, all its contenders, beyond the program. *f:
 * with chunks, rows and sums. -1: there is no such solver. */
int solve_forecast_memory(const struct solve_opts *o, const char *solver, const struct forecast *f,
                          uint64_t *bytes, struct err *e);
/* 1: a solver of *o or of its overrides needs the full-precision stream; 0; -1: a solver that
 * there is not. */
int solve_forecast_dual(const struct solve_opts *o, struct err *e);
/* What is said of every linear before a run, where overrides do not say otherwise. act_bits: of
 * the inputs of linears, 0: not rounded. */
struct format_linear solve_forecast_linear(const struct solve_opts *o, int act_bits);
/* Floating-point operations (f64) of a site whose linears have `outputs` rows together. */
double solve_forecast_flops(double outputs, double inputs);

#endif
