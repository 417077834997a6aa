/* SPDX-License-Identifier: MIT */
/* The part of NVML that m2c calls, declared here so that it builds without
 * NVIDIA's headers. After the NVML API reference (docs.nvidia.com/deploy/nvml-api)
 * and the layouts in NVIDIA's own Python binding, nvidia-ml-py 13 (BSD). */
#ifndef M2C_METER_NVML_ABI_H
#define M2C_METER_NVML_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void *m2c_nv_device;

enum { /* nvmlReturn_t */
       M2C_NV_OK = 0,
       M2C_NV_NOT_SUPPORTED = 3,
       M2C_NV_NO_PERMISSION = 4,
       M2C_NV_NOT_FOUND = 6,
       M2C_NV_NO_DRIVER = 9,
       M2C_NV_LOST = 15,
       M2C_NV_RESET_REQUIRED = 16,
       M2C_NV_GPU_NOT_FOUND = 28
};

enum { M2C_NV_POWER_INSTANT = 186 }; /* NVML_FI_DEV_POWER_INSTANT, mW */
enum { M2C_NV_UNSIGNED_INT = 1 };    /* nvmlValueType_t */

struct m2c_nv_field { /* nvmlFieldValue_t */
    uint32_t id, scope;
    int64_t at_us, latency_us;
    int type, result;
    union {
        double d;
        unsigned u;
        unsigned long long ull;
    } value;
};

/* E(member, symbol, parameters): without them there is no meter */
#define M2C_NV_ENTRIES(E)                                                                \
    E(init, "nvmlInit_v2", (void))                                                       \
    E(shutdown, "nvmlShutdown", (void))                                                  \
    E(count, "nvmlDeviceGetCount_v2", (unsigned *n))                                     \
    E(by_index, "nvmlDeviceGetHandleByIndex_v2", (unsigned i, m2c_nv_device *out))       \
    E(by_uuid, "nvmlDeviceGetHandleByUUID", (const char *uuid, m2c_nv_device *out))      \
    E(by_pci, "nvmlDeviceGetHandleByPciBusId_v2",                                        \
      (const char *address, m2c_nv_device *out))                                         \
    E(name, "nvmlDeviceGetName", (m2c_nv_device dev, char *out, unsigned size))          \
    E(power, "nvmlDeviceGetPowerUsage", (m2c_nv_device dev, unsigned *mw))
/* without which it can less */
#define M2C_NV_OPTIONAL(E)                                                               \
    E(energy, "nvmlDeviceGetTotalEnergyConsumption",                                     \
      (m2c_nv_device dev, unsigned long long *mj))                                       \
    E(capability, "nvmlDeviceGetCudaComputeCapability",                                  \
      (m2c_nv_device dev, int *major, int *minor))                                       \
    E(limit, "nvmlDeviceGetEnforcedPowerLimit", (m2c_nv_device dev, unsigned *mw))       \
    E(fields, "nvmlDeviceGetFieldValues",                                                \
      (m2c_nv_device dev, int n, struct m2c_nv_field *out))

struct m2c_nv {
    void *lib;
    const char *(*error_text)(int code); /* nvmlErrorString */
#define M2C_NV_MEMBER(member, symbol, parameters) int(*member) parameters;
    M2C_NV_ENTRIES(M2C_NV_MEMBER)
    M2C_NV_OPTIONAL(M2C_NV_MEMBER)
#undef M2C_NV_MEMBER
};

#ifdef __cplusplus
}
#endif
#endif
