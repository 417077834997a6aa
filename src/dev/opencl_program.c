/* SPDX-License-Identifier: MIT */
/* From the kernels' sources, which are part of the program, to kernels.
 *
 * Each op is a program of its own, built when it is first launched and kept in
 * the program cache: a run pays for what it uses, once a driver. What the
 * driver's compiler says is shown with the file and line it is about. */
#include "dev/opencl_impl.h"

#include "dev/embed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct m2c_embed m2c_cl_sources[];

_Static_assert(M2C_F32 == 0 && M2C_F16 == 1 && M2C_BF16 == 2 && M2C_I8 == 3 &&
                   M2C_I4 == 4 && M2C_P16 == 5 && M2C_P8 == 6,
               "as in kernels/cl/common.cl");
_Static_assert(M2C_ACT_SILU == 0 && M2C_ACT_GELU == 1 && M2C_ACT_RELU == 2,
               "as in kernels/cl/ffn.cl");
_Static_assert(M2C_NO_ID == 0xffffffff && M2C_NO_SLOT == M2C_NO_ID && M2C_PASS_NONE == 254,
               "as in kernels/cl/common.cl");
_Static_assert(sizeof(struct m2c_cl_want) == sizeof(struct m2c_want) &&
                   sizeof(struct m2c_cl_ref) == sizeof(struct m2c_neuron_ref),
               "as in dev/opencl_args.h");

/* Of the entries of the program cache. */
enum { FORMAT = 1, MAX_FILES = 4, TEXTS = 2 * MAX_FILES };

static const struct {
    const char *kernel[2], *file[3]; /* after opencl_args.h and common.cl */
    bool wide;                       /* a team is the whole work-group */
    bool nested;                     /* weights may be nested codes */
} programs[M2C_CL_PROGRAMS] = {
    [M2C_OP_FILL] = {{"fill"}, {"fill.cl"}, false, false},
    [M2C_OP_EMBED] = {{"embed"}, {"embed.cl"}, false, false},
    [M2C_OP_NORM] = {{"norm"}, {"norm.cl"}, true, false},
    [M2C_OP_MATMUL] = {{"matmul", "matmul_rows"}, {"matmul.cl"}, false, false},
    [M2C_OP_ROPE] = {{"rope"}, {"rope.cl"}, false, false},
    [M2C_OP_KV_APPEND] = {{"kv_append"}, {"kv_append.cl"}, false, false},
    [M2C_OP_ATTENTION] = {{"attention"}, {"attention.cl"}, true, false},
    [M2C_OP_FFN_UP] = {{"ffn_up", "ffn_up_rows"}, {"ffn.cl", "ffn_up.cl"}, false, true},
    [M2C_OP_FFN_DOWN] = {{"ffn_down", "ffn_down_rows"}, {"ffn.cl", "ffn_down.cl"}, false, true},
    [M2C_OP_FFN_SUM] = {{"ffn_sum"}, {"ffn_sum.cl"}, false, false},
    [M2C_OP_ARGMAX] = {{"argmax"}, {"argmax.cl"}, true, false},
    [M2C_OP_SELECT] = {{"select_best"}, {"select.cl"}, true, false},
    [M2C_OP_LOOKUP] = {{"lookup"}, {"lookup.cl"}, true, false},
    [M2C_CL_SCATTER] = {{"scatter"}, {"scatter.cl"}, false, false},
};

struct build {
    const char *text[TEXTS];
    size_t bytes[TEXTS], n;
    char line[MAX_FILES][64], options[256];
};

/* One file, after a line that says so, for the compiler's messages. */
static int add_file(struct build *b, const char *name, struct m2c_err *err)
{
    for (const struct m2c_embed *e = m2c_cl_sources; e->name; e++) {
        if (strcmp(e->name, name) != 0)
            continue;
        char *line = b->line[b->n / 2];
        snprintf(line, sizeof(b->line[0]), "#line 1 \"%s\"\n", name);
        b->text[b->n] = line;
        b->bytes[b->n++] = strlen(line);
        b->text[b->n] = (const char *)e->bytes;
        b->bytes[b->n++] = e->size;
        return 0;
    }
    return m2c_fail(err, -ENOENT, "opencl: the program has no %s", name);
}

static int collect(const struct m2c_cl *c, unsigned which, struct build *b,
                   struct m2c_err *err)
{
    const struct m2c_cl_shape *s = &c->shape;
    const bool wide = programs[which].wide;
    *b = (struct build){.n = 0};
    int r = add_file(b, "opencl_args.h", err);
    r = r < 0 ? r : add_file(b, "common.cl", err);
    for (size_t i = 0; i < 2 && programs[which].file[i] && r == 0; i++)
        r = add_file(b, programs[which].file[i], err);
    snprintf(b->options, sizeof(b->options),
             "-cl-std=CL1.2 -DM2C_LANES=%u -DM2C_TEAMS=%u -DM2C_WIDE=%u -DM2C_ROWS=%u "
             "-DM2C_COLUMNS=%u -DM2C_FMA=%d -DM2C_NESTED=%d",
             wide ? s->wide : s->lanes, wide ? 1 : s->teams, s->wide, (unsigned)M2C_CL_ROWS,
             s->columns, s->fma, programs[which].nested);
    return r;
}

static int key_of(const struct m2c_dev *dev, const struct build *b, struct m2c_hash128 *key)
{
    struct m2c_prog_id id = {.backend = "opencl",
                             .device = dev->info.name,
                             .driver = dev->info.driver,
                             .options = b->options,
                             .format = FORMAT,
                             .n_sources = b->n};
    for (size_t i = 0; i < b->n; i++) {
        id.source[i] = b->text[i];
        id.source_bytes[i] = b->bytes[i];
    }
    return m2c_prog_key(&id, key);
}

/* The compiler's words from its first error on, on one line. */
static int tell_log(const struct m2c_cl *c, cl_program p, cl_int code, const char *name,
                    struct m2c_err *err)
{
    size_t n = 0;
    clGetProgramBuildInfo(p, c->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &n);
    char *log = calloc(1, n + 1);
    if (!log)
        return m2c_fail(err, -ENOMEM, "opencl: no memory for the log of kernel %s", name);
    clGetProgramBuildInfo(p, c->device, CL_PROGRAM_BUILD_LOG, n, log, NULL);
    char *from = strstr(log, "error");
    while (from && from > log && from[-1] != '\n')
        from--;
    from = from ? from : log;
    for (char *q = from; *q; q++)
        *q = *q == '\n' ? '|' : *q == '\t' ? ' ' : *q;
    m2c_fail(err, -EIO, "opencl: kernel %s does not build, %s (%d): %s", name,
             m2c_cl_strerror(code), (int)code, from[0] ? from : "the driver does not say why");
    free(log);
    return -EIO;
}

/* 1: *out is built from the cache; 0: it is not there, or no good. */
static int from_cache(struct m2c_cl *c, struct m2c_hash128 key, const char *options,
                      cl_program *out, struct m2c_err *err)
{
    struct m2c_err why = {0};
    void *data;
    size_t n;
    int r = m2c_progcache_get(c->cache, key, &data, &n, &why);
    if (r <= 0)
        return r < 0 ? m2c_fail_in(err, r, "%s", why.msg) : 0;
    const unsigned char *bytes = data;
    cl_int status = CL_SUCCESS, e;
    cl_program p = clCreateProgramWithBinary(c->context, 1, &c->device, &n, &bytes, &status, &e);
    free(data);
    if (e != CL_SUCCESS)
        return 0;
    if (status == CL_SUCCESS && clBuildProgram(p, 1, &c->device, options, NULL, NULL) == CL_SUCCESS) {
        *out = p;
        return 1;
    }
    clReleaseProgram(p);
    return 0;
}

/* A cache that cannot be written costs time, nothing else. */
static void to_cache(struct m2c_cl *c, struct m2c_hash128 key, cl_program p)
{
    size_t n = 0;
    if (clGetProgramInfo(p, CL_PROGRAM_BINARY_SIZES, sizeof(n), &n, NULL) != CL_SUCCESS || n == 0)
        return;
    unsigned char *data = malloc(n);
    if (data && clGetProgramInfo(p, CL_PROGRAM_BINARIES, sizeof(data), &data, NULL) == CL_SUCCESS) {
        struct m2c_err unheard = {0};
        if (m2c_progcache_put(c->cache, key, data, n, &unheard) < 0)
            unheard.code = 0;
    }
    free(data);
}

static int from_source(struct m2c_cl *c, const struct build *b, const char *name,
                       cl_program *out, struct m2c_err *err)
{
    cl_int e;
    const char *text[TEXTS];
    memcpy(text, b->text, sizeof(text));
    cl_program p = clCreateProgramWithSource(c->context, (cl_uint)b->n, text, b->bytes, &e);
    if (e != CL_SUCCESS)
        return m2c_cl_fail(err, e, "opencl: clCreateProgramWithSource");
    e = clBuildProgram(p, 1, &c->device, b->options, NULL, NULL);
    if (e != CL_SUCCESS) {
        int r = tell_log(c, p, e, name, err);
        clReleaseProgram(p);
        return r;
    }
    *out = p;
    return 0;
}

static int make_kernels(struct m2c_cl *c, unsigned which, struct m2c_err *err)
{
    struct m2c_cl_program *p = &c->program[which];
    for (int i = 0; i < 2 && programs[which].kernel[i]; i++) {
        cl_int e;
        p->kernel[i] = clCreateKernel(p->program, programs[which].kernel[i], &e);
        if (e != CL_SUCCESS) {
            p->kernel[i] = NULL;
            return m2c_cl_fail(err, e, "opencl: clCreateKernel");
        }
    }
    return 0;
}

static void drop(struct m2c_cl_program *p)
{
    for (int i = 0; i < 2; i++)
        if (p->kernel[i])
            clReleaseKernel(p->kernel[i]);
    if (p->program)
        clReleaseProgram(p->program);
    *p = (struct m2c_cl_program){0};
}

int m2c_cl_build(struct m2c_dev *dev, unsigned which, struct m2c_err *err)
{
    struct m2c_cl *c = dev->priv;
    struct m2c_cl_program *p = &c->program[which];
    const char *name = programs[which].kernel[0];
    struct build b;
    struct m2c_hash128 key;
    if (p->kernel[0])
        return 0;
    int r = collect(c, which, &b, err);
    r = r < 0 ? r : key_of(dev, &b, &key);
    if (r < 0)
        return r;
    r = from_cache(c, key, b.options, &p->program, err);
    if (r == 0) {
        r = from_source(c, &b, name, &p->program, err);
        if (r == 0)
            to_cache(c, key, p->program);
    }
    if (r >= 0)
        r = make_kernels(c, which, err);
    if (r < 0)
        drop(p);
    return r < 0 ? r : 0;
}

void m2c_cl_drop_programs(struct m2c_cl *c)
{
    for (unsigned i = 0; i < M2C_CL_PROGRAMS; i++)
        drop(&c->program[i]);
}
