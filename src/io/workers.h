/* SPDX-License-Identifier: MIT */
/* Threads that do an engine's blocking reads. Inside the module.
 *
 * Pieces move from `todo` through one worker to `done`, both under the lock;
 * while a worker reads, its piece is nobody else's. */
#ifndef M2C_IO_WORKERS_H
#define M2C_IO_WORKERS_H

#include "io/io_impl.h"

#include <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { M2C_IO_WORKERS_MAX = 16 };

struct m2c_io_workers {
    struct m2c_io *io;
    /* Bytes read, or negative errno; called by any worker. */
    int32_t (*read)(struct m2c_io *io, const struct m2c_io_piece *p);
    pthread_mutex_t lock;
    pthread_cond_t work, finished;
    bool have_lock, have_work, have_finished, quit;
    struct m2c_io_pieces todo, done;
    unsigned n;
    pthread_t thread[M2C_IO_WORKERS_MAX];
};

/* As many threads as the queue is deep, at most M2C_IO_WORKERS_MAX. `w` is
 * zeroed; m2c_io_workers_close is called whatever this returns. */
M2C_MUST_USE int m2c_io_workers_open(struct m2c_io_workers *w, struct m2c_io *io,
                                     int32_t (*read)(struct m2c_io *,
                                                     const struct m2c_io_piece *),
                                     struct m2c_err *err);
void m2c_io_workers_close(struct m2c_io_workers *w);

/* As the hooks of struct m2c_io_ops. */
M2C_MUST_USE int m2c_io_workers_submit(struct m2c_io_workers *w, struct m2c_io_piece **p,
                                       unsigned n);
M2C_MUST_USE int m2c_io_workers_reap(struct m2c_io_workers *w, struct m2c_io_piece **out,
                                     unsigned max, int64_t timeout_ns);

#ifdef __cplusplus
}
#endif
#endif
