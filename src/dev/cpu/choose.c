/* SPDX-License-Identifier: MIT */
/* The ops that choose, on the cpu: argmax, select, lookup. A few passes over
 * some ten thousand floats: one thread, and no memory but the stack.
 *
 * Scores are compared as unsigned keys in which a better score is less, so
 * that a radix of the key can be counted instead of sorted. */
#include "dev/cpu/kern_impl.h"

#include <string.h>

static uint32_t bits_of(float x)
{
    uint32_t u;
    x += 0.0f; /* -0 ties with 0 */
    memcpy(&u, &x, sizeof(u));
    return u;
}

static bool bits_nan(uint32_t u)
{
    return (u & 0x7fffffffu) > 0x7f800000u;
}

/* Ascending keys are descending floats. */
static uint32_t key_of(uint32_t u)
{
    return u & 0x80000000u ? u : ~(u | 0x80000000u);
}

/* ---- argmax ---- */

/* The least key of a block; *nan is set when there is one. Loops of integers
 * without a branch, for the compiler's vectors. */
static uint32_t best_key(const float *x, size_t n, uint32_t *nan)
{
    uint32_t best = UINT32_MAX, any = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits_of(x[i]), k = key_of(u);
        any |= bits_nan(u);
        best = k < best ? k : best;
    }
    *nan |= any;
    return best;
}

static uint32_t argmax(const float *x, uint32_t n)
{
    enum { BLOCK = 1024 };
    uint32_t best = UINT32_MAX, nan = 0;
    size_t block = 0;
    for (size_t at = 0; at < n; at += BLOCK) {
        uint32_t k = best_key(x + at, M2C_MIN((size_t)BLOCK, n - at), &nan);
        if (k < best) {
            best = k;
            block = at;
        }
    }
    while (!nan && key_of(bits_of(x[block])) != best)
        block++;
    return nan ? M2C_NO_ID : (uint32_t)block;
}

void m2c_cpu_argmax(const struct m2c_run *run, const struct m2c_argmax_args *a)
{
    (void)run;
    const float *x = m2c_mem_host(a->x);
    uint32_t *out = m2c_mem_host(a->out);
    for (uint32_t r = 0; r < a->rows; r++)
        out[r] = argmax(x + (size_t)r * a->n, a->n);
}

/* ---- select ---- */

/* A border between two classes, or the last one, behind which nothing is
 * chosen: the first `rank` candidates lie before it. The key of the last of
 * them is found from its highest radix down. */
struct border {
    uint32_t rank;
    uint32_t prefix; /* the digits of that key known so far */
    uint32_t before; /* candidates with a lower prefix */
    uint32_t equal;  /* met so far, while classes are given: those of this key */
};

enum { RADIX_BITS = 8, RADIX = 1 << RADIX_BITS, DIGITS = 4 };

struct select {
    const float *x;
    uint32_t n, n_borders, candidates;
    uint32_t mask;  /* clears the sign where magnitudes are asked for */
    uint32_t worst; /* keys from here on are no candidates */
    struct border border[M2C_FFN_CLASSES];
};

/* Keys are at most that of -infinity, 0xff800000, so that with all of them as
 * candidates this one is beyond. */
static const uint32_t NO_KEY = 0xffffffffu, KEY_OF_ZERO = 0x7fffffffu;

static uint32_t key_at(const struct select *s, uint32_t i)
{
    return key_of(bits_of(s->x[i]) & s->mask);
}

/* Counts the candidates; the lowest id of a NaN, or M2C_NO_ID. */
static uint32_t count(struct select *s)
{
    uint32_t nan = 0, n = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        nan |= bits_nan(bits_of(s->x[i]));
        n += key_at(s, i) < s->worst;
    }
    s->candidates = n;
    for (uint32_t i = 0; nan && i < s->n; i++) {
        if (bits_nan(bits_of(s->x[i])))
            return i;
    }
    return M2C_NO_ID;
}

/* One digit more of every border's key. A border of rank 0 has none: its
 * prefix stays 0, below every key that a border compares with. */
static void next_digit(struct select *s, unsigned digit)
{
    uint32_t hist[M2C_FFN_CLASSES][RADIX] = {{0}};
    unsigned shift = 32 - RADIX_BITS * (digit + 1);
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t key = key_at(s, i);
        if (key >= s->worst)
            continue;
        uint64_t head = (uint64_t)key >> shift >> RADIX_BITS;
        for (uint32_t b = 0; b < s->n_borders; b++) {
            if (head == s->border[b].prefix)
                hist[b][key >> shift & (RADIX - 1)]++;
        }
    }
    for (uint32_t b = 0; b < s->n_borders; b++) {
        struct border *y = &s->border[b];
        uint32_t d = 0;
        for (; d < RADIX - 1 && y->before + hist[b][d] < y->rank; d++)
            y->before += hist[b][d];
        y->prefix = y->prefix << RADIX_BITS | (y->rank ? d : 0);
    }
}

/* Whether a candidate of this key, met in the order of ids, comes after the
 * border. */
static bool beyond(struct border *b, uint32_t key)
{
    if (b->rank == 0 || key > b->prefix)
        return true;
    return key == b->prefix && b->before + b->equal++ >= b->rank;
}

static void give(struct select *s, struct m2c_want *wants, uint32_t *counts)
{
    uint32_t n = 0, last = s->n_borders - 1;
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t key = key_at(s, i), cls = 0, bits;
        if (key > s->border[last].prefix || key >= s->worst)
            continue;
        for (uint32_t b = 0; b < last; b++)
            cls += beyond(&s->border[b], key);
        if (beyond(&s->border[last], key))
            continue;
        memcpy(&bits, &s->x[i], sizeof(bits));
        bits &= s->mask;
        wants[n] = (struct m2c_want){.id = i, .cls = cls};
        memcpy(&wants[n++].score, &bits, sizeof(bits));
        counts[1 + cls]++;
    }
    counts[0] = n;
}

void m2c_cpu_select(const struct m2c_run *run, const struct m2c_select_args *a)
{
    (void)run;
    const uint32_t *splits = m2c_mem_host(a->splits);
    uint32_t *counts = m2c_mem_host(a->counts);
    struct select s = {.x = m2c_mem_host(a->scores),
                       .n = a->n,
                       .n_borders = a->n_classes,
                       .mask = a->magnitude ? 0x7fffffffu : 0xffffffffu,
                       .worst = a->positive_only ? KEY_OF_ZERO : NO_KEY};
    memset(counts, 0, (1 + (size_t)a->n_classes) * sizeof(*counts));
    uint32_t nan = count(&s);
    if (nan != M2C_NO_ID) {
        counts[0] = M2C_NO_ID;
        counts[1] = nan;
        return;
    }
    uint32_t m = M2C_MIN(a->k, s.candidates);
    for (uint32_t c = 0; c < s.n_borders; c++) {
        uint32_t end = splits[(size_t)m * a->n_classes + c];
        s.border[c].rank = c + 1 < s.n_borders && end < m ? end : m;
    }
    if (m == 0)
        return;
    for (unsigned d = 0; d < DIGITS; d++)
        next_digit(&s, d);
    give(&s, m2c_mem_host(a->wants), counts);
}

/* ---- lookup ---- */

void m2c_cpu_lookup(const struct m2c_run *run, const struct m2c_lookup_args *a)
{
    (void)run;
    const struct m2c_want *wants = m2c_mem_host(a->wants);
    const uint32_t *table = m2c_mem_host(a->table);
    struct m2c_neuron_ref *list = m2c_mem_host(a->list);
    struct m2c_want *misses = m2c_mem_host(a->misses);
    uint32_t *counts = m2c_mem_host(a->counts), found[2] = {0, 0}, missed = 0;
    uint32_t asked = *(const uint32_t *)m2c_mem_host(a->n_wants);
    uint32_t n = asked > a->k ? 0 : asked;
    for (uint32_t i = 0; i < n; i++) {
        const struct m2c_want *w = &wants[i];
        uint32_t t = table[(size_t)w->cls * a->n_neurons + w->id];
        list[i] = (struct m2c_neuron_ref){.id = w->id,
                                          .slot = M2C_NO_SLOT,
                                          .cls = (uint8_t)w->cls,
                                          .pass = M2C_PASS_NONE};
        if (t == M2C_NO_SLOT) {
            misses[missed++] = *w;
            continue;
        }
        list[i].slot = t & ((1u << 28) - 1);
        list[i].cls = t >> 28 & 7;
        list[i].pass = (uint8_t)(t >> 31);
        found[list[i].pass]++;
    }
    for (uint32_t i = n; i < a->k; i++)
        list[i] = (struct m2c_neuron_ref){
            .id = M2C_NO_ID, .slot = M2C_NO_SLOT, .pass = M2C_PASS_NONE};
    counts[0] = asked;
    counts[1] = found[0];
    counts[2] = found[1];
    counts[3] = missed;
}
