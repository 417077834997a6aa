/* SPDX-License-Identifier: MIT */
/* The k best scores with classes by rank; one work-group does all.
 *
 * A score's key is its bits in an order of unsigned integers. For each end of a
 * class, a radix select finds the key of the last one before the end, and how
 * many of the scores with that key, lowest ids first, are before it. Then each
 * work-item goes over a range of ids of its own, once to count and once to
 * write, so that the wants come out in the order of ids. */
enum { CLASSES = M2C_CL_CLASSES, BINS = 256 };

struct border {
    uint key, need; /* before it: greater keys, and the first `need` equal ones */
};

static inline uint bits_of(__global const uint *scores, uint i, uint magnitude)
{
    return magnitude ? scores[i] & 0x7fffffff : scores[i];
}

static inline bool candidate(uint bits, uint positive_only)
{
    return !positive_only || (int)bits > 0;
}

static inline uint key_of(uint bits)
{
    bits = bits == 0x80000000 ? 0 : bits; /* -0 is 0 */
    return bits & 0x80000000 ? ~bits : bits | 0x80000000;
}

#define KEYS(body)                                                                        \
    for (uint i = me; i < a.n; i += M2C_WIDE) {                                           \
        uint bits = bits_of(scores, i, a.magnitude), key = key_of(bits);                  \
        if (candidate(bits, a.positive_only)) {                                           \
            body                                                                          \
        }                                                                                 \
    }

/* The border after the `target` best, of at least as many candidates. */
static struct border find(__global const uint *scores, struct m2c_cl_select a, uint target,
                          __local uint *bins, __local uint *found)
{
    uint me = get_local_id(0);
    struct border b = {0, target};
    for (int shift = 24; shift >= 0; shift -= 8) {
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = me; i < BINS; i += M2C_WIDE)
            bins[i] = 0;
        barrier(CLK_LOCAL_MEM_FENCE);
        KEYS(if (shift == 24 || key >> (shift + 8) == b.key >> (shift + 8))
                 atomic_inc(&bins[key >> shift & 255]);)
        barrier(CLK_LOCAL_MEM_FENCE);
        if (me == 0) {
            uint bin = BINS - 1, need = b.need;
            while (bin && bins[bin] < need)
                need -= bins[bin--];
            found[0] = bin;
            found[1] = need;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        b.key |= found[0] << shift;
        b.need = found[1];
    }
    return b;
}

/* The lowest id of a NaN, or NO_ID; and how many candidates there are. */
static uint look(__global const uint *scores, struct m2c_cl_select a, __local uint *found)
{
    uint me = get_local_id(0);
    if (me == 0) {
        found[0] = NO_ID;
        found[1] = 0;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = me; i < a.n; i += M2C_WIDE) {
        uint bits = bits_of(scores, i, a.magnitude);
        if ((bits & 0x7fffffff) > 0x7f800000)
            atomic_min(&found[0], i);
        if (candidate(bits, a.positive_only))
            atomic_inc(&found[1]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return found[0];
}

__kernel __attribute__((reqd_work_group_size(M2C_WIDE, 1, 1))) void
select_best(__global const uchar *scores_mem, __global const uchar *splits,
            __global uchar *wants_mem, __global uchar *counts_mem, struct m2c_cl_select a)
{
    __local uint bins[BINS], found[2], in_class[CLASSES];
    __local uint greater[M2C_WIDE], equal[CLASSES][M2C_WIDE];
    __global const uint *scores = (__global const uint *)(scores_mem + a.scores);
    __global struct m2c_cl_want *wants = (__global struct m2c_cl_want *)(wants_mem + a.wants);
    __global uint *counts = (__global uint *)(counts_mem + a.counts);
    uint me = get_local_id(0), nan = look(scores, a, found), m = min(found[1], a.k);
    if (nan != NO_ID) {
        for (uint c = me; c <= a.n_classes; c += M2C_WIDE)
            counts[c] = c == 0 ? NO_ID : c == 1 ? nan : 0;
        return;
    }
    __global const uint *ends =
        (__global const uint *)(splits + a.splits) + (ulong)m * a.n_classes;
    struct border b[CLASSES];
    const uint last = a.n_classes - 1;
    for (uint c = 0; c <= last; c++) {
        if (ends[c] == 0)
            b[c] = (struct border){NO_ID, 0};
        else if (c && ends[c] == ends[c - 1])
            b[c] = b[c - 1];
        else
            b[c] = find(scores, a, ends[c], bins, found);
    }
    /* Count, in a range of ids. */
    uint share = (a.n + M2C_WIDE - 1) / M2C_WIDE, begin = min(me * share, a.n);
    uint end = min(begin + share, a.n), more = 0, same[CLASSES];
    for (uint c = 0; c <= last; c++)
        same[c] = 0;
    for (uint i = begin; i < end; i++) {
        uint bits = bits_of(scores, i, a.magnitude), key = key_of(bits);
        if (!candidate(bits, a.positive_only))
            continue;
        more += key > b[last].key;
        for (uint c = 0; c <= last; c++)
            same[c] += key == b[c].key;
    }
    greater[me] = more;
    for (uint c = 0; c <= last; c++)
        equal[c][me] = same[c];
    for (uint c = me; c < CLASSES; c += M2C_WIDE)
        in_class[c] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    /* What the ranges before this one have taken. */
    uint at = 0, taken[CLASSES];
    for (uint c = 0; c <= last; c++)
        taken[c] = 0;
    for (uint l = 0; l < me; l++) {
        at += greater[l] + min(equal[last][l], b[last].need - min(b[last].need, taken[last]));
        for (uint c = 0; c <= last; c++)
            taken[c] += equal[c][l];
    }
    for (uint i = begin; i < end; i++) {
        uint bits = bits_of(scores, i, a.magnitude), key = key_of(bits), cls = 0;
        bool in = false;
        if (!candidate(bits, a.positive_only))
            continue;
        for (uint c = 0; c <= last; c++) {
            in = key > b[c].key || (key == b[c].key && taken[c] < b[c].need);
            taken[c] += key == b[c].key;
            cls += c < last && !in;
        }
        if (!in)
            continue;
        wants[at++] = (struct m2c_cl_want){i, bits, cls};
        atomic_inc(&in_class[cls]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint c = me; c <= last; c += M2C_WIDE)
        counts[1 + c] = in_class[c];
    if (me == 0)
        counts[0] = m;
}
