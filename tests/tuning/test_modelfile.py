"""Ollama's Modelfile: its template, read as Go would read it, gives what the chat template gives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers", reason="needs the extra 'tune'")

from lunheng.tuning.release.modelfile import find_turns, write_modelfile
from lunheng.tuning.release.readings import QUESTIONS
from lunheng.tuning.templates import apply_template
from lunheng.types import Message

FORM = re.compile(
    r"\{\{ if \.System \}\}(.*?)\{\{ \.System \}\}(.*?)\{\{ else \}\}(.*?)\{\{ end \}\}\{\{ range \.Messages \}\}"
    r'\{\{ if eq \.Role "user" \}\}(.*?)\{\{ \.Content \}\}(.*?)'
    r'\{\{ else if eq \.Role "assistant" \}\}(.*?)\{\{ \.Content \}\}(.*?)\{\{ end \}\}\{\{ end \}\}(.*)',
    re.S,
)


def as_go(template: str, messages: tuple[Message, ...]) -> str:
    """What Go's text/template makes of the one form that is written."""
    found = FORM.fullmatch(template)
    assert found, template
    told, told_after, begin, user, user_after, answer, answer_after, opening = (
        part.replace('{{ "{{" }}', "{{") for part in found.groups()
    )
    system = "".join(m.content for m in messages if m.role == "system")
    text = f"{told}{system}{told_after}" if system else begin
    for message in messages:
        if message.role == "user":
            text += f"{user}{message.content}{user_after}"
        elif message.role == "assistant":
            text += f"{answer}{message.content}{answer_after}"
    return text + opening


@pytest.fixture
def tokenizer(real_model: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(real_model)


@pytest.mark.parametrize("name", [None, "chatml", "llama3", "gemma"])
def test_the_template_says_the_same_in_go(name: str | None, tokenizer: Any, tmp_path: Path) -> None:
    apply_template(tokenizer, name)
    assert not write_modelfile(tmp_path, "model.gguf", tokenizer, [tokenizer.eos_token_id], 2048, "简短。")
    written = (tmp_path / "Modelfile").read_text(encoding="utf-8")
    template = written.partition('TEMPLATE """')[2].partition('"""')[0]
    for _, messages in QUESTIONS:
        plain = [{"role": m.role, "content": m.content} for m in messages]
        expected = tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True)
        assert as_go(template, messages) == expected
    assert f'PARAMETER stop "{tokenizer.eos_token}"' in written and 'SYSTEM """简短。"""' in written


def test_braces_of_the_template_are_not_go(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '{{' + m.role + '}} ' + m.content + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '{{assistant}} ' }}{% endif %}"
    )
    assert not write_modelfile(tmp_path, "model.gguf", tokenizer, [2], 2048, "")
    assert '{{ "{{" }}user}} {{ .Content }}' in (tmp_path / "Modelfile").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "template",
    [
        # refuses a system message
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}{{ m.content }}{% endfor %}",
        # says it with the last question, as Mistral's does
        "{% for m in messages %}{% if m.role == 'user' %}[INST] "
        "{% if loop.last and messages[0].role == 'system' %}{{ messages[0].content }}\n{% endif %}{{ m.content }}[/INST]"
        "{% elif m.role == 'assistant' %}{{ m.content }}</s>{% endif %}{% endfor %}",
        # counts the turns
        "{% for m in messages %}{{ loop.index }}{{ m.content }}{% endfor %}",
    ],
)
def test_what_go_cannot_say_so_is_left_out(template: str, tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.chat_template = template
    assert find_turns(tokenizer) is None
    (warning,) = write_modelfile(tmp_path, "model.gguf", tokenizer, [2], 2048, "")
    assert "cannot be written in Ollama's language" in warning
    assert "TEMPLATE" not in (tmp_path / "Modelfile").read_text(encoding="utf-8")
