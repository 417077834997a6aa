/* SPDX-License-Identifier: MIT */
/* Operands, guards, comparisons. */
#include "tk.h"

#include "quant/codec.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD_BYTE = 0x3c };

/* The program is built once more for a device that only tests have. */
#ifdef TK_DEV_OPS
#include "dev/dev_impl.h"
extern const struct m2c_dev_ops TK_DEV_OPS;
static int open_device(struct m2c_dev **out, const struct m2c_dev_cfg *cfg, struct m2c_err *err)
{
    return m2c_dev_open_ops(out, &TK_DEV_OPS, cfg, err);
}
#else
#define open_device m2c_dev_open
#endif

void tk_die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

static void need(int r, const struct m2c_err *err)
{
    if (r < 0)
        tk_die("device: %s", err->msg);
}

void tk_open(struct tk *t, const struct m2c_dev_cfg *cfg)
{
    struct m2c_err err = {0};
    memset(t, 0, sizeof(*t));
    int r = open_device(&t->dev, cfg, &err);
    if (r == -ENODEV) {
        printf("skipped: %s\n", err.msg);
        exit(77);
    }
    need(r, &err);
    need(m2c_queue_open(t->dev, "test", &t->queue, &err), &err);
}

bool tk_takes_threads(const struct m2c_dev_cfg *cfg)
{
    struct m2c_dev *dev;
    struct m2c_err err = {0};
    struct m2c_dev_cfg one = *cfg;
    one.threads = 1;
    int r = m2c_dev_open(&dev, &one, &err);
    if (r == 0)
        m2c_dev_close(dev);
    return r != -ENOTSUP;
}

void tk_release(struct tk *t, unsigned n_mem)
{
    for (unsigned i = n_mem; i < t->n_mem; i++) {
        free(t->mem[i].ref.host);
        m2c_dev_free(t->dev, t->mem[i].dev);
        m2c_dev_free(t->dev, t->mem[i].stage);
    }
    t->n_mem = n_mem;
}

void tk_close(struct tk *t)
{
    tk_release(t, 0);
    m2c_queue_close(t->queue);
    m2c_dev_close(t->dev);
}

void tk_begin(struct tk *t, uint64_t seed, uint64_t stream, uint64_t variant)
{
    tk_release(t, 0);
    t->fault[0] = 0;
    t->round = (uint32_t)stream;
    m2c_rng_init(&t->rng, seed, stream);
    m2c_rng_init(&t->place, seed, ~stream ^ variant << 48);
}

struct tk_mem *tk_new(struct tk *t, size_t bytes, size_t elem)
{
    struct m2c_err err = {0};
    if (t->n_mem == TK_MAX_OPERANDS)
        tk_die("a case has more than %d operands", TK_MAX_OPERANDS);
    struct tk_mem *m = &t->mem[t->n_mem++];
    m->bytes = bytes;
    m->off = TK_GUARD + elem * m2c_rng_below(&t->place, (uint32_t)(64 / elem));
    size_t all = m->off + bytes + TK_GUARD;
    m->ref = (struct m2c_buf){.host = malloc(all), .bytes = all};
    if (!m->ref.host)
        tk_die("no memory");
    memset(m->ref.host, GUARD_BYTE, all);
    memset((unsigned char *)m->ref.host + m->off, TK_POISON, bytes);
    need(m2c_dev_alloc(t->dev, M2C_PLACE_DEVICE, all, &m->dev, &err), &err);
    need(m2c_dev_alloc(t->dev, M2C_PLACE_HOST, all, &m->stage, &err), &err);
    tk_upload(t, m);
    return m;
}

void *tk_host(const struct tk_mem *m)
{
    return (unsigned char *)m->ref.host + m->off;
}

struct m2c_mem tk_at(const struct tk_mem *m, bool device)
{
    return (struct m2c_mem){device ? m->dev : &m->ref, m->off};
}

static void finish(struct tk *t)
{
    struct m2c_err err = {0};
    struct m2c_event *ev;
    need(m2c_queue_record(t->queue, &ev, &err), &err);
    need(m2c_event_wait(ev, NULL, &err), &err);
    m2c_event_free(ev);
}

static void copy(struct tk *t, struct m2c_buf *dst, struct m2c_buf *src)
{
    struct m2c_err err = {0};
    struct m2c_copy c = {{dst, 0}, {src, 0}, src->bytes};
    need(m2c_queue_copy(t->queue, &c, 1, &err), &err);
    finish(t);
}

void tk_upload(struct tk *t, const struct tk_mem *m)
{
    memcpy(m->stage->host, m->ref.host, m->ref.bytes);
    copy(t, m->dev, m->stage);
}

void tk_download(struct tk *t, const struct tk_mem *m, void *out)
{
    copy(t, m->stage, m->dev);
    const unsigned char *p = m->stage->host;
    for (size_t i = 0; i < m->ref.bytes; i++)
        if ((i < m->off || i >= m->off + m->bytes) && p[i] != GUARD_BYTE)
            tk_fault(t, "operand %u: byte %td of %zu written", (unsigned)(m - t->mem),
                     (ptrdiff_t)i - (ptrdiff_t)m->off, m->bytes);
    memcpy(out, p + m->off, m->bytes);
}

void tk_run(struct tk *t, const struct m2c_call *call)
{
    struct m2c_err err = {0};
    need(m2c_queue_launch(t->queue, call, &err), &err);
    finish(t);
}

struct tk_mem *tk_floats(struct tk *t, size_t n)
{
    struct tk_mem *m = tk_new(t, n * sizeof(float), sizeof(float));
    float *x = tk_host(m);
    for (size_t i = 0; i < n; i++)
        x[i] = tk_below(t, 10) ? m2c_rng_normal(&t->rng) : 0;
    tk_upload(t, m);
    return m;
}

uint32_t tk_below(struct tk *t, uint32_t n)
{
    return m2c_rng_below(&t->rng, n);
}

enum m2c_type tk_type(struct tk *t, enum m2c_op op)
{
    enum m2c_type type;
    do
        type = (enum m2c_type)tk_below(t, M2C_N_TYPES);
    while (!m2c_dev_supports(t->dev, op, type));
    return type;
}

uint32_t tk_length(struct tk *t, uint32_t max)
{
    max = t->small ? M2C_MIN(max, 75u) : max;
    uint32_t n = 1 + tk_below(t, max), how = tk_below(t, 8);
    if (how == 0)
        return 1;
    if (how == 1)
        return n | 1u;
    if (how == 2 && n > 32)
        return n / 32 * 32;
    if (how == 3 && n > 64)
        return n / 32 * 32 - 1;
    return how == 4 ? M2C_MIN(n, 40u) : n;
}

uint32_t tk_rows(struct tk *t)
{
    const uint32_t gemm = m2c_dev_info(t->dev)->gemm_rows;
    uint32_t how = tk_below(t, t->small ? 7 : 8);
    if (t->round == 2 && !t->small && gemm <= 64)
        return gemm + tk_below(t, 8);
    if (t->round < 2)
        how = t->round ? 4 : 0;
    return how < 4 ? 1 : how < 7 ? 2 + tk_below(t, 6) : 2 + tk_below(t, 80);
}

void tk_fault(struct tk *t, const char *fmt, ...)
{
    if (t->fault[0])
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t->fault, sizeof(t->fault), fmt, ap);
    va_end(ap);
}

bool tk_near(struct tk *t, size_t i, float got, double want, double tol)
{
    if (!isfinite(got) || !isfinite(want)) {
        tk_fault(t, "element %zu: got %g, want %g", i, (double)got, want);
        return false;
    }
    double e = fabs((double)got - want);
    if (e * t->worst.tol > t->worst.error * tol || (t->worst.tol == 0 && tol > 0)) {
        t->worst.error = e;
        t->worst.tol = tol;
    }
    if (!(e <= tol)) {
        tk_fault(t, "element %zu: got %.9g, want %.9g, error %.3g, tolerance %.3g", i,
                 (double)got, want, e, tol);
        return false;
    }
    return true;
}

bool tk_same(struct tk *t, const char *what, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&a[i], &b[i], sizeof(*a)) != 0) {
            tk_fault(t, "%s: element %zu: %a and %a", what, i, (double)a[i], (double)b[i]);
            return false;
        }
    }
    return true;
}

void tk_compare(struct tk *t, const struct tk_mem *m, tk_tol tol, const void *ctx)
{
    float *got = malloc(m->bytes + 1), *want = tk_host(m);
    if (!got)
        tk_die("no memory");
    tk_download(t, m, got);
    for (size_t i = 0; i < m->bytes / sizeof(float); i++)
        if (!tk_near(t, i, got[i], want[i], tol(ctx, i)))
            break;
    free(got);
}

double tk_exact(const void *ctx, size_t i)
{
    (void)ctx;
    (void)i;
    return 0;
}

struct tk_matrix tk_matrix(struct tk *t, enum m2c_type type, uint32_t rows, uint32_t cols)
{
    struct m2c_err err = {0};
    size_t code = m2c_code_bytes(type, cols), scale = m2c_scale_bytes(type, cols);
    struct tk_mem *codes = tk_new(t, code * rows, type == M2C_F32 ? 4
                                                  : m2c_type_grouped(type) ? 1 : 2);
    struct tk_mem *scales = tk_new(t, scale * rows, 2);
    float *row = malloc(cols * sizeof(*row));
    if (!row)
        tk_die("no memory");
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t c = 0; c < cols; c++)
            row[c] = tk_below(t, 10) ? m2c_rng_normal(&t->rng) : 0;
        need(m2c_encode(type, row, cols, (uint8_t *)tk_host(codes) + r * code,
                        (uint8_t *)tk_host(scales) + r * scale, &err),
             &err);
    }
    free(row);
    tk_upload(t, codes);
    tk_upload(t, scales);
    struct tk_matrix m = {{type, rows, cols, tk_at(codes, false), tk_at(scales, false)},
                          {type, rows, cols, tk_at(codes, true), tk_at(scales, true)}};
    return m;
}
