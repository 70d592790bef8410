"""The user's own metadata, from every place it may come from to the filters that find by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lunheng.cli.common import parse_metadata
from lunheng.cli.main import app


def as_json(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_values_are_what_they_look_like() -> None:
    pairs = ["n=4", "x=-2.5", "yes=TRUE", "no=false", "code=007", "who=黎若禾", "due=2026/3/1", "since=2025年12月31日"]
    pairs += ['json=["a", 2]', "list=[甲, 'b, c', 3]", "quoted='12'", "nan=NaN", "eq=a=b", "empty=", "team=x", "team=y"]
    assert parse_metadata(pairs) == {
        **{"n": 4, "x": -2.5, "yes": True, "no": False, "code": "007", "who": "黎若禾", "due": "2026-03-01"},
        **{"since": "2025-12-31", "json": ["a", 2], "list": ["甲", "b, c", 3], "quoted": "12", "nan": "NaN"},
        **{"eq": "a=b", "empty": "", "team": ["x", "y"]},
    }


@pytest.mark.parametrize("bad", ["novalue", "=x", " =x"])
def test_what_is_no_pair_is_refused(bad: str, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A", encoding="utf-8")
    result = CliRunner().invoke(app, ["add", str(tmp_path / "a.md"), "--kb", str(tmp_path / "kb"), "--meta", bad])
    assert result.exit_code == 2 and "key=value" in result.output


@pytest.mark.parametrize(
    "options, said",
    [
        (["--acl", "bob"], "did you mean user:bob or group:bob?"),
        (["--acl", "组:研发"], "did you mean user:研发 or group:研发?"),
        (["--acl", "user:"], "neither *, user:ID nor group:NAME"),
        (["--meta", "page_number=3"], "'page_number' is filled"),
        (["--meta", "team=码头", "--meta", "language=fr"], "'language' is filled"),
    ],
)
@pytest.mark.parametrize("command", ["add", "sync"])
def test_what_would_never_be_found_is_refused(command: str, options: list[str], said: str, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    result = CliRunner().invoke(app, [command, str(folder), "--kb", str(tmp_path / "kb"), *options])
    assert result.exit_code and not (tmp_path / "kb").exists()
    assert said in str(result.exception)


def test_an_access_list_in_a_file_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNHENG_MODELS__LLM", "none")
    (tmp_path / "法.md").write_text("---\nacl: [bob]\n---\n# 法\n\n第一条。", encoding="utf-8")
    result = CliRunner().invoke(app, ["add", str(tmp_path / "法.md"), "--kb", str(tmp_path / "kb"), "--json"])
    (item,) = json.loads(result.stdout)["items"]
    assert result.exit_code == 1 and item["status"] == "failed" and "user:bob or group:bob" in item["reason"]


def test_own_tags_can_be_filtered_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNHENG_MODELS__LLM", "none")
    kb = str(tmp_path / "kb")
    path = tmp_path / "a.md"
    path.write_text("---\ntags: [bees, 北方]\n---\n# Hives\n\nThe hives stand by the river.", encoding="utf-8")
    (tmp_path / "b.md").write_text("# 蜂箱\n\n蜂箱放在河边。", encoding="utf-8")
    as_json("add", str(path), "--kb", kb)
    as_json("add", str(tmp_path / "b.md"), "--kb", kb, "--meta", "tags=蜜蜂")
    for where, name in (
        ('tags contains "bees"', "a.md"),
        ('tags contains "北方"', "a.md"),
        ('tags contains "蜜蜂"', "b.md"),
    ):
        (hit,) = as_json("search", "hives 蜂箱", "--kb", kb, "--filter", where)["hits"]
        assert Path(hit["chunk"]["metadata"]["source"]).name == name
        assert hit["chunk"]["metadata"]["tags"][0] in ("bees", "蜜蜂")
        assert len(hit["chunk"]["metadata"]["tags"]) > 1


def test_metadata_from_every_place_can_be_filtered_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNHENG_MODELS__LLM", "none")
    folder, kb = tmp_path / "docs", str(tmp_path / "kb")
    folder.mkdir()
    (folder / "渡轮.md").write_text("---\nroute: 7\nstops: [甲, 乙]\n---\n# 渡轮\n\n渡轮七点开。", encoding="utf-8")
    (folder / "pier.txt").write_text("The pier opens at six.", encoding="utf-8")
    sidecar = {"route": 9, "safe": True, "author": "Ann", "checked": "2026-02-01"}
    (folder / "pier.txt.meta.json").write_text(json.dumps(sidecar), encoding="utf-8")
    meta = ["--meta", "team=码头", "--meta", "cost=2.5", "--meta", "due=2026/3/1", "--meta", "tags_of_ours=[a, b]"]
    assert as_json("sync", str(folder), "--kb", kb, *meta)["counts"] == {"added": 2}
    assert as_json("sync", str(folder), "--kb", kb, *meta)["counts"] == {"unchanged": 2}

    def found(where: str) -> list[str]:
        return sorted(Path(d["source"]).name for d in as_json("list", "--kb", kb, "--filter", where))

    both = ["pier.txt", "渡轮.md"]
    assert found("route == 7") == found('stops contains "乙"') == ["渡轮.md"]
    assert found("safe == true") == found('author == "Ann"') == found('checked >= "2026-01-15"') == ["pier.txt"]
    assert found("route > 6") == found('team == "码头"') == found("cost < 3") == both
    assert found('due >= "2026-03-01" and due < "2026-04-01"') == found('tags_of_ours contains "b"') == both
    hits = as_json("search", "渡轮", "--kb", kb, "--filter", "route == 7 and cost == 2.5")["hits"]
    assert hits and hits[0]["chunk"]["metadata"]["extra"]["stops"] == ["甲", "乙"]

    # Said on the command line, a document's own fields are set and not hidden behind keys of the same name.
    own = ["--meta", "author=黎若禾", "--meta", "created_at=2020-05-06", "--meta", "title=Piers 码头"]
    assert as_json("add", str(folder / "pier.txt"), "--kb", kb, *own)["counts"] == {"updated": 1}
    assert found('author == "黎若禾" and created_at < "2021-01-01" and title == "Piers 码头"') == ["pier.txt"]
