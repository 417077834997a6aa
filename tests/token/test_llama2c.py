# SPDX-License-Identifier: MIT
"""llama2.c tokenizers against run.c's encode and decode, written again here as
plainly as there, and against the SentencePiece model they were made from."""
import os
import struct
import sys
import tempfile

import oracle as o

TOOL = sys.argv[1]


def read(path):
    with open(path, "rb") as f:
        data = f.read()
    at, tokens = 4, []
    while at < len(data):
        score, n = struct.unpack_from("<fi", data, at)
        tokens.append((data[at + 8:at + 8 + n], score))
        at += 8 + n
    return tokens


def run_c(tokens, ids, text):
    """encode() of llama2.c/run.c at 350e04fe, quadratic as it is there."""
    if not text:
        return []
    out, i = [ids[b" "]], 0
    while i < len(text):
        n = 1
        while i + n < len(text) and text[i + n] & 0xc0 == 0x80 and n < 4:
            n += 1
        char = text[i:i + n]
        out += [ids[char]] if char in ids else [b + 3 for b in char]
        i += n
    while True:
        best, where = -1e10, None
        for k in range(len(out) - 1):
            merged = ids.get(tokens[out[k]][0] + tokens[out[k + 1]][0])
            if merged is not None and tokens[merged][1] > best:
                best, where, new = tokens[merged][1], k, merged
        if where is None:
            return out
        out[where:where + 2] = [new]


def piece(tokens, prev, i):
    """decode() of run.c, but that BOS and EOS give nothing."""
    text = b"" if i in (1, 2) else tokens[i][0]
    if prev == 1 and text.startswith(b" "):
        text = text[1:]
    if len(text) == 6 and text.startswith(b"<0x") and text.endswith(b">"):
        text = bytes([int(text[3:5], 16)])
    return text


def check(name, path, texts):
    tokens = read(path)
    ids = {}
    for i, (text, _) in enumerate(tokens):
        ids.setdefault(text, i)
    have = o.Tool(TOOL, path)
    assert have.info() == ("llama2c", len(tokens), 1, 2)
    data = [t if isinstance(t, bytes) else t.encode() for t in texts]
    want = [run_c(tokens, ids, t) for t in data]
    o.compare(name, data, have.encode(data), want)
    assert have.each() == [piece(tokens, 0, i) for i in range(len(tokens))]
    o.compare(name + ", back", data, have.decode(data),
              [b"".join(piece(tokens, ([1] + x)[k], i) for k, i in enumerate(x))
               for x in want])
    assert have.encode(["<s>a</s>"], "special") == [[1] + run_c(tokens, ids, b"a") + [2]]


def write(path, tokens, longest=None):
    with open(path, "wb") as f:
        f.write(struct.pack("<i", longest or max(len(t) for t, _ in tokens)))
        for text, score in tokens:
            f.write(struct.pack("<fi", score, len(text)) + text)


def odd(path):
    """Equal scores, scores that never merge, a byte's name that merges, a token
    twice, characters that are only inside tokens."""
    base = [(b"<unk>", 0), (b"\n<s>\n", 0), (b"\n</s>\n", 0)]
    base += [(b"<0x%02X>" % b, 0) for b in range(256)]
    base += [(c.encode(), 0) for c in " abcdefé<>x"]
    base += [(b"ab", -1), (b"bc", -1), (b"ca", -1), (b"abc", -1), (b"aab", -1), (b"aa", -1),
             (b"de", -2e10), (b"ef", -9e9), (b"def", 3), (b"<0x0A>a", 1), (b" a", -5),
             (b"ab", 7), (b"  ", -3), (b"    ", -3), ("éa".encode(), -1),
             ("aü".encode(), 2), (b"a<0x0A>", 0.5)]
    write(path, base)


def main():
    short = [t[:120] for t in o.random_texts(3, 600)] + o.random_bytes(4, 200)
    short += ["aaaaaaaaaa", "abcabcabc", "a\na\na", "bcabcaab", "deef def", "éaü aü", "     a"]
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "odd.bin")
        odd(path)
        check("odd", path, short + ["".join("abcdef \né"[(i * i + j) % 9] for i in range(60))
                                    for j in range(300)])
    real = o.shared("tokenizers", "tokenizer_llama32000.bin")
    if not real:
        o.skip("no ../shared; the rest of this test passed")
    check("llama32000", real, short)
    for name in ("stories260K", "relu2M"):
        check(name, o.shared("models", name, "tokenizer.bin"), short)
    # "▁" is the space's mark in one and a character in the other
    texts = [t for t in o.random_texts(5) + o.real_text() if "▁" not in t]
    o.compare("as the .model", texts, o.Tool(TOOL, real).encode(texts),
              o.Tool(TOOL, real.replace(".bin", ".model")).encode(texts))


main()
