/* SPDX-License-Identifier: MIT */
/* The fake driver's entry points: whether a call is one that a driver would
 * take, what exists, and what is left at the end. */
#include "fake.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct CUctx_st {
    struct CUctx_st *next, **link;
    int broken; /* what every later call returns */
};

struct CUmod_st {
    struct CUmod_st *next, **link;
    char file[64], type[32];
};

static struct options {
    int devices, arch, sms, driver, fail, lost, unwaited, tell, wrong;
    size_t memory;
    char broken[64];
} opt;
static bool configured;
static unsigned calls, faults, objects;
static struct CUctx_st *contexts;
static struct CUstream_st *streams;
static struct CUevent_st *events;
static struct CUmod_st *modules;
static _Thread_local struct CUctx_st *current;

void fake_fault(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "fake CUDA: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    faults++;
}

void fake_break(int code)
{
    if (current && !current->broken)
        current->broken = code;
}

/* ---- options ---- */

static void set(const char *name, const char *value)
{
    const struct {
        const char *name;
        int *to;
    } ints[] = {{"devices", &opt.devices}, {"arch", &opt.arch},       {"sms", &opt.sms},
                {"driver", &opt.driver},   {"fail", &opt.fail},       {"lost", &opt.lost},
                {"tell", &opt.tell},       {"unwaited", &opt.unwaited},
                {"wrong", &opt.wrong}};
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++) {
        if (strcmp(name, ints[i].name) == 0) {
            *ints[i].to = atoi(value);
            return;
        }
    }
    if (strcmp(name, "memory") == 0)
        opt.memory = strtoull(value, NULL, 0);
    else if (strcmp(name, "broken") == 0)
        snprintf(opt.broken, sizeof opt.broken, "%s.cu", value);
    else
        fake_fault("there is no option '%s'", name);
}

int m2c_fake_configure(const char *options)
{
    char text[512];
    opt = (struct options){
        .devices = 1, .arch = 86, .sms = 4, .driver = 12040, .memory = (size_t)1 << 30};
    calls = 0;
    configured = true;
    snprintf(text, sizeof text, "%s", options ? options : "");
    for (char *save, *p = strtok_r(text, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
        char *value = strchr(p, '=');
        if (value)
            *value++ = 0;
        set(p, value ? value : "1");
    }
    return faults ? -1 : 0;
}

unsigned m2c_fake_calls(void) { return calls; }

unsigned m2c_fake_faults(void) { return faults; }

unsigned m2c_fake_alive(void) { return objects + fake_live(); }

bool fake_is_unwaited(void) { return opt.unwaited; }
bool fake_is_wrong(void) { return opt.wrong; }

const char *fake_broken(void) { return opt.broken; }

int fake_arch(void) { return opt.arch; }

int fake_call(const char *name, int code)
{
    if (!configured)
        m2c_fake_configure(getenv("M2C_FAKE_CUDA"));
    calls++;
    if (opt.lost && calls >= (unsigned)opt.lost) {
        if (current)
            current->broken = 999;
        return 999;
    }
    if (opt.fail && calls == (unsigned)opt.fail) {
        if (opt.tell)
            fprintf(stderr, "fake call %u, %s, fails as asked\n", calls, name);
        return code;
    }
    return 0;
}

/* A call that needs a context that works. */
static int enter(const char *name, int code)
{
    int r = fake_call(name, code);
    if (r)
        return r;
    if (!current) {
        fake_fault("%s without a context", name);
        return 201; /* CUDA_ERROR_INVALID_CONTEXT */
    }
    return current->broken;
}

enum { UNKNOWN = 999, INVALID = 1, HANDLE = 400 };

static int refuse(const char *name, const char *why)
{
    fake_fault("%s: %s", name, why);
    return INVALID;
}

/* ---- lists of what is alive ---- */

#define LIST(type, list, what)                                                           \
    static struct type *new_##what(void)                                                 \
    {                                                                                    \
        struct type *o = calloc(1, sizeof *o);                                           \
        if (!o)                                                                          \
            return NULL;                                                                 \
        o->next = list;                                                                  \
        o->link = &list;                                                                 \
        if (o->next)                                                                     \
            o->next->link = &o->next;                                                    \
        list = o;                                                                        \
        objects++;                                                                       \
        return o;                                                                        \
    }                                                                                    \
    static void free_##what(struct type *o)                                              \
    {                                                                                    \
        *o->link = o->next;                                                              \
        if (o->next)                                                                     \
            o->next->link = o->link;                                                     \
        free(o);                                                                         \
        objects--;                                                                       \
    }                                                                                    \
    static bool is_##what(const struct type *o)                                          \
    {                                                                                    \
        for (const struct type *i = list; i; i = i->next) {                              \
            if (i == o)                                                                  \
                return true;                                                             \
        }                                                                                \
        fake_fault("%p is no " #what " that is alive", (const void *)o);                 \
        return false;                                                                    \
    }

LIST(CUctx_st, contexts, context)
LIST(CUstream_st, streams, stream)
LIST(CUevent_st, events, event)
LIST(CUmod_st, modules, module)

__attribute__((destructor)) static void at_the_end(void)
{
    static const char *const names[] = {"contexts", "streams", "events", "modules"};
    unsigned left[4] = {0};
    for (struct CUctx_st *o = contexts; o; o = o->next)
        left[0]++;
    for (struct CUstream_st *o = streams; o; o = o->next)
        left[1]++;
    for (struct CUevent_st *o = events; o; o = o->next)
        left[2]++;
    for (struct CUmod_st *o = modules; o; o = o->next)
        left[3]++;
    for (int i = 0; i < 4; i++) {
        if (left[i])
            fake_fault("%u %s are left", left[i], names[i]);
    }
    if (fake_live())
        fake_fault("%u allocations are left, %zu bytes of device memory", fake_live(),
                   fake_used());
    if (opt.tell)
        fprintf(stderr, "fake calls: %u\n", calls);
    if (faults) {
        fflush(NULL);
        _exit(99);
    }
}

/* ---- devices ---- */

int cuInit(unsigned flags) { return flags ? refuse("cuInit", "flags") : fake_call("cuInit", UNKNOWN); }

int cuDriverGetVersion(int *v)
{
    int r = fake_call("cuDriverGetVersion", UNKNOWN);
    *v = opt.driver;
    return r;
}

static const struct {
    int code;
    const char *name, *text;
} errors[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "device not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

static int error_of(int code, const char **out, bool name)
{
    *out = NULL;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (errors[i].code == code) {
            *out = name ? errors[i].name : errors[i].text;
            return 0;
        }
    }
    return INVALID;
}

int cuGetErrorName(int code, const char **out) { return error_of(code, out, true); }

int cuGetErrorString(int code, const char **out) { return error_of(code, out, false); }

int cuDeviceGetCount(int *n)
{
    int r = fake_call("cuDeviceGetCount", UNKNOWN);
    *n = opt.devices;
    return r;
}

int cuDeviceGet(int *dev, int i)
{
    int r = fake_call("cuDeviceGet", UNKNOWN);
    *dev = i + 10; /* a handle is no index */
    return r ? r : i < 0 || i >= opt.devices ? 101 : 0;
}

static bool is_device(int dev) { return dev >= 10 && dev < 10 + opt.devices; }

int cuDeviceGetName(char *out, int n, int dev)
{
    int r = fake_call("cuDeviceGetName", UNKNOWN);
    if (r || !is_device(dev))
        return r ? r : 101;
    snprintf(out, (size_t)n, "Fake card %d", dev - 10);
    return 0;
}

int cuDeviceTotalMem_v2(size_t *out, int dev)
{
    int r = fake_call("cuDeviceTotalMem", UNKNOWN);
    *out = opt.memory;
    return r ? r : is_device(dev) ? 0 : 101;
}

int cuDeviceGetAttribute(int *out, int which, int dev)
{
    int r = fake_call("cuDeviceGetAttribute", UNKNOWN);
    if (r || !is_device(dev))
        return r ? r : 101;
    switch (which) {
    case M2C_CU_ATTR_SMS:
        *out = opt.sms;
        return 0;
    case M2C_CU_ATTR_CC_MAJOR:
        *out = opt.arch / 10;
        return 0;
    case M2C_CU_ATTR_CC_MINOR:
        *out = opt.arch % 10;
        return 0;
    case M2C_CU_ATTR_UNIFIED_ADDRESSING:
    case M2C_CU_ATTR_MAP_HOST:
        *out = 1;
        return 0;
    default:
        return refuse("cuDeviceGetAttribute", "an attribute that m2c does not use");
    }
}

/* ---- contexts ---- */

int cuCtxCreate_v2(m2c_cu_ctx *out, unsigned flags, int dev)
{
    int r = fake_call("cuCtxCreate", UNKNOWN);
    if (r || !is_device(dev) || flags > 7)
        return r ? r : refuse("cuCtxCreate", "device or flags");
    struct CUctx_st *c = new_context();
    *out = current = c;
    return c ? 0 : 2;
}

int cuCtxDestroy_v2(m2c_cu_ctx c)
{
    if (!is_context(c))
        return HANDLE;
    if (current == c)
        current = NULL;
    free_context(c);
    return fake_call("cuCtxDestroy", UNKNOWN);
}

int cuCtxSetCurrent(m2c_cu_ctx c)
{
    int r = fake_call("cuCtxSetCurrent", UNKNOWN);
    if (r)
        return r;
    if (c && !is_context(c))
        return HANDLE;
    current = c;
    return 0;
}

int cuMemGetInfo_v2(size_t *free_bytes, size_t *all)
{
    *all = opt.memory;
    *free_bytes = opt.memory - fake_used();
    return enter("cuMemGetInfo", UNKNOWN);
}

/* ---- memory ---- */

int cuMemAlloc_v2(m2c_cu_ptr *out, size_t n)
{
    int r = enter("cuMemAlloc", 2);
    if (r)
        return r;
    if (n == 0)
        return refuse("cuMemAlloc", "no bytes");
    if (n > opt.memory - fake_used())
        return 2;
    *out = (uintptr_t)fake_alloc(FAKE_DEVICE, n, NULL);
    return *out ? 0 : 2;
}

int cuMemFree_v2(m2c_cu_ptr p)
{
    if (!fake_free(FAKE_DEVICE, (const void *)(uintptr_t)p))
        return refuse("cuMemFree", "this is no memory of the device");
    return fake_call("cuMemFree", UNKNOWN);
}

int cuMemHostAlloc(void **out, size_t n, unsigned flags)
{
    int r = enter("cuMemHostAlloc", 2);
    if (r)
        return r;
    if (n == 0 || !(flags & M2C_CU_HOST_MAPPED) || flags > 7)
        return refuse("cuMemHostAlloc", "no bytes, or flags");
    return fake_alloc(FAKE_PINNED, n, out) ? 0 : 2;
}

int cuMemFreeHost(void *p)
{
    if (!fake_free(FAKE_PINNED, p))
        return refuse("cuMemFreeHost", "this is no pinned memory");
    return fake_call("cuMemFreeHost", UNKNOWN);
}

int cuMemHostGetDevicePointer_v2(m2c_cu_ptr *out, void *p, unsigned flags)
{
    int r = enter("cuMemHostGetDevicePointer", UNKNOWN);
    if (r)
        return r;
    *out = (uintptr_t)fake_device_view(p);
    return *out && !flags ? 0
                          : refuse("cuMemHostGetDevicePointer", "no beginning of pinned memory");
}

/* Whether a stream can be given work on these ranges, which must exist when it
 * is given and when it runs. */
static int takes(const char *name, const struct CUstream_st *s, m2c_cu_ptr p, size_t n)
{
    const char *why;
    int r = enter(name, UNKNOWN);
    if (r)
        return r;
    if (!s)
        return refuse(name, "the null stream orders all others");
    if (!is_stream(s))
        return HANDLE;
    if (n == 0)
        return refuse(name, "no bytes");
    return fake_inside((const void *)(uintptr_t)p, n, &why) ? 0 : refuse(name, why);
}

int cuMemsetD8Async(m2c_cu_ptr p, unsigned char v, size_t n, m2c_cu_stream s)
{
    int r = takes("cuMemsetD8Async", s, p, n);
    if (r)
        return r;
    struct fake_op *op = fake_op_new(FAKE_SET, 0);
    if (!op)
        return 2;
    op->dst = (unsigned char *)(uintptr_t)p;
    op->value = v;
    op->bytes = n;
    fake_push(s, op);
    return 0;
}

static int push_copy(m2c_cu_ptr dst, m2c_cu_ptr src, size_t n, m2c_cu_stream s)
{
    struct fake_op *op = fake_op_new(FAKE_COPY, 0);
    if (!op)
        return 2;
    op->dst = (unsigned char *)(uintptr_t)dst;
    op->src = (const unsigned char *)(uintptr_t)src;
    op->bytes = n;
    fake_push(s, op);
    return 0;
}

int cuMemcpyAsync(m2c_cu_ptr dst, m2c_cu_ptr src, size_t n, m2c_cu_stream s)
{
    const char *why;
    int r = takes("cuMemcpyAsync", s, dst, n);
    if (r)
        return r;
    if (!fake_inside((const void *)(uintptr_t)src, n, &why))
        return refuse("cuMemcpyAsync", why);
    return push_copy(dst, src, n, s);
}

int cuMemcpyBatchAsync(m2c_cu_ptr *dst, m2c_cu_ptr *src, size_t *bytes, size_t n,
                       struct m2c_cu_copy_attributes *attr, size_t *from, size_t n_attr,
                       size_t *failed, m2c_cu_stream s)
{
    const char *why;
    *failed = SIZE_MAX;
    if (n == 0 || n_attr != 1 || from[0] != 0 || attr->order != M2C_CU_ORDER_STREAM)
        return refuse("cuMemcpyBatchAsync", "its parameters");
    int r = takes("cuMemcpyBatchAsync", s, dst[0], bytes[0]);
    for (size_t i = 0; i < n && r == 0; i++) {
        if (bytes[i] == 0 || !fake_inside((void *)(uintptr_t)dst[i], bytes[i], &why) ||
            !fake_inside((void *)(uintptr_t)src[i], bytes[i], &why))
            return refuse("cuMemcpyBatchAsync", "a piece outside of its memory");
    }
    /* The pieces come in no order: backwards is one. */
    for (size_t i = n; i-- > 0 && r == 0;)
        r = push_copy(dst[i], src[i], bytes[i], s);
    return r;
}

/* ---- streams and events ---- */

int cuStreamCreate(m2c_cu_stream *out, unsigned flags)
{
    int r = enter("cuStreamCreate", UNKNOWN);
    if (r)
        return r;
    if (flags != M2C_CU_STREAM_NON_BLOCKING)
        return refuse("cuStreamCreate", "the null stream would order this one");
    struct CUstream_st *s = new_stream();
    if (!s)
        return 2;
    s->tail = &s->head;
    *out = s;
    return 0;
}

int cuStreamDestroy_v2(m2c_cu_stream s)
{
    if (!is_stream(s))
        return HANDLE;
    if (current && !current->broken)
        fake_run(s);
    fake_drop(s);
    free_stream(s);
    return fake_call("cuStreamDestroy", UNKNOWN);
}

int cuStreamSynchronize(m2c_cu_stream s)
{
    int r = enter("cuStreamSynchronize", UNKNOWN);
    if (!is_stream(s))
        return r ? r : HANDLE;
    if (current && !current->broken)
        fake_run(s); /* what a wait reports comes after the wait */
    return r ? r : current->broken;
}

int cuStreamWaitEvent(m2c_cu_stream s, m2c_cu_event ev, unsigned flags)
{
    int r = enter("cuStreamWaitEvent", UNKNOWN);
    if (r || !is_stream(s) || !is_event(ev))
        return r ? r : HANDLE;
    if (flags || !ev->last)
        return refuse("cuStreamWaitEvent", "flags, or an event that was never recorded");
    return fake_wait(s, ev) ? 0 : 2;
}

int cuEventCreate(m2c_cu_event *out, unsigned flags)
{
    int r = enter("cuEventCreate", UNKNOWN);
    if (r)
        return r;
    *out = flags <= 1 ? new_event() : NULL;
    return *out ? 0 : INVALID;
}

int cuEventDestroy_v2(m2c_cu_event ev)
{
    if (!is_event(ev))
        return HANDLE;
    fake_forget(ev);
    free_event(ev);
    return fake_call("cuEventDestroy", UNKNOWN);
}

int cuEventRecord(m2c_cu_event ev, m2c_cu_stream s)
{
    int r = enter("cuEventRecord", UNKNOWN);
    if (r || !is_stream(s) || !is_event(ev))
        return r ? r : HANDLE;
    return fake_record(s, ev) ? 0 : 2;
}

int cuEventSynchronize(m2c_cu_event ev)
{
    int r = enter("cuEventSynchronize", UNKNOWN);
    if (!is_event(ev))
        return r ? r : HANDLE;
    if (current && !current->broken)
        fake_run_event(ev);
    return r ? r : current->broken;
}

int cuEventQuery(m2c_cu_event ev)
{
    int r = enter("cuEventQuery", UNKNOWN);
    if (r || !is_event(ev))
        return r ? r : HANDLE;
    if (!fake_passed(ev) && ev->asked++ == 0)
        return M2C_CU_NOT_READY;
    fake_run_event(ev);
    return current->broken;
}

int cuEventElapsedTime(float *ms, m2c_cu_event from, m2c_cu_event to)
{
    int r = enter("cuEventElapsedTime", UNKNOWN);
    if (r || !is_event(from) || !is_event(to))
        return r ? r : HANDLE;
    if (!from->last || !to->last)
        return refuse("cuEventElapsedTime", "an event that was never recorded");
    if (!fake_passed(from) || !fake_passed(to))
        return M2C_CU_NOT_READY;
    *ms = (float)((double)(int64_t)(fake_time_ns(to) - fake_time_ns(from)) * 1e-6);
    return 0;
}

/* ---- modules and launches ---- */

int cuModuleLoadDataEx(m2c_cu_module *out, const void *image, unsigned n, int *options,
                       void **values)
{
    int arch;
    char file[64], type[32];
    int r = enter("cuModuleLoadDataEx", UNKNOWN);
    if (r)
        return r;
    for (unsigned i = 0; i < n; i++) {
        if (options[i] == M2C_CU_JIT_ERROR_LOG)
            snprintf(values[i], 64, "the fake driver's log");
    }
    if (sscanf(image, "M2CFAKE sm_%d %63s %31s", &arch, file, type) != 3 || arch != opt.arch)
        return M2C_CU_INVALID_IMAGE;
    struct CUmod_st *m = new_module();
    if (!m)
        return 2;
    snprintf(m->file, sizeof m->file, "%s", file);
    snprintf(m->type, sizeof m->type, "%s", type);
    *out = m;
    return 0;
}

int cuModuleUnload(m2c_cu_module m)
{
    if (!is_module(m))
        return HANDLE;
    free_module(m);
    return fake_call("cuModuleUnload", UNKNOWN);
}

int cuModuleGetFunction(m2c_cu_function *out, m2c_cu_module m, const char *name)
{
    int r = enter("cuModuleGetFunction", UNKNOWN);
    if (r || !is_module(m))
        return r ? r : HANDLE;
    const struct m2c_emu_kernel *k = m2c_emu_find(name);
    size_t n = k ? strlen(k->file) : 0;
    if (!k || strncmp(m->file, k->file, n) != 0 || strcmp(m->file + n, ".cu") != 0 ||
        strcmp(m->type, k->type) != 0)
        return 500;
    *out = (m2c_cu_function)(uintptr_t)k;
    return 0;
}

int cuLaunchKernel(m2c_cu_function f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                   unsigned by, unsigned bz, unsigned smem, m2c_cu_stream s, void **params,
                   void **extra)
{
    const struct m2c_emu_kernel *k = (const struct m2c_emu_kernel *)(uintptr_t)f;
    int r = enter("cuLaunchKernel", UNKNOWN);
    if (r || !is_stream(s))
        return r ? r : HANDLE;
    if (!k || params || !extra || extra[0] != M2C_CU_PARAMS ||
        extra[2] != M2C_CU_PARAM_BYTES || extra[4] != M2C_CU_PARAMS_END)
        return refuse("cuLaunchKernel", "how its parameters are given");
    if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || gx > INT32_MAX)
        return refuse("cuLaunchKernel", "its grid");
    size_t bytes = *(const size_t *)extra[3];
    if (bytes != k->arg_bytes || bytes > FAKE_PARAM_BYTES)
        return refuse("cuLaunchKernel", "the size of its parameters");
    struct fake_op *op = fake_op_new(FAKE_KERNEL, bytes);
    if (!op)
        return 2;
    op->kernel = k;
    op->grid[0] = gx, op->grid[1] = gy, op->grid[2] = gz;
    op->block[0] = bx, op->block[1] = by, op->block[2] = bz;
    op->smem = smem;
    op->bytes = bytes;
    memcpy(op->params, extra[1], bytes);
    fake_push(s, op);
    return 0;
}

int fake_push_gemm(struct CUstream_st *s, const struct fake_gemm *g)
{
    int r = enter("cublasSgemm", UNKNOWN);
    if (r || !is_stream(s))
        return r ? r : HANDLE;
    struct fake_op *op = fake_op_new(FAKE_GEMM, 0);
    if (!op)
        return 2;
    op->gemm = *g;
    fake_push(s, op);
    return 0;
}
