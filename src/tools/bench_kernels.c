/* SPDX-License-Identifier: MIT */
/* m2c bench kernels, m2c bench mem: how fast the CPU's kernels read weights,
 * beside how fast this machine reads memory at all.
 *
 * The timing window is from before the first launch of a pass to the event
 * after its last; filling the weights, lists and a warm-up pass lie outside.
 * Passes go round a buffer many times the last-level cache, so that weights
 * come from memory as they do in decode. Kinds take turns in every
 * repetition, so that a slow spell of the machine falls on all of them; the
 * fraction is of the medians of the same run. The "cached" kinds read one small
 * matrix again and again: what the instructions of a kernel allow, whatever
 * the memory. */
#include "tools/bench_impl.h"
#include "tools/commands.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

static int measure(struct bench *b, struct m2c_err *err)
{
    for (int64_t rep = -1; rep < b->s.reps; rep++) { /* -1 warms up */
        for (unsigned i = 0; i < b->n_kinds; i++) {
            struct bench_kind *k = &b->kind[i];
            uint64_t start = m2c_now_ns();
            int r = k->pass(b, k, (uint32_t)(rep + 1), err);
            if (r < 0)
                return r;
            if (rep >= 0)
                k->sample[rep] = (double)(m2c_now_ns() - start) * 1e-9;
        }
    }
    return 0;
}

/* ---- results ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static json_t *result_json(const struct bench *b, const struct bench_kind *k, double median,
                           double read)
{
    json_t *samples = json_array(), *o;
    for (int64_t i = 0; i < b->s.reps; i++)
        json_array_append_new(samples, json_real(k->sample[i]));
    o = json_pack("{s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:o}", "name", k->name, "type",
                  m2c_type_name(k->type), "rows", (int)k->rows, "bytes", k->bytes, "gb_per_s",
                  k->bytes / median * 1e-9, "gb_per_s_best", k->bytes / k->sample[0] * 1e-9,
                  "gflop_per_s", k->flops / median * 1e-9, "of_read",
                  k->bytes / median / read, "seconds", samples);
    return o;
}

/* Sorts the samples. */
static int report(struct bench *b)
{
    const struct m2c_dev_info *info = m2c_dev_info(b->dev);
    json_t *rows = json_array();
    double read = 0;
    if (!b->s.json)
        printf("%s, %s, %u threads, %llu MiB of weights, dim %lld, hidden %lld, "
               "%lld %% active, %lld repetitions\n"
               "%-20s %9s %9s %8s %9s\n",
               info->name, info->isa, info->threads, (unsigned long long)(b->s.bytes >> 20),
               (long long)b->s.dim, (long long)b->s.hidden, (long long)b->s.active_percent,
               (long long)b->s.reps, "", "GB/s", "best", "of read", "GFLOP/s");
    for (unsigned i = 0; i < b->n_kinds; i++) {
        struct bench_kind *k = &b->kind[i];
        qsort(k->sample, (size_t)b->s.reps, sizeof(double), by_value);
        double median = k->sample[b->s.reps / 2];
        if (i == 0)
            read = k->bytes / median;
        json_array_append_new(rows, result_json(b, k, median, read));
        if (!b->s.json)
            printf("%-20s %9.2f %9.2f %8.3f %9.1f\n", k->name, k->bytes / median * 1e-9,
                   k->bytes / k->sample[0] * 1e-9, k->bytes / median / read,
                   k->flops / median * 1e-9);
    }
    if (!b->s.json) {
        json_decref(rows);
        return M2C_EXIT_OK;
    }
    return m2c_cli_json(json_pack(
        "{s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:o}", "cpu", info->name, "isa", info->isa,
        "threads", (int)info->threads, "buffer_bytes", (json_int_t)b->s.bytes, "dim",
        (json_int_t)b->s.dim, "hidden", (json_int_t)b->s.hidden, "active_percent",
        (json_int_t)b->s.active_percent, "results", rows));
}

static int bench_main(int argc, char **argv, const char *name, const char *brief,
                      bool kernels)
{
    struct bench b = {.s = {.isa = "auto",
                            .reps = 31,
                            .dim = 4096,
                            .hidden = 11008,
                            .active_percent = 30}};
    const struct m2c_flag flags[] = {
        {"--isa", 0, M2C_FLAG_STR, &b.s.isa, "ISA", NULL, 0, 0,
         "instruction set: auto, c, avx2, avx512 (default auto)"},
        {"--threads", 't', M2C_FLAG_INT, &b.s.threads, "N", NULL, 0, 4096,
         "threads; 0 (default): all this process may run on"},
        {"--bytes", 0, M2C_FLAG_BYTES, &b.s.bytes, "SIZE", NULL, 0, 0,
         "weights to read (default: 16 times the last-level cache, at least 1G)"},
        {"--reps", 0, M2C_FLAG_INT, &b.s.reps, "N", NULL, 1, BENCH_REPS,
         "repetitions, of which the median counts (default 31)"},
        {"--json", 0, M2C_FLAG_ON, &b.s.json, NULL, NULL, 0, 0, "print one JSON object"},
        {"--dim", 0, M2C_FLAG_INT, &b.s.dim, "N", NULL, 1, 1 << 16,
         "length of a neuron's vectors (default 4096)"},
        {"--hidden", 0, M2C_FLAG_INT, &b.s.hidden, "N", NULL, 1, 1 << 20,
         "neurons of a layer (default 11008)"},
        {"--active", 0, M2C_FLAG_INT, &b.s.active_percent, "PERCENT", NULL, 1, 100,
         "active neurons, at random (default 30)"},
    };
    const struct m2c_cli cli = {.name = name,
                                .args = "",
                                .brief = brief,
                                .flags = flags,
                                .n_flags = kernels ? M2C_COUNTOF(flags)
                                                   : M2C_COUNTOF(flags) - 3};
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, NULL, NULL, &code))
        return code;
    struct m2c_err err = {0};
    int r = bench_open(&b, &err);
    if (r >= 0) {
        bench_add_reads(&b);
        if (kernels)
            bench_add_kernels(&b);
        r = measure(&b, &err);
    }
    code = r < 0 ? m2c_cli_fail(&err) : report(&b);
    bench_close(&b);
    return code;
}

int m2c_cmd_bench_kernels(int argc, char **argv)
{
    return bench_main(argc, argv, "m2c bench kernels",
                      "Measures the CPU's kernels against its memory", true);
}

int m2c_cmd_bench_mem(int argc, char **argv)
{
    return bench_main(argc, argv, "m2c bench mem",
                      "Measures how fast this machine reads memory", false);
}
