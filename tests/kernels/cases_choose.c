/* SPDX-License-Identifier: MIT */
/* One random case of each op that chooses against its reference. Nothing is
 * near here: what comes out is the same, byte by byte, and what is not written
 * keeps its poison. Scores are drawn from few values as often as not, so that
 * ties lie on every border. */
#include "tk.h"

#include "ops/ref.h"
#include "select/selector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *room(size_t n, size_t size)
{
    void *p = calloc(n + 1, size);
    if (!p)
        tk_die("no memory");
    return p;
}

static void both(struct tk *t, const struct m2c_call c[2])
{
    m2c_ref(c[0].op)(&c[0]);
    tk_run(t, &c[1]);
}

/* The device's copy of an operand against the reference's, poison and all. */
static void same_words(struct tk *t, const char *what, const struct tk_mem *m)
{
    uint32_t *got = room(m->bytes / 4, 4), *want = tk_host(m);
    tk_download(t, m, got);
    for (size_t i = 0; i < m->bytes / 4; i++) {
        uint32_t w;
        memcpy(&w, &want[i], 4);
        if (got[i] != w) {
            tk_fault(t, "%s: word %zu of %zu is %#x, not %#x", what, i, m->bytes / 4, got[i],
                     w);
            break;
        }
    }
    free(got);
}

/* Scores of one kind: any floats; few values, both zeros among them; all equal;
 * infinities, denormals and the largest; and, if `nan`, a NaN somewhere. */
static struct tk_mem *scores(struct tk *t, size_t n, bool nan)
{
    static const float odd[] = {INFINITY, -INFINITY, 1e-45f, -1e-45f, 3.4e38f, -3.4e38f, 0};
    struct tk_mem *m = tk_floats(t, n);
    float *x = tk_host(m);
    uint32_t how = tk_below(t, 5), values = 1 + tk_below(t, 9);
    for (size_t i = 0; i < n && how; i++) {
        if (how < 3)
            x[i] = (float)((int)tk_below(t, values) - (int)values / 2) * 0.5f;
        else if (how == 3)
            x[i] = odd[tk_below(t, M2C_COUNTOF(odd))];
        else
            x[i] = -1.5f;
        if (x[i] == 0 && tk_below(t, 2))
            x[i] = -0.0f;
    }
    if (nan && tk_below(t, 6) == 0)
        x[tk_below(t, (uint32_t)n)] = tk_below(t, 2) ? NAN : -NAN;
    tk_upload(t, m);
    return m;
}

void tk_argmax(struct tk *t, enum m2c_type type)
{
    (void)type;
    uint32_t rows = M2C_MIN(tk_rows(t), 9u), n = tk_length(t, tk_below(t, 2) ? 9000 : 70);
    struct tk_mem *x = scores(t, (size_t)rows * n, true), *out = tk_new(t, rows * 4, 4);
    struct m2c_call c[2];
    for (int d = 0; d < 2; d++)
        c[d] = (struct m2c_call){M2C_OP_ARGMAX,
                                 .u.argmax = {tk_at(x, d), tk_at(out, d), rows, n}};
    both(t, c);
    same_words(t, "out", out);
}

/* The table of a random ratio, in which some class may have no share. */
static struct tk_mem *splits(struct tk *t, uint32_t k, uint32_t classes)
{
    struct m2c_ratio ratio = {.n = classes};
    double sum = 0;
    for (uint32_t c = 0; c < classes; c++)
        sum += ratio.share[c] = tk_below(t, 4);
    if (sum == 0)
        sum = ratio.share[classes - 1] = 1;
    for (uint32_t c = 0; c < classes; c++)
        ratio.share[c] /= sum;
    struct tk_mem *m = tk_new(t, ((size_t)k + 1) * classes * 4, 4);
    m2c_class_splits(&ratio, k, tk_host(m));
    tk_upload(t, m);
    return m;
}

void tk_select(struct tk *t, enum m2c_type type)
{
    (void)type;
    uint32_t n = tk_length(t, tk_below(t, 3) ? 200 : 1500), how = tk_below(t, 6);
    uint32_t k = how == 0 ? n : how == 1 ? 0 : how == 2 ? 1 : tk_below(t, n + 1);
    uint32_t classes = 1 + tk_below(t, tk_below(t, 2) ? 3 : M2C_FFN_CLASSES);
    bool magnitude = tk_below(t, 2), positive = tk_below(t, 2);
    struct tk_mem *x = scores(t, n, true), *ends = splits(t, k, classes);
    struct tk_mem *wants = tk_new(t, k * sizeof(struct m2c_want), 4);
    struct tk_mem *counts = tk_new(t, (1 + (size_t)classes) * 4, 4);
    struct m2c_call c[2];
    for (int d = 0; d < 2; d++)
        c[d] = (struct m2c_call){M2C_OP_SELECT,
                                 .u.select = {tk_at(x, d), tk_at(ends, d), tk_at(wants, d),
                                              tk_at(counts, d), n, k, classes, magnitude,
                                              positive}};
    both(t, c);
    same_words(t, "counts", counts);
    same_words(t, "wants", wants);
}

/* Sorted wants of random classes, each neuron with some probability. */
static uint32_t draw_wants(struct tk *t, uint32_t neurons, uint32_t classes, uint32_t k,
                           struct m2c_want *w)
{
    uint32_t n = 0, of_ten = tk_below(t, 11);
    for (uint32_t id = 0; id < neurons && n < k; id++) {
        if (tk_below(t, 10) < of_ten)
            w[n++] = (struct m2c_want){id, m2c_rng_normal(&t->rng), tk_below(t, classes)};
    }
    return n;
}

/* Entries of random slots, classes and passes; some, all or none are held. */
static struct tk_mem *slot_table(struct tk *t, uint32_t classes, uint32_t neurons)
{
    struct tk_mem *m = tk_new(t, (size_t)classes * neurons * 4, 4);
    uint32_t *e = tk_host(m), of_ten = tk_below(t, 11);
    for (size_t i = 0; i < (size_t)classes * neurons; i++) {
        uint32_t slot = tk_below(t, 50) ? tk_below(t, neurons + 1) : M2C_SLOTS_MAX - 1;
        bool held = tk_below(t, 10) < of_ten;
        e[i] = held ? m2c_slot_entry(slot, tk_below(t, classes), tk_below(t, 2))
                    : M2C_NO_SLOT;
    }
    tk_upload(t, m);
    return m;
}

void tk_lookup(struct tk *t, enum m2c_type type)
{
    (void)type;
    uint32_t neurons = tk_length(t, 1500), k = tk_length(t, neurons);
    uint32_t classes = 1 + tk_below(t, tk_below(t, 2) ? 3 : M2C_FFN_CLASSES);
    struct tk_mem *wants = tk_new(t, k * sizeof(struct m2c_want), 4);
    struct tk_mem *n = tk_new(t, 4, 4), *table = slot_table(t, classes, neurons);
    struct tk_mem *list = tk_new(t, k * sizeof(struct m2c_neuron_ref), 4);
    struct tk_mem *misses = tk_new(t, k * sizeof(struct m2c_want), 4);
    struct tk_mem *counts = tk_new(t, 16, 4);
    uint32_t drawn = draw_wants(t, neurons, classes, k, tk_host(wants));
    if (tk_below(t, 10) == 0)
        drawn = tk_below(t, 2) ? M2C_NO_ID : k + 1; /* a selection that failed */
    memcpy(tk_host(n), &drawn, 4);
    tk_upload(t, wants);
    tk_upload(t, n);
    struct m2c_call c[2];
    for (int d = 0; d < 2; d++)
        c[d] = (struct m2c_call){M2C_OP_LOOKUP,
                                 .u.lookup = {tk_at(wants, d), tk_at(n, d), tk_at(table, d),
                                              tk_at(list, d), tk_at(misses, d),
                                              tk_at(counts, d), k, classes, neurons}};
    both(t, c);
    same_words(t, "counts", counts);
    same_words(t, "list", list);
    same_words(t, "misses", misses);
}
