"""A run's own held-out examples, read again by what it has trained and by its base: is it better, example by example?

Called by ``lunheng models promote`` where no other data is named. The manifest knows the two means; whether their
difference is more than chance is seen only of the examples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lunheng.errors import ConfigError
from lunheng.evaluation.model import Metric
from lunheng.evaluation.model.perplexity import measure_perplexity
from lunheng.evaluation.model.scores import ratio
from lunheng.models.llms.hugging_face import HuggingFaceLLM
from lunheng.models.llms.hugging_face.own_code import is_trusted
from lunheng.tuning.data.examples import Example, RawText
from lunheng.tuning.manifest import Manifest
from lunheng.tuning.preflight import prepare
from lunheng.tuning.recipes import load_recipe
from lunheng.tuning.release.gate import Figure, beside
from lunheng.tuning.rendering import IGNORED, Rendered
from lunheng.tuning.run import RECIPE
from lunheng.tuning.sides import read_sides
from lunheng.tuning.trained import TrainedModel, open_base, open_tokenizer, open_trained

Advance = Callable[[int, int], None]


def held_out(run: Path, model: TrainedModel, manifest: Manifest, advance: Advance = lambda done, total: None) -> Figure:
    """What the run in ``run`` has gained on its held-out examples: per example for sft and clm, else the totals.

    Raises:
        ConfigError: it held nothing out, or its data has changed since.
    """
    if not manifest.metrics:
        raise ConfigError(f"{run}: it held nothing out, so that nothing says that it is better; name --data FILE")
    if manifest.method not in ("sft", "clm"):
        return _totals(run, manifest)
    recipe = load_recipe(run / RECIPE)
    sides = read_sides(recipe)
    if dict(sides.digests) != dict(manifest.data):
        raise ConfigError(f"{run}: its data has changed since it was trained; name other held-out data with --data")
    if manifest.method == "clm":
        found = _of_texts(run, manifest, sides.held, advance)
    else:
        tokenizer = open_tokenizer(model)
        cut = "truncate" if recipe.data.too_long == "refuse" else recipe.data.too_long
        rows = prepare(tokenizer, sides.held, recipe.data.window, cut).rows  # type: ignore[arg-type]
        found = _of_conversations(model, manifest, rows, len(tokenizer), advance)
    if found is None:
        raise ConfigError(f"{run}: held-out examples of it and of its base cannot be compared; name --data FILE")
    return found


def _totals(run: Path, manifest: Manifest) -> Figure:
    name = next((n for n in ("reward", "loss") if n in manifest.metrics and n in manifest.before), None)
    if name is None:
        raise ConfigError(f"{run}: its manifest has neither reward nor loss of held-out examples; name --data FILE")
    return Figure(name, manifest.metrics[name], manifest.before[name], name == "reward")


def _of_texts(run: Path, manifest: Manifest, held: Sequence[Example], advance: Advance) -> Figure | None:
    texts = [example.text for example in held if isinstance(example, RawText)]
    measured: list[Metric] = []
    for place in (run, manifest.base_folder):
        opened = HuggingFaceLLM(place, trust_code=is_trusted({"recipe": manifest.recipe}))
        done_before = len(measured) * len(texts)
        found = measure_perplexity(opened, texts, progress=_counted(advance, done_before, 2 * len(texts)))
        measured.append(next(m for m in found if m.name == "bits_per_byte"))
        opened.close()
    return beside(*measured)


def _of_conversations(
    model: TrainedModel, manifest: Manifest, rows: Sequence[Rendered], tokens: int, advance: Advance
) -> Figure | None:
    # A base of its own: some adapters change what they stand on, and switched off they leave it changed.
    base = dataclasses.replace(model, folder=Path(model.base or manifest.base_folder), base=None)
    measured: list[Metric] = []
    for trained in (True, False):
        opened = open_trained(model) if trained else open_base(base, four_bit=model.four_bit)
        if opened.get_input_embeddings().weight.shape[0] < tokens:
            opened.resize_token_embeddings(tokens, mean_resizing=False)
        measured.append(_loss(opened, rows, _counted(advance, len(measured) * len(rows), 2 * len(rows))))
        del opened
    return beside(*measured)


def _counted(advance: Advance, before: int, total: int) -> Advance:
    return lambda done, _: advance(before + done, total)


def _loss(model: Any, rows: Sequence[Rendered], advance: Advance) -> Metric:
    """The mean loss of a learnt token, its items the rows."""
    import torch

    found: list[tuple[float, float]] = []
    for row in rows:
        labels = torch.tensor([row.labels])
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row.input_ids])).logits[:, -labels.shape[1] :].float()
        following = labels[0, 1:]
        each = torch.nn.functional.cross_entropy(logits[0, :-1], following, ignore_index=IGNORED, reduction="sum")
        found.append((float(each), float((following != IGNORED).sum())))
        advance(len(found), len(rows))
    return Metric("loss", np.array(found), ratio, tuple(range(len(found))), higher_is_better=False)
