/* SPDX-License-Identifier: MIT */
/* A driver whose Nth call fails, for each N that there is: of a device's life
 * with every kind of copy and two ops, and, for some N, of a model's. Whatever
 * fails, the error says so or the result is right, and every object that the
 * driver made is released. The calls are wrapped by the linker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "dev/dev.h"
#include "infer/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned calls, fail_nth; /* 0: none fails */
static long live;                /* objects made and not released */
static const char *failed_call;

static bool fails(const char *name)
{
    if (++calls != fail_nth)
        return false;
    failed_call = name;
    return true;
}

/* ---- the driver ---- */

/* Calls that return a code, and those that return an object. */
#define CODE(name, params, args)                                                          \
    cl_int __real_##name params;                                                          \
    cl_int __wrap_##name params;                                                          \
    cl_int __wrap_##name params { return fails(#name) ? CL_OUT_OF_RESOURCES : __real_##name args; }
#define OBJECT(type, name, params, args)                                                  \
    type __real_##name params;                                                            \
    type __wrap_##name params;                                                            \
    type __wrap_##name params                                                             \
    {                                                                                     \
        if (fails(#name)) {                                                               \
            *e = CL_OUT_OF_HOST_MEMORY;                                                   \
            return NULL;                                                                  \
        }                                                                                 \
        type made = __real_##name args;                                                   \
        live += made != NULL;                                                             \
        return made;                                                                      \
    }
#define RELEASE(name, type)                                                               \
    cl_int __real_##name(type o);                                                         \
    cl_int __wrap_##name(type o);                                                         \
    cl_int __wrap_##name(type o)                                                          \
    {                                                                                     \
        live--;                                                                           \
        return __real_##name(o);                                                          \
    }
/* Commands that may give an event, which is an object. */
#define COMMAND(name, params, args)                                                       \
    cl_int __real_##name params;                                                          \
    cl_int __wrap_##name params;                                                          \
    cl_int __wrap_##name params                                                           \
    {                                                                                     \
        if (fails(#name))                                                                 \
            return CL_OUT_OF_RESOURCES;                                                   \
        cl_int code = __real_##name args;                                                 \
        live += code == CL_SUCCESS && ev;                                                 \
        return code;                                                                      \
    }

CODE(clGetPlatformIDs, (cl_uint n, cl_platform_id *p, cl_uint *k), (n, p, k))
CODE(clGetDeviceIDs,
     (cl_platform_id p, cl_device_type t, cl_uint n, cl_device_id *d, cl_uint *k),
     (p, t, n, d, k))
CODE(clBuildProgram,
     (cl_program p, cl_uint n, const cl_device_id *d, const char *o,
      void(CL_CALLBACK *f)(cl_program, void *), void *u),
     (p, n, d, o, f, u))
CODE(clSetKernelArg, (cl_kernel k, cl_uint i, size_t n, const void *v), (k, i, n, v))
CODE(clFinish, (cl_command_queue q), (q))
CODE(clFlush, (cl_command_queue q), (q))
CODE(clWaitForEvents, (cl_uint n, const cl_event *v), (n, v))
CODE(clGetEventInfo, (cl_event v, cl_event_info w, size_t n, void *p, size_t *k),
     (v, w, n, p, k))
CODE(clGetEventProfilingInfo, (cl_event v, cl_profiling_info w, size_t n, void *p, size_t *k),
     (v, w, n, p, k))
OBJECT(cl_context, clCreateContext,
       (const cl_context_properties *o, cl_uint n, const cl_device_id *d,
        void(CL_CALLBACK *f)(const char *, const void *, size_t, void *), void *u, cl_int *e),
       (o, n, d, f, u, e))
OBJECT(cl_command_queue, clCreateCommandQueue,
       (cl_context c, cl_device_id d, cl_command_queue_properties o, cl_int *e), (c, d, o, e))
OBJECT(cl_mem, clCreateBuffer, (cl_context c, cl_mem_flags f, size_t n, void *p, cl_int *e),
       (c, f, n, p, e))
OBJECT(cl_program, clCreateProgramWithSource,
       (cl_context c, cl_uint n, const char **t, const size_t *k, cl_int *e), (c, n, t, k, e))
OBJECT(cl_program, clCreateProgramWithBinary,
       (cl_context c, cl_uint n, const cl_device_id *d, const size_t *k,
        const unsigned char **b, cl_int *s, cl_int *e),
       (c, n, d, k, b, s, e))
OBJECT(cl_kernel, clCreateKernel, (cl_program p, const char *name, cl_int *e), (p, name, e))
RELEASE(clReleaseContext, cl_context)
RELEASE(clReleaseCommandQueue, cl_command_queue)
RELEASE(clReleaseMemObject, cl_mem)
RELEASE(clReleaseProgram, cl_program)
RELEASE(clReleaseKernel, cl_kernel)
RELEASE(clReleaseEvent, cl_event)
COMMAND(clEnqueueFillBuffer,
        (cl_command_queue q, cl_mem m, const void *v, size_t w, size_t o, size_t n, cl_uint k,
         const cl_event *l, cl_event *ev),
        (q, m, v, w, o, n, k, l, ev))
COMMAND(clEnqueueWriteBuffer,
        (cl_command_queue q, cl_mem m, cl_bool b, size_t o, size_t n, const void *p, cl_uint k,
         const cl_event *l, cl_event *ev),
        (q, m, b, o, n, p, k, l, ev))
COMMAND(clEnqueueReadBuffer,
        (cl_command_queue q, cl_mem m, cl_bool b, size_t o, size_t n, void *p, cl_uint k,
         const cl_event *l, cl_event *ev),
        (q, m, b, o, n, p, k, l, ev))
COMMAND(clEnqueueCopyBuffer,
        (cl_command_queue q, cl_mem a, cl_mem b, size_t x, size_t y, size_t n, cl_uint k,
         const cl_event *l, cl_event *ev),
        (q, a, b, x, y, n, k, l, ev))
COMMAND(clEnqueueNDRangeKernel,
        (cl_command_queue q, cl_kernel f, cl_uint d, const size_t *o, const size_t *g,
         const size_t *w, cl_uint k, const cl_event *l, cl_event *ev),
        (q, f, d, o, g, w, k, l, ev))
COMMAND(clEnqueueMarkerWithWaitList,
        (cl_command_queue q, cl_uint k, const cl_event *l, cl_event *ev), (q, k, l, ev))
COMMAND(clEnqueueBarrierWithWaitList,
        (cl_command_queue q, cl_uint k, const cl_event *l, cl_event *ev), (q, k, l, ev))

void *__real_clEnqueueMapBuffer(cl_command_queue q, cl_mem m, cl_bool b, cl_map_flags f,
                                size_t o, size_t n, cl_uint k, const cl_event *l, cl_event *ev,
                                cl_int *e);
void *__wrap_clEnqueueMapBuffer(cl_command_queue q, cl_mem m, cl_bool b, cl_map_flags f,
                                size_t o, size_t n, cl_uint k, const cl_event *l, cl_event *ev,
                                cl_int *e);
void *__wrap_clEnqueueMapBuffer(cl_command_queue q, cl_mem m, cl_bool b, cl_map_flags f,
                                size_t o, size_t n, cl_uint k, const cl_event *l, cl_event *ev,
                                cl_int *e)
{
    if (!fails("clEnqueueMapBuffer"))
        return __real_clEnqueueMapBuffer(q, m, b, f, o, n, k, l, ev, e);
    *e = CL_MAP_FAILURE;
    return NULL;
}

/* ---- a device's life ---- */

enum { N = 1000, SMALL = 28, PIECE = 64 };

static int use(struct m2c_dev *dev, float *first, struct m2c_err *err)
{
    struct m2c_queue *copy, *compute;
    struct m2c_buf *d, *p, *h;
    struct m2c_event *ev = NULL;
    struct m2c_copy many[SMALL];
    const size_t bytes = N * sizeof(float);
    int r = m2c_queue_open(dev, "copy", &copy, err);
    r = r < 0 ? r : m2c_queue_open(dev, "compute", &compute, err);
    r = r < 0 ? r : m2c_dev_alloc(dev, M2C_PLACE_DEVICE, bytes, &d, err);
    r = r < 0 ? r : m2c_dev_alloc(dev, M2C_PLACE_PINNED, bytes, &p, err);
    r = r < 0 ? r : m2c_dev_alloc(dev, M2C_PLACE_HOST, bytes, &h, err);
    if (r < 0)
        return r;
    for (int i = 0; i < N; i++)
        ((float *)h->host)[i] = 1;
    for (size_t i = 0; i < SMALL; i++)
        many[i] = (struct m2c_copy){{d, i * 2 * PIECE % 1920}, {h, i * PIECE}, PIECE / 2};
    struct m2c_call fill = {M2C_OP_FILL, .u.fill = {{d, 2000}, 500, 1}};
    struct m2c_call norm = {M2C_OP_NORM, .u.norm = {{d, 0}, {d, 2000}, {d, 0}, 1, 64, 0, 0, 0}};
    struct m2c_copy in = {{d, 0}, {h, 0}, 2000}, out = {{p, 0}, {d, 0}, 2000};
    struct m2c_copy across = {{h, 0}, {p, 0}, 2000};
    r = m2c_queue_copy(copy, &in, 1, err);
    r = r < 0 ? r : m2c_queue_copy(copy, many, SMALL / 2, err);
    r = r < 0 ? r : m2c_queue_record(copy, &ev, err);
    r = r < 0 ? r : m2c_queue_launch(compute, &fill, err);
    r = r < 0 ? r : m2c_queue_after(compute, ev, err);
    r = r < 0 ? r : m2c_queue_launch(compute, &norm, err);
    r = r < 0 ? r : m2c_queue_copy(compute, &out, 1, err);
    r = r < 0 ? r : m2c_queue_copy(compute, &across, 1, err);
    m2c_event_free(ev);
    ev = NULL;
    r = r < 0 ? r : m2c_queue_record(compute, &ev, err);
    r = r < 0 ? r : m2c_event_wait(ev, NULL, err);
    m2c_event_free(ev);
    *first = ((float *)h->host)[0];
    return r;
}

static int life(float *first, struct m2c_err *err)
{
    const struct m2c_dev_cfg cfg = {.backend = "opencl"};
    struct m2c_dev *dev = NULL;
    int r = m2c_dev_open(&dev, &cfg, err);
    r = r < 0 ? r : use(dev, first, err);
    m2c_dev_close(dev);
    return r;
}

static void each_call(void **state)
{
    float want = 0, got;
    struct m2c_err err = {0};
    (void)state;
    fail_nth = 0;
    assert_int_equal(life(&want, &err), 0);
    assert_int_equal(live, 0);
    unsigned survived = 0;
    for (fail_nth = 1;; fail_nth++) {
        err = (struct m2c_err){0};
        failed_call = NULL;
        calls = 0;
        got = 0;
        int r = life(&got, &err);
        if (live != 0)
            fail_msg("call %u, %s: %ld objects are left", fail_nth, failed_call, live);
        if (r == 0 && got != want)
            fail_msg("call %u, %s: a wrong result and no error", fail_nth, failed_call);
        if (r < 0 && !err.msg[0])
            fail_msg("call %u, %s: %d without a word", fail_nth, failed_call, r);
        if (!failed_call)
            break;
        survived += r == 0;
    }
    print_message("%u calls failed in turn, %u of them without harm\n", fail_nth - 1, survived);
    fail_nth = 0;
}

/* ---- a model's life ---- */

static struct model model;

static int decode(struct m2c_err *err)
{
    struct m2c_engine_cfg cfg;
    struct m2c_engine *e = NULL;
    const float *logits;
    model_cfg(&model, .2, &cfg);
    cfg.dev = (struct m2c_dev_cfg){.backend = "opencl"};
    int r = m2c_engine_open(&e, model.store, &cfg, err);
    for (uint32_t i = 0; i < 2 && r == 0; i++)
        r = m2c_engine_decode(e, i, &logits, err);
    m2c_engine_close(e);
    return r;
}

static void some_calls_of_a_model(void **state)
{
    struct m2c_err err = {0};
    (void)state;
    fail_nth = calls = 0;
    assert_int_equal(decode(&err), 0);
    const unsigned all = calls;
    unsigned tried = 0, failed = 0;
    for (unsigned n = all / 40; n < all; n += all / 20, tried++) {
        err = (struct m2c_err){0};
        calls = 0;
        fail_nth = n;
        int r = decode(&err);
        if (live != 0 || (r < 0 && !err.msg[0]))
            fail_msg("call %u of %u, %s: %ld objects left, '%s'", n, all, failed_call, live,
                     err.msg);
        failed += r < 0;
    }
    fail_nth = 0;
    print_message("%u of a model's %u calls failed in turn: %u errors\n", tried, all, failed);
    assert_int_equal(decode(&err), 0);
}

int main(void)
{
    float unused;
    struct m2c_err err = {0};
    int r = life(&unused, &err);
    if (r < 0) {
        printf("%s\n", err.msg);
        return r == -ENODEV ? 77 : 1;
    }
    model_open(&model, "cl-faults");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call),
        cmocka_unit_test(some_calls_of_a_model),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    model_close(&model);
    return failed;
}
