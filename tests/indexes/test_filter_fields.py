"""Misspelt fields are told from keys that no document has."""

from __future__ import annotations

import pytest

from lunheng.errors import FilterError
from lunheng.indexes.filters import check_fields, parse_filter


def complaints(text: str, *known: str) -> list[str]:
    return check_fields(parse_filter(text), lambda: set(known))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('langage == "zh"', "language"),
        ('not Language == "zh"', "language"),
        ('author == "a" and (sourcetype == "pdf" or page_number > 3)', "source_type"),
        ("page_num > 3", "page_number"),
        ('owners == "a"', "owner"),
        ('负责部 == "研发"', "负责部门"),
    ],
)
def test_a_slip_of_the_pen_is_an_error_that_names_what_was_meant(text: str, meant: str) -> None:
    with pytest.raises(FilterError, match=f"did you mean '{meant}'"):
        complaints(text, "owner", "负责部门")


def test_a_field_and_a_known_key_are_fine() -> None:
    assert complaints('language == "zh" and owner == "a" and extra.owner != "b"', "owner") == []
    assert check_fields(None, lambda: pytest.fail("asked without need")) == []
    assert check_fields(parse_filter("page_number > 3"), lambda: pytest.fail("asked without need")) == []


def test_a_key_that_no_document_has_is_a_warning() -> None:
    assert complaints('team == "a"') == [
        "filter: no document has the field 'team'; the fields are acl, author, bbox, chunk_index, collection, "
        "content_hash, created_at, document_id, embedded_in, heading_path, is_ocr, language, last_modified, "
        "legal_clause_id, page_number, parent, references, section_title, source, source_type, table_caption, tags, "
        "title, token_count, word_count"
    ]
    assert complaints('部门 == "a" or 部门 == "b"', "owner") == [
        "filter: no document has the field '部门'; the keys of your own are owner"
    ]
    assert complaints("page > 3") == ["filter: no document has the field 'page'; did you mean 'page_number'?"]


def test_a_key_given_as_ones_own_is_never_an_error() -> None:
    assert complaints('extra.langage == "zh"') == [
        "filter: no document has the field 'langage'; did you mean 'language'?"
    ]
    given = {"field": "extra.langage", "op": "==", "value": "zh"}
    assert len(check_fields(parse_filter(given), set)) == 1
