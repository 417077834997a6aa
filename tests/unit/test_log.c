/* SPDX-License-Identifier: MIT */
/* Messages and progress, on a stream in memory and on a pseudo-terminal. */
#define _GNU_SOURCE /* posix_openpt and friends, open_memstream */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

static void levels(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    struct m2c_log *log;
    assert_int_equal(m2c_log_open(&log, f, M2C_LOG_INFO), 0);
    m2c_log(log, M2C_LOG_ERROR, "cannot open '%s'", "x");
    m2c_log(log, M2C_LOG_WARN, "slow");
    m2c_log(log, M2C_LOG_INFO, "%d layers", 6);
    m2c_log(log, M2C_LOG_DEBUG, "hidden");
    m2c_log(NULL, M2C_LOG_ERROR, "nowhere");
    m2c_log_close(log);
    m2c_log_close(NULL);
    fclose(f);
    assert_string_equal(text, "error: cannot open 'x'\nwarning: slow\n6 layers\n");
    free(text);
}

static void progress_plain(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    struct m2c_log *log;
    struct m2c_progress *p;
    assert_int_equal(m2c_log_open(&log, f, M2C_LOG_INFO), 0);

    assert_int_equal(m2c_progress_open(&p, log, "import", 4 << 20, "B"), 0);
    for (uint64_t i = 0; i <= 4 << 20; i += 4096)
        m2c_progress_set(p, i); /* done within the first interval: silent */
    m2c_progress_close(p);
    fflush(f);
    assert_int_equal(n, 0);

    assert_int_equal(m2c_progress_open(&p, log, "import", 4 << 20, "B"), 0);
    m2c_progress_set(p, 3 << 19);
    m2c_progress_close(p);
    assert_int_equal(m2c_progress_open(&p, log, "ppl", 200, "tokens"), 0);
    m2c_progress_set(p, 20);
    m2c_progress_close(p);
    m2c_log_close(log);
    fclose(f);
    assert_non_null(strstr(text, "import: stopped at 1.5 MiB of 4.0 MiB after "));
    assert_non_null(
        strstr(text, "ppl: stopped at 20 tokens of 200 tokens after "));
    free(text);
}

static void silent_without_log(void **state)
{
    (void)state;
    struct m2c_progress *p = (void *)state;
    assert_int_equal(m2c_progress_open(&p, NULL, "x", 1, "B"), 0);
    assert_null(p);
    m2c_progress_set(p, 1);
    m2c_progress_close(p);
}

static void progress_on_terminal(void **state)
{
    (void)state;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master))
        skip();
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (slave < 0)
        skip();
    FILE *f = fdopen(slave, "w");
    struct m2c_log *log;
    struct m2c_progress *p;
    assert_int_equal(m2c_log_open(&log, f, M2C_LOG_INFO), 0);
    assert_int_equal(m2c_progress_open(&p, log, "rank", 1000, "tokens"), 0);
    const struct timespec past_interval = {.tv_nsec = 120000000};
    nanosleep(&past_interval, NULL);
    m2c_progress_set(p, 250);
    m2c_log(log, M2C_LOG_INFO, "between");
    m2c_progress_set(p, 1000);
    m2c_progress_close(p);
    m2c_log_close(log);
    fclose(f);
    char text[4096];
    size_t n = 0;
    ssize_t got;
    while (n + 1 < sizeof text && (got = read(master, text + n, sizeof text - 1 - n)) > 0)
        n += (size_t)got; /* ends with EIO when all is read */
    text[n] = 0;
    const char *bar =
        strstr(text, "\r\033[Krank [#####...............] 250 tokens of 1000 "
                     "tokens (25 %), ");
    assert_non_null(bar);
    assert_non_null(strstr(bar, " left"));
    /* The message stands on a cleared line and the bar comes back below. */
    const char *between = strstr(bar, "\r\033[Kbetween\r\n\r\033[Krank [");
    assert_non_null(between);
    assert_non_null(strstr(between, "rank: 1000 tokens of 1000 tokens (100 %) in "));
    close(master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
        cmocka_unit_test(progress_plain),
        cmocka_unit_test(silent_without_log),
        cmocka_unit_test(progress_on_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
