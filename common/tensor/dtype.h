/* SPDX-License-Identifier: Apache-2.0 */
/* dtype - element types of tensors: one table for names (safetensors' spelling), sizes and
 * conversion. */
#ifndef PTQ_DTYPE_H
#define PTQ_DTYPE_H

#include <stddef.h>
#include <stdint.h>

enum dtype {
    DT_BOOL,
    DT_U8,
    DT_I8,
    DT_F8_E4M3, /* no infinity; 448 is the largest number */
    DT_F8_E8M0, /* powers of two, no sign, no 0 */
    DT_U16,
    DT_I16,
    DT_F16,
    DT_BF16,
    DT_U32,
    DT_I32,
    DT_F32,
    DT_U64,
    DT_I64,
    DT_F64,
    DT_COUNT
};

const char *dtype_name(enum dtype t);             /* "BF16" */
int dtype_parse(const char *name, enum dtype *t); /* -1: unknown */
size_t dtype_size(enum dtype t);                  /* bytes */
int dtype_is_float(enum dtype t);

/* Round to nearest even; overflow of f16 gives infinity, NaN stays NaN. */
uint16_t f32_to_f16(float v);
float f16_to_f32(uint16_t h);
uint16_t f32_to_bf16(float v);
float bf16_to_f32(uint16_t h);

/* n elements of any float type to f32 / f64 and back. dst and src must not overlap. To F8_E4M3
 * rounds to nearest even, what lies beyond it becomes NaN; to F8_E8M0 takes the power of two at or
 * below, the nearest end of its range beyond that (NaN stays NaN). */
int dtype_to_f32(enum dtype t, const void *src, size_t n, float *dst); /* -1: not a float type */
int dtype_to_f64(enum dtype t, const void *src, size_t n, double *dst);
int dtype_from_f32(enum dtype t, const float *src, size_t n, void *dst);
/* rounded once, straight from f64 */
int dtype_from_f64(enum dtype t, const double *src, size_t n, void *dst);

#endif
