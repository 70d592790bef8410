"""An adapter merged into its base: one whole model that needs no PEFT, and says what base and adapter said together.

Called by ``lunheng tune merge`` and by the export. What users of other tools complain of is checked here at each merge:
that it changed something, and that the model on the disk, opened again, gives the numbers that the adapter gave.
An adapter that was trained over a base in 4 bits has learnt to correct those weights and no others: they are
dequantised, and it is merged into them. (Dettmers et al. 2023 leave this open; on a model of 135M, merging into the
original weights instead moved log-probabilities by nats, and merging into these by a ten-thousandth of one.)
"""

from __future__ import annotations

import gc
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lunheng.errors import ConfigError, ModelError
from lunheng.tuning.bases import CONFIG_FILE, hub_offline
from lunheng.tuning.manifest import write_manifest
from lunheng.tuning.release.readings import Difference, Reading, compare, greedy, questions, read_along, together
from lunheng.tuning.trained import TrainedModel, attach, find_trained, open_base, open_tokenizer, open_trained

REPORT = "merge.json"
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Into = Literal["trained", "original"]
SHARD = "5GB"
TOLERANCE = {"float32": 1e-3, "float16": 0.1, "bfloat16": 0.5}
"""Of log-probabilities, in nats: what rounding the weights may move. Merging itself is exact to float32."""
FOUR_BIT_TOLERANCE = 0.05
"""On top: products with 4-bit weights are summed in another order than with the same weights dequantised."""
NEARER = 0.5
"""The merged model must be nearer to the adapter than this share of what the adapter changed."""
_NOTHING = 1e-6


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of a merge."""

    output: Path
    kind: str
    """PEFT's name of the adapter's type."""
    precision: str
    into: Into
    effect: Difference
    """How far the adapter is from its base."""
    difference: Difference
    """How far the merged model, opened from the disk again, is from the adapter."""
    tolerance: float | None
    """What the difference may be; None where it is merged into other weights than it was trained over: it is said."""
    warnings: tuple[str, ...]


def merge(
    model: TrainedModel, output: Path, precision: Precision = "auto", into: Into = "trained", shard: str = SHARD
) -> Merged:
    """Merge the adapter ``model`` and write the whole model into ``output``.

    Args:
        precision: of the weights that are written; auto: as the base has them.
        into: for adapters over 4-bit bases, the weights that they were trained over (dequantised), or the original.
        shard: the most that one file holds, as 5GB.

    Raises:
        ConfigError: it is no adapter, or no language model, or ``output`` is not empty.
        ModelError: its type cannot be merged, it changes nothing, or the merged model says something else.
    """
    model.insist_on_words()
    if not model.is_adapter:
        raise ConfigError(f"{model.folder}: is a whole model and no adapter; there is nothing to merge")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(f"{output}: is there already and not empty; name another folder")
    kind = _mergeable(model)
    tokenizer = open_tokenizer(model)
    adapted = open_trained(model)
    readings = [_read(adapted, tokenizer, prompt) for prompt in questions(tokenizer)]
    with adapted.disable_adapter():
        effect = _distance(readings, adapted)
    if effect.largest < _NOTHING:
        raise ModelError(
            f"{model.folder}: this {kind} adapter changes nothing of what its base says; was it trained? "
            "The run's log.jsonl shows whether its loss fell"
        )
    if model.four_bit:
        del adapted
        gc.collect()
        adapted = attach(open_base(model, dequantised=into == "trained"), model)
    chosen = _precision(precision, model)
    making = output.with_name(output.name + ".part")
    shutil.rmtree(making, ignore_errors=True)
    _write(adapted.merge_and_unload(safe_merge=True), tokenizer, making, chosen, shard)
    del adapted
    gc.collect()
    if model.manifest is not None:
        write_manifest(model.manifest, making)
    difference = _distance(readings, open_trained(find_trained(making)))
    merged = Merged(
        output,
        kind,
        chosen,
        into,
        effect,
        difference,
        _tolerance(model, chosen, into),
        _warnings(model, into, difference),
    )
    _judge(merged, making)
    report = json.dumps(asdict(merged), indent=2, default=str, ensure_ascii=False)
    (making / REPORT).write_text(report + "\n", encoding="utf-8")
    if output.is_dir():
        output.rmdir()
    making.rename(output)
    return merged


def _mergeable(model: TrainedModel) -> str:
    """The adapter's type, where it can be merged."""
    config = model.adapter_config()
    kind = str(config.get("peft_type", "unknown"))
    if config.get("num_virtual_tokens"):
        raise ModelError(
            f"{model.folder}: {kind} puts {config['num_virtual_tokens']} learnt vectors before the prompt and changes no "
            "weight, so that there is nothing to merge into; use it beside its base: lunheng tune generate or chat, or "
            "lunheng tune export --to adapter"
        )
    if kind == "BOTTLENECK":
        raise ModelError(
            f"{model.folder}: a bottleneck adapter is a network of its own behind each part, not linear, so that no weight "
            "can hold it; use it beside its base: lunheng tune generate or chat"
        )
    return kind


def _read(model: Any, tokenizer: Any, prompt: list[int]) -> Reading:
    """What the model answers by itself, and how sure it is of each token."""
    return read_along(model, prompt, greedy(model, tokenizer, prompt))


def _distance(readings: list[Reading], other: Any) -> Difference:
    return together([compare(r, read_along(other, r.prompt, r.answer)) for r in readings])


def _precision(asked: Precision, model: TrainedModel) -> Precision:
    """As asked, else as the base has its weights."""
    if asked != "auto":
        return asked
    config = json.loads((Path(str(model.base)) / CONFIG_FILE).read_text(encoding="utf-8"))
    said = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    return said if said in TOLERANCE else "float32"  # type: ignore[return-value]


def _write(model: Any, tokenizer: Any, folder: Path, precision: Precision, shard: str) -> None:
    """Save the merged model with all that generation needs of it."""
    import torch

    for settings in (model.config, model.generation_config):
        settings.eos_token_id = _ends(settings.eos_token_id, tokenizer)
        settings.pad_token_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else settings.pad_token_id
    with hub_offline():
        model.to(getattr(torch, precision)).save_pretrained(folder, max_shard_size=shard)
        tokenizer.save_pretrained(folder)


def _ends(known: int | list[int] | None, tokenizer: Any) -> int | list[int] | None:
    """The tokens that end an answer: the one that was trained first, then those that the base knew."""
    base = [known] if isinstance(known, int) else list(known or ())
    all_ends = list(dict.fromkeys([t for t in (tokenizer.eos_token_id,) if t is not None] + base))
    return all_ends[0] if len(all_ends) == 1 else all_ends or None


def _tolerance(model: TrainedModel, precision: Precision, into: Into) -> float | None:
    if model.four_bit and into == "original":
        return None
    return TOLERANCE[precision] + (FOUR_BIT_TOLERANCE if model.four_bit else 0.0)


def _warnings(model: TrainedModel, into: Into, far: Difference) -> tuple[str, ...]:
    if into == "trained":
        return ()
    if model.four_bit:
        return (
            "merged into the original weights, and the adapter was trained over their 4-bit form: what it learnt to "
            "correct there is now corrected where it was not wrong; log-probabilities are moved by up to "
            f"{far.largest:.2g} ({far.mean:.2g} in the mean), and --into trained keeps them",
        )
    return ("--into original: the adapter was trained over these very weights; it is the same either way",)


def _judge(merged: Merged, folder: Path) -> None:
    """Refuse a merged model that says something else than the adapter did."""
    far, effect = merged.difference, merged.effect
    if merged.tolerance is None or (far.largest <= merged.tolerance and far.mean <= NEARER * effect.mean):
        return
    raise ModelError(
        f"{folder}: the merged model is not what the adapter was: log-probabilities differ by up to {far.largest:.2g} "
        f"({far.mean:.2g} in the mean; {merged.tolerance:.2g} is allowed, and the adapter itself changed {effect.mean:.2g} "
        f"in the mean); it was left there to be looked at. "
        + ("Write it in float32" if merged.precision != "float32" else "Serve the adapter beside its base instead")
    )
