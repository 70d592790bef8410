"""Source code: functions whole, what encloses them in the prefix, comments with their code, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunheng.chunking import make_chunker
from lunheng.chunking.code import CodeChunker
from lunheng.chunking.code_tree import GRAMMARS, LANGUAGE_OF, language_of
from lunheng.config import ChunkingSettings
from lunheng.parsing.builder import DocumentBuilder
from lunheng.parsing.dispatch import parse_here
from lunheng.testing.tokenizers import FakeTokenizer
from lunheng.types import Chunk, Document, Limits

DOCUMENTS = Path(__file__).parent / "documents"
TOKENIZER = FakeTokenizer()


def split(name: str, size: int, document: Document | None = None) -> tuple[list[Chunk], tuple[str, ...]]:
    chunker = make_chunker(ChunkingSettings(strategy="code", size=size), TOKENIZER, 1024)
    assert isinstance(chunker, CodeChunker)
    cut = chunker.cut(document or parse_here(DOCUMENTS / name, Limits(), "off"))
    return cut.chunks, cut.notes


def holding(chunks: list[Chunk], text: str) -> Chunk:
    (found,) = (c for c in chunks if text in c.text)
    return found


METHODS = [
    ("ledger.py", 220, "def move", "class Ledger:", "import csv"),
    ("queue.js", 130, "next() {", "class TaskQueue extends EventEmitter", ""),
    ("rates.ts", 140, "convert(amount", "class Rates", ""),
    ("Warehouse.java", 150, "void take", "public class Warehouse implements Stock", ""),
    ("matrix.hpp", 130, "transposed() const", "class Matrix", "#include <vector>"),
    ("Invoice.cs", 130, "decimal Total", "public sealed class Invoice", ""),
    ("server.go", 110, "ServeHTTP(w", "", '"net/http"'),
    ("shapes.rs", 150, "pub fn total", "", "use std::f64::consts::PI;"),
    ("ring.c", 110, "int ring_get", "", "#include <string.h>"),
]


@pytest.mark.parametrize(("name", "size", "method", "signature", "imports"), METHODS)
def test_a_method_carries_its_class_and_the_imports(
    name: str, size: int, method: str, signature: str, imports: str
) -> None:
    chunks, _ = split(name, size)
    chunk = holding(chunks, method)
    assert signature in chunk.prefix and imports in chunk.prefix
    assert chunk.prefix.startswith(name) and chunk.kind == "code"
    assert TOKENIZER.count(chunk.prefix) <= size // 4


COMMENTS = [
    ("ledger.py", "# 出库前必须检查余额", "def move"),
    ("ledger.py", "@property", "def parts"),
    ("queue.js", "// Starts what may be started.", "next() {"),
    ("Warehouse.java", "@Override", "void put"),
    ("server.go", "// ServeHTTP writes", "ServeHTTP(w"),
    ("shapes.rs", "#[derive(Debug, Clone)]", "pub struct Circle"),
    ("ring.c", "/* 写入一个字节；满时返回 -1。 */", "int ring_put"),
    ("Invoice.cs", "// Tax is rounded once", "decimal Total"),
    ("orders.sql", "-- What each customer spent", "CREATE VIEW monthly"),
    ("backup.sh", "# 删除较旧的备份", "prune() {"),
]


@pytest.mark.parametrize(("name", "comment", "code"), COMMENTS)
@pytest.mark.parametrize("size", (60, 90, 150))
def test_comments_and_decorators_stay_with_their_code(name: str, comment: str, code: str, size: int) -> None:
    chunks, _ = split(name, size)
    assert any(comment in c.text and code in c.text for c in chunks)


def test_a_function_that_fits_is_whole_and_small_ones_are_joined() -> None:
    chunks, notes = split("ring.c", 400)
    assert len(chunks) < 3 and not notes
    for size in (120, 200):
        chunks, _ = split("ring.c", size)
        assert holding(chunks, "int ring_put").text.count("return 0;") >= 1
        assert "r->head = next;\n    return 0;\n}" in holding(chunks, "int ring_put").text


def test_a_long_function_is_cut_between_statements() -> None:
    made = DocumentBuilder(Path("/a/long.py"), "py", b"x")
    made.title = "long.py"
    body = "\n".join(f"    total_{i} = compute({i}, '甲乙')  # 第 {i} 步" for i in range(80))
    made.add("code", f'import math\n\ndef work(x):\n    """说明。"""\n{body}\n    return total_0')
    chunks, _ = split("", 120, made.build())
    assert len(chunks) > 5
    assert '"""说明。"""' in chunks[0].text
    for chunk in chunks[1:]:
        assert chunk.text.startswith(("total_", "return")) and "def work(x):" in chunk.prefix


def test_broken_code_is_cut_and_said() -> None:
    for size in (24, 60, 500):
        chunks, notes = split("broken.py", size)
        assert "os.sep" in chunks[-1].text and any("syntax errors" in n for n in notes)


def test_what_does_not_fit_the_prefix_is_said() -> None:
    _, notes = split("ledger.py", 60)
    assert any("imports do not fit" in note for note in notes)


def test_code_without_a_grammar_is_cut_at_blank_lines_and_said() -> None:
    made = DocumentBuilder(Path("/a/x.rb"), "rb", b"x")
    for name in ("one", "two", "三"):
        made.add("code", f"def {name}\n  puts '{name * 20}'\nend")
    chunks, notes = split("", 40, made.build())
    assert all(c.text.startswith("def") and c.text.endswith("end") for c in chunks) and len(chunks) == 2
    assert notes == ("no grammar for rb code; it was cut at blank lines and line ends",)


def test_cells_of_a_notebook_share_their_imports() -> None:
    made = DocumentBuilder(Path("/a/分析.ipynb"), "ipynb", b"x")
    made.heading("读取数据", 1)
    made.add("code", "import pandas as pd\nframe = pd.read_csv('a.csv')")
    made.add("paragraph", "Then the sums are taken.")
    made.add("code", "frame.groupby('城市').sum()\npd.options.display.max_rows = 9")
    chunks, notes = split("", 100, made.build())
    assert [c.kind for c in chunks] == ["code", "text", "code"] and not notes
    assert "import pandas as pd" in chunks[2].prefix and chunks[0].text.startswith("读取数据")


def test_every_grammar_is_installed() -> None:
    from lunheng.chunking.code_tree import read_code

    assert set(LANGUAGE_OF.values()) | {"cpp"} == set(GRAMMARS)
    for language in GRAMMARS:
        assert read_code("x", 0, 1, language, lambda a, b: True).units
    assert language_of("h", "namespace a {") == "cpp" and language_of("h", "int f(void);") == "c"
