"""A short run of the fuzzer over every format, and proof that it finds what it looks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from lunheng.config import ParsingSettings
from lunheng.errors import ParseError
from lunheng.parsing.sandbox import _death
from lunheng.testing.fuzz import Tally, formats, fuzz_format, gather_seeds
from lunheng.testing.mutations import mutate
from lunheng.types import Document, Element

COUNT = 20
Seeds = dict[str, list[bytes]]


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeds]:
    yield gather_seeds(tmp_path_factory.mktemp("seeds"))


def last(tallies: Iterator[Tally]) -> Tally:
    *_, tally = tallies
    return tally


@pytest.mark.parametrize("format_name", formats())
def test_damaged_files_give_a_document_or_a_clear_error(format_name: str, seeds: Seeds) -> None:
    if format_name not in seeds:
        pytest.skip("no sample of it can be made here")
    tally = last(fuzz_format(format_name, seeds[format_name], COUNT))
    assert tally.cases == COUNT and not tally.findings, tally.findings


def test_the_same_seed_makes_the_same_files(seeds: Seeds) -> None:
    for name, files in seeds.items():
        made = [[mutate(files[0], name, Random(f"{s}")) for s in range(4)] for _ in range(2)]
        assert made[0] == made[1] and any(m != files[0] for m in made[0]), name


def test_it_finds_and_saves_what_offends(seeds: Seeds, tmp_path: Path) -> None:
    def broken(path: Path, settings: ParsingSettings) -> Document:
        raise KeyError("x")

    def disagrees(path: Path, settings: ParsingSettings) -> Document:
        return Document(str(path), "txt", "甲", (Element("paragraph", "乙", 0, 1),), "", title="t")

    def nameless(path: Path, settings: ParsingSettings) -> Document:
        raise ParseError("something is wrong")

    def endless(path: Path, settings: ParsingSettings) -> Document:
        raise _death(path, settings.limits(), -9, expired=True)

    faults = ((broken, "KeyError"), (disagrees, "do not agree"), (nameless, "does not name"), (endless, "took over"))
    for parse, said in faults:
        tally = last(fuzz_format("txt", seeds["txt"], 2, save=tmp_path, parse=parse))
        assert len(tally.findings) == 2 and said in tally.findings[0].reason
        assert tally.findings[0].file is not None and tally.findings[0].file.is_file()
