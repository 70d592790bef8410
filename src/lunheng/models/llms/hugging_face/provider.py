"""Chats with a model folder in Hugging Face's form, through torch and transformers, and gives its likelihoods.

Called through ``lunheng.models.load_llm`` where the name is a folder, and by ``lunheng eval model``. For a model that
was just trained and for one that is to be measured; for daily service a GGUF file through llama.cpp is several times
faster on a processor.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunheng.errors import MissingExtraError, ModelError
from lunheng.models.llms.continuation import joined_tokens
from lunheng.models.llms.hugging_face.folder import ModelFolder, find_model_folder
from lunheng.models.llms.hugging_face.opening import open_model, open_tokenizer
from lunheng.models.llms.hugging_face.stopping import Cut, json_mask
from lunheng.types import Completion, Likelihood, Message, content_id

DEFAULT_WINDOW = 4096
"""Tokens, at the most: attention over more costs memory that a processor seldom has."""
_BATCH_BYTES = 256_000_000
"""How large the logits of one batch may be."""


class HuggingFaceLLM:
    """Implements ``LLM`` and ``LikelihoodModel``. Loads when first used; one call at a time, later callers wait."""

    def __init__(
        self,
        place: Path | str,
        *,
        window: int | None = None,
        threads: int = 0,
        device: str = "cpu",
        dtype: str = "float32",
        trust_code: bool = False,
    ) -> None:
        """Name the model; nothing is loaded yet.

        Args:
            place: a model's folder, an adapter's (its base is found from what it says), or a run's of lunheng tune.
            window: tokens of prompt and completion together; None: as many as the model has, 4,096 at the most.
            threads: of torch in this process; 0 leaves torch's own number.
            device: as torch names it: cpu, cuda, cuda:1, mps.
            dtype: as torch names it. On a processor float32 is the fastest as well as the most exact.

            trust_code: run the Python that lies in a model's folder, where it needs that; a run's says so by itself.

        Raises:
            ModelError: there is no model, or its base is not there.
            MissingExtraError: torch, transformers or, for an adapter, peft is not installed.
        """
        self._place: ModelFolder = find_model_folder(Path(place))
        if trust_code:
            self._place = dataclasses.replace(self._place, trust_code=True)
        for needed in ("torch", "transformers", *(("peft",) if self._place.base else ())):
            if importlib.util.find_spec(needed) is None:
                raise MissingExtraError(f"{needed}, which the model folder {place} needs,", "tune")
        self._threads, self._device, self._dtype, self._wanted_window = threads, device, dtype, window
        self._fingerprint = content_id("transformers", self._place.identity(), dtype)
        self._lock = threading.RLock()
        self._model: Any = None
        self._tokenizer: Any = None
        self._grammar_tokenizer: Any = None

    @property
    def fingerprint(self) -> str:
        """Changes when a file of the model or of its base is written."""
        return self._fingerprint

    @property
    def window(self) -> int:
        """Tokens that prompt and completion may have together."""
        if self._wanted_window is None:
            self._wanted_window = min(self._place.positions() or DEFAULT_WINDOW, DEFAULT_WINDOW)
        return self._wanted_window

    @property
    def name(self) -> str:
        """The folder's name; of a run, the run's."""
        return self._place.name

    def count(self, text: str) -> int:
        """Exactly the model's tokens of ``text``, special tokens not counted."""
        return len(self.encode(text))

    def generate(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        stop: Sequence[str] = (),
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Completion:
        """The model's answer. With ``schema``, a JSON Schema, the text is JSON that fits it (unless it was cut).

        Raises:
            ModelError: the messages do not fit the window, the model has no chat template or refuses the messages
                by it, or it cannot be loaded.
            MissingExtraError: a schema was given and llguidance is not installed.
        """
        return self._write(messages, schema, stop, max_tokens, temperature, lambda text: False)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        stop: Sequence[str] = (),
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Iterator[str]:
        """The answer piece by piece, as it is written. Closing the iterator stops the model."""
        pieces: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()
        left = threading.Event()

        def take(piece: str) -> bool:
            pieces.put(piece)
            return left.is_set()

        def run() -> None:
            try:
                self._write(messages, None, stop, max_tokens, temperature, take)
                pieces.put(None)
            except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
                pieces.put(error)

        worker = threading.Thread(target=run, name=f"transformers {self.name}", daemon=True)
        worker.start()
        try:
            while (piece := pieces.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            left.set()
            worker.join()

    def encode(self, text: str) -> list[int]:
        """The tokens of ``text``, no special ones added."""
        with self._lock:
            self._open_tokenizer()
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def log_likelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """How likely each (prompt, continuation) is. Prompts that differ only in their continuation are read once.

        Raises:
            ModelError: a continuation is empty, or longer than the window.
        """
        split = [joined_tokens(self.encode, self._start, self.window, *pair) for pair in pairs]
        # Several continuations of one token, as the letters of a multiple choice, share all that stands before.
        rows = list(dict.fromkeys(tuple(tokens[:-1]) for tokens, _ in split))
        place = {row: number for number, row in enumerate(rows)}
        wanted: list[list[tuple[int, int, list[int]]]] = [[] for _ in rows]
        for number, (tokens, count) in enumerate(split):
            wanted[place[tuple(tokens[:-1])]].append((number, count, tokens))
        given: dict[int, Likelihood] = {}

        def read(row: int, logits: Any) -> None:
            for number, count, tokens in wanted[row]:
                logs, best = _log_probabilities(logits[-count:], tokens[-count:])
                given[number] = Likelihood(float(logs.sum()), count, best)

        self._forward([list(row) for row in rows], read)
        return [given[number] for number in range(len(split))]

    def token_log_probabilities(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """For each sequence, the natural log of each token's probability after those before it.

        The first token follows the model's start token (where it has none, its end token).

        Raises:
            ModelError: a sequence has as many tokens as the window, or more.
        """
        given: dict[int, NDArray[np.float64]] = {}

        def read(row: int, logits: Any) -> None:
            given[row] = _log_probabilities(logits, sequences[row])[0]

        self._forward([[self._start, *sequence][:-1] if sequence else [] for sequence in sequences], read)
        return [given[row] if len(sequences[row]) else np.empty(0) for row in range(len(sequences))]

    def close(self) -> None:
        """Give the memory back; the next call would load the model again."""
        with self._lock:
            self._model = self._tokenizer = self._grammar_tokenizer = None

    @property
    def _start(self) -> int:
        self._open_tokenizer()
        found = self._tokenizer.bos_token_id
        found = self._tokenizer.eos_token_id if found is None else found
        if found is None:
            raise ModelError(f"{self.name}: its tokenizer has neither a start nor an end token")
        return int(found)

    def _forward(self, rows: Sequence[Sequence[int]], read: Callable[[int, Any], None]) -> None:
        """Give ``read`` each row's number and its logits, (tokens, vocabulary); rows of like length run together."""
        import torch

        order = sorted((n for n in range(len(rows)) if rows[n]), key=lambda n: -len(rows[n]))
        if order and len(rows[order[0]]) > self.window:
            longest = len(rows[order[0]])
            raise ModelError(f"{self.name}: a text has {longest} tokens and the window is {self.window}")
        with self._lock, torch.inference_mode():
            model = self._open_model()
            vocabulary = model.get_input_embeddings().weight.shape[0]
            while order:
                size = max(1, _BATCH_BYTES // (len(rows[order[0]]) * vocabulary * 4))
                batch, order = order[:size], order[size:]
                width = len(rows[batch[0]])
                ids = torch.full((len(batch), width), 0, dtype=torch.long)
                mask = torch.zeros((len(batch), width), dtype=torch.long)
                for at, number in enumerate(batch):
                    ids[at, : len(rows[number])] = torch.tensor(rows[number])
                    mask[at, : len(rows[number])] = 1
                logits = model(input_ids=ids.to(self._device), attention_mask=mask.to(self._device)).logits
                logits = logits[:, -width:]  # a soft prompt has places of its own before the text
                for at, number in enumerate(batch):
                    read(number, logits[at, : len(rows[number])])

    def _write(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None,
        stop: Sequence[str],
        max_tokens: int,
        temperature: float,
        take: Callable[[str], bool],
    ) -> Completion:
        """One answer; ``take`` gets each piece of it and says whether to stop."""
        import torch

        with self._lock, torch.inference_mode():
            model = self._open_model()
            prompt = self._prompt(messages)
            room = self.window - len(prompt)
            if room <= 0:
                raise ModelError(
                    f"{self.name}: the prompt has {len(prompt)} tokens and the window is {self.window}. "
                    "Give fewer or shorter sources (answering.context_tokens)."
                )
            ids = torch.tensor([prompt], device=self._device)
            cut = Cut(lambda tokens: self._tokenizer.decode(tokens, skip_special_tokens=True), len(prompt), stop, take)
            sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
            if temperature > 0:
                sampling = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0}
            given = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=min(max_tokens, room),
                stopping_criteria=[cut],
                logits_processor=[json_mask(self._grammar(), schema, len(prompt))] if schema is not None else [],
                pad_token_id=self._pad,
                repetition_penalty=1.0,
                **sampling,
            )[0, len(prompt) :].tolist()
        ended = cut.stopped or bool(given and given[-1] in self._ends())
        text = cut.finish(given)
        return Completion(text, self.name, len(prompt), len(given), "stop" if ended else "length")

    def _prompt(self, messages: Sequence[Message]) -> list[int]:
        if not self._tokenizer.chat_template:
            raise ModelError(
                f"{self.name}: has no chat template, so it cannot be asked anything. It is a base model: fine-tune it "
                "with model.template set in the recipe, or measure it by likelihood (perplexity, choice)"
            )
        turns = [{"role": m.role, "content": m.content} for m in messages]
        try:
            text = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # Jinja's own errors, and whatever the template raises, have no common class
            raise ModelError(f"{self.name}: its chat template refuses the conversation ({error})") from error
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    @property
    def _pad(self) -> int:
        pad = self._tokenizer.pad_token_id
        return int(pad) if pad is not None else next(iter(self._ends()), 0)

    def _ends(self) -> list[int]:
        """The tokens that end an answer: the configuration's, and the tokenizer's."""
        said = self._model.generation_config.eos_token_id
        found = list(said) if isinstance(said, (list, tuple)) else [said]
        return [int(token) for token in dict.fromkeys([*found, self._tokenizer.eos_token_id]) if token is not None]

    def _grammar(self) -> Any:
        """The tokenizer as the grammar engine sees it; made once."""
        if self._grammar_tokenizer is None:
            try:
                from llguidance.hf import from_tokenizer
            except ImportError as error:
                raise MissingExtraError("llguidance, which holds an answer to a JSON schema,", "tune") from error
            size = self._model.get_input_embeddings().weight.shape[0]
            self._grammar_tokenizer = from_tokenizer(self._tokenizer, n_vocab=size, eos_token=self._ends())
        return self._grammar_tokenizer

    def _open_tokenizer(self) -> None:
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = open_tokenizer(self._place)

    def _open_model(self) -> Any:
        if self._model is None:
            self._open_tokenizer()
            self._model = open_model(self._place, self._device, self._dtype, self._threads)
        return self._model


def _log_probabilities(logits: Any, tokens: Sequence[int]) -> tuple[NDArray[np.float64], bool]:
    """The log of each token's probability under its row of ``logits``, and whether each is its row's most likely."""
    import torch

    wanted = torch.tensor(list(tokens), device=logits.device)
    rows = logits.float()
    logs = rows.gather(1, wanted[:, None])[:, 0] - rows.logsumexp(dim=1)
    return logs.double().cpu().numpy(), bool((rows.argmax(dim=1) == wanted).all())
