"""The one tree of errors. Each message names the thing, the cause and the remedy.

Raised by every room; caught by the CLI (exit code 1 and the message) and by ingest (one bad
document is reported and the rest goes on).
"""

from __future__ import annotations


class LunhengError(Exception):
    """The root. ``retryable`` tells whether the same call may succeed later."""

    retryable = False


class ConfigError(LunhengError):
    """lunheng.toml or an environment variable holds something that is not a setting."""


class MissingExtraError(LunhengError):
    """A part is not installed."""

    def __init__(self, what: str, extra: str, remedy: str | None = None) -> None:
        super().__init__(f"{what} is not installed; run: " + (remedy or f"pip install 'lunheng[{extra}]'"))
        self.extra = extra


class ParseError(LunhengError):
    """A document could not be parsed."""


class LimitError(ParseError):
    """A document asks for more bytes, pages, memory or time than the limits give it."""


class EncryptedError(ParseError):
    """A document is locked with a password."""


class UnsupportedFormatError(ParseError):
    """No parser reads this type of file."""


class NoTextError(UnsupportedFormatError):
    """A picture without any text: there is nothing in it to find again."""


class ModelError(LunhengError):
    """A model could not be found, fetched, verified, loaded or run."""


class ModelNotPulledError(ModelError):
    """A model of the registry is not on this machine yet; ``lunheng models pull`` fetches it."""


class ModelUnavailableError(ModelError):
    """A model server did not answer, or said to come back later."""

    retryable = True


class CatalogError(LunhengError):
    """The catalog is damaged, from a newer version, or cannot be written."""


class BusyError(CatalogError):
    """Another writer holds the knowledge base."""

    retryable = True


class EmbedderMismatchError(CatalogError):
    """The knowledge base was built with another embedder."""


class IndexDamagedError(LunhengError):
    """A derived index is damaged; ``lunheng rebuild`` remakes it."""


class DimensionError(LunhengError):
    """A vector has another dimension than the index."""


class FilterError(LunhengError):
    """A metadata filter does not parse or names no field."""


class NotFoundError(LunhengError):
    """A document, chunk or file that was named does not exist."""


class DataError(LunhengError):
    """A data set, a backup or another input file is not of its form."""


class TrainingError(LunhengError):
    """A run of training went wrong: it diverged, learnt nothing, or would not fit into memory."""


class OutOfMemoryPredictedError(TrainingError):
    """A run of training would not fit into the memory of its device: said before anything is loaded."""


class RefusedError(LunhengError):
    """A model that is not better, has forgotten too much, or is less safe was to be promoted."""
