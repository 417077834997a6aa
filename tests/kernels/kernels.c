/* SPDX-License-Identifier: MIT */
/* Tests and times every op of a backend against the reference.
 *
 *   kernels [--backend B] [--platform P] [--index N] [--max-alloc BYTES] [--isa I]
 *           [--seed N] [--cases N] [--op NAME] [--only K] [--small]
 *           [--library DIR] [--cache DIR] [--gemm own|blas|auto] [--copy HOW]
 *   --small keeps shapes to what an interpreter gets through.
 *   kernels --self-check      faults that the checks must find
 *   kernels --bench [...]     GB/s of each op and type
 *
 * A failure prints the seed and the case; --seed, --op and --only replay it. */
#include "tk.h"

#include "ops/ref.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    struct m2c_dev_cfg dev;
    uint64_t seed;
    unsigned cases;
    int op, only; /* -1: all */
    bool bench, self_check, small;
};

/* ---- the checks on themselves ---- */

static void must_fault(struct tk *t, const char *what)
{
    if (!t->fault[0])
        tk_die("self-check: %s was not found", what);
    printf("found: %s: %s\n", what, t->fault);
    t->fault[0] = 0;
}

/* A device result with one wrong thing in it at a time. */
static void self_check(struct tk *t)
{
    enum { N = 100 };
    tk_begin(t, 1, 1, 0);
    struct tk_mem *m = tk_floats(t, N);
    float *x = tk_host(m), keep = x[50];
    tk_compare(t, m, tk_exact, NULL);
    if (t->fault[0])
        tk_die("self-check: a fault in equal operands: %s", t->fault);
    struct {
        const char *what;
        float value;
    } wrong[] = {{"a NaN", NAN}, {"an infinity", INFINITY}, {"a wrong number", keep + 1}};
    for (size_t i = 0; i < M2C_COUNTOF(wrong); i++) {
        x[50] = wrong[i].value;
        tk_upload(t, m);
        x[50] = keep;
        tk_compare(t, m, tk_exact, NULL);
        must_fault(t, wrong[i].what);
    }
    tk_near(t, 0, NAN, NAN, INFINITY);
    must_fault(t, "a NaN on both sides");
    static const ptrdiff_t beside[] = {-1, N * 4, -TK_GUARD, N * 4 + TK_GUARD - 1};
    for (size_t i = 0; i < M2C_COUNTOF(beside); i++) {
        uint8_t *p = (uint8_t *)x + beside[i];
        *p ^= 1;
        tk_upload(t, m);
        *p ^= 1;
        tk_compare(t, m, tk_exact, NULL);
        must_fault(t, "a byte written beside the operand");
    }
    tk_upload(t, m);
    float other[2] = {0.0f, 1}, same[2] = {-0.0f, 1};
    tk_same(t, "zeros", other, same, 2);
    must_fault(t, "a zero of the other sign");
}

/* ---- cases ---- */

static uint64_t stream_of(unsigned op, unsigned type, unsigned k)
{
    return (uint64_t)op << 40 | (uint64_t)type << 32 | k;
}

static unsigned report(const struct options *o, const char *kind, unsigned op, unsigned type,
                       unsigned k, const char *fault)
{
    if (!fault[0])
        return 0;
    printf("FAIL %s %s, %s, case %u of seed %llu: %s\n", kind, m2c_op_name(op),
           type < M2C_N_TYPES ? m2c_type_name(type) : "of all types", k,
           (unsigned long long)o->seed, fault);
    return 1;
}

static unsigned test_op(struct tk *t, const struct options *o, unsigned op, unsigned type)
{
    unsigned failed = 0;
    t->worst.error = t->worst.tol = 0;
    for (unsigned k = 0; k < o->cases; k++) {
        if (o->only >= 0 && (unsigned)o->only != k)
            continue;
        tk_begin(t, o->seed, stream_of(op, type, k), 0);
        tk_cases[op](t, (enum m2c_type)type);
        failed += report(o, "values", op, type, k, t->fault);
    }
    printf("%-10s %-5s %4u cases  ", m2c_op_name((enum m2c_op)op),
           m2c_type_name((enum m2c_type)type), o->cases);
    if (t->worst.tol > 0)
        printf("worst error %8.2e, tolerance there %8.2e, %5.1f %%  ", t->worst.error,
               t->worst.tol, 100 * t->worst.error / t->worst.tol);
    else
        printf("exact%45s  ", "");
    printf("%s\n", failed ? "FAILED" : "ok");
    return failed;
}

/* A case here is some ten runs and many small calls: a quarter as many. */
static unsigned test_bits(struct tk *t, const struct options *o, unsigned op)
{
    unsigned failed = 0;
    for (unsigned k = 0; tk_bits_cases[op] && k < o->cases / 4 + 1; k++) {
        if (o->only >= 0 && (unsigned)o->only != k)
            continue;
        t->fault[0] = 0;
        tk_bits_cases[op](t, o->seed, stream_of(op, M2C_N_TYPES, k));
        failed += report(o, "bits", op, M2C_N_TYPES, k, t->fault);
    }
    return failed;
}

static unsigned test_all(struct tk *t, const struct options *o)
{
    unsigned failed = 0;
    for (unsigned op = 0; op < M2C_N_OPS; op++) {
        if (!m2c_ref((enum m2c_op)op) || !tk_cases[op])
            tk_die("op %s has no reference or no case", m2c_op_name((enum m2c_op)op));
        if (o->op >= 0 && (unsigned)o->op != op)
            continue;
        unsigned types = 0, bad = 0;
        for (unsigned type = 0; type < M2C_N_TYPES; type++) {
            if (!m2c_dev_supports(t->dev, (enum m2c_op)op, (enum m2c_type)type))
                continue;
            types++;
            bad += test_op(t, o, op, type);
        }
        if (types == 0)
            printf("%-10s not supported\n", m2c_op_name((enum m2c_op)op));
        if (tk_bits_cases[op] && !o->small) {
            unsigned bits = test_bits(t, o, op);
            printf("%-10s equal bits with other rows, places, cuts, threads%20s  %s\n",
                   m2c_op_name((enum m2c_op)op), "", bits ? "FAILED" : "ok");
            bad += bits;
        }
        failed += bad;
    }
    return failed;
}

/* ---- options ---- */

static uint64_t number(const char *flag, const char *text)
{
    char *end;
    unsigned long long v = text ? strtoull(text, &end, 0) : 0;
    if (!text || *text == 0 || *end)
        tk_die("%s: a number is needed", flag);
    return v;
}

static int op_named(const char *name)
{
    for (unsigned op = 0; name && op < M2C_N_OPS; op++)
        if (strcmp(m2c_op_name((enum m2c_op)op), name) == 0)
            return (int)op;
    tk_die("--op: there is no op '%s'", name ? name : "");
    return -1;
}

static void parse(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        i++;
        if (strcmp(flag, "--backend") == 0)
            o->dev.backend = value;
        else if (strcmp(flag, "--isa") == 0)
            o->dev.isa = value;
        else if (strcmp(flag, "--platform") == 0)
            o->dev.platform = value;
        else if (strcmp(flag, "--index") == 0)
            o->dev.index = (int)number(flag, value);
        else if (strcmp(flag, "--max-alloc") == 0)
            o->dev.max_alloc = number(flag, value);
        else if (strcmp(flag, "--library") == 0)
            o->dev.library = value;
        else if (strcmp(flag, "--cache") == 0)
            o->dev.cache = value;
        else if (strcmp(flag, "--gemm") == 0)
            o->dev.gemm = value;
        else if (strcmp(flag, "--copy") == 0)
            o->dev.copy = value;
        else if (strcmp(flag, "--seed") == 0)
            o->seed = number(flag, value);
        else if (strcmp(flag, "--cases") == 0)
            o->cases = (unsigned)number(flag, value);
        else if (strcmp(flag, "--only") == 0)
            o->only = (int)number(flag, value);
        else if (strcmp(flag, "--op") == 0)
            o->op = op_named(value);
        else if (i--, strcmp(flag, "--bench") == 0)
            o->bench = true;
        else if (strcmp(flag, "--small") == 0)
            o->small = true;
        else if (strcmp(flag, "--self-check") == 0)
            o->self_check = true;
        else
            tk_die("unknown flag %s", flag);
    }
}

int main(int argc, char **argv)
{
    struct options o = {.dev = {.backend = "cpu", .isa = "auto"},
                        .seed = 20241014,
                        .cases = 40,
                        .op = -1,
                        .only = -1};
    struct tk t[TK_DEVICES];
    unsigned failed = 0;
    parse(&o, argc, argv);
    if (o.bench) {
        tk_open(&t[0], &o.dev); /* all threads */
        tk_bench(&t[0]);
        tk_close(&t[0]);
        return 0;
    }
    for (unsigned i = 0; i < TK_DEVICES; i++) {
        o.dev.threads = tk_takes_threads(&o.dev) ? i + 1 : 0;
        tk_open(&t[i], &o.dev);
        t[i].small = o.small;
    }
    const struct m2c_dev_info *info = m2c_dev_info(t[0].dev);
    printf("%s %s, %s, seed %llu\n", info->backend, info->isa, info->name,
           (unsigned long long)o.seed);
    if (o.self_check)
        self_check(&t[0]);
    else
        failed = test_all(t, &o);
    for (unsigned i = 0; i < TK_DEVICES; i++)
        tk_close(&t[i]);
    return failed ? 1 : 0;
}
