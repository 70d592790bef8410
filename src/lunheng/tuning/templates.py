"""Chat templates by name, for base models that have none. Called by ``run`` when it loads the tokenizer.

A template's markers are added to the vocabulary where they are missing, and then the embeddings are trained too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lunheng.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Template:
    """A chat template and the tokens that it stands on."""

    text: str
    markers: tuple[str, ...]
    end: str
    """The token that ends a turn: the model learns to stop with it."""


_ROLE = "{% for message in messages %}"
TEMPLATES = {
    "chatml": Template(
        _ROLE + "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        ("<|im_start|>", "<|im_end|>"),
        "<|im_end|>",
    ),
    "llama3": Template(
        "{{ '<|begin_of_text|>' }}" + _ROLE + "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + "
        "message['content'] + '<|eot_id|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|eot_id|>",
    ),
    "gemma": Template(
        "{{ '<bos>' }}"
        + _ROLE
        + "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) "
        "+ '\n' + message['content'] + '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
        ("<bos>", "<start_of_turn>", "<end_of_turn>"),
        "<end_of_turn>",
    ),
}


def apply_template(tokenizer: Any, name: str | None) -> tuple[int, str | None]:
    """Give ``tokenizer`` the template called ``name`` (or that of a Jinja file).

    Returns:
        How many tokens were added to the vocabulary, and a warning where the model had a template of its own.

    Raises:
        ConfigError: the model has no template and none is named, or the name is not known.
    """
    if name is None:
        if not tokenizer.chat_template:
            raise ConfigError(
                "model.template: this base model has no chat template of its own; name one: "
                f"{', '.join(TEMPLATES)}, or a Jinja file"
            )
        return 0, None
    warning = (
        "model.template: stands in the place of the model's own chat template" if tokenizer.chat_template else None
    )
    template = TEMPLATES.get(name)
    if template is None:
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"model.template: {name!r} is neither one of {', '.join(TEMPLATES)} nor a Jinja file")
        tokenizer.chat_template = path.read_text(encoding="utf-8")
        return 0, warning
    vocabulary = tokenizer.get_vocab()
    missing = [marker for marker in template.markers if marker not in vocabulary]
    added = tokenizer.add_special_tokens({"additional_special_tokens": missing}) if missing else 0
    tokenizer.chat_template = template.text
    tokenizer.eos_token = template.end
    return int(added), warning
