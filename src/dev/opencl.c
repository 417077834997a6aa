/* SPDX-License-Identifier: MIT */
/* The opencl backend's device: which one it is, what it can do, and how
 * kernels are shaped for it. Memory, queues, programs and ops are in the other
 * opencl_*.c. Invariant: the shape depends on the device and on `isa` alone,
 * so that numbers do too. */
#include "dev/opencl_launch_impl.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PLATFORMS = 16, MAX_DEVICES = 64 };

/* ---- the driver's words ---- */

static const struct {
    cl_int code;
    const char *name;
} codes[] = {
#define CODE(name) {name, #name}
    CODE(CL_DEVICE_NOT_FOUND), CODE(CL_DEVICE_NOT_AVAILABLE),
    CODE(CL_COMPILER_NOT_AVAILABLE), CODE(CL_MEM_OBJECT_ALLOCATION_FAILURE),
    CODE(CL_OUT_OF_RESOURCES), CODE(CL_OUT_OF_HOST_MEMORY),
    CODE(CL_PROFILING_INFO_NOT_AVAILABLE), CODE(CL_MEM_COPY_OVERLAP),
    CODE(CL_BUILD_PROGRAM_FAILURE), CODE(CL_MAP_FAILURE),
    CODE(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST), CODE(CL_COMPILE_PROGRAM_FAILURE),
    CODE(CL_LINKER_NOT_AVAILABLE), CODE(CL_LINK_PROGRAM_FAILURE),
    CODE(CL_DEVICE_PARTITION_FAILED), CODE(CL_INVALID_VALUE), CODE(CL_INVALID_PLATFORM),
    CODE(CL_INVALID_DEVICE), CODE(CL_INVALID_CONTEXT), CODE(CL_INVALID_QUEUE_PROPERTIES),
    CODE(CL_INVALID_COMMAND_QUEUE), CODE(CL_INVALID_MEM_OBJECT), CODE(CL_INVALID_BINARY),
    CODE(CL_INVALID_BUILD_OPTIONS), CODE(CL_INVALID_PROGRAM),
    CODE(CL_INVALID_PROGRAM_EXECUTABLE), CODE(CL_INVALID_KERNEL_NAME),
    CODE(CL_INVALID_KERNEL), CODE(CL_INVALID_ARG_INDEX), CODE(CL_INVALID_ARG_VALUE),
    CODE(CL_INVALID_ARG_SIZE), CODE(CL_INVALID_KERNEL_ARGS),
    CODE(CL_INVALID_WORK_DIMENSION), CODE(CL_INVALID_WORK_GROUP_SIZE),
    CODE(CL_INVALID_WORK_ITEM_SIZE), CODE(CL_INVALID_GLOBAL_OFFSET),
    CODE(CL_INVALID_EVENT_WAIT_LIST), CODE(CL_INVALID_EVENT), CODE(CL_INVALID_OPERATION),
    CODE(CL_INVALID_BUFFER_SIZE), CODE(CL_INVALID_GLOBAL_WORK_SIZE),
    CODE(CL_INVALID_PROPERTY), CODE(CL_INVALID_DEVICE_PARTITION_COUNT),
    {-1001, "CL_PLATFORM_NOT_FOUND_KHR"},
#undef CODE
};

const char *m2c_cl_strerror(cl_int code)
{
    for (size_t i = 0; i < M2C_COUNTOF(codes); i++)
        if (codes[i].code == code)
            return codes[i].name;
    return "an error without a name";
}

int m2c_cl_fail(struct m2c_err *err, cl_int code, const char *what)
{
    bool memory = code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES ||
                  code == CL_OUT_OF_HOST_MEMORY || code == CL_INVALID_BUFFER_SIZE;
    bool gone = code == CL_DEVICE_NOT_AVAILABLE || code == CL_DEVICE_NOT_FOUND;
    return m2c_fail(err, memory ? -ENOMEM : gone ? -ENODEV : -EIO, "%s: %s (%d)", what,
                    m2c_cl_strerror(code), (int)code);
}

/* ---- choosing a device ---- */

static void device_text(cl_device_id d, cl_device_info what, char *out, size_t n)
{
    size_t len = 0;
    char text[512] = "";
    if (clGetDeviceInfo(d, what, sizeof(text) - 1, text, &len) != CL_SUCCESS)
        text[0] = 0;
    snprintf(out, n, "%s", text + strspn(text, " "));
}

static void platform_text(cl_platform_id p, cl_platform_info what, char *out, size_t n)
{
    size_t len = 0;
    char text[512] = "";
    if (clGetPlatformInfo(p, what, sizeof(text) - 1, text, &len) != CL_SUCCESS)
        text[0] = 0;
    snprintf(out, n, "%s", text + strspn(text, " "));
}

static cl_ulong device_number(cl_device_id d, cl_device_info what, size_t width)
{
    unsigned char raw[8] = {0};
    cl_uint u;
    cl_ulong ul;
    if (clGetDeviceInfo(d, what, width, raw, NULL) != CL_SUCCESS)
        return 0;
    memcpy(&u, raw, sizeof(u));
    memcpy(&ul, raw, sizeof(ul));
    return width == 4 ? u : ul;
}
#define NUMBER(d, what, type) device_number(d, what, sizeof(type))

static bool contains(const char *text, const char *part)
{
    size_t n = strlen(part);
    for (; *text; text++) {
        size_t i = 0;
        while (i < n && text[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (i == n)
            return true;
    }
    return n == 0;
}

struct found {
    cl_platform_id platform;
    cl_device_id device;
};

/* Every device of the platforms whose name or vendor contains `part`. */
static int find_all(const char *part, struct found *out, unsigned *n, struct m2c_err *err)
{
    cl_platform_id p[MAX_PLATFORMS];
    cl_uint n_platforms = 0, matched = 0;
    *n = 0;
    cl_int e = clGetPlatformIDs(MAX_PLATFORMS, p, &n_platforms);
    if (e != CL_SUCCESS || n_platforms == 0)
        return m2c_fail(err, -ENODEV,
                        "opencl: no driver is installed: the ICD loader finds no platform "
                        "(%s)",
                        m2c_cl_strerror(e));
    char all[256] = "";
    for (cl_uint i = 0; i < M2C_MIN(n_platforms, (cl_uint)MAX_PLATFORMS); i++) {
        char name[128], vendor[128];
        cl_device_id d[MAX_DEVICES];
        cl_uint n_devices = 0;
        platform_text(p[i], CL_PLATFORM_NAME, name, sizeof(name));
        platform_text(p[i], CL_PLATFORM_VENDOR, vendor, sizeof(vendor));
        size_t at = strlen(all);
        snprintf(all + at, sizeof(all) - at, "%s'%s'", at ? ", " : "", name);
        if (!contains(name, part) && !contains(vendor, part))
            continue;
        matched++;
        if (clGetDeviceIDs(p[i], CL_DEVICE_TYPE_ALL, MAX_DEVICES, d, &n_devices) !=
            CL_SUCCESS)
            continue; /* a platform without a device */
        for (cl_uint k = 0; k < n_devices && *n < MAX_DEVICES; k++)
            out[(*n)++] = (struct found){p[i], d[k]};
    }
    return matched ? 0
                   : m2c_fail(err, -ENODEV, "opencl: no platform is called like '%s': %s",
                              part, all);
}

static int no_such_index(int index, const struct found *f, unsigned n, struct m2c_err *err)
{
    char all[512] = "";
    for (unsigned i = 0; i < n; i++) {
        char name[128];
        size_t at = strlen(all);
        device_text(f[i].device, CL_DEVICE_NAME, name, sizeof(name));
        snprintf(all + at, sizeof(all) - at, "%s%u: %s", i ? "; " : "", i, name);
    }
    return m2c_fail(err, -ENODEV, "opencl: there is no device %d; there %s %u%s%s", index,
                    n == 1 ? "is" : "are", n, n ? ": " : "", all);
}

/* Why a device cannot be used, or NULL. */
static const char *fault_of(cl_device_id d)
{
    char profile[64];
    device_text(d, CL_DEVICE_PROFILE, profile, sizeof(profile));
    if (!NUMBER(d, CL_DEVICE_AVAILABLE, cl_bool))
        return "the driver says it is not available";
    if (!NUMBER(d, CL_DEVICE_COMPILER_AVAILABLE, cl_bool))
        return "its driver has no compiler";
    if (!NUMBER(d, CL_DEVICE_ENDIAN_LITTLE, cl_bool))
        return "it is big-endian";
    if (strcmp(profile, "FULL_PROFILE") != 0)
        return "it has the embedded profile only";
    return NULL;
}

/* ---- opening ---- */

/* device.threads: so many compute units of a processor, by a sub-device. */
static int restrict_units(struct m2c_cl *c, unsigned threads, struct m2c_err *err)
{
    cl_ulong units = NUMBER(c->device, CL_DEVICE_MAX_COMPUTE_UNITS, cl_uint);
    if (threads == 0 || threads >= units)
        return 0;
    const cl_device_partition_property by[] = {CL_DEVICE_PARTITION_BY_COUNTS,
                                               (cl_device_partition_property)threads,
                                               CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
    cl_device_id sub;
    cl_int e = clCreateSubDevices(c->device, by, 1, &sub, NULL);
    if (e != CL_SUCCESS)
        return m2c_fail(err, -ENOTSUP,
                        "opencl: device.threads = %u, but the device does not work with "
                        "some of its %u compute units: %s (%d)",
                        threads, (unsigned)units, m2c_cl_strerror(e), (int)e);
    c->device = sub;
    c->sub_device = true;
    return 0;
}

static unsigned power_of_two(cl_ulong x)
{
    unsigned p = 1;
    while (p * 2 <= x && p < 1u << 30)
        p *= 2;
    return p;
}

/* "vector": one work-item a dot, whose vectors suit a processor; "team": some
 * share it, as suits a GPU. */
static int choose_shape(struct m2c_dev *dev, struct m2c_err *err)
{
    struct m2c_cl *c = dev->priv;
    const char *isa = dev->cfg.isa ? dev->cfg.isa : "auto";
    cl_ulong type = NUMBER(c->device, CL_DEVICE_TYPE, cl_device_type);
    unsigned most = power_of_two(NUMBER(c->device, CL_DEVICE_MAX_WORK_GROUP_SIZE, size_t));
    dev->info.processor = type & CL_DEVICE_TYPE_CPU;
    bool team = !dev->info.processor;
    if (strcmp(isa, "auto") != 0) {
        team = strcmp(isa, "team") == 0;
        if (!team && strcmp(isa, "vector") != 0)
            return m2c_fail(err, -ENODEV,
                            "opencl: there are no '%s' kernels (auto, vector, team)", isa);
    }
    struct m2c_cl_shape *s = &c->shape;
    s->lanes = team ? M2C_MIN(most, 32u) : 1;
    s->teams = M2C_MIN(most / s->lanes, team ? 4u : 8u);
    s->wide = team ? M2C_MIN(most, 128u) : 1;
    s->columns = team ? 16 : 512;
    s->fma = NUMBER(c->device, CL_DEVICE_SINGLE_FP_CONFIG, cl_device_fp_config) & CL_FP_FMA;
    snprintf(dev->info.isa, sizeof(dev->info.isa), "%s", team ? "team" : "vector");
    return 0;
}

/* A window begins at every power of two that leaves room for the overlap. */
static void choose_windows(struct m2c_dev *dev)
{
    struct m2c_cl *c = dev->priv;
    c->max_alloc = NUMBER(c->device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, cl_ulong);
    if (dev->cfg.max_alloc)
        c->max_alloc = M2C_MIN(c->max_alloc, dev->cfg.max_alloc);
    c->max_alloc = M2C_MAX(c->max_alloc, UINT64_C(1) << 16);
    c->overlap = M2C_MIN(UINT64_C(1) << 20, c->max_alloc / 4) & ~UINT64_C(4095);
    c->shift = 12;
    while ((UINT64_C(2) << c->shift) + c->overlap <= c->max_alloc)
        c->shift++;
}

/* Whether a marker's event has a time; not all drivers give it one. */
static int probe_marker(struct m2c_cl *c, struct m2c_err *err)
{
    cl_event ev;
    cl_ulong ns;
    cl_int e = clEnqueueMarkerWithWaitList(c->queue, 0, NULL, &ev);
    if (e != CL_SUCCESS)
        return m2c_cl_fail(err, e, "opencl: a first marker");
    e = clWaitForEvents(1, &ev);
    if (e != CL_SUCCESS) {
        clReleaseEvent(ev);
        return m2c_cl_fail(err, e, "opencl: waiting for a first marker");
    }
    c->marker_time = clGetEventProfilingInfo(ev, CL_PROFILING_COMMAND_END, sizeof(ns), &ns,
                                             NULL) == CL_SUCCESS &&
                     ns != 0;
    clReleaseEvent(ev);
    return 0;
}

static int open_context(struct m2c_cl *c, struct m2c_err *err)
{
    cl_int e;
    c->context = clCreateContext(NULL, 1, &c->device, NULL, NULL, &e);
    if (e != CL_SUCCESS)
        return m2c_cl_fail(err, e, "opencl: clCreateContext");
    c->queue = clCreateCommandQueue(c->context, c->device, CL_QUEUE_PROFILING_ENABLE, &e);
    if (e != CL_SUCCESS)
        return m2c_cl_fail(err, e, "opencl: clCreateCommandQueue");
    c->tiny = clCreateBuffer(c->context, CL_MEM_READ_WRITE, 16, NULL, &e);
    if (e != CL_SUCCESS)
        return m2c_cl_fail(err, e, "opencl: clCreateBuffer");
    return probe_marker(c, err);
}

static int open_opencl(struct m2c_dev *dev, struct m2c_err *err)
{
    struct m2c_cl *c = dev->priv;
    struct m2c_dev_info *info = &dev->info;
    struct found all[MAX_DEVICES];
    unsigned n = 0;
    char platform[128], version[128];
    int r = find_all(dev->cfg.platform ? dev->cfg.platform : "", all, &n, err);
    if (r < 0)
        return r;
    if (dev->cfg.index < 0 || (unsigned)dev->cfg.index >= n)
        return no_such_index(dev->cfg.index, all, n, err);
    c->device = all[dev->cfg.index].device;
    platform_text(all[dev->cfg.index].platform, CL_PLATFORM_NAME, platform, sizeof(platform));
    platform_text(all[dev->cfg.index].platform, CL_PLATFORM_VERSION, version, sizeof(version));
    device_text(c->device, CL_DEVICE_NAME, info->name, sizeof(info->name));
    size_t at = strlen(info->name);
    snprintf(info->name + at, sizeof(info->name) - at, " (%s)", platform);
    const char *fault = fault_of(c->device);
    if (fault)
        return m2c_fail(err, -ENOTSUP, "opencl: device %d, %s, cannot be used: %s",
                        dev->cfg.index, info->name, fault);
    r = restrict_units(c, dev->cfg.threads, err);
    r = r < 0 ? r : choose_shape(dev, err);
    r = r < 0 ? r : m2c_cl_gemm_open(dev, err);
    r = r < 0 ? r : open_context(c, err);
    r = r < 0 ? r : m2c_progcache_open(&c->cache, dev->cfg.cache, err);
    if (r < 0)
        return r;
    choose_windows(dev);
    device_text(c->device, CL_DRIVER_VERSION, info->driver, sizeof(info->driver));
    at = strlen(info->driver);
    snprintf(info->driver + at, sizeof(info->driver) - at, ", %s", version);
    info->mem_bytes = NUMBER(c->device, CL_DEVICE_GLOBAL_MEM_SIZE, cl_ulong);
    info->max_alloc = info->mem_bytes;
    info->piece_bytes = c->max_alloc;
    info->ffn_seg_neurons_min = 64;
    info->gemm_rows = c->gemm_rows ? c->gemm_rows : UINT32_MAX;
    info->threads = (unsigned)NUMBER(c->device, CL_DEVICE_MAX_COMPUTE_UNITS, cl_uint);
    return 0;
}

static void close_opencl(struct m2c_dev *dev)
{
    struct m2c_cl *c = dev->priv;
    m2c_cl_gemm_close(c);
    m2c_cl_drop_programs(c);
    m2c_progcache_close(c->cache);
    if (c->tiny)
        clReleaseMemObject(c->tiny);
    if (c->queue)
        m2c_cl_queue_release(c, c->queue);
    if (c->context)
        clReleaseContext(c->context);
    if (c->sub_device)
        clReleaseDevice(c->device);
}

/* At most 32 segments a layer, as on the cpu. */
static uint32_t seg_neurons(const struct m2c_dev *dev, uint32_t n_neurons)
{
    uint32_t least = n_neurons / 32 + (n_neurons % 32 != 0);
    return (uint32_t)m2c_align_up(M2C_MAX(least, 1u), dev->info.ffn_seg_neurons_min);
}

const struct m2c_dev_ops m2c_dev_opencl = {
    .p = {.name = "opencl",
          .desc = "any device with an OpenCL 1.2 driver",
          .priv_size = sizeof(struct m2c_cl)},
    .open = open_opencl,
    .close = close_opencl,
    .alloc = m2c_cl_alloc,
    .free = m2c_cl_free,
    .queue_open = m2c_cl_queue_open,
    .queue_close = m2c_cl_queue_close,
    .copy = m2c_cl_copy,
    .launch = m2c_cl_launch,
    .record = m2c_cl_record,
    .after = m2c_cl_after,
    .event_wait = m2c_cl_event_wait,
    .event_passed = m2c_cl_event_passed,
    .event_free = m2c_cl_event_free,
    .supports = m2c_cl_supports,
    .seg_neurons = seg_neurons,
};
