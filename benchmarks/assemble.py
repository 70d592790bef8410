"""Puts the parts in ``reports/`` together as ``REPORT.md``. Called by the Makefile after each benchmark.

Each part is written by one driver, with its machine, versions, configuration and data hashes.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
PARTS = (
    *("retrieval", "chunking", "answers", "peers", "lexical", "vectors", "parsing", "parsing_ocr"),
    *("tuning_sft", "tuning_dpo", "tuning_retrieval", "tuning_memory", "tuning_peers"),
)
HEAD = """# What was measured

Written by `make bench-retrieval`, `bench-answers`, `bench-peers`, `bench-indexes`, `bench-parsing` and `bench-tuning`; each part names its machine,
versions, configuration and data hashes, and says plainly where something else is ahead. The machines are shared and noisy: read
the ratios, not the seconds.
"""


def main() -> None:
    parts = [HERE / "reports" / f"{name}.md" for name in PARTS]
    texts = [part.read_text(encoding="utf-8").strip() for part in parts if part.is_file()]
    (HERE / "REPORT.md").write_text("\n\n".join([HEAD.strip(), *texts]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
