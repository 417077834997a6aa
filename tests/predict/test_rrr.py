# SPDX-License-Identifier: MIT
"""Training against numpy: the closed form by another road (eigenvectors of the
fitted values instead of white inputs), recall by sorting, and a trained map that
is better than the closed form it starts from.

test_rrr.py PREDICT_DUMP"""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "import"))
import dump as d  # noqa: E402

d.need("numpy")
import numpy as np  # noqa: E402

DUMP = sys.argv[1]


def run(kind, x, active, width):
    tokens, dim = x.shape
    n = active.shape[1]
    with tempfile.TemporaryDirectory() as tmp:
        given, made = os.path.join(tmp, "in"), os.path.join(tmp, "out")
        with open(given, "wb") as f:
            f.write(np.array([dim, n, width, tokens], "<u4").tobytes())
            f.write(x.astype("<f4").tobytes() + active.astype("u1").tobytes())
        p = subprocess.run([DUMP, kind, given, made], capture_output=True, text=True)
        if p.returncode == 77:
            print(p.stdout)
            sys.exit(77)
        assert p.returncode == 0, p.stderr
        raw = open(made, "rb").read()
    inner = width or dim
    floats = np.frombuffer(raw[:-8 * tokens], "<f4").astype(float)
    narrow, rest = floats[:width * dim].reshape(width, dim), floats[width * dim:]
    wide, bias = rest[:n * inner].reshape(n, inner), rest[n * inner:]
    return (wide @ narrow if width else wide), bias, np.frombuffer(raw[-8 * tokens:], "<f8")


def closed_form(x, y, width):
    x, y = x.astype(np.float32).astype(float), y.astype(float)
    mx, my = x.mean(0), y.mean(0)
    x, y = x - mx, y - my
    c = x.T @ x / len(x)
    c += np.eye(len(c)) * 0.01 * np.trace(c) / len(c)
    b = np.linalg.solve(c, x.T @ y / len(x)).T
    if width:
        _, u = np.linalg.eigh(b @ c @ b.T)
        u = u[:, ::-1][:, :width]
        b = u @ (u.T @ b)
    return b, my - b @ mx - 0.5


def recall(scores, active):
    out = []
    for s, a in zip(scores, active):
        k = int(a.sum())
        best = np.lexsort((np.arange(len(s)), -s))[:k]
        out.append(a[best].mean() if k else 1.0)
    return np.array(out)


def planted(rng, tokens, dim, n, rank):
    x = rng.normal(size=(tokens, dim)) * rng.uniform(0.1, 3, dim) + rng.normal(size=dim)
    w = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, dim)) / np.sqrt(dim)
    z = (x - x.mean(0)) @ w.T - rng.uniform(0, 2, n) + 0.3 * rng.normal(size=(tokens, n))
    return x, z > 0


def main():
    rng = np.random.default_rng(4)
    for tokens, dim, n, width in ((600, 24, 50, 7), (1500, 33, 20, 0), (601, 16, 64, 1),
                                  (900, 40, 90, 39), (50, 12, 3, 5)):
        x, active = planted(rng, tokens, dim, n, 6)
        active[3] = False
        used = tokens - tokens // 10
        got, bias, recalls = run("rrr", x, active, width)
        want, want_bias = closed_form(x[:used], active[:used], width)
        for what, a, b in (("map", got, want), ("bias", bias, want_bias)):
            error, size = np.abs(a - b).max(), np.abs(b).max()
            assert error <= 2e-5 * size + 1e-6, (tokens, dim, n, width, what, error, size)
        by_sort = recall(x.astype(np.float32).astype(float) @ got.T + bias, active)
        # scores are f32 there: a near tie may fall otherwise in a token or two
        wrong = (np.abs(by_sort - recalls) > 1e-12).sum()
        assert wrong <= 2 and recalls[3] == 1, (wrong, recalls[3])
        print(f"rrr {tokens} x {dim} -> {width} -> {n}: recall {recalls[used:].mean():.4f}")
    # Inputs of very different sizes mislead least squares on 0 and 1.
    x, _ = planted(rng, 3000, 32, 80, 8)
    x = (x - x.mean(0)) * np.exp(1.5 * rng.normal(size=(3000, 1)))
    w = rng.normal(size=(80, 8)) @ rng.normal(size=(8, 32))
    active = x @ w.T > rng.uniform(0, 4, 80)
    before = run("rrr", x, active, 8)[2][2700:].mean()
    for width in (8, 0):
        after = run("mlp", x, active, width)[2][2700:].mean()
        print(f"mlp, width {width}: recall {before:.4f} -> {after:.4f}")
        assert after > before + 0.005


main()
