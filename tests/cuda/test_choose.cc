/* SPDX-License-Identifier: MIT */
/* The kernels that choose and the gather, on random cases, against the
 * shortest code that says what they mean. */
#include "emu.h"

#include "args.h"
#include "launch.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

static std::mt19937 rng(20241014);
static unsigned cases;

static m2c_u32 below(m2c_u32 n)
{
    return std::uniform_int_distribution<m2c_u32>(0, n - 1)(rng);
}

static void die(const char *what)
{
    printf("FAILED: %s, case %u\n", what, cases);
    exit(1);
}

/* Device memory of n elements, filled with a byte that means nothing. */
template <class T> struct memory {
    std::vector<T> v;
    explicit memory(size_t n) : v(n + 1)
    {
        memset((void *)v.data(), 0xa5, (n + 1) * sizeof(T));
        if (m2c_emu_memory_add(v.data(), n * sizeof(T)) < 0)
            die("memory");
    }
    ~memory() { m2c_emu_memory_drop(v.data()); }
    m2c_u64 at() const { return (m2c_u64)v.data(); }
    T &operator[](size_t i) { return v[i]; }
};

template <class A> static void launch(const char *entry, const m2c_k_shape &s, const A &a)
{
    char err[400] = "no such kernel";
    const m2c_emu_kernel *k = m2c_emu_find(entry);
    if (!k || m2c_emu_launch(k, s.grid, s.block, s.smem, &a, sizeof(a), err, sizeof(err)) < 0)
        die(err);
}

/* Often equal to others, of both signs, zeros of both signs. */
static float score(m2c_u32 levels)
{
    const float v = (float)below(levels) / 4 - 2;
    return v == 0 && below(2) ? -0.0f : levels > 1000 ? v * 1.37e-3f : v;
}

static void test_argmax(const m2c_k_card &card)
{
    const m2c_u32 rows = 1 + below(4), n = 1 + below(below(2) ? 20 : 3000);
    memory<float> x((size_t)rows * n);
    memory<m2c_u32> out(rows);
    std::vector<m2c_u32> want(rows);
    for (m2c_u32 r = 0; r < rows; r++) {
        for (m2c_u32 i = 0; i < n; i++)
            x[(size_t)r * n + i] = score(below(2) ? 5 : 100000);
        if (below(4) == 0)
            x[(size_t)r * n + below(n)] = below(2) ? NAN : -INFINITY;
        const float *row = &x[(size_t)r * n];
        want[r] = (m2c_u32)(std::max_element(row, row + n) - row);
        if (std::any_of(row, row + n, [](float v) { return v != v; }))
            want[r] = M2C_K_NO_ID;
    }
    const m2c_k_argmax a = {x.at(), out.at(), rows, n};
    launch("m2c_argmax", m2c_k_shape_argmax(&card, &a), a);
    if (memcmp(out.v.data(), want.data(), rows * 4) != 0)
        die("argmax");
}

static void test_select(const m2c_k_card &card)
{
    const m2c_u32 n = 1 + below(below(2) ? 40 : 4000), k = below(n + 1);
    const m2c_u32 classes = 1 + below(4), levels = below(2) ? 9 : 100000;
    m2c_k_select a = {};
    memory<float> scores(n);
    memory<m2c_u32> splits((size_t)(k + 1) * classes), counts(1 + classes);
    memory<m2c_k_want> wants(k);
    a.magnitude = below(2);
    a.positive_only = below(2);
    for (m2c_u32 i = 0; i < n; i++)
        scores[i] = score(levels);
    if (below(6) == 0)
        scores[below(n)] = NAN;
    for (m2c_u32 m = 0; m <= k; m++) {
        m2c_u32 *row = &splits[(size_t)m * classes];
        for (m2c_u32 c = 0; c < classes; c++)
            row[c] = below(m + 1);
        std::sort(row, row + classes);
        row[classes - 1] = m;
    }
    std::vector<m2c_u32> order, want_counts(1 + classes);
    auto value = [&](m2c_u32 i) { return a.magnitude ? fabsf(scores[i]) : scores[i]; };
    m2c_u32 nan = M2C_K_NO_ID;
    for (m2c_u32 i = 0; i < n; i++) {
        if (value(i) != value(i))
            nan = std::min(nan, i);
        else if (!a.positive_only || value(i) > 0)
            order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](m2c_u32 i, m2c_u32 j) { return value(i) > value(j); });
    const m2c_u32 m = std::min<m2c_u32>(k, (m2c_u32)order.size());
    std::vector<m2c_k_want> want;
    for (m2c_u32 rank = 0; rank < m; rank++) {
        m2c_u32 cls = 0;
        for (m2c_u32 c = 0; c + 1 < classes; c++)
            cls += rank >= splits[(size_t)m * classes + c];
        want.push_back({order[rank], value(order[rank]), cls});
        want_counts[1 + cls]++;
    }
    want_counts[0] = m;
    std::sort(want.begin(), want.end(),
              [](const m2c_k_want &i, const m2c_k_want &j) { return i.id < j.id; });
    if (nan != M2C_K_NO_ID) {
        want.clear();
        want_counts.assign(1 + classes, 0);
        want_counts[0] = M2C_K_NO_ID;
        want_counts[1] = nan;
    }
    const memory<m2c_k_want> untouched(k);
    a.scores = scores.at();
    a.splits = splits.at();
    a.wants = wants.at();
    a.counts = counts.at();
    a.n = n;
    a.k = k;
    a.n_classes = classes;
    launch("m2c_select", m2c_k_shape_select(&card, &a), a);
    if (memcmp(counts.v.data(), want_counts.data(), 4 * (1 + classes)) != 0)
        die("select: counts");
    if (!want.empty() &&
        memcmp(wants.v.data(), want.data(), want.size() * sizeof(m2c_k_want)) != 0)
        die("select: wants");
    if (memcmp(&wants.v[want.size()], &untouched.v[0], (k - want.size()) * sizeof(m2c_k_want)))
        die("select: wrote beyond what was chosen");
}

static void test_lookup(const m2c_k_card &card)
{
    const m2c_u32 neurons = 1 + below(3000), classes = 1 + below(4);
    std::vector<m2c_k_want> wants;
    for (m2c_u32 id = 0; id < neurons; id++)
        if (below(3) == 0)
            wants.push_back({id, score(100), below(classes)});
    const m2c_u32 n = (m2c_u32)wants.size(), k = n + below(50);
    memory<m2c_k_want> in(k), misses(k);
    memory<m2c_u32> n_wants(1), table((size_t)classes * neurons), counts(4);
    memory<m2c_k_ref> list(k);
    const bool failed = below(8) == 0;
    std::copy(wants.begin(), wants.end(), in.v.begin());
    n_wants[0] = failed ? M2C_K_NO_ID : n;
    for (size_t i = 0; i < (size_t)classes * neurons; i++)
        table[i] = below(3) ? below(1000) | below(8) << 28 | below(2) << 31 : M2C_K_NO_SLOT;
    m2c_u32 want_counts[4] = {n_wants[0], 0, 0, 0};
    std::vector<m2c_k_ref> want(k, {M2C_K_NO_ID, M2C_K_NO_SLOT, 0, M2C_K_PASS_NONE, 0, 0});
    std::vector<m2c_k_want> want_misses;
    for (m2c_u32 i = 0; i < n && !failed; i++) {
        const m2c_u32 t = table[(size_t)wants[i].cls * neurons + wants[i].id];
        if (t == M2C_K_NO_SLOT) {
            want[i] = {wants[i].id, t, (m2c_u8)wants[i].cls, M2C_K_PASS_NONE, 0, 0};
            want_misses.push_back(wants[i]);
            want_counts[3]++;
        } else {
            want[i] = {wants[i].id, t & 0xfffffff, (m2c_u8)(t >> 28 & 7), (m2c_u8)(t >> 31), 0, 0};
            want_counts[1 + (t >> 31)]++;
        }
    }
    const m2c_k_lookup a = {in.at(),     n_wants.at(), table.at(), list.at(), misses.at(),
                            counts.at(), k,            classes,    neurons,   0};
    launch("m2c_lookup", m2c_k_shape_lookup(&card, &a), a);
    if (memcmp(counts.v.data(), want_counts, sizeof(want_counts)) != 0)
        die("lookup: counts");
    if (k && memcmp(list.v.data(), want.data(), k * sizeof(m2c_k_ref)) != 0)
        die("lookup: list");
    if (!want_misses.empty() && memcmp(misses.v.data(), want_misses.data(),
                                       want_misses.size() * sizeof(m2c_k_want)) != 0)
        die("lookup: misses");
}

static void test_gather(const m2c_k_card &card)
{
    const m2c_u32 n = 1 + below(20);
    memory<unsigned char> src(20 * 9000), dst(20 * 9000);
    memory<m2c_k_piece> list(n);
    std::vector<unsigned char> want(dst.v);
    const m2c_u32 grain = 1u << below(5);
    for (auto &b : src.v)
        b = (unsigned char)below(256);
    for (m2c_u32 i = 0; i < n; i++) {
        const m2c_u64 from = i * 9000 + grain * below(100 / grain + 1);
        const m2c_u64 to = i * 9000 + grain * below(100 / grain + 1);
        const m2c_u64 bytes = below(4) ? below(8800) : below(40);
        list[i] = {dst.at() + to, src.at() + from, bytes};
        memcpy(&want[to], &src.v[from], bytes);
    }
    const m2c_k_gather a = {list.at(), n, 0};
    launch("m2c_gather", m2c_k_shape_gather(&card, &a), a);
    if (dst.v != want)
        die("gather");
}

int main(int argc, char **argv)
{
    const unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 60;
    for (cases = 0; cases < n; cases++) {
        const m2c_k_card card = {1 + cases % 3};
        test_argmax(card);
        test_select(card);
        test_lookup(card);
        test_gather(card);
    }
    printf("argmax, select, lookup, gather: %u cases each\n", n);
    return 0;
}
