"""One training step played through without weights: what it would hold at the most, and what it would compute.

Called by the memory estimate. The model is built on torch's meta device, its parameters become fake tensors (shapes
and types, no bytes), and a forward and a backward pass run over them, the same code as in earnest. Every operator's
result is counted while it lives, so that recomputed activations, the tiles of the loss and what autograd keeps are what
they are in this architecture and this mode, with no formula of ours to be wrong.

A deep model is played through at two smaller depths. What it holds grows by the same bytes with each block in each of
three phases (the way forward; the way back at its beginning, where activations are held; and at its end, where
gradients are), so that each phase is a line, and the peak is the highest of them.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lunheng.tuning.encoder_parts import EmbeddingPart, RerankingPart
from lunheng.tuning.encoders.adapters import adapt
from lunheng.tuning.modes import wrap
from lunheng.tuning.planning.live import live
from lunheng.tuning.recipes import ENCODERS, FOUR_BIT, Recipe

DEPTHS = (2, 4)
"""Blocks at which a deeper model of equal blocks is played through."""
_SAME_SHAPES = {"qlora": "lora", "qadalora": "adalora", "pissa": "lora", "loftq": "lora"}
"""Modes whose parameters have the shapes of another's, which needs neither a quantised base nor its weights' values."""
_STEPS = 1000
"""Of a run of any length: only AdaLoRA's schedule asks for them."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What a model holds before its first step."""

    base: int
    """Parameters of the base model."""
    trained: int
    """Parameters that learn; those of adapters are not among ``base``."""
    bytes: int
    """Of all weights as they are held, those of 4-bit layers left out."""
    four_bit: int
    """Parameters that are held in 4 bits."""
    largest: int
    """Parameters of the largest 4-bit layer, which is dequantised as a whole where it is used."""
    block: int
    """Parameters of one of the repeated blocks: what sharded training gathers at a time."""
    widest: int
    """Parameters of the largest tensor that learns."""
    gradients: int
    """Bytes of the gradients of all parameters that learn."""
    states: int
    """Bytes of what the optimiser keeps of them."""
    equal: bool
    """Whether all blocks have the same parameters, so that a few of them tell of all."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one micro-step takes on one device that holds the whole model."""

    phases: tuple[float, ...]
    """Bytes above the weights at the most, gradients included: on the way forward, back, and at the end of that."""
    flops: float
    """Floating-point operations, recomputation included."""

    @property
    def peak(self) -> int:
        """Bytes above the weights at the most."""
        return round(max(self.phases))

    def towards(self, other: Step, way: float) -> Step:
        """On the line from this step (0) through ``other`` (1), at ``way``."""
        phases = tuple(a + (b - a) * way for a, b in zip(self.phases, other.phases, strict=True))
        return Step(phases, self.flops + (other.flops - self.flops) * way)


def weights_of(recipe: Recipe, config: Any, dtype: str = "float32") -> Weights:
    """Build the model of ``recipe`` on the meta device, in its mode.

    Args:
        config: transformers' configuration of the base model.
        dtype: what frozen weights are held in; parameters that learn are float32.
    """
    import torch

    model, base = _build(recipe, config, getattr(torch, dtype))
    four_bit = _four_bit(model) if recipe.parameters.mode in FOUR_BIT else []
    quantised = {id(w) for w in four_bit}
    held = {id(p): p for p in model.parameters()}
    learn = [p for p in held.values() if p.requires_grad]
    return Weights(
        base=base,
        trained=sum(p.numel() for p in learn),
        bytes=sum(
            p.numel() * (4 if p.requires_grad else p.element_size()) for key, p in held.items() if key not in quantised
        ),
        four_bit=sum(w.numel() for w in four_bit),
        largest=max((w.numel() for w in four_bit), default=0),
        block=max((_size(block) for block in _blocks(model)), default=0),
        widest=max(p.numel() for p in learn),
        gradients=4 * sum(p.numel() for p in learn),
        equal=len({_size(block) for block in _blocks(model)}) == 1,
        states=sum(states(recipe.training.optimiser, tuple(p.shape)) for p in learn),
    )


def states(optimiser: str, shape: tuple[int, ...]) -> int:
    """Bytes that an optimiser keeps of a parameter of ``shape``."""
    size = math.prod(shape)
    match optimiser:
        case "adamw" | "auto":  # auto is the paged one only where a device is known
            return 8 * size
        case "adafactor":  # Shazeer and Stern 2018: of a matrix its row and column means alone
            return 4 * (sum(shape[-2:]) * math.prod(shape[:-2]) if len(shape) > 1 else size)
        case _:  # bitsandbytes: a byte each and a scale a block of 256; small tensors stay in 32 bits
            return 2 * size + 8 * size // 256 if size >= 4096 else 8 * size


def rehearse(
    recipe: Recipe,
    config: Any,
    batch: int,
    *,
    checkpointing: bool,
    dtype: str = "float32",
    equal: bool = True,
    again: bool = False,
    device: str = "cpu",
) -> Step:
    """Play one micro-step of ``recipe`` through.

    Args:
        config: transformers' configuration of the base model.
        batch: examples at a time on one device.
        checkpointing: whether activations are recomputed.
        dtype: what it computes in.
        equal: whether its blocks are alike (``Weights.equal``).
        again: whether gradients of an earlier micro-step are held already.
        device: cpu, cuda or mps: on GPUs the language model's loss is one kernel over each tile, which needs no room.
    """
    depth = getattr(config, "num_hidden_layers", 0)
    few, more = DEPTHS

    def play(config: Any) -> Step:
        return _play(recipe, config, batch, checkpointing, dtype, again, device)

    if depth <= more or not equal:
        return play(config)
    lower, upper = play(shallower(config, few)), play(shallower(config, more))
    return lower.towards(upper, (depth - few) / (more - few))


def shallower(config: Any, depth: int) -> Any:
    """The same architecture with ``depth`` blocks."""
    made = copy.deepcopy(config)
    if getattr(made, "layer_types", None):
        made.layer_types = list(made.layer_types)[:depth]
    made.num_hidden_layers = depth
    return made


def _play(recipe: Recipe, config: Any, batch: int, checkpointing: bool, dtype: str, again: bool, device: str) -> Step:
    """One micro-step of just this model and batch."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    kind = getattr(torch, dtype)
    model, _ = _build(recipe, config, kind)
    with FakeTensorMode(allow_non_fake_inputs=True), _quiet():
        known = _make_fake(model)
        if checkpointing:
            model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
            if recipe.parameters.mode != "full":
                model.enable_input_require_grads()
        model.train()
        if again:
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.grad = torch.empty_like(parameter)
                    known.append(parameter.grad)
        if recipe.parallel.strategy in ("fsdp", "zero3"):  # a gradient goes to its owner as soon as it is there
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.register_post_accumulate_grad_hook(_let_go)
        held = sum(p.grad.numel() * p.grad.element_size() for p in model.parameters() if p.grad is not None)
        counted = live(known)
        _mark_the_middle(model, counted)
        mixed = torch.autocast("cpu", dtype=kind, enabled=dtype != "float32")
        with counted, mixed, _fused_head(device):
            loss = _loss_of(recipe, device)(model, recipe, batch)
            counted.mark()
            loss.backward()
    peaks = [held + peak for peak in counted.peaks]
    # A model of one block has no middle.
    return Step(tuple(peaks) if len(peaks) == 3 else (*peaks, peaks[-1]), counted.flops)


@contextlib.contextmanager
def _fused_head(device: str) -> Iterator[None]:
    """On CUDA TRL's loss folds each tile in place by Triton; elsewhere by torch operators, which make copies."""
    from trl.kernels import chunked_logprob

    if device != "cuda":
        yield
        return
    folds = chunked_logprob._forward_tile, chunked_logprob._backward_tile
    chunked_logprob._forward_tile = chunked_logprob._backward_tile = lambda *given, **options: None
    try:
        yield
    finally:
        chunked_logprob._forward_tile, chunked_logprob._backward_tile = folds


def _let_go(parameter: Any) -> None:
    parameter.grad = None


def _mark_the_middle(model: Any, counted: Any) -> None:
    """Begin the third phase where the way back has passed the middle block."""
    blocks = _blocks(model)
    if len(blocks) < 2:
        return
    marked: list[bool] = []

    def on_forward(module: Any, given: Any, made: Any) -> None:
        hidden = made[0] if isinstance(made, tuple) else made
        if not marked and hidden.requires_grad:
            marked.append(True)
            hidden.register_hook(lambda gradient: counted.mark())

    blocks[len(blocks) // 2 - 1].register_forward_hook(on_forward)


def _build(recipe: Recipe, config: Any, dtype: Any) -> tuple[Any, int]:
    """The model of the method on the meta device, in the recipe's mode; and the number of the base's parameters."""
    import torch
    import transformers

    causal = recipe.method not in ("embed", "rerank", "reward")
    sharded = recipe.parallel.strategy in ("fsdp", "zero3")
    if causal:
        automatic: Any = transformers.AutoModelForCausalLM
    elif recipe.method == "embed":
        automatic = transformers.AutoModel
    else:
        automatic = transformers.AutoModelForSequenceClassification
        config = copy.deepcopy(config)
        config.num_labels = 1
        config.pad_token_id = config.pad_token_id or 0
    mode: Any = _SAME_SHAPES.get(recipe.parameters.mode, recipe.parameters.mode)
    with torch.device("meta"), _quiet():
        model = automatic.from_config(
            config,
            dtype=torch.float32 if mode == "full" and not sharded else dtype,
            trust_remote_code=recipe.model.trust_code,
        )
        base = sum(p.numel() for p in model.parameters())
        if causal:
            from trl.trainer.utils import add_fused_lm_head

            add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
        if recipe.embedding is not None and recipe.embedding.freeze_words:
            model.get_input_embeddings().weight.requires_grad_(False)
        head: Any = "words" if causal else "score"
        if recipe.method in ENCODERS:
            adapt(model, recipe.parameters, head=recipe.method == "rerank")
        else:
            model = wrap(model, dataclasses.replace(recipe.parameters, mode=mode), _STEPS, head)
        if recipe.parameters.mode in FOUR_BIT:  # as PEFT does it: what is not quantised is float32
            quantised = {id(w) for w in _four_bit(model)}
            for parameter in model.parameters():
                if id(parameter) not in quantised:
                    parameter.data = parameter.data.float()
    return model, base


def _blocks(model: Any) -> list[Any]:
    """The repeated blocks: the longest list of modules at the top of the tree."""
    import torch

    lists = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList)]
    return list(max(lists, key=lambda found: sum(_size(block) for block in found), default=[]))


def _size(module: Any) -> int:
    return sum(p.numel() for p in module.parameters())


def _four_bit(model: Any) -> list[Any]:
    """Weights of the linear layers that bitsandbytes quantises: all but the output's and the adapters'."""
    import torch

    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return [
        module.weight
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and module is not head
        and not module.weight.requires_grad
        and not name.endswith(("score", "classifier"))
    ]


def _make_fake(model: Any) -> list[Any]:
    """Parameters and buffers of the meta device become fake tensors of the CPU, shared ones shared as before."""
    import torch

    made: dict[int, Any] = {}
    for module in model.modules():
        for table in (module._parameters, module._buffers):
            for name, old in table.items():
                if old is None:
                    continue
                if id(old) not in made:
                    new = torch.empty(old.shape, dtype=old.dtype, device="cpu")
                    parameter = isinstance(old, torch.nn.Parameter)
                    made[id(old)] = torch.nn.Parameter(new, requires_grad=old.requires_grad) if parameter else new
                table[name] = made[id(old)]
    return list(made.values())


def _loss_of(recipe: Recipe, device: str) -> Callable[[Any, Recipe, int], Any]:
    match recipe.method:
        case "embed":
            return _embedding_loss
        case "rerank" | "reward":
            return _scoring_loss
        case _:
            # TRL's loss by tiles is for accelerators; on a processor the answers' logits are there as a whole.
            tiles = device == "cuda" and recipe.method not in ("clm", "ppo")
            return functools.partial(_language_loss, tiles=tiles)


def _language_loss(model: Any, recipe: Recipe, batch: int, tiles: bool) -> Any:
    """Rows of a language model, every token learnt; with ``tiles`` of the vocabulary, never the logits as a whole."""
    import torch

    window = recipe.data.window + (recipe.reward.completion_tokens if recipe.reward is not None else 0)
    ids = torch.zeros(batch * (2 if recipe.method == "dpo" else 1), window, dtype=torch.long)
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    if tiles:
        inputs["fused_lm_head"] = True
    if recipe.method in ("dpo", "kto", "ppo", "rloo", "grpo"):
        with torch.no_grad():  # the reference's turn: this model without its adapter, or another of its size
            model(**inputs)
    return model(**inputs).loss


def _scoring_loss(model: Any, recipe: Recipe, batch: int) -> Any:
    """Rows with one score each: a better and a worse answer, or a question with one passage or a list of them."""
    import torch

    part = recipe.reranking or RerankingPart()
    listed = {"lambda": 1 + part.negatives, "list_net": 1 + part.negatives, "margin_mse": 2}.get(part.loss, 1)
    rows = batch * (2 if recipe.method == "reward" else listed)
    ids = torch.zeros(rows, recipe.data.window, dtype=torch.long)
    return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.mean()


def _embedding_loss(model: Any, recipe: Recipe, batch: int) -> Any:
    """Questions, passages and hard negatives, each encoded, all kept until the loss over the batch."""
    import torch

    ids = torch.zeros(batch, recipe.data.window, dtype=torch.long)
    mask = torch.ones_like(ids)
    kinds = 2 + (recipe.embedding or EmbeddingPart()).negatives
    texts = [model(input_ids=ids, attention_mask=mask).last_hidden_state.mean(1) for _ in range(kinds)]
    return (texts[0] @ torch.cat(texts[1:]).T).logsumexp(1).mean()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Transformers' advice on what it is asked to do is not for the user, who asked for something else."""
    import logging
    import warnings

    logger = logging.getLogger("transformers")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
