/* SPDX-License-Identifier: MIT */
/* How a figure was come by. What could not be had is UNAVAILABLE and has no
 * value: never an invented 0. */
#ifndef M2C_BASE_HOW_H
#define M2C_BASE_HOW_H

#ifdef __cplusplus
extern "C" {
#endif

enum m2c_how {
    M2C_UNAVAILABLE, /* first: what nobody filled in is not known */
    M2C_ESTIMATED,   /* from stated constants */
    M2C_SIMULATED,   /* a model of a machine's, on virtual time */
    M2C_MEASURED
};

/* "unavailable", "estimated", "simulated", "measured"; "?" for others. */
const char *m2c_how_name(enum m2c_how how);

#ifdef __cplusplus
}
#endif
#endif
