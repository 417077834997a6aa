/* SPDX-License-Identifier: MIT */
/* m2c replay: eviction policies on a recorded trace, without the model. */
#include "exp/replay.h"

#include "base/opt.h"
#include "policy/policy.h"
#include "tools/commands.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LIST = 256 };
enum { FORMAT_AUTO, FORMAT_M2C, FORMAT_ORACLE };

struct list {
    char *text; /* a copy, cut at the commas */
    const char *v[MAX_LIST];
    unsigned n;
};

struct args {
    const char *policies, *capacities, *rank;
    int unit, size, semantics, format;
    int64_t seed, threads;
    bool json;
};

struct replay {
    struct args a;
    const char *path;
    struct m2c_trace *t;
    struct m2c_rank *rank;
    struct list policy, capacity;
    uint64_t neurons[MAX_LIST]; /* the capacities: neurons, or bytes with --size bytes */
    struct m2c_replay_cfg cfg;
    struct m2c_replay_row *rows;
    size_t n;
    bool foreign;
};

static int split(const char *text, const char *flag, struct list *out, struct m2c_err *err)
{
    out->text = strdup(text);
    if (!out->text)
        return m2c_fail(err, -ENOMEM, "out of memory");
    for (char *p = out->text, *end; p; p = end) {
        end = strchr(p, ',');
        if (end)
            *end++ = 0;
        if (*p == 0)
            return m2c_fail(err, -EINVAL, "%s %s: an empty word between commas", flag, text);
        if (out->n == MAX_LIST)
            return m2c_fail(err, -EINVAL, "%s: at most %d values", flag, MAX_LIST);
        out->v[out->n++] = p;
    }
    return 0;
}

/* Bytes of an average block of a foreign trace, of the widest neuron of ours. */
static double block_bytes(const struct m2c_trace *t)
{
    double widest = 0, sum = 0;
    for (uint64_t i = 0; i < t->n && t->bytes; i++)
        sum += t->bytes[i];
    for (uint32_t c = 0; c < t->n_classes; c++)
        widest = fmax(widest, m2c_trace_class_bytes(t, c));
    return t->bytes ? sum / (double)t->n : widest;
}

/* A number of neurons, bytes with a suffix, or % of all neurons. */
static int parse_capacity(const struct replay *r, const char *text, uint64_t *out,
                          struct m2c_err *err)
{
    size_t n = strlen(text);
    double unit = block_bytes(r->t), all = (double)r->t->layers * r->t->neurons, x = 0;
    uint64_t bytes = 0;
    int64_t count = 0;
    struct m2c_size size = {0};
    struct m2c_err why = {0};
    int e;
    if (text[n - 1] == '%') {
        e = m2c_parse_size(text, &size, &why);
        x = size.percent / 100 * all * (r->cfg.sized ? unit : 1);
    } else if (strchr("kKmMgGtT", text[n - 1])) {
        e = m2c_parse_bytes(text, &bytes, &why);
        x = r->cfg.sized ? (double)bytes : (double)bytes / unit;
    } else {
        e = m2c_parse_int(text, 1, INT64_C(1) << 40, &count, &why);
        x = (double)count * (r->cfg.sized ? unit : 1);
    }
    if (e < 0)
        return m2c_fail(err, -EINVAL, "--capacity %s: %s", text, why.msg);
    *out = (uint64_t)fmin(x, 9e18);
    return 0;
}

static bool can_run(const struct replay *r, const char *policy)
{
    return !(m2c_policy_needs_order(policy) && !r->rank) &&
           !(m2c_policy_is_bound(policy) && r->cfg.sized);
}

/* "all": every policy that this replay can ask. */
static int name_policies(struct replay *r, struct m2c_err *err)
{
    if (strcmp(r->a.policies, "all") != 0)
        return split(r->a.policies, "--policy", &r->policy, err);
    for (const struct m2c_plugin *const *p = m2c_policy_list(); *p; p++) {
        if (can_run(r, (*p)->name))
            r->policy.v[r->policy.n++] = (*p)->name;
    }
    return 0;
}

static int make_rows(struct replay *r, struct m2c_err *err)
{
    int e = name_policies(r, err);
    if (e == 0)
        e = split(r->a.capacities, "--capacity", &r->capacity, err);
    for (unsigned i = 0; i < r->capacity.n && e == 0; i++)
        e = parse_capacity(r, r->capacity.v[i], &r->neurons[i], err);
    for (unsigned i = 0; i < r->policy.n && e == 0; i++)
        e = m2c_policy_known(r->policy.v[i], err);
    if (e < 0)
        return e;
    r->rows = calloc((size_t)r->policy.n * r->capacity.n, sizeof *r->rows);
    if (!r->rows)
        return m2c_fail(err, -ENOMEM, "out of memory");
    for (unsigned p = 0; p < r->policy.n; p++) {
        for (unsigned c = 0; c < r->capacity.n; c++)
            r->rows[r->n++] = (struct m2c_replay_row){.policy = r->policy.v[p],
                                                      .capacity = r->neurons[c]};
    }
    return 0;
}

static int load(struct replay *r, struct m2c_err *err)
{
    r->foreign = r->a.format == FORMAT_ORACLE ||
                 (r->a.format == FORMAT_AUTO && strstr(r->path, "oracleGeneral") &&
                  !m2c_trace_sniff(r->path));
    int e = r->foreign ? m2c_trace_read_oracle(&r->t, r->path, err)
                       : m2c_trace_read(&r->t, r->path, err);
    if (e == 0 && r->a.rank && r->foreign)
        e = m2c_fail(err, -EINVAL, "--rank ranks a model's neurons, not foreign blocks");
    if (e == 0 && r->a.rank)
        e = m2c_rank_read(&r->rank, r->a.rank, r->t->model, r->t->layers, r->t->neurons,
                          err);
    if (e < 0)
        return e;
    r->cfg = (struct m2c_replay_cfg){.trace = r->t,
                                     .rank = r->rank,
                                     .per_layer = r->a.unit == 0 && !r->foreign,
                                     .sized = r->a.size == 1,
                                     .seq = r->a.semantics == 1 || r->foreign,
                                     .seed = (uint64_t)r->a.seed,
                                     .threads = (unsigned)r->a.threads,
                                     .stop = m2c_cli_stop()};
    return 0;
}

/* ---- output ---- */

static json_t *json_row(const struct replay *r, const struct m2c_replay_row *w)
{
    double blocks = (double)r->t->layers * r->t->neurons;
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:f, s:f}", "policy", w->policy,
        "capacity", (json_int_t)w->capacity, "accesses", (json_int_t)w->accesses, "hits",
        (json_int_t)w->hits, "misses", (json_int_t)w->misses, "miss_ratio",
        (double)w->misses / (double)w->accesses, "bytes", (json_int_t)w->bytes, "evictions",
        (json_int_t)w->evictions, "bypassed", (json_int_t)w->bypassed, "waves",
        (json_int_t)w->waves, "core_seconds", (double)w->ns * 1e-9, "metadata_bytes",
        (double)w->metadata_bytes / blocks);
}

static int print_json(const struct replay *r)
{
    char model[33];
    json_t *rows = json_array();
    m2c_hash_hex(r->t->model, model);
    for (size_t i = 0; i < r->n; i++)
        json_array_append_new(rows, json_row(r, &r->rows[i]));
    return m2c_cli_json(json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:o}", "trace", r->path,
        "model", r->foreign ? "" : model, "selector", r->t->selector, "tokens",
        (json_int_t)r->t->tokens, "layers", (json_int_t)r->t->layers, "neurons",
        (json_int_t)r->t->neurons, "accesses", (json_int_t)r->t->n, "unit",
        r->cfg.per_layer ? "layer" : "global", "size", r->cfg.sized ? "bytes" : "equal",
        "semantics", r->cfg.seq ? "seq" : "token", "capacity_unit",
        r->cfg.sized ? "bytes" : "neurons", "rows", rows));
}

static int print_table(const struct replay *r)
{
    printf("%s: %llu tokens, %u layers of %u, %llu accesses; %s, %s, %s\n", r->path,
           (unsigned long long)r->t->tokens, r->t->layers, r->t->neurons,
           (unsigned long long)r->t->n, r->cfg.per_layer ? "a pool a layer" : "one pool",
           r->cfg.sized ? "capacity in bytes" : "capacity in neurons",
           r->cfg.seq ? "one access at a time" : "a token's wants as a set");
    printf("%-10s %14s %14s %9s %14s %12s\n", "policy", "capacity", "misses", "miss %",
           "KiB fetched", "M access/s");
    for (size_t i = 0; i < r->n; i++) {
        const struct m2c_replay_row *w = &r->rows[i];
        printf("%-10s %14llu %14llu %9.3f %14.1f %12.1f\n", w->policy,
               (unsigned long long)w->capacity, (unsigned long long)w->misses,
               100 * (double)w->misses / (double)w->accesses, (double)w->bytes / 1024,
               w->ns ? (double)w->accesses * 1e3 / (double)w->ns : 0);
    }
    return M2C_EXIT_OK;
}

static int run(struct replay *r)
{
    struct m2c_err err = {0};
    int e = load(r, &err), code;
    if (e < 0)
        code = m2c_cli_fail(&err);
    else if ((e = make_rows(r, &err)) < 0)
        code = m2c_cli_fail_config(&err);
    else if ((e = m2c_replay(&r->cfg, r->rows, r->n, &err)) < 0)
        code = e == -EINVAL ? m2c_cli_fail_config(&err) : m2c_cli_fail(&err);
    else
        code = r->a.json ? print_json(r) : print_table(r);
    m2c_trace_free(r->t);
    m2c_rank_free(r->rank);
    free(r->policy.text);
    free(r->capacity.text);
    free(r->rows);
    return code;
}

int m2c_cmd_replay(int argc, char **argv)
{
    static const char *const units[] = {"layer", "global", NULL};
    static const char *const sizes[] = {"equal", "bytes", NULL};
    static const char *const semantics[] = {"token", "seq", NULL};
    static const char *const formats[] = {"auto", "m2c", "oracleGeneral", NULL};
    struct replay r = {.a = {.seed = 1}};
    const struct m2c_flag flags[] = {
        {.name = "--policy", .kind = M2C_FLAG_STR, .dest = &r.a.policies, .arg = "P[,P...]",
         .help = "policies, or all (needed)"},
        {.name = "--capacity", .kind = M2C_FLAG_STR, .dest = &r.a.capacities,
         .arg = "C[,C...]",
         .help = "neurons of all layers, bytes with a suffix, or % of all (needed)"},
        {.name = "--unit", .kind = M2C_FLAG_ENUM, .dest = &r.a.unit, .choices = units,
         .help = "a pool for each layer (default), or one for all"},
        {.name = "--size", .kind = M2C_FLAG_ENUM, .dest = &r.a.size, .choices = sizes,
         .help = "of a neuron: all equal (default), or the bytes of its class"},
        {.name = "--semantics", .kind = M2C_FLAG_ENUM, .dest = &r.a.semantics,
         .choices = semantics,
         .help = "a token's wants as a pinned set (default), or one at a time"},
        {.name = "--rank", .kind = M2C_FLAG_STR, .dest = &r.a.rank, .arg = "FILE",
         .help = "the model's rank file, for the policy static"},
        {.name = "--format", .kind = M2C_FLAG_ENUM, .dest = &r.a.format, .choices = formats,
         .help = "of the trace; auto: oracleGeneral where the name says so"},
        {.name = "--seed", .kind = M2C_FLAG_INT, .dest = &r.a.seed, .arg = "N", .min = 0,
         .max = 9007199254740992.0, .help = "for policies that draw (default 1)"},
        {.name = "--threads", .kind = M2C_FLAG_INT, .dest = &r.a.threads, .arg = "N",
         .min = 0, .max = 1024, .help = "0 (default): as many as the process may use"},
        {.name = "--json", .kind = M2C_FLAG_ON, .dest = &r.a.json,
         .help = "one JSON object on stdout"},
    };
    const struct m2c_cli cli = {
        .name = "m2c replay",
        .args = "T.trace.h5",
        .brief = "Runs eviction policies on a trace, without the model",
        .notes = "Several capacities make a miss-ratio curve: analysis/miss_curves.py draws "
                 "the JSON.\nA foreign trace is replayed one access at a time in one pool.",
        .flags = flags,
        .n_flags = M2C_COUNTOF(flags),
        .min_args = 1,
        .max_args = 1};
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, &r.path, NULL, &code))
        return code;
    if (!r.a.policies || !r.a.capacities)
        return m2c_cli_usage(&cli, "--policy and --capacity are needed");
    return run(&r);
}
