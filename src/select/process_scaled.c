/* SPDX-License-Identifier: MIT */
/* A recorded trace at another shape.
 *
 * A layer of the new shape is made of blocks of co-active neurons of the layer at the
 * same depth, each block of the source as often as the sizes ask for; neurons get ids
 * by chance. All blocks follow one path through the recording: pieces of consecutive
 * tokens from random places. A copy of a block has, at each token, as many active
 * neurons as its block had on the path, so that the active count varies as in the
 * recording, whatever the size. Which of them is drawn anew for each copy: a token of
 * the recording is looked for that came after the pattern that the copy has now and
 * has that many active, so that copies differ and change from token to token as their
 * block did; among a few such tokens the one whose ranks before are nearest, so that
 * classes change as they did. */
#include "select/process_impl.h"
#include "store/trace.h"

#include <errno.h>
#include <stdlib.h>

enum {
    PIECE = 256, /* tokens of a piece of the path */
    NEAREST = 4, /* tokens that are compared by ranks */
    LIKE = 16    /* by patterns, where no token had the same */
};

struct layer {
    uint64_t key;
    uint32_t source, n_blocks;
    uint32_t *block; /* [n_blocks]: of the source */
    uint32_t *id;    /* [n]: of a place in the row of blocks */
    uint32_t *now;   /* [n_blocks]: the token of the recording that a copy shows */
    uint64_t at;     /* the token that `now` is for; UINT64_MAX: none */
};

struct m2c_scaled {
    uint32_t layers, n, tokens, source_layers;
    uint64_t key;
    struct m2c_co_layer *source;
    struct layer *layer;
};

/* Blocks of the source in a random order, and again in another one, until the layer is
 * full. */
static int open_layer(struct m2c_scaled *p, struct layer *l, uint32_t index)
{
    l->source = m2c_source_layer(index, p->layers, p->source_layers);
    const struct m2c_co_layer *s = &p->source[l->source];
    uint64_t cap = p->n + (uint64_t)M2C_BLOCK_NEURONS;
    l->key = m2c_draw(p->key, 2, index);
    l->at = UINT64_MAX;
    l->block = malloc((size_t)(cap + s->n_blocks) * sizeof *l->block);
    l->id = malloc(p->n * sizeof *l->id);
    if (!l->block || !l->id)
        return -ENOMEM;
    for (uint32_t neurons = 0, round = 0; neurons < p->n; round++) {
        m2c_draw_order(m2c_draw(l->key, 3, round), l->block + l->n_blocks, s->n_blocks);
        for (uint32_t k = 0; k < s->n_blocks && neurons < p->n; k++)
            neurons += s->block[l->block[l->n_blocks++]].n;
    }
    m2c_draw_order(m2c_draw(l->key, 4, 0), l->id, p->n);
    l->now = calloc(l->n_blocks, sizeof *l->now);
    return l->now ? 0 : -ENOMEM;
}

int m2c_scaled_open(struct m2c_scaled **out, const struct m2c_process_cfg *cfg,
                    struct m2c_err *err)
{
    const struct m2c_trace *t = cfg->source;
    struct m2c_scaled *p = calloc(1, sizeof *p);
    if (!p)
        return m2c_fail(err, -ENOMEM, "process: out of memory");
    p->layers = cfg->layers;
    p->n = cfg->n;
    p->tokens = (uint32_t)t->tokens;
    p->key = m2c_draw(cfg->seed, 5, 0);
    p->source = calloc(t->layers, sizeof *p->source);
    p->layer = calloc(cfg->layers, sizeof *p->layer);
    p->source_layers = t->layers;
    int rc = p->source && p->layer ? 0 : -ENOMEM;
    for (uint32_t l = 0; rc == 0 && l < t->layers; l++)
        rc = m2c_co_open(&p->source[l], t, l);
    for (uint32_t l = 0; rc == 0 && l < p->layers; l++)
        rc = open_layer(p, &p->layer[l], l);
    if (rc < 0) {
        m2c_scaled_close(p);
        return m2c_fail(err, rc, "process: out of memory for a trace of %u tokens",
                        p->tokens);
    }
    *out = p;
    return 0;
}

void m2c_scaled_close(struct m2c_scaled *p)
{
    if (!p)
        return;
    for (uint32_t l = 0; p->source && l < p->source_layers; l++)
        m2c_co_close(&p->source[l]);
    for (uint32_t l = 0; p->layer && l < p->layers; l++) {
        free(p->layer[l].block);
        free(p->layer[l].id);
        free(p->layer[l].now);
    }
    free(p->source);
    free(p->layer);
    free(p);
}

/* Tokens of a piece. */
static uint32_t piece(const struct m2c_scaled *p)
{
    return M2C_MIN(PIECE, p->tokens);
}

/* The token of the recording that all layers follow at `token`. */
static uint32_t path(const struct m2c_scaled *p, uint64_t token)
{
    uint64_t k = token / piece(p);
    uint32_t start = m2c_draw_below(m2c_draw(p->key, 6, k), p->tokens - piece(p) + 1);
    return start + (uint32_t)(token % piece(p));
}

static uint32_t rank_distance(const struct m2c_co_block *b, uint32_t s, uint32_t q)
{
    const uint8_t *x = b->rank + (size_t)s * b->n, *y = b->rank + (size_t)q * b->n;
    uint32_t sum = 0;
    for (uint32_t i = 0; i < b->n; i++)
        sum += (uint32_t)abs(x[i] - y[i]);
    return sum;
}

static uint32_t pick(const struct m2c_co_block *b, uint32_t first, uint32_t n,
                     uint64_t bits)
{
    return b->order[first + m2c_draw_below(bits, n)];
}

/* The token to show after `now`, with as many active as at `lead`. */
static uint32_t step(const struct m2c_co_block *b, uint64_t key, uint64_t token,
                     uint32_t now, uint32_t lead)
{
    uint32_t count = (uint32_t)__builtin_popcount(b->pattern[lead]), first, best = lead;
    uint32_t n = m2c_co_range(b, count, b->pattern[now], &first), least = UINT32_MAX;
    for (unsigned k = 0; k < NEAREST && n; k++) {
        uint32_t q = pick(b, first, n, m2c_draw(key, token, k));
        uint32_t d = rank_distance(b, now, q);
        best = d < least ? q : best;
        least = d < least ? d : least;
    }
    if (n)
        return best + 1;
    n = m2c_co_range(b, count, -1, &first);
    for (unsigned k = 0; k < LIKE && n; k++) {
        uint32_t q = pick(b, first, n, m2c_draw(key, token, LIKE + k));
        uint32_t d = (uint32_t)__builtin_popcount(b->pattern[now] ^ b->pattern[q]);
        best = d < least ? q : best;
        least = d < least ? d : least;
    }
    return n ? best + 1 : lead; /* only the first token has so many */
}

static uint32_t begin(const struct m2c_co_block *b, uint64_t key, uint64_t token,
                      uint32_t lead)
{
    uint32_t count = (uint32_t)__builtin_popcount(b->pattern[lead]), first;
    uint32_t n = m2c_co_range(b, count, -1, &first);
    return n ? pick(b, first, n, m2c_draw(key, token, 0)) + 1 : lead;
}

/* Brings the copies to `token`: each piece begins afresh, so that the way is short. */
static void walk(const struct m2c_scaled *p, struct layer *l, uint64_t token)
{
    uint64_t from = token - token % piece(p);
    if (l->at != UINT64_MAX && l->at >= from && l->at <= token)
        from = l->at + 1;
    for (uint64_t t = from; t <= token; t++) {
        uint32_t lead = path(p, t);
        for (uint32_t k = 0; k < l->n_blocks; k++) {
            const struct m2c_co_block *b = &p->source[l->source].block[l->block[k]];
            uint64_t key = m2c_draw(l->key, 7, k);
            l->now[k] = t % piece(p) == 0 ? begin(b, key, t, lead)
                                          : step(b, key, t, l->now[k], lead);
        }
    }
    l->at = token;
}

void m2c_scaled_scores(struct m2c_scaled *p, uint64_t token, uint32_t layer,
                       float *scores)
{
    struct layer *l = &p->layer[layer];
    const struct m2c_co_layer *s = &p->source[l->source];
    uint32_t at = 0;
    walk(p, l, token);
    for (uint32_t k = 0; k < l->n_blocks; k++) {
        const struct m2c_co_block *b = &s->block[l->block[k]];
        const uint8_t *rank = b->rank + (size_t)l->now[k] * b->n;
        for (uint32_t i = 0; i < b->n && at < p->n; i++, at++)
            scores[l->id[at]] = rank[i] ? rank[i] : -1.0f;
    }
}
