"""Small real tokenizers for tests that must not wait for a model.

Called by tests of chunking. ``FakeTokenizer`` counts words, and each Chinese character, as one
token; ``FakeByteTokenizer`` gives every byte of a character a token, as byte-level vocabularies do
with rare ones.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r"[\u3040-\u9fff\uf900-\ufaff\U00020000-\U000323af]|[^\W\u3040-\u9fff\uf900-\ufaff]{1,6}|[^\w\s]|_")


class FakeTokenizer:
    """Words in pieces of up to six characters, Chinese characters and marks one by one."""

    def count(self, text: str) -> int:
        return len(self.spans(text))

    def spans(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in _TOKEN.finditer(text)]


class FakeByteTokenizer:
    """One token for each UTF-8 byte that is not white space: several tokens for one character."""

    def count(self, text: str) -> int:
        return len(self.spans(text))

    def spans(self, text: str) -> list[tuple[int, int]]:
        return [
            (i, i + 1) for i, char in enumerate(text) if not char.isspace() for _ in char.encode("utf-8", "replace")
        ]
