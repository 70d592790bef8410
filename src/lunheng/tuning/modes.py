"""Which parameters are trained: a parameter mode of the recipe to a model whose other parameters stand still.

Called by the trainers. Every mode but ``full`` is PEFT's (Mangrulkar et al. 2022); the papers stand by their names.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, Literal

from lunheng.errors import ConfigError, ModelError
from lunheng.models.llms.hugging_face.opening import four_bit
from lunheng.models.llms.hugging_face.own_code import own_code
from lunheng.tuning.adapters.targets import ALL, blocks_of, shortened, target_names
from lunheng.tuning.bases import hub_offline
from lunheng.tuning.parameter_part import FOUR_BIT, LOW_RANK, VIRTUAL, Mode, ParameterPart
from lunheng.tuning.recipes import Recipe

if TYPE_CHECKING:
    from lunheng.tuning.run import Run


Head = Literal["words", "score"]
"""What a model says at a place: the next word, or one number for all that was read (a reward model)."""
CHANGES_BASE: tuple[Mode, ...] = ("pissa",)
"""Modes that move a part of the base's weights into the adapter while it trains: without it, the base is not itself."""
ENCODER = 128
"""Width of P-tuning's encoder of learnt tokens."""


def adapter_config(model: Any, part: ParameterPart, steps: int, head: Head = "words") -> Any:
    """PEFT's configuration for a mode; None for ``full``.

    Args:
        model: the base, whose structure says what the adapter sits on.
        steps: optimiser steps of the run, over which AdaLoRA prunes.
        head: a scoring head is new, and so is trained and saved whole beside the adapter.

    Raises:
        ConfigError: the run is too short for the mode, or a target is no module of the model.
    """
    if part.mode == "full":
        return None
    import peft

    task = peft.TaskType.CAUSAL_LM if head == "words" else peft.TaskType.SEQ_CLS
    alpha = part.alpha if part.alpha is not None else 2.0 * part.rank
    if part.mode in VIRTUAL:
        learnt: dict[str, Any] = {"task_type": task, "num_virtual_tokens": part.virtual_tokens}
        match part.mode:
            case "prefix":  # Li and Liang 2021
                return peft.PrefixTuningConfig(**learnt)
            case "prompt":  # Lester et al. 2021
                return peft.PromptTuningConfig(**learnt)
            case "ptuning":  # Liu et al. 2021
                return peft.PromptEncoderConfig(**learnt, encoder_hidden_size=ENCODER)
    low_rank: dict[str, Any] = {
        "r": part.rank,
        "lora_alpha": alpha,
        "lora_dropout": part.dropout,
        "target_modules": target_names(model, part.targets),
        "task_type": task,
        **embeddings(model, part),
    }
    match part.mode:
        case "lora" | "qlora" | "loftq":  # Hu et al. 2021; Dettmers et al. 2023; Li et al. 2023
            return peft.LoraConfig(**low_rank)
        case "dora":  # Liu et al. 2024
            return peft.LoraConfig(**low_rank, use_dora=True)
        case "rslora":  # Kalajdzievski 2023: scaled by the root of the rank
            scaled = part.alpha if part.alpha is not None else 2.0 * math.sqrt(part.rank)
            return peft.LoraConfig(**{**low_rank, "lora_alpha": scaled}, use_rslora=True)
        case "pissa":  # Meng et al. 2024
            return peft.LoraConfig(**low_rank, init_lora_weights="pissa")
        case "adalora" | "qadalora":  # Zhang et al. 2023
            first, last = max(steps // 10, 1), max(steps // 4, 1)
            if first + last >= steps:
                raise ConfigError(
                    f"parameters.mode: {part.mode} prunes its ranks over the run, and {steps} steps are too few; "
                    "train at least 8, or take lora"
                )
            return peft.AdaLoraConfig(
                **{k: v for k, v in low_rank.items() if k != "r"},
                init_r=round(part.rank * 1.5),
                target_r=part.rank,
                tinit=first,
                tfinal=last,
                deltaT=max(steps // 50, 1),
                total_step=steps,
            )
        case "ia3":  # Liu et al. 2022: keys, values, and what the feed-forward part gives back
            blocks = blocks_of(model)
            names = shortened(blocks, blocks.key_value + blocks.mlp_out)
            if part.targets != ALL:
                names = target_names(model, part.targets)
            given_back = set(blocks.mlp_out)
            inner = [name for name in names if any(f".{full}".endswith(f".{name}") for full in given_back)]
            return peft.IA3Config(task_type=task, target_modules=names, feedforward_modules=inner)
        case "bottleneck":
            from lunheng.models.llms.hugging_face.bottleneck import BottleneckConfig

            blocks = blocks_of(model)
            behind = blocks.mlp_out if part.bottleneck == "pfeiffer" else blocks.attention_out + blocks.mlp_out
            return BottleneckConfig(
                task_type=task, size=part.rank, dropout=part.dropout, target_modules=shortened(blocks, behind)
            )
    raise AssertionError(part.mode)


def embeddings(model: Any, part: ParameterPart) -> dict[str, Any]:
    """PEFT's settings for embeddings that are trained whole, the output layer with them: tied, where it is tied."""
    if not part.save_embeddings:
        return {}
    names = [_name_of(model, model.get_input_embeddings())]
    tied = bool(model.config.get_text_config().tie_word_embeddings)
    output = model.get_output_embeddings()
    if output is not None and not tied:
        names.append(_name_of(model, output))
    return {"modules_to_save": names, "ensure_weight_tying": tied and output is not None}


def _name_of(model: Any, module: Any) -> str:
    return next(str(name).rsplit(".", 1)[-1] for name, other in model.named_modules() if other is module)


def load_base(folder: str, part: ParameterPart, dtype: Any, head: Head = "words", trust_code: bool = False) -> Any:
    """The base model, in 4 bits where the mode wants that.

    Args:
        trust_code: run the Python that lies in ``folder``, where it needs that.

    Raises:
        ModelError: its architecture is not known to transformers with a scoring head, and that is asked for; or it needs
            its own Python, which is not trusted.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    options: dict[str, Any] = {"dtype": dtype}
    if part.mode in FOUR_BIT:
        options["quantization_config"] = four_bit(dtype, whole=None if head == "words" else ["score"])
    if head == "words":
        from transformers import AutoModelForCausalLM

        with own_code(folder, trust_code) as trusted:
            return AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=trusted, **options)
    from transformers import AutoConfig, AutoModelForSequenceClassification
    from trl.trainer.reward_trainer import suppress_seqcls_warning

    with own_code(folder, trust_code) as trusted:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trusted)
    if type(config) not in AutoModelForSequenceClassification._model_mapping:
        raise ModelError(f"{folder}: transformers has no scoring head for this architecture; take another base")
    with suppress_seqcls_warning():  # that the head is new is no news
        return AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, **options)


def wrap(model: Any, part: ParameterPart, steps: int, head: Head = "words") -> Any:
    """``model`` with the mode's parameters, and only these, to be trained."""
    config = adapter_config(model, part, steps, head)
    if config is None:
        return model
    import peft

    return peft.get_peft_model(model, config)


def ready(run: Run, tokenizer: Any, head: Head = "words") -> Any:
    """The run's base model, ready to be wrapped: its tokens, its end of text, its 4 bits.

    Args:
        tokenizer: the one that rows were made with; tokens that were added to it get embeddings here.
    """
    part = run.recipe.parameters
    with hub_offline():
        model = load_base(run.base, part, _held_in(run.recipe), head, run.recipe.model.trust_code)
    if run.added_tokens:
        model.resize_token_embeddings(len(tokenizer))
    for config in (model.config, getattr(model, "generation_config", None)):
        if config is not None:  # what scores does not generate
            config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    if part.mode in FOUR_BIT:
        import peft

        model = peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    return model


def _held_in(recipe: Recipe) -> Any:
    """The number type of the base's weights: what is computed in, but float32 for weights that learn."""
    import torch

    if recipe.parameters.mode == "full" or recipe.model.precision == "auto":
        return torch.float32
    return getattr(torch, recipe.model.precision)


def trainable(run: Run, tokenizer: Any, steps: int, head: Head = "words") -> Any:
    """The run's base model, made ready to be trained in the recipe's mode.

    Args:
        tokenizer: as of ``ready``.
        steps: optimiser steps of the run.
    """
    model = ready(run, tokenizer, head)
    return wrap(model, parameters_of(run), steps, head)


def parameters_of(run: Run) -> ParameterPart:
    """The recipe's, with the embeddings saved where tokens were added to them, in the modes that can."""
    part = run.recipe.parameters
    if part.save_embeddings is not None or not run.added_tokens or part.mode == "full":
        return part
    if part.mode in LOW_RANK:
        return dataclasses.replace(part, save_embeddings=True)
    run.warnings.append(
        f"parameters.mode: {part.mode} does not train the embeddings, and the template added {run.added_tokens} tokens, "
        "whose embeddings stay as they were made; lora would train them"
    )
    return part
