# SPDX-License-Identifier: MIT
"""The vectors that llama.cpp publishes for its tokenizers, in ../shared."""
import sys

import oracle as o

TOOL = sys.argv[1]


def vectors(name):
    """As tests/test-tokenizer-0.cpp of llama.cpp reads them."""
    with open(o.shared("tokenizers", f"ggml-vocab-{name}.gguf.inp"), encoding="utf-8",
              newline="") as f:
        texts = f.read().split("\n__ggml_vocab_test__\n")
    assert texts.pop() == ""  # the separator ends the file
    with open(o.shared("tokenizers", f"ggml-vocab-{name}.gguf.out"), encoding="ascii") as f:
        lines = f.read().split("\n")
    assert lines.pop() == "" and len(lines) == len(texts) == 46
    return texts, [[int(x) for x in line.split()] for line in lines]


def check(name, file):
    texts, want = vectors(name)
    o.compare(f"{name}, {file}", texts,
              o.Tool(TOOL, o.shared("tokenizers", file)).encode(texts), want)


def main():
    if not o.shared("tokenizers"):
        o.skip("no ../shared")
    check("llama-spm", "tokenizer_llama32000.model")
    if o.without_pcre2():
        o.Tool(TOOL, o.shared("tokenizers", "cs336_gpt2_vocab.json")).refused("PCRE2")
    else:
        check("gpt-2", "cs336_gpt2_vocab.json")


main()
