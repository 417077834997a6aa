/* SPDX-License-Identifier: MIT */
/* What tests ask the stub for, beside NVML's own functions (nvml.h has those). */
#ifndef M2C_TESTS_STUB_NVML_H
#define M2C_TESTS_STUB_NVML_H

#include <stdint.h>

/* From now on time is what it is set to here. */
void stub_nvml_set_time(uint64_t ns);
double stub_nvml_now_s(void); /* since nvmlInit */
/* The truth, between two such times. */
double stub_nvml_joules(double from_s, double to_s);

int nvmlInit_v2(void);
int nvmlInitWithFlags(unsigned flags);
int nvmlShutdown(void);
const char *nvmlErrorString(int code);
int nvmlDeviceGetCount_v2(unsigned *n);
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **out);
int nvmlDeviceGetHandleByUUID(const char *uuid, void **out);
int nvmlDeviceGetHandleByPciBusId_v2(const char *address, void **out);
int nvmlDeviceGetName(void *dev, char *out, unsigned size);
int nvmlDeviceGetUUID(void *dev, char *out, unsigned size);
int nvmlDeviceGetIndex(void *dev, unsigned *out);
int nvmlDeviceGetCudaComputeCapability(void *dev, int *major, int *minor);
int nvmlDeviceGetArchitecture(void *dev, unsigned *out);
int nvmlDeviceGetEnforcedPowerLimit(void *dev, unsigned *mw);
int nvmlDeviceGetPowerUsage(void *dev, unsigned *mw);
int nvmlDeviceGetTotalEnergyConsumption(void *dev, unsigned long long *mj);
struct field;
int nvmlDeviceGetFieldValues(void *dev, int n, struct field *out);
int nvmlDeviceGetMemoryInfo(void *dev, unsigned long long *total_free_used);
int nvmlDeviceGetTemperature(void *dev, int sensor, unsigned *out);
int nvmlDeviceGetUtilizationRates(void *dev, unsigned *gpu_memory);
int nvmlDeviceGetComputeMode(void *dev, int *out);
int nvmlDeviceGetComputeRunningProcesses_v3(void *dev, unsigned *n, void *out);
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *dev, unsigned *n, void *out);

#endif
