"""The documentation, run: every Python block, every ``lunheng`` line, every JSON example, every key and option named.

All pages share one working folder with ``examples/`` and the knowledge base ``kb/`` in it, so that the handbook is
embedded once; each page syncs what it needs, begins with a fresh namespace, and what else it made is deleted after it.
No language model: the embedder is the real one.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from pydantic import BaseModel
from typer.testing import CliRunner

from lunheng.cli.main import app
from lunheng.config import CONFIG_NAME, EndpointSettings, Settings
from lunheng.errors import LunhengError
from lunheng.models.embedders import onnx
from lunheng.tuning import recipes

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
BLOCK = re.compile(r"^```(python|sh|json|toml)\n(.*?)^```$", re.M | re.S)
LANGUAGES = ["", ".zh"]
NOT_RUN = ("lunheng chat", "lunheng models pull")
"""What waits for a person, and what downloads."""

VARYING = {"counts", "languages", "sha256", "files", "given", "result", "detail", "extra", "scores", "ranks"}
"""Keys whose objects have other keys from case to case."""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "examples", folder / "examples")
    return folder


@pytest.fixture(scope="module")
def one_embedder() -> Iterator[None]:
    """The real embedder, loaded once for all commands and not by each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx, "OnnxEmbedder", functools.cache(onnx.OnnxEmbedder))
        yield


@pytest.fixture(autouse=True)
def here(workplace: Path, one_embedder: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("LUNHENG_MODELS__LLM", "none")
    monkeypatch.setenv("LUNHENG_DATA", str(workplace / "data"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for made in workplace.iterdir():
        if made.is_dir() and made.name not in ("examples", "kb"):
            shutil.rmtree(made)
        elif made.is_file():
            made.unlink()


def blocks(page: Path) -> list[tuple[str, str]]:
    return [(m.group(1), m.group(2)) for m in BLOCK.finditer(page.read_text(encoding="utf-8"))]


def commands(block: str) -> list[str]:
    return [line for line in block.splitlines() if line.startswith("lunheng ") and not line.startswith(NOT_RUN)]


def run(line: str) -> str:
    """The output of a command line; its comment ``# exit 1`` says which code it ends with, if not 0."""
    said = re.search(r"# exit (\d+)", line)
    result = CliRunner().invoke(app, shlex.split(line, comments=True)[1:])
    if result.exception is not None and not isinstance(result.exception, (SystemExit, LunhengError)):
        raise result.exception
    failed = f"{line}\n{result.output}\n{result.exception}"
    assert result.exit_code == (int(said.group(1)) if said else 0), failed
    return result.stdout


def read_toml(block: str) -> None:
    """Settings must load; any other file is laid down under the name in its first line, for the page's Python."""
    target = Path(block.splitlines()[0].removeprefix("#").strip())
    if target.name == CONFIG_NAME:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / CONFIG_NAME).write_text(block, encoding="utf-8")
            Settings.load(folder)
    else:
        target.write_text(block, encoding="utf-8")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [*READMES, *PAGES], ids=name)
def test_examples_run(page: Path) -> None:
    namespace: dict[str, Any] = {}
    printed = ""
    for kind, block in blocks(page):
        if kind == "python":
            exec(compile(block, name(page), "exec"), namespace)
        elif kind == "sh" and page not in READMES:  # a README speaks of the reader's own folders
            for line in commands(block):
                printed = run(line)
        elif kind == "toml":
            read_toml(block)
        elif kind == "json" and printed.startswith(("{", "[")):
            same_shape(json.loads(block), json.loads(printed), name(page))
            printed = ""


def same_shape(documented: Any, real: Any, where: str) -> None:
    """The same keys and types; documented texts may be shortened, and lists hold fewer items."""
    if documented is None or real is None:
        return
    if isinstance(documented, dict):
        assert isinstance(real, dict), where
        if where.rpartition(".")[2] not in VARYING:
            assert set(documented) == set(real), where
        for key in documented.keys() & real.keys():
            same_shape(documented[key], real[key], f"{where}.{key}")
    elif isinstance(documented, list):
        assert isinstance(real, list), where
        for one, other in zip(documented, real, strict=False):
            same_shape(one, other, f"{where}[]")
    else:
        numbers = (int, float)
        assert type(documented) is type(real) or (isinstance(documented, numbers) and isinstance(real, numbers)), where


def test_each_page_is_there_in_both_languages_with_the_same_examples() -> None:
    english = [page for page in PAGES if not page.name.endswith(".zh.md")]
    assert len(english) >= 8
    for page in english:
        other = page.with_name(f"{page.stem}.zh.md")
        assert other.is_file(), f"{name(page)} has no Chinese version"
        count = [[kind for kind, _ in blocks(p)] for p in (page, other)]
        assert count[0] == count[1], name(page)


def section(text: str, heading: str) -> str:
    """What stands below ``heading``, up to the next of the same or a higher level."""
    level = len(heading) - len(heading.lstrip("#"))
    found = re.search(rf"^{re.escape(heading)}$\n(.*?)(?=^#{{1,{level}}} |\Z)", text, re.M | re.S)
    assert found, f"there is no heading {heading!r}"
    return found.group(1)


def as_toml(value: Any) -> str:
    if value is None:
        return "not set"
    return json.dumps(list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize("language", LANGUAGES)
def test_settings_page_names_every_key_with_its_default(language: str) -> None:
    text = (DOCS / "reference" / f"settings{language}.md").read_text(encoding="utf-8")
    sections: dict[str, type[BaseModel]] = {
        **{key: type(field.default) for key, field in Settings.model_fields.items()},
        "models.llm_endpoint": EndpointSettings,
    }
    for title, model in sections.items():
        rows = section(text, f"## [{title}]")
        for key, field in model.model_fields.items():
            default = "required" if field.is_required() else as_toml(field.default)
            assert f"| `{key}` | `{default}` |" in rows, f"{title}.{key} = {default}"
        named = re.findall(r"^\| `(\w+)` \|", rows, re.M)
        assert set(named) == set(model.model_fields), title


@pytest.mark.parametrize("language", LANGUAGES)
def test_recipe_page_names_every_key_with_its_default(language: str) -> None:
    text = (DOCS / "reference" / f"recipe{language}.md").read_text(encoding="utf-8")
    itself = "配方本身" if language else "The recipe itself"
    parts = {
        itself: recipes.Recipe,
        "[model]": recipes.ModelPart,
        "[data]": recipes.DataPart,
        "[data.train]": recipes.SourcePart,
        "[parameters]": recipes.ParameterPart,
        "[training]": recipes.TrainingPart,
        "[preference]": recipes.PreferencePart,
        "[reward]": recipes.RewardPart,
        "[ppo]": recipes.ProximalPart,
        "[parallel]": recipes.ParallelPart,
        "[embedding]": recipes.EmbeddingPart,
        "[reranking]": recipes.RerankingPart,
    }
    assert re.findall(r"^## (.+)$", text, re.M) == list(parts)
    for title, part in parts.items():
        rows = section(text, f"## {title}")
        fields = dataclasses.fields(part)
        assert re.findall(r"^\| `(\w+)` \|", rows, re.M) == [field.name for field in fields], title
        for field in fields:
            if field.default_factory is not dataclasses.MISSING:
                default = as_toml(field.default_factory())
            elif field.default is dataclasses.MISSING:
                default = "required"
            else:
                default = "see below" if dataclasses.is_dataclass(field.default) else as_toml(field.default)
            assert f"| `{field.name}` | `{default}` |" in rows, f"{title} {field.name} = {default}"
    assert set(recipes.Recipe.__dataclass_fields__) - {"method", "output"} == {
        title.strip("[]") for title in parts if title.startswith("[") and "." not in title
    }


def leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group) or hasattr(command, "commands"):
        for child_name, child in command.commands.items():
            yield from leaves(child, f"{path} {child_name}")
    else:
        yield path, command


@pytest.mark.parametrize("language", LANGUAGES)
def test_command_line_page_names_every_command_and_option(language: str) -> None:
    text = (DOCS / "reference" / f"cli{language}.md").read_text(encoding="utf-8")
    root = typer.main.get_command(app)
    found = dict(leaves(root, "lunheng"))
    assert len(found) > 15
    for path, command in found.items():
        described = section(text, f"## {path}")
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                assert f"`{(parameter.name or '').upper()}`" in described, f"{path}: argument {parameter.name}"
            for option in (*parameter.opts, *parameter.secondary_opts) if parameter.param_type_name == "option" else ():
                assert f"`{option}" in described, f"{path} {option}"
        known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        assert set(re.findall(r"^\| `(-[\w-]+)", described, re.M)) <= known, path
    assert set(re.findall(r"^## (lunheng .+)$", text, re.M)) == set(found)
    for parameter in root.params:
        assert f"`{parameter.opts[0]}`" in text
