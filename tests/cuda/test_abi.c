/* SPDX-License-Identifier: MIT */
/* dev/cuda_abi.h against the toolkit's own headers, where they are installed. */
#include "dev/cuda_abi.h"

#include <stdio.h>

#if defined __has_include
#if __has_include(<cuda.h>)
#include <cuda.h>
#define HAVE_HEADERS 1
#endif
#endif

#if HAVE_HEADERS

#include <cublas_api.h>
#include <nvrtc.h>

#define SAME(a, b) {#a, (long long)(a), (long long)(b)}
#define SIZE(a, b) {"size of " #a, (long long)sizeof(a), (long long)sizeof(b)}
#define PLACE(a, b, field, theirs)                                                       \
    {"place of " #field, (long long)offsetof(a, field), (long long)offsetof(b, theirs)}

static const struct {
    const char *what;
    long long ours, theirs;
} rows[] = {
    SAME(M2C_CU_OK, CUDA_SUCCESS),
    SAME(M2C_CU_INVALID_VALUE, CUDA_ERROR_INVALID_VALUE),
    SAME(M2C_CU_OUT_OF_MEMORY, CUDA_ERROR_OUT_OF_MEMORY),
    SAME(M2C_CU_NO_DEVICE, CUDA_ERROR_NO_DEVICE),
    SAME(M2C_CU_INVALID_DEVICE, CUDA_ERROR_INVALID_DEVICE),
    SAME(M2C_CU_DEVICE_UNAVAILABLE, CUDA_ERROR_DEVICE_UNAVAILABLE),
    SAME(M2C_CU_INVALID_IMAGE, CUDA_ERROR_INVALID_IMAGE),
    SAME(M2C_CU_NO_BINARY, CUDA_ERROR_NO_BINARY_FOR_GPU),
    SAME(M2C_CU_NOT_READY, CUDA_ERROR_NOT_READY),
    SAME(M2C_CU_ATTR_SHARED_MEMORY, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK),
    SAME(M2C_CU_ATTR_SMS, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
    SAME(M2C_CU_ATTR_MAP_HOST, CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY),
    SAME(M2C_CU_ATTR_UNIFIED_ADDRESSING, CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING),
    SAME(M2C_CU_ATTR_CC_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
    SAME(M2C_CU_ATTR_CC_MINOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
    SAME(M2C_CU_CTX_BLOCKING_SYNC, CU_CTX_SCHED_BLOCKING_SYNC),
    SAME(M2C_CU_HOST_PORTABLE, CU_MEMHOSTALLOC_PORTABLE),
    SAME(M2C_CU_HOST_MAPPED, CU_MEMHOSTALLOC_DEVICEMAP),
    SAME(M2C_CU_STREAM_NON_BLOCKING, CU_STREAM_NON_BLOCKING),
    SAME(M2C_CU_EVENT_BLOCKING_SYNC, CU_EVENT_BLOCKING_SYNC),
    SAME(M2C_CU_JIT_ERROR_LOG, CU_JIT_ERROR_LOG_BUFFER),
    SAME(M2C_CU_JIT_ERROR_LOG_BYTES, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES),
    SAME(M2C_CU_PARAMS, CU_LAUNCH_PARAM_BUFFER_POINTER),
    SAME(M2C_CU_PARAM_BYTES, CU_LAUNCH_PARAM_BUFFER_SIZE),
    SAME(M2C_CU_PARAMS_END, CU_LAUNCH_PARAM_END),
    SIZE(m2c_cu_ptr, CUdeviceptr),
    SAME(M2C_NVRTC_OK, NVRTC_SUCCESS),
    SAME(M2C_NVRTC_COMPILATION, NVRTC_ERROR_COMPILATION),
    SAME(M2C_CUBLAS_OK, CUBLAS_STATUS_SUCCESS),
    SAME(M2C_CUBLAS_N, CUBLAS_OP_N),
    SAME(M2C_CUBLAS_T, CUBLAS_OP_T),
#if CUDA_VERSION >= 12080
    SAME(M2C_CU_ORDER_STREAM, CU_MEMCPY_SRC_ACCESS_ORDER_STREAM),
    SIZE(struct m2c_cu_location, CUmemLocation),
    SIZE(struct m2c_cu_copy_attributes, CUmemcpyAttributes),
    PLACE(struct m2c_cu_copy_attributes, CUmemcpyAttributes, order, srcAccessOrder),
    PLACE(struct m2c_cu_copy_attributes, CUmemcpyAttributes, src, srcLocHint),
    PLACE(struct m2c_cu_copy_attributes, CUmemcpyAttributes, dst, dstLocHint),
    PLACE(struct m2c_cu_copy_attributes, CUmemcpyAttributes, flags, flags),
#endif
};

int main(void)
{
    int wrong = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].ours != rows[i].theirs) {
            printf("%s: %lld, and %lld in CUDA %d\n", rows[i].what, rows[i].ours,
                   rows[i].theirs, CUDA_VERSION);
            wrong++;
        }
    }
    printf("%zu values, %d wrong, CUDA %d\n", sizeof rows / sizeof rows[0], wrong,
           CUDA_VERSION);
    return wrong != 0;
}

#else

int main(void)
{
    printf("skipped: the CUDA headers are not installed\n");
    return 77;
}

#endif
