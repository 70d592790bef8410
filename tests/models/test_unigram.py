"""SentencePiece gives the same tokens and offsets as the library, and falls back to it where it would not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers import models as tokenizer_models

from lunheng.errors import ModelError
from lunheng.models.tokenizer import JsonTokenizer
from lunheng.models.unigram import open_unigram

PIECES = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "▁",
    "▁hello",
    "▁wor",
    "ld",
    "h",
    "e",
    "l",
    "o",
    "你好",
    "世",
    "界",
    ",",
    "...",
    ".",
]
TEXTS = [
    "hello world",
    "你好，世界",
    "  hello\n\n你好…… hello...",
    "ｈｅｌｌｏ　world ﬁ",
    "unknown 🀄🀄 words 𠮷",
    "",
    " \n",
    "a</s>b",
    "hello▁world",
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small tokenizer of the kind that multilingual-e5 and bge-m3 have."""
    scores = [0.0] * 4 + [-1.0 - 0.137 * n for n in range(len(PIECES) - 4)]
    tokenizer = Tokenizer(tokenizer_models.Unigram(list(zip(PIECES, scores, strict=True)), unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(["<s>", "</s>"])
    made = tmp_path_factory.mktemp("model") / "tokenizer.json"
    tokenizer.save(str(made))
    return made


@pytest.mark.parametrize("text", TEXTS)
def test_same_tokens_and_offsets_as_the_library(path: Path, text: str) -> None:
    library, ours = Tokenizer.from_file(str(path)), JsonTokenizer(path)
    expected, (got,) = library.encode(text), ours.encode([text])
    assert (list(got.ids), list(got.special_tokens_mask)) == (expected.ids, expected.special_tokens_mask)
    bare = library.encode(text, add_special_tokens=False)
    assert ours.count(text) == len(bare.ids)
    assert ours.spans(text) == bare.offsets


def test_special_tokens_are_left_to_the_library(path: Path) -> None:
    unigram = open_unigram(path)
    assert unigram is not None
    assert unigram.handles("hello")
    assert not unigram.handles("a</s>b")
    assert not unigram.handles("hello▁world")


def test_what_was_kept_is_used_and_made_anew_when_the_file_changes(path: Path) -> None:
    open_unigram(path)
    kept = path.with_name("unigram.json")
    before = kept.stat().st_mtime_ns
    open_unigram(path)
    assert kept.stat().st_mtime_ns == before
    whole = json.loads(path.read_bytes())
    whole["model"]["vocab"] = [[piece.replace("▁hello", "▁hullo"), score] for piece, score in whole["model"]["vocab"]]
    changed = path.with_name("changed")
    changed.mkdir()
    (changed / "tokenizer.json").write_text(json.dumps(whole))
    for name in ("unigram.json", "unigram.model"):
        (changed / name).write_bytes(path.with_name(name).read_bytes())
    assert JsonTokenizer(changed / "tokenizer.json").count("hullo") == 1


def test_other_kinds_are_left_to_the_library(tmp_path: Path) -> None:
    words = Tokenizer(tokenizer_models.WordLevel({"hello": 0, "[UNK]": 1}, unk_token="[UNK]"))
    words.save(str(tmp_path / "tokenizer.json"))
    assert open_unigram(tmp_path / "tokenizer.json") is None
    assert JsonTokenizer(tmp_path / "tokenizer.json").count("hello") == 1


@pytest.mark.parametrize("content", ["", '{"model": {"type": "Unigram"', '{"model": {"type": "Unigram"}}'])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match=r"tokenizer\.json: cannot be read"):
        JsonTokenizer(tmp_path / "tokenizer.json")
