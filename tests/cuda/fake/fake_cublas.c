/* SPDX-License-Identifier: MIT */
/* The fake cuBLAS: one product, in the stream's order. */
#include "fake.h"

#include <stdlib.h>

struct cublasContext {
    struct CUstream_st *stream;
};

int cublasCreate_v2(m2c_cublas_handle *out)
{
    int r = fake_call("cublasCreate", 3);
    *out = r ? NULL : calloc(1, sizeof **out);
    return r ? r : *out ? 0 : 3;
}

int cublasDestroy_v2(m2c_cublas_handle h)
{
    free(h);
    return fake_call("cublasDestroy", 14);
}

int cublasGetVersion_v2(m2c_cublas_handle h, int *out)
{
    (void)h;
    *out = 120400;
    return 0;
}

int cublasSetStream_v2(m2c_cublas_handle h, m2c_cu_stream s)
{
    h->stream = s;
    return fake_call("cublasSetStream", 14);
}

int cublasSgemm_v2(m2c_cublas_handle h, int ta, int tb, int m, int n, int k,
                   const float *alpha, const float *a, int lda, const float *b, int ldb,
                   const float *beta, float *c, int ldc)
{
    if (m < 1 || n < 1 || k < 1 || lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m) {
        fake_fault("cublasSgemm: %d x %d x %d, leading dimensions %d, %d, %d", m, n, k, lda,
                   ldb, ldc);
        return 7; /* CUBLAS_STATUS_INVALID_VALUE */
    }
    struct fake_gemm g = {.m = m, .n = n, .k = k, .lda = lda, .ldb = ldb, .ldc = ldc,
                          .a = a, .b = b, .c = c, .ta = ta, .tb = tb,
                          .alpha = *alpha, .beta = *beta};
    return fake_push_gemm(h->stream, &g) ? 14 : 0;
}
