/* SPDX-License-Identifier: MIT */
/* What a fuzz target defines and what it may use.
 *
 * A target is one file, fuzz_NAME.c, and one line in tests/fuzz/meson.build. It
 * defines libFuzzer's entry and its seeds: inputs that are right, from which
 * wrong ones are made. With driver.c it is a test, which runs the seeds and a
 * fixed number of mutations; with -Dfuzzer=true it is linked to libFuzzer
 * instead (clang) and looks for new ones as long as it is let. */
#ifndef M2C_TESTS_FUZZ_H
#define M2C_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Runs the parser on the bytes. What must never happen ends in abort(). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Seed i, which stays valid; false when there is none. Seeds may be made when
 * first asked for. */
bool fuzz_seed(size_t i, const uint8_t **data, size_t *n);

/* For parsers that take a path: a file in memory with these bytes, at a path
 * that is good until the next call. */
const char *fuzz_file(const uint8_t *data, size_t n);

/* All bytes of a file; to be freed. */
uint8_t *fuzz_read(const char *path, size_t *n);
uint64_t fuzz_u64(const uint8_t *p);

/* Writes the header (store/userblock.h) of file[n] so that all its sums hold:
 * file[FUZZ_BLOCK .. head) is under the digest, the index begins it. */
enum { FUZZ_BLOCK = 4096 };
void fuzz_seal(uint8_t *file, size_t n, const char *magic, uint32_t version, uint64_t head,
               uint64_t index_n);

/* abort() with a message when the condition does not hold. */
#define FUZZ_CHECK(x) fuzz_check(x, #x, __FILE__, __LINE__)
void fuzz_check(bool holds, const char *what, const char *file, int line);

#endif
