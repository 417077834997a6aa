/* SPDX-License-Identifier: MIT */
/* Names of labels. */
#include "base/how.h"

#include "base/base.h"

const char *m2c_how_name(enum m2c_how how)
{
    static const char *const names[] = {[M2C_UNAVAILABLE] = "unavailable",
                                        [M2C_ESTIMATED] = "estimated",
                                        [M2C_SIMULATED] = "simulated",
                                        [M2C_MEASURED] = "measured"};
    return (unsigned)how < M2C_COUNTOF(names) ? names[how] : "?";
}
