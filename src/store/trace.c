/* SPDX-License-Identifier: MIT */
/* Traces in memory. The files are trace_write.c, trace_read.c, trace_foreign.c. */
#include "store/trace.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int m2c_trace_new(struct m2c_trace **out, uint32_t layers, uint32_t neurons,
                  const struct m2c_layout *layout, const uint32_t parts[M2C_LAYOUT_PARTS])
{
    struct m2c_trace *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->layers = layers;
    t->neurons = neurons;
    t->n_classes = layout->n_classes;
    t->n_parts = layout->n_parts;
    for (uint32_t c = 0; c < layout->n_classes; c++) {
        memcpy(t->cls[c].name, layout->cls[c].name, sizeof t->cls[c].name);
        t->cls[c].parts = layout->cls[c].parts;
    }
    memcpy(t->part_bytes, parts, layout->n_parts * sizeof *parts);
    t->begin = calloc(1, sizeof *t->begin);
    if (!t->begin) {
        m2c_trace_free(t);
        return -ENOMEM;
    }
    *out = t;
    return 0;
}

void m2c_trace_free(struct m2c_trace *t)
{
    if (!t)
        return;
    free(t->begin);
    free(t->scale);
    free(t->id);
    free(t->of_class);
    free(t->score);
    free(t->bytes);
    free(t);
}

static bool grow(void **p, uint64_t n, size_t size)
{
    void *q = n <= SIZE_MAX / size ? realloc(*p, (size_t)n * size) : NULL;
    *p = q ? q : *p;
    return q != NULL;
}

static int make_room(struct m2c_trace *t, uint64_t list, uint32_t n)
{
    if (list + 2 > t->cap_lists) {
        uint64_t cap = (list + 2) * 2;
        if (!grow((void **)&t->begin, cap, sizeof *t->begin) ||
            !grow((void **)&t->scale, cap, sizeof *t->scale))
            return -ENOMEM;
        t->cap_lists = cap;
    }
    if (t->n + n > M2C_TRACE_MAX)
        return -EFBIG;
    if (t->n + n > t->cap) {
        uint64_t cap = (t->n + n) * 3 / 2 + 1024;
        if (!grow((void **)&t->id, cap, sizeof *t->id) ||
            !grow((void **)&t->of_class, cap, 1) || !grow((void **)&t->score, cap, 1))
            return -ENOMEM;
        t->cap = cap;
    }
    return 0;
}

int m2c_trace_add(struct m2c_trace *t, uint32_t layer, const struct m2c_want *wants,
                  uint32_t n)
{
    uint64_t list = t->tokens * t->layers + layer;
    int r = make_room(t, list, n);
    if (r < 0)
        return r;
    float top = 0;
    for (uint32_t i = 0; i < n; i++)
        top = wants[i].score > top && isfinite(wants[i].score) ? wants[i].score : top;
    for (uint32_t i = 0; i < n; i++) {
        float s = top > 0 ? wants[i].score / top : 0;
        t->id[t->n] = wants[i].id;
        t->of_class[t->n] = (uint8_t)wants[i].cls;
        t->score[t->n++] = (uint8_t)(s > 0 ? M2C_MIN(s, 1.0f) * 255 + 0.5f : 0);
    }
    t->scale[list] = top;
    t->begin[list + 1] = t->n;
    t->tokens += layer + 1 == t->layers;
    return 0;
}

uint32_t m2c_trace_class_bytes(const struct m2c_trace *t, uint32_t c)
{
    uint32_t sum = 0;
    for (uint32_t p = 0; p < t->n_parts; p++)
        sum += t->cls[c].parts >> p & 1 ? t->part_bytes[p] : 0;
    return sum;
}

float m2c_trace_score(const struct m2c_trace *t, uint64_t list, uint64_t i)
{
    return t->scale[list] * (float)t->score[i] / 255;
}

int m2c_trace_next(const struct m2c_trace *t, uint32_t **next)
{
    size_t blocks = (size_t)t->layers * t->neurons;
    uint32_t *last = malloc(blocks * sizeof *last);
    *next = malloc((size_t)t->n * sizeof **next + 1);
    if (!last || !*next) {
        free(last);
        free(*next);
        *next = NULL;
        return -ENOMEM;
    }
    memset(last, 0xff, blocks * sizeof *last);
    for (uint64_t list = t->tokens * t->layers; list-- > 0;) {
        uint32_t *of_layer = last + (size_t)(list % t->layers) * t->neurons;
        for (uint64_t i = t->begin[list + 1]; i-- > t->begin[list];) {
            (*next)[i] = of_layer[t->id[i]];
            of_layer[t->id[i]] = (uint32_t)i;
        }
    }
    free(last);
    return 0;
}
