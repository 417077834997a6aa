/* SPDX-License-Identifier: MIT */
/* Rows of a replay, cut into jobs (one a row, or one a row and layer) that any
 * thread may take. */
#include "exp/replay.h"

#include "base/clock.h"
#include "base/pool.h"
#include "exp/replay_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

struct job {
    struct m2c_replay_row count;
    int code;
    struct m2c_err err;
};

struct work {
    const struct m2c_replay_cfg *cfg;
    const struct m2c_replay_row *rows;
    uint32_t *next;   /* or NULL */
    uint32_t *order;  /* of all layers together, or NULL */
    uint32_t pools;   /* of a row */
    struct job *jobs; /* [rows · pools] */
    atomic_bool failed;
};

/* A pool's share of the capacity; the first pools get what is left over. */
static uint64_t share(uint64_t capacity, uint32_t pools, uint32_t pool)
{
    return capacity / pools + (pool < capacity % pools);
}

static const uint32_t *order_of(const struct work *w, const char *policy, uint32_t pool)
{
    if (!m2c_policy_needs_order(policy) || !w->cfg->rank)
        return NULL;
    return w->cfg->per_layer ? w->cfg->rank->layer[pool].order : w->order;
}

static void run_job(struct work *w, size_t j)
{
    const struct m2c_trace *t = w->cfg->trace;
    const struct m2c_replay_row *row = &w->rows[j / w->pools];
    uint32_t pool = (uint32_t)(j % w->pools), step = w->cfg->per_layer ? t->layers : 1;
    uint32_t blocks = w->cfg->per_layer ? t->neurons : t->layers * t->neurons;
    struct job *job = &w->jobs[j];
    struct m2c_replay_pool p = {0};
    job->code = m2c_replay_pool_open(
        &p, w->cfg, row->policy, blocks, share(row->capacity, w->pools, pool),
        w->cfg->seed + pool, order_of(w, row->policy, pool),
        m2c_policy_needs_future(row->policy) ? w->next : NULL, &job->err);
    uint64_t lists = t->tokens * t->layers, t0 = m2c_thread_ns();
    for (uint64_t list = pool; list < lists && job->code == 0; list += step) {
        uint32_t layer = (uint32_t)(list % t->layers);
        m2c_replay_list(&p, list, w->cfg->per_layer ? 0 : layer * t->neurons);
        if (w->cfg->stop && *w->cfg->stop)
            job->code = m2c_fail(&job->err, -EINTR, "interrupted");
    }
    job->count = p.count;
    job->count.ns = m2c_thread_ns() - t0;
    m2c_replay_pool_close(&p);
    if (job->code < 0)
        atomic_store(&w->failed, true);
}

static void run_jobs(void *ctx, size_t begin, size_t end, unsigned worker)
{
    struct work *w = ctx;
    (void)worker;
    for (size_t j = begin; j < end && !atomic_load(&w->failed); j++)
        run_job(w, j);
}

struct hot {
    float freq, mean;
    uint32_t id;
};

static int hotter(const void *a, const void *b)
{
    const struct hot *x = a, *y = b;
    if (x->freq != y->freq)
        return x->freq < y->freq ? 1 : -1;
    if (x->mean != y->mean)
        return x->mean < y->mean ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

/* All layers' neurons, hottest first. */
static int order_all(struct work *w)
{
    const struct m2c_rank *r = w->cfg->rank;
    size_t blocks = (size_t)r->layers * r->n;
    struct hot *h = calloc(blocks, sizeof *h);
    w->order = calloc(blocks, sizeof *w->order);
    bool ok = h && w->order;
    for (size_t i = 0; i < blocks && ok; i++)
        h[i] = (struct hot){r->layer[i / r->n].freq[i % r->n],
                            r->layer[i / r->n].mean[i % r->n], (uint32_t)i};
    if (ok)
        qsort(h, blocks, sizeof *h, hotter);
    for (size_t i = 0; i < blocks && ok; i++)
        w->order[i] = h[i].id;
    free(h);
    return ok ? 0 : -ENOMEM;
}

static int check_row(const struct m2c_replay_cfg *cfg, const struct m2c_replay_row *row,
                     struct m2c_err *err)
{
    uint32_t pools = cfg->per_layer ? cfg->trace->layers : 1;
    if (cfg->sized && m2c_policy_is_bound(row->policy))
        return m2c_fail(err, -EINVAL,
                        "policy %s is the bound for blocks of one size; with sizes it "
                        "bounds nothing",
                        row->policy);
    if (row->capacity < pools)
        return m2c_fail(err, -EINVAL,
                        "a capacity of %" PRIu64 " is less than one for each of %u pools",
                        row->capacity, pools);
    if (m2c_policy_needs_order(row->policy) && !cfg->rank)
        return m2c_fail(err, -EINVAL, "policy %s needs a rank file (--rank)",
                        row->policy);
    return 0;
}

static void add_up(struct m2c_replay_row *row, const struct m2c_replay_row *c)
{
    row->accesses += c->accesses;
    row->hits += c->hits;
    row->misses += c->misses;
    row->bytes += c->bytes;
    row->evictions += c->evictions;
    row->bypassed += c->bypassed;
    row->waves += c->waves;
    row->ns += c->ns;
    row->metadata_bytes += c->metadata_bytes;
}

/* Tables that rows share. */
static int prepare(struct work *w, const struct m2c_replay_row *rows, size_t n,
                   struct m2c_err *err)
{
    bool future = false, order = false;
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        r = check_row(w->cfg, &rows[i], err);
        future |= m2c_policy_needs_future(rows[i].policy);
        order |= m2c_policy_needs_order(rows[i].policy);
    }
    if (r < 0)
        return r;
    w->jobs = calloc(n ? n * w->pools : 1, sizeof *w->jobs);
    r = w->jobs ? 0 : -ENOMEM;
    if (r == 0 && future)
        r = m2c_trace_next(w->cfg->trace, &w->next);
    if (r == 0 && order && !w->cfg->per_layer)
        r = order_all(w);
    return r < 0 ? m2c_fail(err, r, "replay: out of memory") : 0;
}

int m2c_replay(const struct m2c_replay_cfg *cfg, struct m2c_replay_row *rows, size_t n,
               struct m2c_err *err)
{
    struct work w = {.cfg = cfg, .rows = rows};
    struct m2c_pool *pool = NULL;
    w.pools = cfg->per_layer ? cfg->trace->layers : 1;
    atomic_init(&w.failed, false);
    int r = prepare(&w, rows, n, err);
    if (r == 0)
        r = m2c_pool_open(&pool, cfg->threads, err);
    if (r == 0)
        m2c_pool_run(pool, n * w.pools, 1, run_jobs, &w);
    for (size_t j = 0; j < n * w.pools && r == 0; j++) {
        r = w.jobs[j].code;
        if (r < 0 && err)
            *err = w.jobs[j].err;
        add_up(&rows[j / w.pools], &w.jobs[j].count);
    }
    m2c_pool_close(pool);
    free(w.next);
    free(w.order);
    free(w.jobs);
    return r;
}
