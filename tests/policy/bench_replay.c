/* SPDX-License-Identifier: MIT */
/* How fast policies are, on a trace of the shape of a 7B model: 32 layers of 11008
 * neurons, 30 % active, of which 80 % are those of the token before. Timed are
 * the accesses of one row on one core, without making the trace and the tables. */
#include "base/rng.h"
#include "policy/policy.h"
#include "exp/replay.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 32, NEURONS = 11008, TOKENS = 48 };
static const double density = 0.3, overlap = 0.8;

static void die(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* Neurons with shares of their own, mean 0.3, each a chain of two states. */
static struct m2c_trace *make_trace(void)
{
    static uint8_t on[LAYERS][NEURONS];
    static double share[NEURONS];
    static struct m2c_want wants[NEURONS];
    struct m2c_layout layout;
    const uint32_t parts[M2C_LAYOUT_PARTS] = {24576, 13056, 6912};
    struct m2c_trace *t;
    struct m2c_rng r;
    double sum = 0, square = 0;
    m2c_rng_init(&r, 7, 0);
    if (m2c_layout_find("copies", &layout, NULL) ||
        m2c_trace_new(&t, LAYERS, NEURONS, &layout, parts))
        die("no trace");
    for (int i = 0; i < NEURONS; i++) {
        double u = m2c_rng_double(&r);
        share[i] = pow(u, 1 / density - 1); /* mean: density */
        sum += share[i];
        square += share[i] * share[i];
    }
    /* overlap = sum p (p + rho (1 - p)) / sum p */
    double rho = (overlap - square / sum) / (1 - square / sum);
    for (unsigned token = 0; token < TOKENS; token++) {
        for (uint32_t l = 0; l < LAYERS; l++) {
            uint32_t n = 0;
            for (uint32_t i = 0; i < NEURONS; i++) {
                double p = share[(i + l * 997) % NEURONS];
                double q = token == 0 ? p : on[l][i] ? p + rho * (1 - p) : p * (1 - rho);
                on[l][i] = m2c_rng_double(&r) < q;
                if (on[l][i])
                    wants[n++] = (struct m2c_want){.id = i,
                                                   .score = (float)(1 + i % 100),
                                                   .cls = i % 4 < 2 ? 2 : i % 2};
            }
            if (m2c_trace_add(t, l, wants, n))
                die("no memory");
        }
    }
    return t;
}

int main(int argc, char **argv)
{
    static const double shares[] = {0.4, 0.6};
    struct m2c_trace *t = make_trace();
    printf("%llu accesses, %.1f %% of the neurons a token\n", (unsigned long long)t->n,
           100.0 * (double)t->n / ((double)TOKENS * LAYERS * NEURONS));
    printf("%-10s %-6s %-5s %9s %8s %10s %13s\n", "policy", "unit", "sem", "capacity",
           "miss %", "M acc/s", "bytes/neuron");
    for (const struct m2c_plugin *const *p = m2c_policy_list(); *p; p++) {
        if (m2c_policy_needs_order((*p)->name) ||
            (argc > 1 && strcmp(argv[1], (*p)->name)))
            continue;
        for (int k = 0; k < 4; k++) {
            struct m2c_replay_cfg cfg = {
                .trace = t, .per_layer = k < 2, .seq = k == 3, .threads = 1, .seed = 1};
            struct m2c_replay_row row = {
                .policy = (*p)->name,
                .capacity = (uint64_t)(shares[k % 2] * LAYERS * NEURONS)};
            struct m2c_err err = {0};
            if (m2c_replay(&cfg, &row, 1, &err))
                die(err.msg);
            printf("%-10s %-6s %-5s %9llu %8.3f %10.2f %13.2f\n", row.policy,
                   cfg.per_layer ? "layer" : "global", cfg.seq ? "seq" : "token",
                   (unsigned long long)row.capacity,
                   100 * (double)row.misses / (double)row.accesses,
                   (double)row.accesses * 1e3 / (double)row.ns,
                   (double)row.metadata_bytes / (LAYERS * NEURONS));
        }
    }
    m2c_trace_free(t);
    return 0;
}
