"""Descriptions of pictures through the front door: a figure is found by what it shows, and is quoted by its own text."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lunheng.config import EndpointSettings, ModelSettings, ParsingSettings, Settings
from lunheng.errors import ConfigError
from lunheng.knowledge import KnowledgeBase
from lunheng.testing.real_models import real_embedder
from lunheng.testing.servers import Reply, Request, scripted_server

TEXT = {"zh": "天文台的镜面每七周清洗一次。", "en": "The mirrors of the observatory are washed every seven weeks."}
SHOWS = {
    "zh": "折线图：长颈鹿的数量从 2019 年的 12 只增加到 2023 年的 47 只。",
    "en": "A line chart: the number of giraffes\n grows from 12 in 2019 to 47 in 2023.",
}
ASKED = {"zh": "长颈鹿的数量增加到多少？", "en": "How many giraffes were there in 2023?"}
NAMED = {"zh": "[图片 1]", "en": "[picture 1]"}
LABEL = {"zh": "图片描述：", "en": "Picture description: "}


def report(path: Path, language: str, colors: tuple[str, ...] = ("red",)) -> Path:
    import docx

    word = docx.Document()
    word.add_heading({"zh": "年报", "en": "Yearly report"}[language], 1)
    word.add_paragraph(TEXT[language])
    for color in colors:
        written = BytesIO()
        Image.new("RGB", (300, 200), color).save(written, "PNG")
        word.add_picture(BytesIO(written.getvalue()))
    word.save(str(path))
    return path


def settings(url: str = "", pictures: int = 0, model: str = "sees", **endpoint: Any) -> Settings:
    vision = EndpointSettings(base_url=f"{url}/v1", model=model, **endpoint) if url else None
    models = ModelSettings(llm="none", vision_endpoint=vision)
    return Settings(models=models, parsing=ParsingSettings(describe_figures=pictures, ocr="off"))


def saying(*texts: str) -> Callable[[Request, int], Reply]:
    return lambda request, n: Reply({"choices": [{"message": {"content": texts[min(n, len(texts) - 1)]}}]})


@pytest.mark.parametrize("language", TEXT)
def test_a_figure_without_text_is_found_by_what_it_shows(language: str, tmp_path: Path) -> None:
    path = report(tmp_path / "a.docx", language)
    with scripted_server(saying(SHOWS[language])) as server:
        with KnowledgeBase.open(tmp_path / "kb", settings(server.url, 3), embedder=real_embedder()) as kb:
            (item,) = kb.add(path).items
            assert item.status == "added" and item.warnings == () and len(server.requests) == 1
            (stored,) = kb.documents()
            document = kb.document(stored.id)
            (figure,) = [e for e in document.elements if e.kind == "figure"]
            line = " ".join(SHOWS[language].split())
            assert figure.description == line and line not in document.text and document.pictures == ()
            for mode in ("lexical", "dense"):
                found = kb.search(ASKED[language], mode=mode)[0].chunk  # type: ignore[arg-type]
                assert (found.kind, found.text) == ("figure", NAMED[language])
                assert document.text[found.start : found.end] == found.text
                assert found.prefix.endswith(f"\n{LABEL[language]}{line}")
            assert kb.check().sound
            # What stands around it went along with the picture.
            assert {"zh": "年报", "en": "Yearly report"}[language] in str(server.requests[0].json)
            assert [i.status for i in kb.add(path).items] == ["unchanged"] and len(server.requests) == 1
        # Another model describes anew; other sizes of chunks do not.
        changed = settings(server.url, 3).model_copy(
            update={"chunking": settings().chunking.model_copy(update={"size": 64})}
        )
        with KnowledgeBase.open(tmp_path / "kb", changed, embedder=real_embedder()) as kb:
            assert [i.status for i in kb.add(path).items] == ["updated"] and len(server.requests) == 1
        with KnowledgeBase.open(tmp_path / "kb", settings(server.url, 3, "other"), embedder=real_embedder()) as kb:
            assert [i.status for i in kb.add(path).items] == ["updated"] and len(server.requests) == 2


def test_off_by_default_and_no_more_than_asked_for(tmp_path: Path) -> None:
    path = report(tmp_path / "a.docx", "en", ("red", "green", "blue"))
    with scripted_server(saying("A square.")) as server:
        with KnowledgeBase.open(tmp_path / "off", settings(server.url), embedder=real_embedder()) as kb:
            (item,) = kb.add(path).items
            assert item.status == "added" and item.warnings == () and server.requests == []
        with KnowledgeBase.open(tmp_path / "two", settings(server.url, 2), embedder=real_embedder()) as kb:
            (item,) = kb.add(path).items
            assert len(server.requests) == 2 and any("only 2 pictures were described" in w for w in item.warnings)
    with (
        KnowledgeBase.open(tmp_path / "none", settings(pictures=2), embedder=real_embedder()) as kb,
        pytest.raises(ConfigError, match=r"models\.vision_endpoint"),
    ):
        kb.add(path)


def test_a_picture_that_cannot_be_described_costs_a_warning(tmp_path: Path) -> None:
    path = report(tmp_path / "a.docx", "zh", ("red", "green", "blue"))

    def answer(request: Request, number: int) -> Reply:
        return (
            Reply(b"too many colours", status=400) if number == 0 else saying(" ", "", "蓝色方块 \x00")(request, number)
        )

    with (
        scripted_server(answer) as server,
        KnowledgeBase.open(tmp_path / "kb", settings(server.url, 3), embedder=real_embedder()) as kb,
    ):
        (item,) = kb.add(path).items
        assert item.status == "added" and len(server.requests) == 3
        (warning,) = item.warnings
        assert warning.startswith("2 of 3 pictures were not described") and "too many colours" in warning
        assert "the model answered nothing" in warning
        assert kb.search("蓝色方块", mode="lexical")[0].chunk.prefix.endswith("图片描述：蓝色方块")
    # The server is gone: it is asked once, and the document is there.
    with KnowledgeBase.open(tmp_path / "kb", settings(server.url, 3, max_retries=0), embedder=real_embedder()) as kb:
        (item,) = kb.add(report(tmp_path / "b.docx", "en", ("red", "green"))).items
        assert item.status == "added" and "2 of 2 pictures were not described" in item.warnings[0]
        assert item.warnings[0].count("Is the server up") == 1


def test_the_command_line_shows_what_was_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    from typer.testing import CliRunner

    from lunheng.cli.main import app

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments, str(report(tmp_path / "a.docx", "zh"))], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    with scripted_server(saying(SHOWS["zh"])) as server:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "lunheng.toml").write_text(
            f'[parsing]\ndescribe_figures = 2\n[models.vision_endpoint]\nbase_url = "{server.url}/v1"\nmodel = "sees"\n'
        )
        described = [e["description"] for e in json.loads(run("parse", "--json"))["elements"]]
        assert described == [None, None, SHOWS["zh"]]
        assert run("parse", "--markdown").endswith(f"[图片 1]\n\n> {SHOWS['zh']}\n")
        assert SHOWS["zh"] in "".join(run("parse").split("\n"))
        last = json.loads(run("chunk", "--strategy", "structure", "--json"))["chunks"][-1]
        assert last["kind"] == "figure" and last["prefix"].endswith(SHOWS["zh"])
