"""models.toml is complete and strict, and the user's file lies over it."""

from pathlib import Path

import pytest

from lunheng.errors import ConfigError, ModelError
from lunheng.models.registry import PackagePlace, Registry


def test_covers_every_embedding_model_of_the_survey() -> None:
    registry = Registry.load()
    expected = {
        "text-embedding-3-large": (3072, 8191),
        "text-embedding-3-small": (1536, 8191),
        "e5-mistral-7b-instruct": (4096, 4096),
        "bge-large-zh-v1.5": (1024, 512),
        "bge-m3": (1024, 8192),
        "GTE-Qwen2-7B-instruct": (3584, 32000),
        "NV-Embed-v2": (4096, 32768),
        "embed-multilingual-v3.0": (1024, 512),
        "GritLM-7B": (4096, 32768),
        "Qwen3-Embedding-0.6B": (1024, 32768),
        "multilingual-e5-small": (384, 512),
    }
    assert {n: (registry[n].dimension, registry[n].window) for n in expected} == expected


def test_prefixes_are_per_kind_and_per_model() -> None:
    registry = Registry.load()
    e5, bge, qwen = (registry[n] for n in ("multilingual-e5-small", "bge-large-zh-v1.5", "Qwen3-Embedding-0.6B"))
    assert (e5.query_prefix, e5.passage_prefix, e5.pooling) == ("query: ", "passage: ", "mean")
    assert (bge.query_prefix, bge.passage_prefix, bge.pooling) == ("为这个句子生成表示以用于检索相关文章：", "", "cls")
    assert qwen.query_prefix.startswith("Instruct: ") and qwen.query_prefix.endswith("\nQuery:")
    assert (qwen.passage_prefix, qwen.pooling) == ("", "last")


def test_defaults_have_several_places_with_one_checksum() -> None:
    for name in ("qwen2.5-coder-1.5b-instruct", "qwen2.5-coder-0.5b-instruct"):
        places = Registry.load()[name].places
        assert [p.kind for p in places] == ["package", "hub", "modelscope"]
        sums = {p.sha256 if isinstance(p, PackagePlace) else p.files[0].sha256 for p in places}  # type: ignore[union-attr]
        assert len(sums) == 1 and None not in sums


def test_every_package_place_says_size_and_licence() -> None:
    for entry in Registry.load().entries():
        assert entry.licence
        for place in entry.places:
            if isinstance(place, PackagePlace):
                assert place.total > 50_000_000


def test_unknown_name_suggests_near_ones() -> None:
    with pytest.raises(ModelError, match=r"bge-m3.*lunheng models list"):
        Registry.load()["bge-m33"]


def test_own_file_changes_keys_and_adds_models(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_text(
        '[models."bge-m3"]\nwindow = 2048\n'
        '[models.mine]\ntask = "llm"\nformat = "gguf"\nlicence = "MIT"\nwindow = 100\n'
        '[[models.mine.places]]\nkind = "folder"\npath = "/models"\nfiles = [{ path = "a.gguf", name = "model.gguf" }]\n',
        encoding="utf-8",
    )
    registry = Registry.load(own)
    assert registry["bge-m3"].window == 2048
    assert registry["bge-m3"].dimension == 1024
    assert registry["mine"].places[0].kind == "folder"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[models."bge-m3"]\nwindwo = 5\n', "windwo"),
        ('[models."bge-m3"]\nwindow = "many"\n', "window"),
        ('[models.x]\ntask = "embedder"\nformat = "onnx"\nlicence = "MIT"\nwindow = 5\n', "dimension"),
        ("[modles.x]\nwindow = 5\n", "modles"),
        ("[models.x\n", "mine.toml"),
        (
            '[models.x]\ntask="llm"\nformat="gguf"\nlicence="MIT"\nwindow=5\n[[models.x.places]]\nkind="url"\n'
            'files=[{path="http://h/a", name="../../etc/passwd"}]\n',
            "name",
        ),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, said: str) -> None:
    own = tmp_path / "mine.toml"
    own.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        Registry.load(own)


def test_missing_own_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml"):
        Registry.load(tmp_path / "gone.toml")
