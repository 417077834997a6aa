/* SPDX-License-Identifier: MIT */
/* What the files of the cpu backend share: cpu.c has the device and its
 * memory, cpu_queue.c queues and events. */
#ifndef M2C_DEV_CPU_IMPL_H
#define M2C_DEV_CPU_IMPL_H

#include "dev/bell.h"
#include "dev/cpu/kernels.h"
#include "dev/dev_impl.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_cpu {
    const struct m2c_cpu_isa *isa;
    struct m2c_pool *pool;
    pthread_mutex_t pool_lock; /* the pool runs one op at a time */
    pthread_mutex_t fault_lock;
    bool have_locks;
    struct m2c_bell events; /* an event has passed */
    struct m2c_err fault;   /* of the first work that failed; by fault_lock */
};

/* Hooks of the backend; see dev_impl.h. */
int m2c_cpu_queue_open(struct m2c_queue *q, struct m2c_err *err);
void m2c_cpu_queue_close(struct m2c_queue *q);
int m2c_cpu_queue_copy(struct m2c_queue *q, const struct m2c_copy *batch, size_t n,
                       struct m2c_err *err);
int m2c_cpu_queue_launch(struct m2c_queue *q, const struct m2c_call *call,
                         struct m2c_err *err);
int m2c_cpu_queue_record(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err);
int m2c_cpu_queue_after(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err);
int m2c_cpu_event_wait(struct m2c_event *ev, uint64_t *ns, struct m2c_err *err);
bool m2c_cpu_event_passed(struct m2c_event *ev);
void m2c_cpu_event_free(struct m2c_event *ev);

#ifdef __cplusplus
}
#endif
#endif
