"""The language model's cache, by prompt and model fingerprint. Called by answering through the knowledge base."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from lunheng.catalog.schema import completions
from lunheng.types import Completion, to_jsonable


def get(connection: Connection, fingerprint: str, prompt_hash: str) -> Completion | None:
    """The stored completion of this very prompt by this very model."""
    found = connection.execute(
        select(completions.c.completion).where(
            completions.c.fingerprint == fingerprint, completions.c.prompt_hash == prompt_hash
        )
    ).scalar_one_or_none()
    return Completion(**found) if found else None


def put(connection: Connection, fingerprint: str, prompt_hash: str, completion: Completion) -> None:
    connection.execute(
        delete(completions).where(completions.c.fingerprint == fingerprint, completions.c.prompt_hash == prompt_hash)
    )
    connection.execute(
        insert(completions).values(fingerprint=fingerprint, prompt_hash=prompt_hash, completion=to_jsonable(completion))
    )
