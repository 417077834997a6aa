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
 * the memory. With --backend the same kinds run on another device, and "of cpu"
 * is how fast it is beside the cpu. */
#include "tools/bench_impl.h"
#include "tools/commands.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* The median of a kind that has been sorted. */
static double median_of(const struct bench *b, const struct bench_kind *k)
{
    return k->sample[b->s.reps / 2];
}

/* How fast a kind is beside the same on the cpu; 0: it is the cpu's. */
static double of_cpu(const struct bench *b, const struct bench_kind *k)
{
    for (unsigned i = 0; i < b->n_kinds && k->side; i++)
        if (b->kind[i].side == 0 && strcmp(b->kind[i].name, k->name) == 0)
            return median_of(b, &b->kind[i]) / median_of(b, k);
    return 0;
}

static json_t *result_json(const struct bench *b, const struct bench_kind *k, double read)
{
    json_t *samples = json_array(), *o;
    const double median = median_of(b, k), other = of_cpu(b, k);
    for (int64_t i = 0; i < b->s.reps; i++)
        json_array_append_new(samples, json_real(k->sample[i]));
    o = json_pack("{s:s, s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "name", k->name,
                  "backend", m2c_dev_info(b->side[k->side].dev)->backend, "type",
                  m2c_type_name(k->type), "rows", (int)k->rows, "bytes", k->bytes, "gb_per_s",
                  k->bytes / median * 1e-9, "gb_per_s_best", k->bytes / k->sample[0] * 1e-9,
                  "gflop_per_s", k->flops / median * 1e-9, "of_read",
                  k->bytes / median / read, "median_s", median, "seconds", samples);
    if (k->side)
        json_object_set_new(o, "of_cpu", json_real(other));
    return o;
}

static void print_head(const struct bench *b)
{
    for (unsigned i = 0; i < b->n_sides; i++) {
        const struct m2c_dev_info *info = m2c_dev_info(b->side[i].dev);
        printf("%s: %s, %s, %u threads\n", info->backend, info->name, info->isa, info->threads);
    }
    printf("%llu MiB of weights, dim %lld, hidden %lld, %lld %% active, %lld repetitions\n"
           "%-28s %9s %9s %8s %9s %11s%s\n",
           (unsigned long long)(b->s.bytes >> 20), (long long)b->s.dim, (long long)b->s.hidden,
           (long long)b->s.active_percent, (long long)b->s.reps, "", "GB/s", "best", "of read",
           "GFLOP/s", "median us", b->n_sides > 1 ? "   of cpu" : "");
}

static void print_row(const struct bench *b, const struct bench_kind *k, double read)
{
    const double median = median_of(b, k);
    char name[64];
    snprintf(name, sizeof(name), "%s%s%s", k->side ? b->s.backend : "", k->side ? " " : "",
             k->name);
    if (k->bytes > 0)
        printf("%-28s %9.2f %9.2f %8.3f %9.1f", name, k->bytes / median * 1e-9,
               k->bytes / k->sample[0] * 1e-9, k->bytes / median / read,
               k->flops / median * 1e-9);
    else
        printf("%-28s %38s", name, "");
    printf(" %11.1f", median * 1e6);
    if (k->side)
        printf(" %8.3f", of_cpu(b, k));
    printf("\n");
}

static int report(struct bench *b)
{
    const struct m2c_dev_info *info = m2c_dev_info(b->side[0].dev);
    json_t *rows = json_array();
    for (unsigned i = 0; i < b->n_kinds; i++)
        qsort(b->kind[i].sample, (size_t)b->s.reps, sizeof(double), by_value);
    const double read = b->kind[0].bytes / median_of(b, &b->kind[0]);
    if (!b->s.json)
        print_head(b);
    for (unsigned i = 0; i < b->n_kinds; i++) {
        struct bench_kind *k = &b->kind[i];
        json_array_append_new(rows, result_json(b, k, read));
        if (!b->s.json)
            print_row(b, k, read);
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
        {"--backend", 0, M2C_FLAG_STR, &b.s.backend, "B", NULL, 0, 0,
         "another backend, measured beside the cpu in the same run"},
        {"--platform", 0, M2C_FLAG_STR, &b.s.platform, "WORD", NULL, 0, 0,
         "its platform, as device.platform"},
        {"--index", 0, M2C_FLAG_INT, &b.s.index, "N", NULL, 0, 255,
         "its device, as device.index"},
        {"--library", 0, M2C_FLAG_STR, &b.s.library, "DIR", NULL, 0, 0,
         "where its libraries are looked for first, as device.library"},
    };
    const struct m2c_cli cli = {.name = name,
                                .args = "",
                                .brief = brief,
                                .flags = flags,
                                .n_flags = kernels ? M2C_COUNTOF(flags)
                                                   : M2C_COUNTOF(flags) - 7};
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, NULL, NULL, &code))
        return code;
    struct m2c_err err = {0};
    int r = bench_open(&b, &err);
    if (r >= 0) {
        bench_add_reads(&b);
        for (unsigned i = 0; kernels && i < b.n_sides; i++)
            bench_add_kernels(&b, i);
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
