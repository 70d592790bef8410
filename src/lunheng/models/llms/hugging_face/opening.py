"""Opens a model's weights in torch: whole, or an adapter on its base. Called by ``provider``, and by ``lunheng.tuning``
for 4 bits and adapters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lunheng.errors import MissingExtraError, ModelError
from lunheng.models.llms.hugging_face.folder import ModelFolder, offline
from lunheng.models.llms.hugging_face.own_code import own_code


def open_tokenizer(place: ModelFolder) -> Any:
    """The tokenizer, chat template included.

    Raises:
        ModelError: it cannot be read.
    """
    from transformers import AutoTokenizer

    with offline():
        try:
            with own_code(place.tokenizer, place.trust_code) as trusted:
                return AutoTokenizer.from_pretrained(str(place.tokenizer), trust_remote_code=trusted)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{place.tokenizer}: its tokenizer cannot be opened ({error})") from error


def open_model(place: ModelFolder, device: str, dtype: str, threads: int) -> Any:
    """The model, ready to be read: an adapter on its base, in 4 bits where it was trained over it so.

    Raises:
        ModelError: the weights cannot be read, or the adapter does not fit.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    if threads:
        torch.set_num_threads(threads)
    number = getattr(torch, dtype, None)
    if not isinstance(number, torch.dtype):
        raise ModelError(f"dtype {dtype!r}: is not one of float32, bfloat16, float16")
    options: dict[str, Any] = {"dtype": number, "device_map": device} if place.four_bit else {"dtype": number}
    if place.four_bit:
        options["quantization_config"] = four_bit(number)
    folder = place.base or place.folder
    with offline():
        try:
            with own_code(folder, place.trust_code) as trusted:
                model = AutoModelForCausalLM.from_pretrained(str(folder), trust_remote_code=trusted, **options)
        except ImportError as error:
            raise MissingExtraError(f"what {folder} needs ({error})", "tune") from error
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{folder}: cannot be opened as a language model ({error})") from error
        if place.base is not None:
            model = attach(model, place.folder)
    return (model if place.four_bit else model.to(device)).eval()


def four_bit(dtype: Any, whole: Sequence[str] | None = None) -> Any:
    """Weights in NF4 with double quantisation (Dettmers et al. 2023), computed in ``dtype``.

    Args:
        whole: modules that stay as they are; None: the output layer.
    """
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=whole,
    )


def attach(model: Any, folder: Path) -> Any:
    """The adapter in ``folder`` on its base, which is changed: the adapter's layers stand in it from then on.

    Raises:
        ModelError: it does not fit, or PEFT does not know it.
    """
    import peft

    from lunheng.models.llms.hugging_face import bottleneck  # noqa: F401 - PEFT knows that type from then on

    fit_embeddings(model, folder)
    try:
        with offline():
            return peft.PeftModel.from_pretrained(model, str(folder)).eval()
    except (ValueError, RuntimeError, OSError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: this adapter does not fit its base ({error})") from error


def fit_embeddings(model: Any, folder: Path) -> None:
    """Give a base as many embeddings as the adapter in ``folder`` brings: tokens may have been added to it."""
    rows = embedding_rows(folder)
    if rows is not None and rows != model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(rows, mean_resizing=False)


def embedding_rows(folder: Path) -> int | None:
    """How many tokens the embeddings have that were saved with an adapter; None where none were."""
    from safetensors import safe_open

    file = folder / "adapter_model.safetensors"
    if not file.is_file():
        return None
    with safe_open(str(file), framework="np") as tensors:
        for name in tensors.keys():  # noqa: SIM118 - not a mapping
            if name.endswith(("embed_tokens.weight", "wte.weight", "word_embeddings.weight")):
                return int(tensors.get_slice(name).get_shape()[0])
    return None
