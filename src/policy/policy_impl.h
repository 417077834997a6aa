/* SPDX-License-Identifier: MIT */
/* What a policy implements. One file a policy; the registry is in policy.c. */
#ifndef M2C_POLICY_POLICY_IMPL_H
#define M2C_POLICY_POLICY_IMPL_H

#include "policy/policy.h"

struct m2c_policy_ops {
    struct m2c_plugin p;
    /* Mandatory but admit, fini and clear. Called from one thread. The
     * framework has checked ids and residency before each call. */
    int (*init)(struct m2c_policy *pol, uint64_t seed); /* -ENOMEM */
    void (*fini)(struct m2c_policy *pol);               /* frees what init made */
    bool (*admit)(struct m2c_policy *pol, const struct m2c_access *a); /* NULL: yes */
    void (*insert)(struct m2c_policy *pol, const struct m2c_access *a);
    void (*hit)(struct m2c_policy *pol, const struct m2c_access *a);
    uint32_t (*victim)(struct m2c_policy *pol, const uint16_t *pins);
    void (*remove)(struct m2c_policy *pol, uint32_t id);
    bool (*check)(const struct m2c_policy *pol);
};

struct m2c_policy {
    const struct m2c_policy_ops *ops;
    uint32_t n_blocks, capacity, n_resident;
    uint8_t *resident; /* [n_blocks], 0 or 1 */
    void *priv;        /* ops->p.priv_size bytes, zeroed */
};

extern const struct m2c_policy_ops m2c_policy_atu, m2c_policy_lru, m2c_policy_random;

/* A dense array of resident ids with O(1) insertion and removal, for
 * policies without an order of their own. */
struct m2c_idset {
    uint32_t *ids;   /* [n] resident ids */
    uint32_t *where; /* [n_blocks] index into ids */
    uint32_t n;
};
M2C_MUST_USE int m2c_idset_init(struct m2c_idset *s, uint32_t n_blocks, uint32_t cap);
void m2c_idset_fini(struct m2c_idset *s);
void m2c_idset_add(struct m2c_idset *s, uint32_t id);
void m2c_idset_del(struct m2c_idset *s, uint32_t id);
bool m2c_idset_check(const struct m2c_idset *s, const struct m2c_policy *pol);

#endif
