# SPDX-License-Identifier: MIT
"""A store as h5py, numpy and libxxhash see it: everything that the headers of
src/store promise is computed here again from the source model.

oracle.py M2C TEST_SMALL"""
import ctypes
import ctypes.util
import json
import os
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "import"))
import dump as d  # noqa: E402

d.need("numpy", "h5py")
import h5py  # noqa: E402
import numpy as np  # noqa: E402

M2C, TEST_SMALL = sys.argv[1:3]
GROUP, MIB = 32, 1 << 20
QMAX = {"i8": 127, "i4": 7}
GLOBAL, NORMS = ["embed", "final_norm"], ("final_norm", "attn_norm", "ffn_norm")
LAYER = ["attn_norm", "wq", "wk", "wv", "wo", "ffn_norm"]


# ---- hashes ----

class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def load_xxhash():
    name = ctypes.util.find_library("xxhash") or "libxxhash.so.0"
    try:
        lib = ctypes.CDLL(name)
    except OSError:
        print("skipped: libxxhash cannot be loaded")
        sys.exit(77)
    lib.XXH3_64bits.restype = ctypes.c_uint64
    lib.XXH3_128bits.restype = Hash128
    for f in (lib.XXH3_64bits, lib.XXH3_128bits):
        f.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return lib


XXH = load_xxhash()


def h64(data):
    return XXH.XXH3_64bits(bytes(data), len(data))


def h128(data):
    h = XXH.XXH3_128bits(bytes(data), len(data))
    return h.high, h.low


# ---- the source: a llama2.c file, version 0 ----

def shapes(f):
    dim, hidden, layers, heads, kv, vocab, ctx = f
    k = dim // heads * kv
    return [("embed", 1, (abs(vocab), dim)), ("attn_norm", layers, (1, dim)),
            ("wq", layers, (dim, dim)), ("wk", layers, (k, dim)), ("wv", layers, (k, dim)),
            ("wo", layers, (dim, dim)), ("ffn_norm", layers, (1, dim)),
            ("gate", layers, (hidden, dim)), ("down", layers, (dim, hidden)),
            ("up", layers, (hidden, dim)), ("final_norm", 1, (1, dim))]


def read_source(path):
    data = np.fromfile(path, dtype="<i4")
    fields, floats, at, out = tuple(int(v) for v in data[:7]), data[7:].view("<f4"), 0, {}
    for kind, n, shape in shapes(fields):
        for layer in range(n):
            size = shape[0] * shape[1]
            out[kind, layer] = floats[at:at + size].reshape(shape)
            at += size
    if fields[5] < 0:
        at += fields[6] * (fields[0] // fields[3])
        out["head", 0] = floats[at:at + abs(fields[5]) * fields[0]].reshape(-1, fields[0])
    return fields, out


def write_source(path, fields, rng):
    head = abs(fields[5]) * fields[0] if fields[5] < 0 else 0
    n = sum(k * s[0] * s[1] for _, k, s in shapes(fields))
    n += fields[6] * (fields[0] // fields[3]) + head
    w = (rng.standard_normal(n) * np.exp(rng.uniform(-12, 3, n))).astype("<f4")
    w[rng.integers(0, n, n // 10)] = 0  # whole groups of zeros, too
    w[:GROUP * 40] = 0
    with open(path, "wb") as f:
        f.write(struct.pack("<7i", *fields) + w.tobytes())


# ---- the codec, from the words of quant/codec.h ----

def encode(typ, w):
    """w [n][cols] -> codes [n][bytes] u8, scales [n][groups] f16 or None."""
    w = np.ascontiguousarray(w, dtype="<f4")
    if typ in ("f32", "f16"):
        return w.astype("<f4" if typ == "f32" else "<f2").view(np.uint8), None
    qmax, n, cols = QMAX[typ], w.shape[0], w.shape[1]
    groups = -(-cols // GROUP)
    x = np.zeros((n, groups * GROUP))
    x[:, :cols] = w
    x = x.reshape(n, groups, GROUP)
    amax = np.abs(x).max(axis=2)
    scale = (amax / qmax).astype("<f4").astype("<f2")

    def codes(s):
        s = s.astype("<f8")[:, :, None]
        return np.rint(np.divide(x, s, out=np.zeros_like(x), where=s > 0))

    clipped = (np.abs(codes(scale)).max(axis=2) > qmax) | ((scale == 0) & (amax > 0))
    scale = np.where(clipped, (scale.view("<u2") + 1).astype("<u2").view("<f2"), scale)
    q = codes(scale).astype(np.int8).reshape(n, -1)
    if typ == "i4":
        q = (q[:, 0::2] & 15 | (q[:, 1::2] & 15) << 4).astype(np.uint8)[:, :(cols + 1) // 2]
    else:
        q = q[:, :cols].view(np.uint8)
    return np.ascontiguousarray(q), scale.astype("<f2")


def packed(typ, w):
    codes, scales = encode(typ, w)
    return codes if scales is None else np.hstack(
        [codes, np.ascontiguousarray(scales).view(np.uint8)])


# ---- what must hold ----

def same(have, want, what):
    have, want = np.ascontiguousarray(have), np.ascontiguousarray(want)
    assert have.dtype == want.dtype and have.shape == want.shape, \
        f"{what}: {have.dtype} {have.shape}, expected {want.dtype} {want.shape}"
    bad = np.argwhere(have.view(np.uint8).ravel() != want.view(np.uint8).ravel())
    assert not len(bad), f"{what}: {len(bad)} bytes differ, the first at {bad[0]}"


def check_header(raw, magic):
    """Returns where the head ends and the index."""
    assert raw[:8] == magic and struct.unpack_from("<II", raw, 8) == (2, 0)
    size, head, high, low, n = struct.unpack_from("<5Q", raw, 16)
    assert size == len(raw) and head <= size
    assert (high, low) == h128(raw[4096:head])
    assert not any(raw[56:4088])
    assert struct.unpack_from("<Q", raw, 4088)[0] == h64(raw[:4088])
    hdf5 = 8192
    while raw[hdf5:hdf5 + 8] != b"\x89HDF\r\n\x1a\n":
        hdf5 *= 2
    assert n <= hdf5 - 4096 and not any(raw[4096 + n:hdf5])
    return head, json.loads(raw[4096:4096 + n])


def plain(value):
    """An attribute as JSON has it."""
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value]
    return value.decode() if isinstance(value, bytes) else value.item()


def check_index(f, index):
    """All that the index says is what HDF5 says, and the other way round."""
    config = dict(index.pop("config"))
    attrs = {k: plain(v) for k, v in f["config"].attrs.items() if k != "writer"}
    assert config == attrs, f"config: {config}, {attrs}"
    for key, value in config.items():
        assert not isinstance(value, bool) or f["config"].attrs[key].dtype == np.uint8
    want = {}

    def visit(name, ds):
        if not isinstance(ds, h5py.Dataset):
            return
        entry = {"dtype": ds.dtype.kind + str(8 * ds.dtype.itemsize), "shape": list(ds.shape),
                 "offset": ds.id.get_offset(), "bytes": ds.nbytes}
        want["/" + name] = dict(entry, **{k: plain(v) for k, v in ds.attrs.items()})
    f.visititems(visit)
    sums, tok = want.pop("/sums"), want.pop("/tokenizer", None)
    assert index.pop("sums") == {"offset": sums["offset"], "n": sums["shape"][0]}
    have = index.pop("tokenizer", None)
    assert have == (tok and {k: tok[k] for k in ("kind", "offset", "bytes")})
    assert index.pop("datasets") == want
    assert not index, f"more in the index: {index}"


def check_sums(f, raw, ds, name, head):
    at, data = ds.id.get_offset(), np.ascontiguousarray(ds[()]).tobytes()
    assert at % 4096 == 0 and head <= at and raw[at:at + len(data)] == data, name
    block, first = int(ds.attrs["sum_block"]), int(ds.attrs["first_sum"])
    want = [h64(data[i:i + block]) for i in range(0, len(data), block)]
    assert list(f["sums"][first:first + len(want)]) == want, f"{name}: sums"
    return at, len(data), first, len(want)


def check_dense(f, name, kind, w, dense):
    typ = "f32" if kind in NORMS else dense
    ds = f[name]
    assert ds.attrs["type"].decode() == typ, name
    codes, scales = encode(typ, w)
    view = {"f32": "<f4", "f16": "<f2", "i8": "i1", "i4": "u1"}[typ]
    same(ds[()], codes.view(view), name)
    assert (name + ".scales" in f) == (scales is not None)
    if scales is not None:
        same(f[name + ".scales"][()], scales, name + ".scales")


def check_ffn(f, fields, source):
    parts = [p.decode() for p in f["config"].attrs["part_name"]]
    assert parts == ["f16", "i8", "i4"]
    for layer in range(fields[2]):
        vectors = [source["gate", layer], source["up", layer], source["down", layer].T]
        for part in parts:
            name = f"ffn/{layer}/{part}"
            want = np.hstack([packed(part, v) for v in vectors])
            same(f[name][0], want, name)
            assert f[name].shape == (1, fields[1], want.shape[1])


def bits(x, code):
    return struct.pack(">" + code, x).hex()


def model_hash(attrs, fields, source):
    """The identity as store/write_impl.h describes it."""
    a = {k: attrs[k] for k in attrs}
    text = f"arch={a['arch'].decode()}\n"
    for key in ("dim", "hidden", "layers", "heads", "kv_heads", "head_dim", "vocab",
                "experts", "tied_head", "has_gate"):
        text += f"{key}={int(a[key])}\n"
    text += (f"act={a['act'].decode()}\nact_shift={bits(a['act_shift'], 'f')}\n"
             f"input_relu={int(a['input_relu'])}\n"
             f"input_relu_shift={bits(a['input_relu_shift'], 'f')}\n"
             f"norm_eps={bits(a['norm_eps'], 'f')}\nrope={a['rope'].decode()}\n"
             f"rope_theta={bits(a['rope_theta'], 'd')}\n")
    order = [("embed", 0), ("head", 0), ("final_norm", 0)]
    order += [(k, layer) for layer in range(fields[2]) for k in LAYER + ["gate", "up", "down"]]
    data = text.encode()
    for key in order:
        if key in source:
            w = source[key].T if key[0] == "down" else source[key]
            data += struct.pack("<2Q", *h128(np.ascontiguousarray(w).tobytes()))
    return "%016x%016x" % h128(data)


def check(path, fields, source, dense):
    with open(path, "rb") as f:
        raw = f.read()
    head, index = check_header(raw, b"m2cstore")
    assert head % 4096 == 0
    with h5py.File(path, "r") as f:
        check_index(f, index)
        a = f["config"].attrs
        assert [int(a[k]) for k in ("dim", "hidden", "layers", "heads", "kv_heads", "ctx")] \
            == list(fields[:5]) + [fields[6]]
        assert bool(a["tied_head"]) == (fields[5] > 0) and int(a["vocab"]) == abs(fields[5])
        assert a["model_hash"].decode() == model_hash(a, fields, source)
        order = np.tile(np.arange(fields[1], dtype="<u4"), fields[2])
        assert a["order_hash"].decode() == "%016x%016x" % h128(order.tobytes())
        for kind in GLOBAL + (["head"] if fields[5] < 0 else []):
            check_dense(f, f"dense/{kind}", kind, source[kind, 0], dense)
        for layer in range(fields[2]):
            for kind in LAYER:
                check_dense(f, f"dense/{layer}/{kind}", kind, source[kind, layer], dense)
        check_ffn(f, fields, source)
        names = []
        f.visititems(lambda n, o: names.append(n) if isinstance(o, h5py.Dataset) else None)
        names = [n for n in names if n not in ("sums", "tokenizer")]
        ranges = sorted(check_sums(f, raw, f[n], n, head) for n in names)
        assert sum(r[3] for r in ranges) == len(f["sums"])
        end = head
        for at, size, _, _ in ranges:
            assert at >= end and not any(raw[end:at]), f"bytes before offset {at}"
            end = at + size
        assert end == len(raw)
        for n in ("sums", "tokenizer"):
            assert n not in f or f[n].id.get_offset() + f[n].nbytes <= head
    return len(ranges)


def convert(src, dst, dense, tokenizer):
    run = subprocess.run([M2C, "import", src, dst, "--dense", dense, "--tokenizer", tokenizer,
                          "--overwrite"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def check_results(path):
    subprocess.run([TEST_SMALL, "--results", path], check=True)
    with h5py.File(path, "r") as f:
        assert int(f.attrs["version"]) == 1
        assert sorted(f["columns"]) == ["policy", "ttft"] and list(f["samples"]) == ["1"]
        assert np.array_equal(f["columns/ttft"][()], [1, np.nan, 3], equal_nan=True)
        assert list(f["columns/policy"].asstr()[()]) == ["a", "", "grüß"]
        assert list(f["samples/1/token_s"][()]) == [5, 6]
    print("results.h5: 2 columns, 1 sample array")


def check_rank(path):
    subprocess.run([TEST_SMALL, "--rank", path], check=True)
    with open(path, "rb") as f:
        raw = f.read()
    head, index = check_header(raw, b"m2crank\0")
    assert head == len(raw)
    with h5py.File(path, "r") as f:
        a = {k: plain(v) for k, v in f["meta"].attrs.items()}
        assert a.pop("version") == 2 and a.pop("shape") == [index.pop("layers"), index["n"]]
        n, offsets = index.pop("n"), index.pop("offsets")
        assert index.pop("predictors") == [] and "predictors" not in f
        assert index == a and a["tokens"] == 12345678901, f"{index}, {a}"
        assert sorted(f["layers"]) == [str(i) for i in range(len(offsets))]
        for layer, at in enumerate(offsets):
            g = f[f"layers/{layer}"]
            assert at == {k: g[k].id.get_offset() for k in g} and len(at) == 4
            assert all(g[k].shape == (n,) for k in g)
            hot = np.lexsort((np.arange(n), -g["mean"][()], -g["freq"][()]))
            same(g["order"][()], hot.astype("<u4"), f"layers/{layer}/order")
    print(f"rank file: {len(offsets)} layers")


def main():
    rng = np.random.default_rng(11)
    with tempfile.TemporaryDirectory() as tmp:
        check_results(os.path.join(tmp, "results.h5"))
        check_rank(os.path.join(tmp, "x.rank.h5"))
        src, dst = os.path.join(tmp, "net.bin"), os.path.join(tmp, "net.h5")
        for fields in ((64, 50, 2, 4, 2, 40, 8), (100, 33, 3, 5, 5, -7, 8),
                       (256, 1500, 1, 4, 1, 5000, 8)):
            write_source(src, fields, rng)
            for dense in ("f32", "f16", "i8"):
                convert(src, dst, dense, "none")
                n = check(dst, *read_source(src), dense)
                print(f"random {fields}, {dense}: {n} datasets")
        for name in ("stories260K", "relu2M"):
            src = d.shared("models", name, "model.bin")
            if not os.path.exists(src):
                print(f"skipped: no {src}")
                continue
            tok = d.shared("models", name, "tokenizer.bin")
            convert(src, dst, "f16", tok)
            n = check(dst, *read_source(src), "f16")
            with h5py.File(dst, "r") as f, open(tok, "rb") as t:
                assert f["tokenizer"][()].tobytes() == t.read()
                assert f["tokenizer"].attrs["kind"] == b"llama2c"
            print(f"{name}: {n} datasets")
    return 0


if __name__ == "__main__":
    sys.exit(main())
