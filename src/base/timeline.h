/* SPDX-License-Identifier: MIT */
/* What happened when: a file of Chrome's trace events that Perfetto
 * (ui.perfetto.dev) opens.
 *
 * Spans are written as they end, through one buffer: memory does not grow with
 * the run. A handle is used by one thread at a time. Every call but open takes
 * NULL for "nobody watches", so that who reports does not have to ask. Times are
 * those of m2c_now_ns; the file's begin with 0 when it was opened. */
#ifndef M2C_BASE_TIMELINE_H
#define M2C_BASE_TIMELINE_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_timeline;

/* Spans of one track follow one another or nest; those of the SSD may overlap. */
enum m2c_track {
    M2C_TRACK_TOKENS,    /* a walk through the layers, and each of them (host) */
    M2C_TRACK_COMPUTE,   /* phases of the compute queue (device) */
    M2C_TRACK_STARVED,   /* the compute queue waits: for selection or for copies */
    M2C_TRACK_COPIES,    /* of a wave's misses, DRAM to device (device) */
    M2C_TRACK_SELECTION, /* host */
    M2C_TRACK_TIERS,     /* tier manager, its waits included (host) */
    M2C_TRACK_WAITS,     /* the host blocks on the SSD */
    M2C_TRACK_SSD,       /* ranges, from the request to the last byte */
    M2C_N_TRACKS
};

struct m2c_span {
    enum m2c_track track;
    const char *name; /* a word of the program's: written as it is */
    uint64_t from_ns, to_ns;
    uint32_t layer; /* or M2C_NO_LAYER */
    uint64_t bytes; /* moved; 0: none */
};
#define M2C_NO_LAYER UINT32_MAX

/* What open(2) says. */
M2C_MUST_USE int m2c_timeline_open(struct m2c_timeline **out, const char *path,
                                   struct m2c_err *err);
/* Ends the file; accepts NULL. The first failure of any write since open. */
M2C_MUST_USE int m2c_timeline_close(struct m2c_timeline *t, struct m2c_err *err);

/* What follows belongs to another engine, which gets tracks of its own. */
void m2c_timeline_begin(struct m2c_timeline *t, const char *title);
/* Spans carry the position of the token at hand. */
void m2c_timeline_token(struct m2c_timeline *t, uint64_t position);
void m2c_timeline_span(struct m2c_timeline *t, const struct m2c_span *s);
/* A moment for all tracks. */
void m2c_timeline_mark(struct m2c_timeline *t, const char *name);

#ifdef __cplusplus
}
#endif
#endif
