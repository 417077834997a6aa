# SPDX-License-Identifier: MIT
"""llama2.c files against numpy: the real models of ../shared, and random
models written here from the description of the formats."""
import os
import struct
import sys
import tempfile

import dump as d

d.need("numpy")
import numpy as np  # noqa: E402

TOOL = sys.argv[1]
V0 = ["embed", "attn_norm", "wq", "wk", "wv", "wo", "ffn_norm", "gate", "down", "up",
      "final_norm"]
V1 = ["attn_norm", "ffn_norm", "final_norm", "embed", "wq", "wk", "wv", "wo", "gate",
      "down", "up"]
ONCE = ("embed", "final_norm", "head")


def shapes(dim, hidden, heads, kv, vocab):
    k = dim // heads * kv
    return {"embed": (vocab, dim), "head": (vocab, dim), "final_norm": (dim,),
            "attn_norm": (dim,), "ffn_norm": (dim,), "wq": (dim, dim), "wk": (k, dim),
            "wv": (k, dim), "wo": (dim, dim), "gate": (hidden, dim), "up": (hidden, dim),
            "down": (dim, hidden)}


def check_all(tensors, want):
    for (kind, layer), value in want.items():
        d.check(tensors, kind, layer, value, "f32")
    assert not tensors, f"not expected: {sorted(tensors)}"


def read_v0(path):
    """Independent reading of a version 0 file."""
    data = np.fromfile(path, dtype="<i4")
    dim, hidden, layers, heads, kv, vocab, ctx = (int(v) for v in data[:7])
    shape = shapes(dim, hidden, heads, kv, abs(vocab))
    floats, at, out = data[7:].view("<f4"), 0, {}
    for kind in V0 + (["head"] if vocab < 0 else []):
        if kind == "head":
            at += ctx * (dim // heads)
        for layer in range(1 if kind in ONCE else layers):
            n = int(np.prod(shape[kind]))
            out[kind, layer] = floats[at:at + n].reshape(shape[kind])
            at += n
    if vocab > 0:
        at += ctx * (dim // heads)
    assert at == len(floats)
    return out


def real(name, tmp, **cfg):
    path = d.shared("models", name, "model.bin")
    if not os.path.exists(path):
        print(f"skipped: no {path}")
        return False
    have, tensors = d.dump(TOOL, path, os.path.join(tmp, "out"))
    d.expect(have, format="llama2c", arch="llama", name=name, tied_head=1, has_gate=1,
             act="silu", rope="interleaved", rope_theta=10000, norm_eps="9.99999975e-06",
             bos=1, eos=2, experts=1, **cfg,
             tokenizer=d.shared("models", name, "tokenizer.bin"))
    check_all(tensors, read_v0(path))
    return True


def random_model(rng, dim, hidden, layers, heads, kv, vocab, tied):
    shape, out = shapes(dim, hidden, heads, kv, vocab), {}
    for kind in V0 + ([] if tied else ["head"]):
        for layer in range(1 if kind in ONCE else layers):
            out[kind, layer] = rng.standard_normal(shape[kind]).astype("<f4")
    return out


def quantise(w, group):
    """int8 codes, f32 scales, and what they stand for."""
    w = w.reshape(-1, group)
    scale = (np.abs(w).max(axis=1) / np.float32(127)).astype("<f4")
    codes = np.rint(w / scale[:, None]).astype("i1")
    return codes, scale, codes.astype("<f4") * scale[:, None]


def write(path, version, model, dim, hidden, layers, heads, kv, vocab, ctx, group):
    """Returns the model as the file has it."""
    tied = ("head", 0) not in model
    want = dict(model)
    with open(path, "wb") as f:
        if version:
            f.write(struct.pack("<Ii", 0x616b3432, version))
        sign = 1 if tied or version else -1
        f.write(struct.pack("<7i", dim, hidden, layers, heads, kv, sign * vocab, ctx))
        if version:
            f.write(struct.pack("<B", tied))
            if version == 2:
                f.write(struct.pack("<i", group))
            f.write(bytes(256 - f.tell()))
        for kind in (V1 if version else V0) + ([] if tied else ["head"]):
            if kind == "head" and version == 0:
                f.write(np.full(ctx * (dim // heads), 7, "<f4").tobytes())
            for layer in range(1 if kind in ONCE else layers):
                w = model[kind, layer]
                if version == 2 and not kind.endswith("norm"):
                    codes, scales, back = quantise(w, group)
                    f.write(codes.tobytes() + scales.tobytes())
                    want[kind, layer] = back.reshape(w.shape)
                else:
                    f.write(w.tobytes())
        if tied and version == 0:
            f.write(np.full(ctx * (dim // heads), 7, "<f4").tobytes())
    return want


def generated(tmp):
    rng = np.random.default_rng(5)
    path = os.path.join(tmp, "net.bin")
    n = 0
    # dim, hidden, layers, heads, kv, vocab, ctx, group; the second has groups
    # that cross the rows of down, the third a piece larger than a chunk.
    for sizes in [(64, 128, 2, 8, 4, 96, 32, 64), (48, 44, 3, 4, 1, 50, 7, 16),
                  (256, 640, 1, 2, 2, 1500, 16, 256), (4, 2, 1, 1, 1, 3, 1, 1)]:
        dim, hidden, layers, heads, kv, vocab, ctx, group = sizes
        for tied in (True, False):
            model = random_model(rng, dim, hidden, layers, heads, kv, vocab, tied)
            for version in (0, 1, 2):
                want = write(path, version, model, *sizes)
                for fmt in ("auto", "llama2c"):
                    have, tensors = d.dump(TOOL, path, os.path.join(tmp, "out"), fmt)
                    d.expect(have, name="net", dim=dim, hidden=hidden, layers=layers,
                             heads=heads, kv_heads=kv, head_dim=dim // heads, vocab=vocab,
                             ctx=ctx, tied_head=int(tied), tokenizer="")
                    check_all(tensors, want)
                n += 1
    return n


def main():
    with tempfile.TemporaryDirectory() as tmp:
        n = generated(tmp)
        have = [real("stories260K", tmp, dim=64, hidden=172, layers=5, heads=8, kv_heads=4,
                     vocab=512, ctx=512),
                real("relu2M", tmp, dim=128, hidden=384, layers=6, heads=4, kv_heads=4,
                     vocab=4096, ctx=512)]
    print(f"{n} generated files and {sum(have)} real models read bit for bit")
    return 0 if all(have) else 77


sys.exit(main())
