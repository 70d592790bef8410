"""Ollama's Modelfile for a GGUF file: the chat template in Go's template language, where answers stop, the system.

Called by ``export``. Ollama reads no Jinja; what each role puts around its words is found by rendering conversations
of marked words. What cannot be told so (a template with tools, thinking, or conditions on turns) is left out with the
reason: Ollama then guesses from the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lunheng.tuning.release.readings import QUESTIONS
from lunheng.types import Message

_SYSTEM, _USER, _ASSISTANT = "⟦system⟧", "⟦user⟧", "⟦assistant⟧"


@dataclass(frozen=True, slots=True)
class Turns:
    """What a chat template puts around the words of each role."""

    begin: str
    """Before the first turn, where no system message is given."""
    system: tuple[str, str]
    user: tuple[str, str]
    assistant: tuple[str, str]

    def render(self, messages: Sequence[Message]) -> str:
        """A conversation up to where the answer begins."""
        first, rest = messages[0], messages
        text = self.begin
        if first.role == "system":
            text, rest = f"{self.system[0]}{first.content}{self.system[1]}", messages[1:]
        for message in rest:
            before, after = self.user if message.role == "user" else self.assistant
            text += f"{before}{message.content}{after}"
        return text + self.assistant[0]


def find_turns(tokenizer: Any) -> Turns | None:
    """What the tokenizer's chat template puts around each role's words; None where that is not all that it does."""
    user, assistant, system = Message("user", _USER), Message("assistant", _ASSISTANT), Message("system", _SYSTEM)
    try:
        alone = _render(tokenizer, (user,), prompt=False)
        asked = _render(tokenizer, (user,), prompt=True)
        answered = _render(tokenizer, (user, assistant), prompt=False)
        again = _render(tokenizer, (user, assistant, user), prompt=False)
        told = _render(tokenizer, (system, user), prompt=False)
    except Exception:  # noqa: BLE001 - Jinja's errors have no common class, and each says: not in this form
        return None
    opening = asked[len(alone) :]
    before, _, user_after = alone.partition(_USER)
    assistant_after = answered.partition(_ASSISTANT)[2]
    between = again.partition(_ASSISTANT)[2].partition(_USER)[0]
    user_before = between.removeprefix(assistant_after)
    told_before, _, told_after = told.partition(_SYSTEM)
    system_after = told_after.partition(_USER)[0].removesuffix(user_before)
    turns = Turns(
        before.removesuffix(user_before),
        (told_before, system_after),
        (user_before, user_after),
        (opening, assistant_after),
    )
    for _, messages in QUESTIONS:
        try:
            if turns.render(messages) != _render(tokenizer, messages, prompt=True):
                return None
        except Exception:  # noqa: BLE001 - as above: a template may refuse a system message
            return None
    return turns


def write_modelfile(
    folder: Path, gguf: str, tokenizer: Any, ends: Sequence[int], window: int, system: str
) -> list[str]:
    """Write ``folder``/Modelfile for the file ``gguf`` beside it.

    Args:
        ends: ids of the tokens that end an answer.
        window: tokens of prompt and answer together.
        system: the system message that the model answers under; may be empty.

    Returns:
        What is to be said of it.
    """
    turns = find_turns(tokenizer) if tokenizer.chat_template else None
    lines = ["# ollama create NAME -f Modelfile && ollama run NAME", f"FROM ./{gguf}"]
    warnings = []
    if turns is None:
        warnings.append(
            "Modelfile: the chat template cannot be written in Ollama's language, which guesses one from the file; "
            "compare its answers with: lunheng tune parity --server"
        )
    else:
        lines.append(f'TEMPLATE """{_in_go(turns, tokenizer)}"""')
    lines += [f'PARAMETER stop "{tokenizer.decode([end])}"' for end in ends]
    lines.append(f"PARAMETER num_ctx {window}")
    if system:
        lines.append(f'SYSTEM """{system}"""')
    (folder / "Modelfile").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return warnings


def _render(tokenizer: Any, messages: Sequence[Message], prompt: bool) -> str:
    plain = [{"role": m.role, "content": m.content} for m in messages]
    return str(tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=prompt))


def _in_go(turns: Turns, tokenizer: Any) -> str:
    """The turns in Go's text/template. Ollama puts the first token of all (BOS) there itself."""
    start = tokenizer.bos_token or ""
    adds_start = bool(start) and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]

    def text(raw: str, first: bool = False) -> str:
        kept = raw.removeprefix(start) if first and adds_start else raw
        return kept.replace("{{", '{{ "{{" }}')

    return (
        f"{{{{ if .System }}}}{text(turns.system[0], True)}{{{{ .System }}}}{text(turns.system[1])}"
        f"{{{{ else }}}}{text(turns.begin, True)}{{{{ end }}}}"
        f'{{{{ range .Messages }}}}{{{{ if eq .Role "user" }}}}{text(turns.user[0])}{{{{ .Content }}}}{text(turns.user[1])}'
        f'{{{{ else if eq .Role "assistant" }}}}{text(turns.assistant[0])}{{{{ .Content }}}}{text(turns.assistant[1])}'
        f"{{{{ end }}}}{{{{ end }}}}{text(turns.assistant[0])}"
    )
