# SPDX-License-Identifier: MIT
"""m2c import, info and verify as a user meets them: exit codes, one line for
each fault, nothing left behind, memory and signals."""
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

M2C = sys.argv[1]
FIELDS = (64, 96, 2, 4, 2, 300, 32)  # dim, hidden, layers, heads, kv, vocab, context


def weights(fields):
    dim, hidden, layers, heads, kv, vocab, ctx = fields
    k = dim // heads * kv
    layer = 2 * dim + dim * (2 * dim + 2 * k) + 3 * dim * hidden
    return vocab * dim + layers * layer + dim + ctx * (dim // heads)


def model(path, fields=FIELDS, seed=1):
    """A llama2.c file of small random weights."""
    r = random.Random(seed)
    values = [r.uniform(-1, 1) for _ in range(weights(fields))]
    with open(path, "wb") as f:
        f.write(struct.pack("<7i", *fields) + struct.pack(f"<{len(values)}f", *values))
    return path


def tokenizer(path, vocab):
    """A llama2.c tokenizer: three control tokens, the bytes, then letters."""
    with open(path, "wb") as f:
        f.write(struct.pack("<i", 6))
        pieces = [b"<unk>", b"<s>", b"</s>"] + [b"<0x%02X>" % i for i in range(256)]
        pieces += [b"%c" % (97 + i % 26) + b"abcdefghij"[:i // 26] for i in range(vocab)]
        for i, piece in enumerate(pieces[:vocab]):
            f.write(struct.pack("<fi", -float(i), len(piece)) + piece)
    return path


class Test:
    def __init__(self, tmp):
        self.tmp = tmp
        self.src = model(self.path("net.bin"))
        self.dst = self.path("net.h5")

    def path(self, *parts):
        return os.path.join(self.tmp, *parts)

    def run(self, code, say, *args, **options):
        """Runs m2c; the last line of stderr must contain `say`."""
        run = subprocess.run([M2C, *args], capture_output=True, text=True, **options)
        last = (run.stderr.splitlines() or [""])[-1]
        assert run.returncode == code, f"{args}: exit {run.returncode}: {run.stderr}"
        assert say in last, f"{args}: expected '{say}', got '{run.stderr}'"
        if code:
            errors = [s for s in run.stderr.splitlines() if s.startswith("error: ")]
            assert len(errors) == 1 and errors[0] == last, f"{args}: {run.stderr}"
        return run.stdout

    def refuses(self, code, say, *args, **options):
        """A failed import leaves the folder as it was."""
        before = sorted(os.listdir(self.tmp))
        self.run(code, say, "import", *args, **options)
        assert sorted(os.listdir(self.tmp)) == before, f"{args} left something behind"


def usage(t):
    t.run(2, "no command given; see 'm2c --help'")
    t.run(2, "unknown command 'imprt', did you mean 'import'?", "imprt")
    assert "convert a model" in t.run(0, "", "--help")
    assert t.run(0, "", "--version").startswith("m2c ")
    out = t.run(0, "", "import", "--help")
    assert "usage: m2c import [flags] SRC DST.h5" in out and "--act-shift X" in out
    for say, args in [("missing argument, expected SRC DST.h5", [t.src]),
                      ("unknown flag '--layot', did you mean '--layout'?",
                       [t.src, t.dst, "--layot", "copies"]),
                      ("unknown layout 'copis'", [t.src, t.dst, "--layout", "copis"]),
                      ("did you mean 'llama2c'?", [t.src, t.dst, "--format", "llama2"]),
                      ("expected one of own, f32, f16, i8, i4", [t.src, t.dst, "--dense", "i3"]),
                      ("unknown arrangement 'parts'", [t.src, t.dst, "--arrange", "parts"]),
                      ("did you mean 'rtn'?", [t.src, t.dst, "--quant", "rnt"]),
                      ("needs --text FILE", [t.src, t.dst, "--quant", "moment"]),
                      ("takes no --text", [t.src, t.dst, "--text", t.src]),
                      ("not a number", [t.src, t.dst, "--act-shift", "much"]),
                      ("expected one of own, silu, gelu, relu", [t.src, t.dst, "--act=tanh"])]:
        t.refuses(2, say, *args)
    full = subprocess.run([M2C, "--help"], stdout=open("/dev/full", "w"),
                          stderr=subprocess.PIPE, text=True)
    assert full.returncode == 1 and "standard output: No space" in full.stderr


def round_trip(t):
    tok = tokenizer(t.path("tok.bin"), 300)
    assert t.run(0, "MiB in", "import", t.src, t.dst, "--tokenizer", tok) == ""
    info = json.loads(t.run(0, "", "info", t.dst, "--json"))
    assert info["bytes"] == os.path.getsize(t.dst)
    assert info["tokenizer"] == {"kind": "llama2c", "bytes": os.path.getsize(tok)}
    m = info["model"]
    assert [m[k] for k in ("dim", "hidden", "layers", "heads", "kv_heads", "vocab", "ctx")] \
        == list(FIELDS)
    assert (m["act"], m["act_shift"], m["input_relu"]) == ("silu", 0, False)
    assert m["weights"] == weights(FIELDS) - 32 * 16  # without the RoPE tables
    classes = info["layout"]["classes"]
    assert [(c["name"], c["bits"]) for c in classes] == [("f16", 16), ("i8", 8), ("i4", 4)]
    # A neuron: three vectors of 64, and a scale for each group of 32.
    sizes = {p["name"]: (p["record_bytes"], p["bytes"]) for p in info["layout"]["parts"]}
    assert sizes == {n: (b, b * 96 * 2) for n, b in
                     (("f16", 384), ("i8", 192 + 12), ("i4", 96 + 12))}, sizes
    assert {d["type"] for d in info["dense"]} == {"f32"}
    assert info["dense_bytes"] == sum(d["bytes"] for d in info["dense"])
    text = t.run(0, "", "info", t.dst)
    assert "2 layers, dim 64, 96 neurons a layer" in text and info["model_hash"] in text
    assert "every checksum agrees" in t.run(0, "", "verify", t.dst)

    bytes_before = open(t.dst, "rb").read()
    t.refuses(1, "exists (--overwrite replaces it)", t.src, t.dst, "--tokenizer", tok)
    assert open(t.dst, "rb").read() == bytes_before
    t.run(0, "MiB in", "import", t.src, t.dst, "--overwrite", "--act", "relu", "--act-shift",
          "-0.25", "--input-relu-shift", "1", "--dense", "f16", "--tokenizer", "none")
    other = json.loads(t.run(0, "", "info", t.dst, "--json"))
    m = other["model"]
    assert (m["act"], m["act_shift"]) == ("relu", -0.25)
    assert (m["input_relu"], m["input_relu_shift"]) == (True, 1)
    assert other["tokenizer"] is None
    types = {d["name"]: d["type"] for d in other["dense"]}
    assert types["wq"] == types["embed"] == "f16" and types["attn_norm"] == "f32"
    assert other["model_hash"] != info["model_hash"]  # it computes something else

    # The same source gives the same hash, whatever it is stored as or called.
    copy = shutil.copy(t.src, t.path("copy.bin"))
    t.run(0, "MiB in", "import", copy, t.path("copy.h5"), "--dense", "i8")
    again = json.loads(t.run(0, "", "info", t.path("copy.h5"), "--json"))
    assert again["model_hash"] == info["model_hash"]


def relayout(t):
    """Stores of stores: the same files as from the source where nothing is rounded twice."""
    def made(name, *args):
        t.run(0, "MiB in", "import", t.src, t.path(name), "--tokenizer", "none", *args)
        return open(t.path(name), "rb").read()

    part = made("part.h5", "--layout", "planes", "--dense", "i4")
    neuron = made("neuron.h5", "--layout", "planes", "--arrange", "neuron", "--dense", "i4")
    a, b = t.path("part.h5"), t.path("again.h5")
    t.run(0, "", "relayout", a, b, "--arrange", "neuron")
    assert open(b, "rb").read() == neuron
    t.run(1, "exists (--overwrite replaces it)", "relayout", b, a)
    t.run(0, "", "relayout", b, a, "--arrange", "part", "--overwrite")
    assert open(a, "rb").read() == part
    t.run(0, "", "relayout", a, b, "--layout", "copies", "--overwrite")
    old, new = (json.loads(t.run(0, "", "info", x, "--json")) for x in (a, b))
    assert old["model_hash"] == new["model_hash"]
    assert old["layout"]["name"] == "planes" and old["layout"]["arrange"] == "part"
    assert new["layout"]["name"] == "copies" and new["layout"]["quant"] == "rtn"
    assert {d["type"] for d in old["dense"]} == {"f32", "i4"}
    # A neuron: three vectors of 64 with four bits and a scale for 32, four bits, eight bits.
    assert [p["record_bytes"] for p in old["layout"]["parts"]] == [96 + 12, 96, 192]
    assert "every checksum agrees" in t.run(0, "", "verify", b)
    before = sorted(os.listdir(t.tmp))
    t.run(2, "did you mean 'planes'?", "relayout", a, t.path("c.h5"), "--layout", "plane")
    t.run(1, "No such file", "relayout", t.path("none.h5"), t.path("c.h5"))
    t.run(1, "none.rank.h5", "relayout", a, t.path("c.h5"), "--order", t.path("none.rank.h5"))
    t.run(1, "is no store, --overwrite leaves it alone", "relayout", a, t.src, "--overwrite")
    t.run(1, "no tokenizer", "import", t.src, t.path("c.h5"), "--tokenizer", "none",
          "--quant", "moment", "--text", t.src)
    assert sorted(os.listdir(t.tmp)) == before


def damage(t):
    """Any byte of a store may rot: verify sees each."""
    good = open(t.dst, "rb").read()
    r = random.Random(7)
    places = [0, 9, 4096, 4200, len(good) - 1] + [r.randrange(len(good)) for _ in range(60)]
    bad = t.path("bad.h5")
    for at in places:
        with open(bad, "wb") as f:
            f.write(good[:at] + bytes([good[at] ^ (1 << r.randrange(8))]) + good[at + 1:])
        t.run(1, "bad.h5", "verify", bad)
    for n in (0, 1, 4095, 4096, 5000, len(good) // 2, len(good) - 1):
        with open(bad, "wb") as f:
            f.write(good[:n])
        t.run(1, "bad.h5", "info", bad)
        t.run(1, "bad.h5", "verify", bad)
    os.unlink(bad)
    t.run(1, "absent.h5: No such file", "info", t.path("absent.h5"))
    t.run(1, "net.bin", "verify", t.src)


def bad_input(t):
    new = t.path("new.h5")
    cut = t.path("cut.bin")
    with open(cut, "wb") as f:
        f.write(open(t.src, "rb").read()[:-4])
    t.refuses(1, "cut.bin: ends at byte", cut, new)
    t.refuses(1, "absent.bin: No such file", t.path("absent.bin"), new)
    t.refuses(1, "No such file", t.src, t.path("no", "such", "folder.h5"))
    t.refuses(1, "not a regular file", t.tmp, new, "--format", "llama2c")
    t.refuses(1, "config.json: No such file", t.tmp, new)
    t.refuses(1, "a model store already", t.dst, new)
    t.refuses(1, "absent: No such file", t.src, new, "--tokenizer", t.path("absent"))
    t.refuses(1, "cut.bin", t.src, new, "--tokenizer", cut)
    big = tokenizer(t.path("big.bin"), 301)
    t.refuses(1, "big.bin: 301 tokens, but the model has 300", t.src, new, "--tokenizer", big)
    os.rename(big, t.path("tokenizer.bin"))
    t.refuses(1, "the tokenizer beside the model cannot be used", t.src, new)
    os.unlink(t.path("tokenizer.bin"))
    for name, value in (("nan", float("nan")), ("inf", float("inf")), ("large", 1e6)):
        # In gate of layer 1, which is stored as f16.
        odd = t.path(name + ".bin")
        data = bytearray(open(t.src, "rb").read())
        at = 28 + 4 * (300 * 64 + 2 * (2 * 64 + 64 * (2 * 64 + 2 * 32)) + 64 * 96 + 5 * 64 + 3)
        data[at:at + 4] = struct.pack("<f", value)
        with open(odd, "wb") as f:
            f.write(data)
        t.refuses(1, "gate", odd, new)

    source = open(t.src, "rb").read()
    for target in (t.src, cut):
        t.refuses(1, "exists and is no store, --overwrite leaves it alone", t.src, target,
                  "--overwrite")
    assert open(t.src, "rb").read() == source
    t.refuses(1, "exists and is not a file", t.src, t.tmp, "--overwrite")

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000))
    t.refuses(1, "new.h5", t.src, new, preexec_fn=small_files)


def large(t):
    """Memory and signals, on a model of zeros that takes no disk of its own."""
    fields = (1024, 4096, 3, 8, 8, 4000, 64)
    big = t.path("big.bin")
    with open(big, "wb") as f:
        f.write(struct.pack("<7i", *fields))
        f.truncate(28 + 4 * weights(fields))
    new = t.path("large.h5")
    before = sorted(os.listdir(t.tmp))
    start = time.monotonic()
    child = subprocess.Popen([M2C, "import", big, new], stderr=subprocess.DEVNULL)
    _, status, usage_ = os.wait4(child.pid, 0)
    took = time.monotonic() - start
    assert status == 0, f"exit {status}"
    peak = usage_.ru_maxrss * 1024
    print(f"import of {os.path.getsize(big) >> 20} MiB: peak RSS {peak >> 20} MiB, {took:.1f} s")
    if "--sanitized" not in sys.argv:
        # One tensor (16 MiB), the stated 64 MiB, and the program with its libraries.
        assert peak < (16 + 64 + 32) << 20, f"peak RSS {peak}"
    os.unlink(new)
    codes = []
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        for delay in (0.3, 0.1, 0.02):
            child = subprocess.Popen([M2C, "import", big, new], stderr=subprocess.PIPE,
                                     text=True)
            time.sleep(min(delay, took / 3))
            child.send_signal(sig)
            _, err = child.communicate()
            left = [n for n in os.listdir(t.tmp) if n not in before]
            # Before the handler is there the signal simply kills.
            assert child.returncode in (130, -sig), f"exit {child.returncode}: {err}"
            assert not left, f"{sig} left {left}"
            codes.append(child.returncode)
            if child.returncode == 130:
                assert err.splitlines()[-1].startswith("error: "), err
    assert 130 in codes, f"no import was interrupted: {codes}"
    child = subprocess.Popen([M2C, "import", big, new], stderr=subprocess.DEVNULL)
    time.sleep(min(0.3, took / 3))
    child.kill()
    child.wait()
    assert not os.path.exists(new), "a killed import left its target"
    t.run(0, "MiB in", "import", t.src, new)  # and the next one goes through


def main():
    with tempfile.TemporaryDirectory() as tmp:
        t = Test(tmp)
        for part in (usage, round_trip, relayout, damage, bad_input, large):
            part(t)
            print(f"{part.__name__}: ok")


main()
