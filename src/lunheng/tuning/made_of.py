"""Which models and sets a run stands on, by their content: so that another base under the same name is noticed.

Called by ``run`` for the manifest. A model of many gigabytes is told by a sample of its bytes: training changes all of
a model's weights, so that no sample stays as it was, and reading the whole would take longer than many a run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from lunheng.tuning.recipes import Recipe

WHOLE = 1 << 20
"""Bytes up to which a file is read whole; of a larger one so many from its beginning (a safetensors file's own list of
tensors), and a sample of the rest."""
SAMPLES, SAMPLE = 256, 4096
"""Places in a file, spread evenly to its end, and the bytes that are read at each."""


def made_of(recipe: Recipe, base: str) -> dict[str, str]:
    """Digests of the base model in ``base``, and of what else the recipe names that lies on the disk."""
    named: dict[str, Path | str | None] = {"base": base}
    if recipe.reward is not None:
        named |= {"reward.model": recipe.reward.model, "reward.schema": recipe.reward.schema}
    if recipe.embedding is not None:
        named["embedding.general"] = recipe.embedding.general
    if recipe.reranking is not None:
        named |= {"reranking.general": recipe.reranking.general, "reranking.teacher": recipe.reranking.teacher}
    places = {name: Path(place).expanduser() for name, place in named.items() if place is not None}
    return {name: digest_of(place) for name, place in places.items() if place.exists()}


def digest_of(place: Path) -> str:
    """Sixteen hexadecimal digits of a file, or of a folder's files: their names, their sizes, and what was read of them."""
    made = hashlib.blake2b(digest_size=8)
    for file in _files(place):
        size = file.stat().st_size
        made.update(f"{file.relative_to(place) if place.is_dir() else file.name}\0{size}\0".encode())
        with file.open("rb") as opened:
            made.update(opened.read(WHOLE))
            for number in range(1, SAMPLES + 1) if size > WHOLE else ():
                opened.seek(max(WHOLE + (size - WHOLE) * number // SAMPLES - SAMPLE, WHOLE))
                made.update(opened.read(SAMPLE))
    return made.hexdigest()


def _files(place: Path) -> Iterator[Path]:
    """Without what a run leaves beside its model, which says nothing of the model: manifests, logs, checkpoints."""
    if place.is_file():
        yield place
        return
    inside = place / "model" if (place / "model").is_dir() and (place / "manifest.json").is_file() else place
    kinds = (
        ".safetensors",
        ".bin",
        ".gguf",
        ".json",
        ".jsonl",
        ".tsv",
        ".csv",
        ".txt",
        ".model",
        ".jinja",
        ".py",
        ".onnx",
    )
    for file in sorted(inside.rglob("*")):
        if file.is_file() and file.suffix in kinds and file.name != "manifest.json":
            yield file
