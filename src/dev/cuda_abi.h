/* SPDX-License-Identifier: MIT */
/* What m2c uses of the CUDA driver API, NVRTC and cuBLAS: types, values and
 * the tables of entry points that are filled when a library is opened.
 *
 * Written after cuda.h, nvrtc.h and cublas_api.h of CUDA 11.8 to 13.0, where
 * all of this is the same; tests/cuda/test_abi.c compares it with the headers
 * where they are installed. The symbols are those of the exported ABI: where a
 * header renames a function (cuMemAlloc), its versioned name (cuMemAlloc_v2). */
#ifndef M2C_DEV_CUDA_ABI_H
#define M2C_DEV_CUDA_ABI_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the driver ---- */

typedef unsigned long long m2c_cu_ptr; /* CUdeviceptr on 64 bits */
typedef struct CUctx_st *m2c_cu_ctx;
typedef struct CUstream_st *m2c_cu_stream;
typedef struct CUevent_st *m2c_cu_event;
typedef struct CUmod_st *m2c_cu_module;
typedef struct CUfunc_st *m2c_cu_function;

enum m2c_cu_result {
    M2C_CU_OK = 0,
    M2C_CU_INVALID_VALUE = 1,
    M2C_CU_OUT_OF_MEMORY = 2,
    M2C_CU_NO_DEVICE = 100,
    M2C_CU_INVALID_DEVICE = 101,
    M2C_CU_DEVICE_UNAVAILABLE = 46,
    M2C_CU_INVALID_IMAGE = 200,
    M2C_CU_NO_BINARY = 209,
    M2C_CU_NOT_READY = 600
};

enum m2c_cu_attribute {
    M2C_CU_ATTR_SHARED_MEMORY = 8, /* a block */
    M2C_CU_ATTR_SMS = 16,
    M2C_CU_ATTR_MAP_HOST = 19,
    M2C_CU_ATTR_UNIFIED_ADDRESSING = 41,
    M2C_CU_ATTR_CC_MAJOR = 75,
    M2C_CU_ATTR_CC_MINOR = 76
};

enum {
    M2C_CU_CTX_BLOCKING_SYNC = 4, /* a thread that waits sleeps */
    M2C_CU_HOST_PORTABLE = 1,
    M2C_CU_HOST_MAPPED = 2,
    M2C_CU_STREAM_NON_BLOCKING = 1,
    M2C_CU_EVENT_BLOCKING_SYNC = 1,
    M2C_CU_JIT_ERROR_LOG = 5,
    M2C_CU_JIT_ERROR_LOG_BYTES = 6,
    M2C_CU_ORDER_STREAM = 1 /* sources of a batch are read in stream order */
};

/* Of cuLaunchKernel's `extra`. */
#define M2C_CU_PARAMS ((void *)1)
#define M2C_CU_PARAM_BYTES ((void *)2)
#define M2C_CU_PARAMS_END ((void *)0)

struct m2c_cu_location {
    int type, id;
};
struct m2c_cu_copy_attributes {
    int order;
    struct m2c_cu_location src, dst;
    unsigned flags;
};

/* E(member, symbol, result, parameters) */
#define M2C_CU_ENTRIES(E)                                                                \
    E(init, "cuInit", int, (unsigned flags))                                             \
    E(version, "cuDriverGetVersion", int, (int *v))                                      \
    E(error_name, "cuGetErrorName", int, (int code, const char **out))                   \
    E(error_text, "cuGetErrorString", int, (int code, const char **out))                 \
    E(device_count, "cuDeviceGetCount", int, (int *n))                                   \
    E(device, "cuDeviceGet", int, (int *dev, int i))                                     \
    E(device_name, "cuDeviceGetName", int, (char *out, int n, int dev))                  \
    E(device_memory, "cuDeviceTotalMem_v2", int, (size_t *out, int dev))                 \
    E(attribute, "cuDeviceGetAttribute", int, (int *out, int which, int dev))            \
    E(ctx_create, "cuCtxCreate_v2", int, (m2c_cu_ctx *out, unsigned flags, int dev))     \
    E(ctx_destroy, "cuCtxDestroy_v2", int, (m2c_cu_ctx ctx))                             \
    E(ctx_set, "cuCtxSetCurrent", int, (m2c_cu_ctx ctx))                                 \
    E(mem_info, "cuMemGetInfo_v2", int, (size_t *free_bytes, size_t *all))               \
    E(mem_alloc, "cuMemAlloc_v2", int, (m2c_cu_ptr *out, size_t n))                      \
    E(mem_free, "cuMemFree_v2", int, (m2c_cu_ptr p))                                     \
    E(host_alloc, "cuMemHostAlloc", int, (void **out, size_t n, unsigned flags))         \
    E(host_free, "cuMemFreeHost", int, (void *p))                                        \
    E(host_address, "cuMemHostGetDevicePointer_v2", int,                                 \
      (m2c_cu_ptr * out, void *p, unsigned flags))                                       \
    E(set8, "cuMemsetD8Async", int,                                                      \
      (m2c_cu_ptr p, unsigned char v, size_t n, m2c_cu_stream s))                        \
    E(copy, "cuMemcpyAsync", int,                                                        \
      (m2c_cu_ptr dst, m2c_cu_ptr src, size_t n, m2c_cu_stream s))                       \
    E(stream_create, "cuStreamCreate", int, (m2c_cu_stream * out, unsigned flags))       \
    E(stream_destroy, "cuStreamDestroy_v2", int, (m2c_cu_stream s))                      \
    E(stream_sync, "cuStreamSynchronize", int, (m2c_cu_stream s))                        \
    E(stream_wait, "cuStreamWaitEvent", int,                                             \
      (m2c_cu_stream s, m2c_cu_event ev, unsigned flags))                                \
    E(event_create, "cuEventCreate", int, (m2c_cu_event * out, unsigned flags))          \
    E(event_destroy, "cuEventDestroy_v2", int, (m2c_cu_event ev))                        \
    E(event_record, "cuEventRecord", int, (m2c_cu_event ev, m2c_cu_stream s))            \
    E(event_sync, "cuEventSynchronize", int, (m2c_cu_event ev))                          \
    E(event_query, "cuEventQuery", int, (m2c_cu_event ev))                               \
    E(event_elapsed, "cuEventElapsedTime", int,                                          \
      (float *ms, m2c_cu_event from, m2c_cu_event to))                                   \
    E(module_load, "cuModuleLoadDataEx", int,                                            \
      (m2c_cu_module * out, const void *image, unsigned n, int *options, void **values)) \
    E(module_unload, "cuModuleUnload", int, (m2c_cu_module m))                           \
    E(function, "cuModuleGetFunction", int,                                              \
      (m2c_cu_function * out, m2c_cu_module m, const char *name))                        \
    E(launch, "cuLaunchKernel", int,                                                     \
      (m2c_cu_function f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,            \
       unsigned by, unsigned bz, unsigned smem, m2c_cu_stream s, void **params,          \
       void **extra))

/* Absent from drivers before CUDA 12.8 (the first) and 13.0 (the second). */
#define M2C_CU_OPTIONAL(E)                                                               \
    E(copy_batch, "cuMemcpyBatchAsync", int,                                             \
      (m2c_cu_ptr * dst, m2c_cu_ptr * src, size_t * bytes, size_t n,                     \
       struct m2c_cu_copy_attributes * attr, size_t * attr_from, size_t n_attr,          \
       size_t * failed, m2c_cu_stream s))                                                \
    E(copy_batch2, "cuMemcpyBatchAsync_v2", int,                                         \
      (m2c_cu_ptr * dst, m2c_cu_ptr * src, size_t * bytes, size_t n,                     \
       struct m2c_cu_copy_attributes * attr, size_t * attr_from, size_t n_attr,          \
       m2c_cu_stream s))

/* ---- NVRTC ---- */

typedef struct _nvrtcProgram *m2c_nvrtc_program;

enum { M2C_NVRTC_OK = 0, M2C_NVRTC_COMPILATION = 6 };

#define M2C_NVRTC_ENTRIES(E)                                                             \
    E(error_text, "nvrtcGetErrorString", const char *, (int code))                       \
    E(version, "nvrtcVersion", int, (int *major, int *minor))                            \
    E(n_archs, "nvrtcGetNumSupportedArchs", int, (int *n))                               \
    E(archs, "nvrtcGetSupportedArchs", int, (int *out))                                  \
    E(create, "nvrtcCreateProgram", int,                                                 \
      (m2c_nvrtc_program * out, const char *source, const char *name, int n,             \
       const char *const *headers, const char *const *names))                            \
    E(destroy, "nvrtcDestroyProgram", int, (m2c_nvrtc_program * p))                      \
    E(compile, "nvrtcCompileProgram", int,                                               \
      (m2c_nvrtc_program p, int n, const char *const *options))                          \
    E(log_size, "nvrtcGetProgramLogSize", int, (m2c_nvrtc_program p, size_t *n))         \
    E(log, "nvrtcGetProgramLog", int, (m2c_nvrtc_program p, char *out))                  \
    E(cubin_size, "nvrtcGetCUBINSize", int, (m2c_nvrtc_program p, size_t *n))            \
    E(cubin, "nvrtcGetCUBIN", int, (m2c_nvrtc_program p, char *out))                     \
    E(ptx_size, "nvrtcGetPTXSize", int, (m2c_nvrtc_program p, size_t *n))                \
    E(ptx, "nvrtcGetPTX", int, (m2c_nvrtc_program p, char *out))

/* ---- cuBLAS ---- */

typedef struct cublasContext *m2c_cublas_handle;

enum { M2C_CUBLAS_OK = 0, M2C_CUBLAS_N = 0, M2C_CUBLAS_T = 1 };

#define M2C_CUBLAS_ENTRIES(E)                                                            \
    E(create, "cublasCreate_v2", int, (m2c_cublas_handle * out))                         \
    E(destroy, "cublasDestroy_v2", int, (m2c_cublas_handle h))                           \
    E(version, "cublasGetVersion_v2", int, (m2c_cublas_handle h, int *out))              \
    E(set_stream, "cublasSetStream_v2", int, (m2c_cublas_handle h, m2c_cu_stream s))     \
    E(sgemm, "cublasSgemm_v2", int,                                                      \
      (m2c_cublas_handle h, int ta, int tb, int m, int n, int k, const float *alpha,     \
       const float *a, int lda, const float *b, int ldb, const float *beta, float *c,    \
       int ldc))

#define M2C_ABI_MEMBER(member, symbol, result, params) result(*member) params;

struct m2c_cu {
    void *lib;
    char name[256]; /* as it was opened */
    M2C_CU_ENTRIES(M2C_ABI_MEMBER)
    M2C_CU_OPTIONAL(M2C_ABI_MEMBER)
};

struct m2c_nvrtc {
    void *lib;
    char name[256];
    M2C_NVRTC_ENTRIES(M2C_ABI_MEMBER)
};

struct m2c_cublas {
    void *lib;
    char name[256];
    M2C_CUBLAS_ENTRIES(M2C_ABI_MEMBER)
};

#ifdef __cplusplus
}
#endif
#endif
