/* SPDX-License-Identifier: MIT */
/* Reduced-rank regression by LAPACK.
 *
 * With centred inputs x and targets y, C = E[x xT] + ridge = L LT and
 * G = E[y xT], the map of least squares is G C^-1. A = G L^-T is that map on
 * white inputs, so that the best map of rank r keeps A's r greatest right
 * singular vectors V: wide = A V, narrow = VT L^-1. Only dim x dim matrices are
 * decomposed, however many neurons there are. */
#include "infer/train_impl.h"

#include "m2c_config.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#if M2C_HAVE_LAPACKE
#include <cblas.h>
#include <lapacke.h>

enum { CHUNK = 512 };
static const double RIDGE = 0.01;

struct moments {
    uint32_t d, n;
    double *x, *y;  /* [d], [n]: means */
    double *c, *g;  /* [d][d], [n][d] */
    double *cx, *cy; /* [CHUNK][d], [CHUNK][n] */
};

static void drop(struct moments *m)
{
    free(m->x);
    free(m->y);
    free(m->c);
    free(m->g);
    free(m->cx);
    free(m->cy);
}

static int make(struct moments *m, uint32_t d, uint32_t n, struct m2c_err *err)
{
    *m = (struct moments){.d = d, .n = n};
    m->x = calloc(d, sizeof(double));
    m->y = calloc(n, sizeof(double));
    m->c = calloc((size_t)d * d, sizeof(double));
    m->g = calloc((size_t)n * d, sizeof(double));
    m->cx = calloc((size_t)CHUNK * d, sizeof(double));
    m->cy = calloc((size_t)CHUNK * n, sizeof(double));
    return m->x && m->y && m->c && m->g && m->cx && m->cy
               ? 0
               : m2c_fail(err, -ENOMEM, "regression: out of memory");
}

static void means(struct moments *m, const struct m2c_train_job *job, uint64_t tokens)
{
    const struct m2c_samples *s = job->s;
    for (uint64_t t = 0; t < tokens; t++) {
        for (uint32_t i = 0; i < m->d; i++)
            m->x[i] += (double)s->layer[job->from].x[t * m->d + i];
        for (uint32_t i = 0; i < m->n; i++)
            m->y[i] += s->layer[job->to].score[t * m->n + i] != 0;
    }
    cblas_dscal((int)m->d, 1 / (double)tokens, m->x, 1);
    cblas_dscal((int)m->n, 1 / (double)tokens, m->y, 1);
}

static void products(struct moments *m, const struct m2c_train_job *job, uint64_t tokens)
{
    const struct m2c_samples *s = job->s;
    const int d = (int)m->d, n = (int)m->n;
    for (uint64_t t = 0; t < tokens; t += CHUNK) {
        int rows = (int)M2C_MIN((uint64_t)CHUNK, tokens - t);
        const float *x = s->layer[job->from].x + t * m->d;
        const uint16_t *y = s->layer[job->to].score + t * m->n;
        for (int r = 0; r < rows; r++) {
            for (int i = 0; i < d; i++)
                m->cx[r * d + i] = (double)x[r * d + i] - m->x[i];
            for (int i = 0; i < n; i++)
                m->cy[(size_t)r * m->n + i] = (y[(size_t)r * m->n + i] != 0) - m->y[i];
        }
        double w = 1 / (double)tokens;
        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, d, d, rows, w, m->cx, d, m->cx,
                    d, 1, m->c, d);
        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, d, rows, w, m->cy, n, m->cx,
                    d, 1, m->g, d);
    }
}

/* C becomes L; G becomes A. */
static int whiten(struct moments *m, struct m2c_err *err)
{
    const int d = (int)m->d;
    double trace = 0;
    for (int i = 0; i < d; i++)
        trace += m->c[i * d + i];
    if (!isfinite(trace))
        return m2c_fail(err, -EDOM, "regression: an input is not a number");
    /* Inputs that never vary have nothing to say; the 1 keeps L regular. */
    for (int i = 0; i < d; i++)
        m->c[i * d + i] += trace > 0 ? RIDGE * trace / d : 1;
    if (LAPACKE_dpotrf(LAPACK_ROW_MAJOR, 'L', d, m->c, d))
        return m2c_fail(err, -EDOM, "regression: the inputs' covariance is not positive");
    cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, (int)m->n,
                d, 1, m->c, d, m->g, d);
    return 0;
}

/* v[d][d]: rows are the right singular vectors of A, greatest last. */
static int decompose(const struct moments *m, double *v, struct m2c_err *err)
{
    const int d = (int)m->d;
    double *w = calloc(m->d, sizeof *w);
    if (!w)
        return m2c_fail(err, -ENOMEM, "regression: out of memory");
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, d, d, (int)m->n, 1, m->g, d, m->g,
                d, 0, v, d);
    /* Column major, since a symmetric matrix is its transpose: eigenvectors
     * come as rows. */
    int bad = LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'L', d, v, d, w);
    free(w);
    return bad ? m2c_fail(err, -EDOM, "regression: no eigenvectors (%d)", bad) : 0;
}

static void store(float *to, const double *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (float)from[i];
}

/* wide = A V, narrow = Vᵀ L⁻¹ for the `width` greatest, greatest first, each pair
 * scaled to like sizes: a group of weights shares one scale. */
static int reduce(struct moments *m, uint32_t width, struct m2c_predictor_layer *out,
                  struct m2c_err *err)
{
    const int d = (int)m->d, n = (int)m->n, r = (int)width;
    double *v = calloc((size_t)m->d * m->d, sizeof *v);
    double *top = calloc((size_t)width * m->d, sizeof *top);
    double *wide = calloc((size_t)m->n * width, sizeof *wide);
    int e = v && top && wide ? decompose(m, v, err)
                             : m2c_fail(err, -ENOMEM, "regression: out of memory");
    if (e == 0) {
        for (int i = 0; i < r; i++)
            memcpy(top + (size_t)i * m->d, v + (size_t)(d - 1 - i) * m->d,
                   m->d * sizeof *v);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, r, d, 1, m->g, d, top, d, 0,
                    wide, r);
        cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, r, d,
                    1, m->c, d, top, d);
        store(out->wide, wide, (size_t)m->n * width);
        store(out->narrow, top, (size_t)width * m->d);
    }
    free(v);
    free(top);
    free(wide);
    return e;
}

/* bias = E[y] - map · E[x] - 1/2: above 0 where activity is likelier than not. */
static int center(const struct moments *m, uint32_t width, struct m2c_predictor_layer *out,
                  struct m2c_err *err)
{
    uint32_t inner = width ? width : m->d;
    double *z = calloc(inner, sizeof *z);
    if (!z)
        return m2c_fail(err, -ENOMEM, "regression: out of memory");
    for (uint32_t i = 0; i < inner; i++) {
        z[i] = width ? 0 : m->x[i];
        for (uint32_t j = 0; j < m->d && width; j++)
            z[i] += (double)out->narrow[(size_t)i * m->d + j] * m->x[j];
    }
    for (uint32_t i = 0; i < m->n; i++) {
        double b = m->y[i] - 0.5;
        for (uint32_t j = 0; j < inner; j++)
            b -= (double)out->wide[(size_t)i * inner + j] * z[j];
        out->bias[i] = (float)b;
    }
    free(z);
    return 0;
}

int m2c_train_rrr(const struct m2c_train_job *job, struct m2c_predictor_layer *out,
                  struct m2c_err *err)
{
    struct moments m;
    const struct m2c_predictor *p = job->shape;
    uint64_t tokens = m2c_train_tokens(job);
    if (tokens == 0)
        return m2c_fail(err, -EINVAL, "no tokens to train on");
    int r = make(&m, p->dim, p->n, err);
    if (r == 0) {
        means(&m, job, tokens);
        products(&m, job, tokens);
        r = whiten(&m, err);
    }
    if (r == 0 && p->width) {
        r = reduce(&m, p->width, out, err);
    } else if (r == 0) {
        cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit,
                    (int)m.n, (int)m.d, 1, m.c, (int)m.d, m.g, (int)m.d);
        store(out->wide, m.g, (size_t)m.n * m.d);
    }
    if (r == 0)
        r = center(&m, p->width, out, err);
    drop(&m);
    return r;
}
#else
int m2c_train_rrr(const struct m2c_train_job *job, struct m2c_predictor_layer *out,
                  struct m2c_err *err)
{
    (void)job;
    (void)out;
    return m2c_fail(err, -ENOTSUP, "this build has no LAPACKE, which rrr and mlp need");
}
#endif
