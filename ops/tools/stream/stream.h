/* SPDX-License-Identifier: Apache-2.0 */
/* stream - plain tensors to problems and solutions to plain tensors, so that the solvers serve
 * other people's Hessians. */
#ifndef PTQ_STREAM_H
#define PTQ_STREAM_H

#include "../../../common/wire/link.h"

/* One problem for every NAME.W of a safetensors file, with NAME.H [K,K] = sum x x' / tokens,
 * optional NAME.D [K,K], optional NAME.tokens (one I64 or I32; without it 1 is assumed). A bare W,
 * H, D, tokens counts as NAME = the file's base name. Other tensors are left alone. H must be
 * symmetric. In place of H and tokens also what QuIP# keeps: NAME.flatH [K(K+1)/2], the lower
 * triangle of the covariance, NAME.mu [K], the mean, NAME.ct. *count: problems sent. */
int stream_import(const char *path, struct link *out, size_t *count, struct err *e);

/* NAME.codes U8 [N,K], NAME.scales [N,G], what else the grid has (NAME.zeros U8 [N,G]) and
 * NAME.dequantized F32 [N,K] of every linear in a file of solutions (read twice: to declare, and to
 * write). *count: linears. The result appears only when all went well. */
int stream_export(const char *solutions, const char *path, size_t *count, struct err *e);

/* The way back of stream_import, of every linear in a file of problems (read twice): NAME.W, NAME.H
 * and NAME.D F64 [K,K], divided by the sum of the weights, NAME.tokens. *count: linears. */
int stream_sums(const char *problems, const char *path, size_t *count, struct err *e);

/* The diagonals of the sums in a stream of problems as the importance matrix of llama.cpp, a GGUF
 * file: of every linear NAME.in_sum2 [1,K], the sum of the squares of its inputs, and NAME.counts
 * [1,1], the rows that they are of, under its name in llama.cpp. *count: linears. */
int stream_imatrix(const char *problems, const char *path, size_t *count, struct err *e);

#endif
