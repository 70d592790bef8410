"""Settings are strict, and say what was likely meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunheng.config import CONFIG_NAME, Settings
from lunheng.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[retrieval]\nrrfk = 1", "retrieval.rrfk is no setting; did you mean rrf_k? See `lunheng config show`"),
        ("[retreival]\nrrf_k = 1", "retreival is no setting; did you mean retrieval?"),
        ("[storage]\ncolour = 1", "storage.colour is no setting; there are vectors, exact_below"),
        (
            "[models.llm_endpoint]\nbase_url = 'http://x'\nmodle = 'y'",
            "models.llm_endpoint.modle is no setting; did you mean model?",
        ),
        ("[retrieval]\nrrf_k = 0", "retrieval.rrf_k: Input should be greater"),
        ("rrf_k = ", "Invalid value"),
    ],
)
def test_an_error_names_the_key_and_what_was_meant(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / CONFIG_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Settings.load(tmp_path)
    assert said in str(caught.value) and CONFIG_NAME in str(caught.value)


def test_variables_that_set_nothing_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNHENG_RETRIEVAL__RRF_K", "30")
    monkeypatch.setenv("LUNHENG_KB", "kb")
    assert Settings.load(tmp_path).retrieval.rrf_k == 30
    monkeypatch.setenv("LUNHENG_RETRIEVAL_RRF_K", "30")
    with pytest.raises(ConfigError, match="LUNHENG_RETRIEVAL_RRF_K sets nothing"):
        Settings.load(tmp_path)
