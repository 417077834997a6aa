# SPDX-License-Identifier: MIT
"""SentencePiece models against the sentencepiece package: Llama 2's and that of
relu2M, and small models trained here with other normalisations and with pieces
of the user."""
import os
import sys
import tempfile

import oracle as o

o.need("sentencepiece")
import sentencepiece  # noqa: E402

TOOL = sys.argv[1]
CORPUS = ["the quick brown fox jumps over the lazy dog", "Hello, World! How are you?",
          "naïve café déjà vu über straße", "1 22 333 4444 55555", "<sep> end of line <sep>",
          "ﬁne ﬂow Ⅷ ½ ① ２０２４ ＡＢＣ", "日本語のテキスト 漢字かな", "  spaces   here  ",
          "привет мир как дела", "don't we'll they're", "a b c d e f g h i j k l m"] * 3


def same(name, path, lossless=False):
    want, have = sentencepiece.SentencePieceProcessor(model_file=path), o.Tool(TOOL, path)
    texts = o.random_texts(1) + o.real_text()
    o.compare(name, texts, have.encode(texts), [want.encode(t) for t in texts])
    back = [want.decode(want.encode(t)).encode() for t in texts]
    o.compare(name + ", back", texts, have.decode(texts), back)
    assert have.info() == ("spm", want.vocab_size(), want.bos_id(), want.eos_id())
    damaged = o.random_bytes(2)
    for data, text in zip(have.decode(damaged), damaged):
        # our own promise: where sentencepiece writes U+FFFD, the bytes stay
        text = text.replace("▁".encode(), b" ")
        if lossless and not text.startswith(b" "):
            assert data == text, f"{name}: {text!r} comes back as {data!r}"


def special(path):
    """Control tokens in the text, each piece between them a text of its own."""
    want, have = sentencepiece.SentencePieceProcessor(model_file=path), o.Tool(TOOL, path)
    bos, eos = want.bos_id(), want.eos_id()
    ids = have.encode(["<s>Hello</s><s> x", "a</s>"], "special")
    assert ids == [[bos] + want.encode("Hello") + [eos, bos] + want.encode(" x"),
                   want.encode("a") + [eos]], ids
    assert have.encode(["<s>"]) == [want.encode("<s>")]


def train(tmp, name, **options):
    path = os.path.join(tmp, name)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_prefix=path, vocab_size=options.pop("n", 420),
        model_type=options.pop("kind", "bpe"), minloglevel=2, hard_vocab_limit=False,
        character_coverage=options.pop("coverage", 1.0), **options)
    return path + ".model"


def main():
    real = 0
    for parts in (("tokenizers", "tokenizer_llama32000.model"),
                  ("models", "relu2M", "tokenizer.model")):
        path = o.shared(*parts)
        if path:
            same("/".join(parts), path, lossless=parts[0] == "tokenizers")
            special(path)
            real += 1
    with tempfile.TemporaryDirectory() as tmp:
        same("nmt_nfkc", train(tmp, "nfkc", byte_fallback=True))
        same("nmt_nfkc_cf, no bytes", train(tmp, "cf", n=160, coverage=0.98,
                                            normalization_rule_name="nmt_nfkc_cf"))
        same("identity, all spaces", train(
            tmp, "id", byte_fallback=True, normalization_rule_name="identity",
            remove_extra_whitespaces=False, add_dummy_prefix=False), lossless=True)
        same("pieces of the user", train(
            tmp, "user", byte_fallback=True, user_defined_symbols=["<sep>", "fox", "1", "o",
                                                                   "▁▁", "22"],
            control_symbols=["<ctl>"], remove_extra_whitespaces=False))
        same("no bytes", train(tmp, "none", n=120, coverage=0.98, split_digits=True,
                               allow_whitespace_only_pieces=True, split_by_whitespace=False))
        o.Tool(TOOL, train(tmp, "uni", kind="unigram", n=150)).refused("unigram", "BPE")
        o.Tool(TOOL, train(tmp, "char", kind="char", n=150)).refused("char", "BPE")
        o.Tool(TOOL, train(tmp, "suffix", n=150, treat_whitespace_as_suffix=True)).refused(
            "treat_whitespace_as_suffix")
    print(f"{real} real models")


main()
