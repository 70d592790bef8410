"""Lunheng 论衡: documents in, answers weighed against their sources out.

The public face. Names are imported when first used, so that ``import lunheng`` stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lunheng.config import Settings
    from lunheng.knowledge import KnowledgeBase
    from lunheng.types import Answer, Chunk, Citation, Document, Hit, Principal, Trace

__version__ = "0.1.0"

_HOMES = {
    "Answer": "lunheng.types",
    "Chunk": "lunheng.types",
    "Citation": "lunheng.types",
    "Document": "lunheng.types",
    "Hit": "lunheng.types",
    "KnowledgeBase": "lunheng.knowledge",
    "Principal": "lunheng.types",
    "Settings": "lunheng.config",
    "Trace": "lunheng.types",
}

__all__ = [
    "Answer",
    "Chunk",
    "Citation",
    "Document",
    "Hit",
    "KnowledgeBase",
    "Principal",
    "Settings",
    "Trace",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lunheng' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
