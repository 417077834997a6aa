/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target without libFuzzer: its seeds, then mutations of them.
 *
 *   fuzz_NAME [-n COUNT] [-s SEED]      the test
 *   fuzz_NAME -i I [-s SEED] [-w FILE]  input I of that run alone, or written
 *   fuzz_NAME FILE...                   these files
 *
 * Input I depends on (SEED, I) only, so the number that a crash prints brings
 * the input back. */
#include "fuzz.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/rng.h"

enum { GROWTH = 4096, SECONDS_AN_INPUT = 60 };

struct input {
    uint8_t *data;
    size_t n, cap;
};

/* For the signal handler. */
static volatile uint64_t current;
static uint64_t seed = 1;

static void report(int signal_number)
{
    static const char digit[] = "0123456789";
    char text[64] = "fuzz: the input was -i ", number[24];
    size_t n = strlen(text), k = 0;
    uint64_t i = current;
    do {
        number[k++] = digit[i % 10];
    } while (i /= 10);
    while (k > 0)
        text[n++] = number[--k];
    text[n++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, text, n);
    (void)ignored;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static size_t n_seeds(void)
{
    const uint8_t *data;
    size_t n, count = 0;
    while (fuzz_seed(count, &data, &n))
        count++;
    return count;
}

static void take_seed(struct input *in, size_t i)
{
    const uint8_t *data;
    size_t n;
    FUZZ_CHECK(fuzz_seed(i, &data, &n));
    in->cap = n + GROWTH;
    in->data = malloc(in->cap);
    FUZZ_CHECK(in->data != NULL);
    if (n)
        memcpy(in->data, data, n);
    in->n = n;
}

static size_t below(struct m2c_rng *r, size_t n)
{
    return m2c_rng_below(r, (uint32_t)M2C_MIN(n, (size_t)UINT32_MAX));
}

/* Near the start more often than not: headers and sizes are there. */
static size_t place(struct m2c_rng *r, size_t n)
{
    return below(r, 2) ? below(r, n) : below(r, M2C_MIN(n, (size_t)256));
}

static void insert(struct input *in, size_t at, const uint8_t *data, size_t n)
{
    n = M2C_MIN(n, in->cap - in->n);
    memmove(in->data + at + n, in->data + at, in->n - at);
    memcpy(in->data + at, data, n);
    in->n += n;
}

static void cut(struct input *in, size_t at, size_t n)
{
    memmove(in->data + at, in->data + at + n, in->n - at - n);
    in->n -= n;
}

/* Numbers at which sizes overflow, as text and as bytes of either order. */
static void put_number(struct m2c_rng *r, struct input *in, size_t at)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     7,
                                     127,
                                     128,
                                     255,
                                     256,
                                     65535,
                                     65536,
                                     0x7fffffff,
                                     0x80000000,
                                     UINT32_MAX,
                                     UINT64_C(1) << 32,
                                     INT64_MAX,
                                     UINT64_C(1) << 63,
                                     UINT64_MAX};
    uint64_t x = edges[below(r, M2C_COUNTOF(edges))] + below(r, 3) - 1;
    if (below(r, 3) == 0) {
        char text[24];
        int n = snprintf(text, sizeof text, "%" PRId64, (int64_t)x);
        insert(in, at, (const uint8_t *)text, (size_t)n);
        return;
    }
    size_t n = M2C_MIN((size_t)1 << below(r, 4), in->n - at);
    bool big = below(r, 4) == 0;
    for (size_t i = 0; i < n; i++)
        in->data[at + i] = (uint8_t)(x >> 8 * (big ? n - 1 - i : i));
}

static void mutate_once(struct m2c_rng *r, struct input *in, size_t seeds)
{
    if (in->n == 0) {
        uint8_t byte = (uint8_t)m2c_rng_u32(r);
        insert(in, 0, &byte, 1);
        return;
    }
    size_t at = place(r, in->n), len = 1 + below(r, M2C_MIN(in->n - at, (size_t)64));
    switch (below(r, 8)) {
    case 0:
        in->data[at] ^= (uint8_t)(1u << below(r, 8));
        return;
    case 1:
        in->data[at] = (uint8_t)m2c_rng_u32(r);
        return;
    case 2:
        put_number(r, in, at);
        return;
    case 3:
        cut(in, at, len);
        return;
    case 4:
        in->n = place(r, in->n);
        return;
    case 5: { /* a piece twice, or somewhere else */
        uint8_t piece[64];
        memcpy(piece, in->data + at, len);
        insert(in, place(r, in->n), piece, len);
        return;
    }
    case 6: { /* a piece of another seed */
        struct input other;
        take_seed(&other, below(r, seeds));
        if (other.n) {
            size_t from = place(r, other.n);
            insert(in, at, other.data + from, 1 + below(r, other.n - from));
        }
        free(other.data);
        return;
    }
    default:
        memset(in->data + at, below(r, 2) ? 0xff : 0, len);
        return;
    }
}

/* The first inputs are the seeds as they are. */
static struct input make_input(uint64_t i, size_t seeds)
{
    struct input in;
    struct m2c_rng r;
    m2c_rng_init(&r, seed, i);
    if (i < seeds) {
        take_seed(&in, (size_t)i);
        return in;
    }
    take_seed(&in, below(&r, seeds));
    for (size_t k = 1 + below(&r, 4); k > 0; k--)
        mutate_once(&r, &in, seeds);
    return in;
}

/* In memory of the exact size, so that AddressSanitizer sees reads beyond. */
static void run_input(const uint8_t *data, size_t n)
{
    uint8_t *exact = malloc(n ? n : 1);
    FUZZ_CHECK(exact != NULL);
    if (n)
        memcpy(exact, data, n);
    alarm(SECONDS_AN_INPUT);
    LLVMFuzzerTestOneInput(exact, n);
    alarm(0);
    free(exact);
}

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct input in = {0};
    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    do {
        in.cap = in.n + GROWTH;
        in.data = realloc(in.data, in.cap);
        FUZZ_CHECK(in.data != NULL);
        in.n += fread(in.data + in.n, 1, GROWTH, f);
    } while (in.n == in.cap);
    fclose(f);
    run_input(in.data, in.n);
    free(in.data);
    return 0;
}

static int run_one(uint64_t i, const char *out, size_t seeds)
{
    struct input in = make_input(i, seeds);
    current = i;
    int rc = 0;
    if (out) {
        FILE *f = fopen(out, "wb");
        rc = !f || fwrite(in.data, 1, in.n, f) != in.n;
        rc |= f && fclose(f) != 0;
        if (rc)
            fprintf(stderr, "%s: %s\n", out, strerror(errno));
    } else {
        run_input(in.data, in.n);
    }
    free(in.data);
    return rc;
}

int main(int argc, char **argv)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM};
    uint64_t count = 2000, only = UINT64_MAX;
    const char *out = NULL;
    int opt, rc = 0;
    while ((opt = getopt(argc, argv, "n:s:i:w:")) != -1) {
        switch (opt) {
        case 'n':
            count = strtoull(optarg, NULL, 10);
            break;
        case 's':
            seed = strtoull(optarg, NULL, 10);
            break;
        case 'i':
            only = strtoull(optarg, NULL, 10);
            break;
        case 'w':
            out = optarg;
            break;
        default:
            return 2;
        }
    }
    for (size_t i = 0; i < M2C_COUNTOF(signals); i++)
        signal(signals[i], report);
    if (optind < argc) {
        for (int i = optind; i < argc; i++)
            rc |= run_file(argv[i]);
        return rc;
    }
    size_t seeds = n_seeds();
    if (seeds == 0) {
        fprintf(stderr, "no seeds\n");
        return 1;
    }
    if (only != UINT64_MAX)
        return run_one(only, out, seeds);
    for (uint64_t i = 0; i < seeds + count; i++)
        rc |= run_one(i, NULL, seeds);
    printf("%zu seeds, %" PRIu64 " mutations (-s %" PRIu64 ")\n", seeds, count, seed);
    return rc;
}
