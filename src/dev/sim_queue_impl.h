/* SPDX-License-Identifier: MIT */
/* Queues and events in virtual time. */
#ifndef M2C_DEV_SIM_QUEUE_IMPL_H
#define M2C_DEV_SIM_QUEUE_IMPL_H

#include "dev/sim_impl.h"

struct m2c_sim_queue;

/* Serves one piece of work at a time, in the order in which queues came to it. */
struct m2c_sim_engine {
    struct m2c_sim_queue *serving;       /* or NULL: idle */
    struct m2c_sim_queue *first, *last;  /* queues whose next work waits */
};

struct m2c_sim {
    struct m2c_machine *machine;
    char how[8]; /* cfg.copy */
    struct m2c_sim_engine engine[M2C_SIM_ENGINES];
};

int m2c_sim_queue_open(struct m2c_queue *q, struct m2c_err *err);
void m2c_sim_queue_close(struct m2c_queue *q);
M2C_MUST_USE int m2c_sim_push(struct m2c_queue *q, const struct m2c_sim_work *w,
                              struct m2c_err *err);
int m2c_sim_record(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err);
int m2c_sim_after(struct m2c_queue *q, struct m2c_event *ev, struct m2c_err *err);
int m2c_sim_event_wait(struct m2c_event *ev, uint64_t *ns, struct m2c_err *err);
bool m2c_sim_event_passed(struct m2c_event *ev);
void m2c_sim_event_free(struct m2c_event *ev);

#endif
