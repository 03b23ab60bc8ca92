/* SPDX-License-Identifier: Apache-2.0 */
/* blas_dnnl - tiles by oneDNN: matmul primitives kept by shape. The only file that includes it;
 * empty where the build has none. */
#ifdef PTQ_DNNL
#    include <dnnl.h>
#    include <pthread.h>
#    include <stdio.h>
#    include <stdlib.h>
#    include <string.h>
#    include "../base/mem.h"
#    include "blas_cpu.h"
#    include "../base/library.h"
#    include "blas_tile.h"

/* Every function of the library that is called here. */
#    define EACH_CALL(X)                      \
        X(engine_create)                      \
        X(get_effective_cpu_isa)              \
        X(matmul_desc_init)                   \
        X(memory_create)                      \
        X(memory_desc_get_size)               \
        X(memory_desc_init_by_strides)        \
        X(memory_destroy)                     \
        X(post_ops_append_sum)                \
        X(post_ops_create)                    \
        X(post_ops_destroy)                   \
        X(primitive_attr_create)              \
        X(primitive_attr_destroy)             \
        X(primitive_attr_set_post_ops)        \
        X(primitive_attr_set_scratchpad_mode) \
        X(primitive_create)                   \
        X(primitive_desc_create)              \
        X(primitive_desc_destroy)             \
        X(primitive_desc_query_md)            \
        X(primitive_destroy)                  \
        X(primitive_execute)                  \
        X(sgemm)                              \
        X(stream_create)                      \
        X(version)
#    define POINTER(name) __typeof__(dnnl_##name) *name;
#    define SYMBOL(name) {"dnnl_" #    name, &lib.name, 0},
#    define TEXT(number) #    number
#    define SONAME(major) "libdnnl.so." TEXT(major)

static struct {
    EACH_CALL(POINTER)
} lib;

/* C[M,N] (+)= A[M,K] B[K,N] with any strides: element (r, c) of A lies at r * a0 + c * a1. */
struct shape {
    dnnl_dim_t M, N, K, a0, a1, b0, b1, ldc;
    int bf16, add;
};

struct kernel {
    struct shape shape;
    dnnl_primitive_t primitive;
    dnnl_memory_desc_t a, b, c, scratch;
    size_t users;
    uint64_t used;
    struct kernel *next;
};

enum { KERNEL_BUCKETS = 256, KERNELS_MAX = 512 };

static struct {
    pthread_once_t once;
    pthread_mutex_t lock;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    pthread_key_t scratch_key;
    int bf16;
    struct err failure;
    struct kernel *bucket[KERNEL_BUCKETS];
    size_t count;
    uint64_t clock;
} dn = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local struct {
    void *data;
    size_t bytes;
} scratch;

static void scratch_free(void *unused)
{
    (void)unused;
    free(scratch.data);
    scratch.data = NULL;
    scratch.bytes = 0;
}

/* The thread that ends the process is no longer there for the destructors of keys. */
static void scratch_leave(void)
{
    scratch_free(NULL);
}

static void lib_load(void)
{
    const struct library_symbol symbols[] = {EACH_CALL(SYMBOL)};

    library_load(SONAME(DNNL_VERSION_MAJOR), symbols, sizeof symbols / sizeof symbols[0],
                 &dn.failure);
}

int tile_load(struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, lib_load);
    if (dn.failure.kind != ERR_NONE && e)
        *e = dn.failure;
    return dn.failure.kind == ERR_NONE ? 0 : -1;
}

static void dn_init(void)
{
    if (lib.engine_create(&dn.engine, dnnl_cpu, 0) != dnnl_success ||
        lib.stream_create(&dn.stream, dn.engine, dnnl_stream_default_flags) != dnnl_success ||
        pthread_key_create(&dn.scratch_key, scratch_free) != 0 || atexit(scratch_leave) != 0)
        err_set(&dn.failure, ERR_SYS, "oneDNN: no CPU engine");
    /* the library may have been told to leave instructions unused (DNNL_MAX_CPU_ISA) */
    dn.bf16 = blas_cpu().bf16 && ((unsigned)lib.get_effective_cpu_isa() &
                                  dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

static int engine_ready(struct err *e)
{
    if (tile_load(e) < 0)
        return -1;
    pthread_once(&dn.once, dn_init);
    return tile_load(e);
}

void tile_describe(char *text, size_t room)
{
    const dnnl_version_t *v;

    text[0] = '\0';
    if (engine_ready(NULL) < 0)
        return;
    v = lib.version();
    snprintf(text, room, " onednn/%d.%d.%d-isa%x%s", v->major, v->minor, v->patch,
             (unsigned)lib.get_effective_cpu_isa(), dn.bf16 ? " bf16" : "");
}

static int dn_error(const char *what, dnnl_status_t s, struct err *e)
{
    return err_set(e, ERR_SYS, "oneDNN: %s failed with status %d", what, (int)s);
}

static void kernel_destroy(struct kernel *k)
{
    if (k->primitive)
        lib.primitive_destroy(k->primitive);
    free(k);
}

static dnnl_status_t kernel_attr(const struct shape *s, dnnl_primitive_attr_t *attr)
{
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t st = lib.primitive_attr_create(attr);

    if (st == dnnl_success)
        st = lib.primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    if (st != dnnl_success || !s->add)
        return st;
    st = lib.post_ops_create(&ops);
    if (st == dnnl_success)
        st = lib.post_ops_append_sum(ops, 1.0f);
    if (st == dnnl_success)
        st = lib.primitive_attr_set_post_ops(*attr, ops);
    if (ops)
        lib.post_ops_destroy(ops);
    return st;
}

static dnnl_status_t kernel_build(struct kernel *k)
{
    const struct shape *s = &k->shape;
    const dnnl_data_type_t in = s->bf16 ? dnnl_bf16 : dnnl_f32;
    const dnnl_dims_t da = {s->M, s->K}, db = {s->K, s->N}, dc = {s->M, s->N};
    const dnnl_dims_t sa = {s->a0, s->a1}, sb = {s->b0, s->b1}, sc = {s->ldc, 1};
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_matmul_desc_t d;
    dnnl_status_t st;

    if ((st = lib.memory_desc_init_by_strides(&k->a, 2, da, in, sa)) != dnnl_success ||
        (st = lib.memory_desc_init_by_strides(&k->b, 2, db, in, sb)) != dnnl_success ||
        (st = lib.memory_desc_init_by_strides(&k->c, 2, dc, dnnl_f32, sc)) != dnnl_success ||
        (st = lib.matmul_desc_init(&d, &k->a, &k->b, NULL, &k->c)) != dnnl_success ||
        (st = kernel_attr(s, &attr)) != dnnl_success ||
        (st = lib.primitive_desc_create(&pd, &d, attr, dn.engine, NULL)) != dnnl_success)
        goto out;
    k->scratch = *lib.primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    st = lib.primitive_create(&k->primitive, pd);
out:
    if (pd)
        lib.primitive_desc_destroy(pd);
    if (attr)
        lib.primitive_attr_destroy(attr);
    return st;
}

static size_t shape_bucket(const struct shape *s)
{
    const dnnl_dim_t v[] = {
        s->M, s->N, s->K, s->a0, s->a1, s->b0, s->b1, s->ldc, s->bf16 * 2 + s->add};
    uint64_t h = 0;

    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++)
        h = (h ^ (uint64_t)v[i]) * 0x9e3779b97f4a7c15u;
    return (size_t)(h >> 32) % KERNEL_BUCKETS;
}

static int shape_equal(const struct shape *x, const struct shape *y)
{
    return x->M == y->M && x->N == y->N && x->K == y->K && x->a0 == y->a0 && x->a1 == y->a1 &&
           x->b0 == y->b0 && x->b1 == y->b1 && x->ldc == y->ldc && x->bf16 == y->bf16 &&
           x->add == y->add;
}

/* The kernel that nobody uses and that was used longest ago goes. */
static void kernels_trim(void)
{
    struct kernel **oldest = NULL, *k;

    for (size_t b = 0; b < KERNEL_BUCKETS; b++)
        for (struct kernel **at = &dn.bucket[b]; *at; at = &(*at)->next)
            if ((*at)->users == 0 && (!oldest || (*at)->used < (*oldest)->used))
                oldest = at;
    if (!oldest)
        return;
    k = *oldest;
    *oldest = k->next;
    kernel_destroy(k);
    dn.count--;
}

static struct kernel *kernel_take(const struct shape *s, struct err *e)
{
    size_t b = shape_bucket(s);
    struct kernel *k;
    dnnl_status_t st;

    pthread_mutex_lock(&dn.lock);
    for (k = dn.bucket[b]; k && !shape_equal(&k->shape, s); k = k->next)
        ;
    if (!k) {
        if (dn.count >= KERNELS_MAX)
            kernels_trim();
        k = mem_array(1, sizeof *k, e);
        if (!k)
            goto out;
        k->shape = *s;
        st = kernel_build(k);
        if (st != dnnl_success) {
            dn_error("matmul", st, e);
            kernel_destroy(k);
            k = NULL;
            goto out;
        }
        k->next = dn.bucket[b];
        dn.bucket[b] = k;
        dn.count++;
    }
    k->users++;
    k->used = ++dn.clock;
out:
    pthread_mutex_unlock(&dn.lock);
    return k;
}

static void kernel_give(struct kernel *k)
{
    pthread_mutex_lock(&dn.lock);
    k->users--;
    pthread_mutex_unlock(&dn.lock);
}

static int scratch_reserve(size_t bytes, struct err *e)
{
    void *data;

    if (bytes <= scratch.bytes)
        return 0;
    data = mem_raw(bytes, 1, e);
    if (!data)
        return -1;
    free(scratch.data);
    scratch.data = data;
    scratch.bytes = bytes;
    /* its destructor frees the buffer when the thread ends */
    pthread_setspecific(dn.scratch_key, &scratch);
    return 0;
}

/* oneDNN's descriptors of memory are not const-correct; nothing writes through a and b. */
static void *unconst(const void *p)
{
    union {
        const void *c;
        void *v;
    } u = {.c = p};

    return u.v;
}

static int matmul(const struct shape *s, const void *a, const void *b, float *c, struct err *e)
{
    dnnl_memory_t m[4] = {NULL, NULL, NULL, NULL};
    struct kernel *k = NULL;
    dnnl_status_t st;
    int rc = -1;

    if (engine_ready(e) < 0)
        return -1;
    k = kernel_take(s, e);
    if (!k || scratch_reserve(lib.memory_desc_get_size(&k->scratch), e) < 0)
        goto out;
    if ((st = lib.memory_create(&m[0], &k->a, dn.engine, unconst(a))) != dnnl_success ||
        (st = lib.memory_create(&m[1], &k->b, dn.engine, unconst(b))) != dnnl_success ||
        (st = lib.memory_create(&m[2], &k->c, dn.engine, c)) != dnnl_success ||
        (st = lib.memory_create(&m[3], &k->scratch, dn.engine, scratch.data)) != dnnl_success) {
        dn_error("memory", st, e);
        goto out;
    }
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, m[0]},
                                    {DNNL_ARG_WEIGHTS, m[1]},
                                    {DNNL_ARG_DST, m[2]},
                                    {DNNL_ARG_SCRATCHPAD, m[3]}};
    st = lib.primitive_execute(k->primitive, dn.stream, 4, args);
    rc = st == dnnl_success ? 0 : dn_error("execute", st, e);
out:
    for (size_t i = 0; i < 4; i++)
        if (m[i])
            lib.memory_destroy(m[i]);
    if (k)
        kernel_give(k);
    return rc;
}

/* Of one tile C (+)= op(A) op(B). */
static struct shape tile_shape(int ta, int tb, size_t M, size_t N, size_t K, size_t lda, size_t ldb,
                               size_t ldc, int add)
{
    return (struct shape){.M = (dnnl_dim_t)M,
                          .N = (dnnl_dim_t)N,
                          .K = (dnnl_dim_t)K,
                          .a0 = ta ? 1 : (dnnl_dim_t)lda,
                          .a1 = ta ? (dnnl_dim_t)lda : 1,
                          .b0 = tb ? 1 : (dnnl_dim_t)ldb,
                          .b1 = tb ? (dnnl_dim_t)ldb : 1,
                          .ldc = (dnnl_dim_t)ldc,
                          .add = add};
}

int tile_f32(int ta, int tb, size_t M, size_t N, size_t K, const float *a, size_t lda,
             const float *b, size_t ldb, float *c, size_t ldc, int add, struct err *e)
{
    const struct shape s = tile_shape(ta, tb, M, N, K, lda, ldb, ldc, add);

    return matmul(&s, a, b, c, e);
}

int tile_bf16_works(void)
{
    return engine_ready(NULL) == 0 && dn.bf16;
}

int tile_bf16(int ta, int tb, size_t M, size_t N, size_t K, const uint16_t *a, size_t lda,
              const uint16_t *b, size_t ldb, float *c, size_t ldc, int add, struct err *e)
{
    struct shape s = tile_shape(ta, tb, M, N, K, lda, ldb, ldc, add);

    s.bf16 = 1;
    return matmul(&s, a, b, c, e);
}

int tile_sgemm(int ta, int tb, size_t M, size_t N, size_t K, float alpha, const float *a,
               size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc,
               struct err *e)
{
    dnnl_status_t st;

    if (engine_ready(e) < 0)
        return -1;
    st = lib.sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', (dnnl_dim_t)M, (dnnl_dim_t)N, (dnnl_dim_t)K,
                   alpha, a, (dnnl_dim_t)lda, b, (dnnl_dim_t)ldb, beta, c, (dnnl_dim_t)ldc);

    return st == dnnl_success ? 0 : dn_error("sgemm", st, e);
}
#else
typedef int blas_dnnl_is_empty;
#endif
