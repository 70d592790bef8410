"""The parser conformance suite over every format, both languages, as files made by their own libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunheng.parsing import parse_file
from lunheng.parsing.dispatch import parse_here
from lunheng.testing import parser as suite
from lunheng.testing.samples import MAKERS, STORIES, Sample
from lunheng.types import Document, Limits

BINARY = ("pdf", "docx", "pptx", "xlsx", "zip", "epub", "odt", "odp", "rtf", "msg")


def parse(path: Path) -> Document:
    return parse_here(path, Limits(), "off")


@pytest.fixture(params=[(f, s) for f in MAKERS for s in STORIES], ids=lambda p: f"{p[0]}-{p[1].language}")
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Sample:
    format_name, story = request.param
    return MAKERS[format_name](tmp_path, story)


def test_content(sample: Sample) -> None:
    suite.check_content(parse, sample)


def test_content_through_the_sandbox(sample: Sample) -> None:
    suite.check_content(parse_file, sample)
    assert parse_file(sample.path) == parse(sample.path)


def test_deterministic(sample: Sample) -> None:
    suite.check_deterministic(parse, sample)


def test_damaged(sample: Sample, tmp_path: Path) -> None:
    suite.check_damaged(parse_file, sample, tmp_path)


def test_garbled(sample: Sample, tmp_path: Path) -> None:
    suite.check_garbled(parse_file, sample, tmp_path)


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.language)
@pytest.mark.parametrize("format_name", BINARY)
def test_mislabelled(format_name: str, story: object, tmp_path: Path) -> None:
    suite.check_mislabelled(parse, MAKERS[format_name](tmp_path, story), tmp_path)
