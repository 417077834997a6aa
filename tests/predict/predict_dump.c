/* SPDX-License-Identifier: MIT */
/* predict_dump rrr|mlp IN OUT: trains on samples from a file, for a check in
 * another language. IN: u32 dim, n, width, tokens, then f32 x[tokens][dim], u8
 * active[tokens][n]. OUT: f32 narrow, wide, bias, then the recall at the true k
 * of each token's scores x · map + bias, f64[tokens]. Exit 77: no LAPACKE. */
#include "infer/train.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void *room(size_t n, size_t size)
{
    void *p = calloc(n + 1, size);
    need(p, "no memory");
    return p;
}

static void put(FILE *f, const float *x, size_t n)
{
    need(fwrite(x, sizeof *x, n, f) == n, "cannot write");
}

static void read_samples(FILE *f, const uint32_t head[4], struct m2c_samples *s)
{
    float *x = room(head[0], 4), *score = room(head[1], 4), *all;
    uint8_t *active = room(head[1], 1);
    all = room((size_t)head[3] * head[0], 4);
    need(fread(all, 4, (size_t)head[3] * head[0], f) == (size_t)head[3] * head[0], "short");
    for (uint32_t t = 0; t < head[3]; t++) {
        need(fread(active, 1, head[1], f) == head[1], "short");
        for (uint32_t i = 0; i < head[1]; i++)
            score[i] = active[i] ? 1e-9f : 0; /* below the least f16: active all the same */
        m2c_samples_add(s, 0, all + (size_t)t * head[0], score, 1);
    }
    free(x);
    free(score);
    free(active);
    free(all);
}

static double recall_of(const struct m2c_predictor *p, const struct m2c_samples *s,
                        uint32_t t, float *mid, float *z, uint32_t *order)
{
    const struct m2c_predictor_layer *y = &p->layer[0];
    const float *x = s->layer[0].x + (size_t)t * p->dim, *in = p->width ? mid : x;
    uint32_t inner = m2c_predictor_inner(p);
    for (uint32_t i = 0; i < p->width; i++) {
        double sum = 0;
        for (uint32_t j = 0; j < p->dim; j++)
            sum += (double)y->narrow[(size_t)i * p->dim + j] * x[j];
        mid[i] = (float)sum;
    }
    for (uint32_t i = 0; i < p->n; i++) {
        double sum = y->bias[i];
        for (uint32_t j = 0; j < inner; j++)
            sum += (double)y->wide[(size_t)i * inner + j] * in[j];
        z[i] = (float)sum;
    }
    return m2c_recall_true_k(z, s->layer[0].score + (size_t)t * p->n, p->n, order);
}

int main(int argc, char **argv)
{
    struct m2c_err err = {0};
    uint32_t head[4];
    need(argc == 4, "usage: predict_dump rrr|mlp IN OUT");
    FILE *in = fopen(argv[2], "rb"), *out = fopen(argv[3], "wb");
    need(in && out && fread(head, 4, 4, in) == 4, "cannot open");
    struct m2c_samples *s;
    struct m2c_predictor p, shape = {
        .layers = 1, .dim = head[0], .n = head[1], .width = head[2]};
    need(m2c_samples_open(&s, 1, head[0], head[1], head[3], &err) == 0, err.msg);
    need(m2c_predictor_init(&p, &shape) == 0, "no memory");
    read_samples(in, head, s);
    struct m2c_log *log = NULL;
    struct m2c_train_job job = {.s = s, .shape = &p, .log = log};
    int r = strcmp(argv[1], "mlp") == 0 ? m2c_train_mlp(&job, &p.layer[0], &err)
                                        : m2c_train_rrr(&job, &p.layer[0], &err);
    if (r == -ENOTSUP) {
        printf("skipped: %s\n", err.msg);
        return 77;
    }
    need(r == 0, err.msg);
    put(out, p.layer[0].narrow, (size_t)p.width * p.dim);
    put(out, p.layer[0].wide, (size_t)p.n * m2c_predictor_inner(&p));
    put(out, p.layer[0].bias, p.n);
    float *mid = room(p.dim, 4), *z = room(p.n, 4);
    uint32_t *order = room(p.n, 4);
    for (uint32_t t = 0; t < head[3]; t++) {
        double recall = recall_of(&p, s, t, mid, z, order);
        need(fwrite(&recall, sizeof recall, 1, out) == 1, "cannot write");
    }
    free(mid);
    free(z);
    free(order);
    m2c_predictor_fini(&p);
    m2c_samples_close(s);
    fclose(in);
    need(fclose(out) == 0, "cannot write");
    return 0;
}
