"""What is learnt under the chat templates of well-known models, as TRL ships them: told by decoding the labels.

A template that is not named here must hold to the rules that all share; what it cannot render is named, with why.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.errors import DataError
from lunheng.tuning.data.examples import Conversation, Origin, Preference, Prompt, Turn
from lunheng.tuning.llm.policy import encoded
from lunheng.tuning.messages import text_of_turns
from lunheng.tuning.preflight import prepare, prepare_pairs
from lunheng.tuning.rendering import IGNORED, Rendered, render, render_answer

FOLDER = Path(importlib.util.find_spec("trl").origin or "").parent / "chat_templates"  # type: ignore[union-attr]
NAMES = sorted(path.stem for path in FOLDER.glob("*.jinja"))
HERE = Origin("d.jsonl", 7)
TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "查天气 Looks the weather up",
            "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "城市"}}},
        },
    },
)
CALL = {"type": "function", "id": "c00000001", "function": {"name": "weather", "arguments": {"city": "北京"}}}
THOUGHT = "<think>\n{}\n</think>\n\n{}"
DIALOGUES: dict[str, tuple[Turn, ...]] = {
    "single": (Turn("user", "备份留多久？"), Turn("assistant", "三十五天。")),
    "multi": (
        Turn("user", "How long are backups kept?"),
        Turn("assistant", "Thirty-five days."),
        Turn("user", "再说一遍，用中文。"),
        Turn("assistant", "三十五天。"),
    ),
    "thinking": (
        Turn("user", "备份留多久？"),
        Turn("assistant", THOUGHT.format("手册第三章。", "三十五天。")),
        Turn("user", "And logs?"),
        Turn("assistant", THOUGHT.format("Chapter four.", "Ninety days.")),
    ),
    "tool": (
        Turn("user", "北京天气？"),
        Turn("assistant", "", (CALL,)),
        Turn("tool", "晴 sunny", tool_call_id="c00000001", name="weather"),
        Turn("assistant", "晴天。"),
    ),
}
NO_TOOLS = ("cohere", "cohere2", "deepseek_r1_distill", "deepseekv3", "gemma", "gemma3", "lfm2", "llama3", "phi3")
NO_TOOLS += ("phi3_5", "qwen2_5_vl")
"""Templates that write no calls, or none of the tools."""
PICTURES = ("idefics3", "llava_next", "smolvlm")
"""Templates of models that look at pictures: they write content in parts only, and the model is none that we train."""
WITHOUT_THINKING = ("gemma4", "gemma4_v3", "gemma4_v4", "qwen3_5_nothink")
"""Templates that have a final turn answer without thinking: a row that thinks has no place there."""
WITHOUT_END = ("glm4moe",)
"""Templates that write no end of turn: the pre-flight says so ('no stop token')."""
LEARNT = {
    "qwen2_5": "{}<|im_end|>",
    "qwen3": "<think>\n\n</think>\n\n{}<|im_end|>",
    "qwen3_instruct_2507": "{}<|im_end|>",
    "qwen3_5_nothink": "{}<|im_end|>",
    "qwen3_5_think": "\n</think>\n\n{}<|im_end|>",
    "qwen3_6": "\n</think>\n\n{}<|im_end|>",
    "phi3": "{}<|end|>",
    "phi3_5": "{}<|end|>",
    "llama3": "{}<|eot_id|>",
    "llama3_1": "{}<|eot_id|>",
    "gemma": "{}<end_of_turn>",
    "gemma3": "{}<end_of_turn>",
    "gptoss": "<|channel|>final<|message|>{}<|return|>",
    "deepseekv3": "\n</think>\n\n{}<｜end▁of▁sentence｜>",
    "deepseek_r1_distill": "\n</think>\n\n{}<｜end▁of▁sentence｜>",
    "nemotron_3_nano": "</think>{}<|im_end|>",
    "glm4moe": "\n<think></think>\n{}",
}
ONE_ROW = {"qwen2_5", "qwen3_instruct_2507", "phi3", "phi3_5", "llama3", "llama3_1", "gemma", "gemma3", "glm4moe"}
"""Of these, the templates that never rewrite earlier turns: the conversation is one row."""


@pytest.fixture(scope="module")
def words(real_model: str) -> Any:
    """A real tokenizer that knows every template's markers, as each model's own does."""
    from transformers import AutoTokenizer

    made = AutoTokenizer.from_pretrained(real_model)
    text = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.jinja"))
    marks = set(re.findall(r"<[|｜][^<>{}'\"\s]+[|｜]>|<\w+\|>|<\|\w+>|<(?:start|end)_of_turn>", text))
    made.add_tokens(sorted(marks), special_tokens=True)
    return made


@pytest.fixture
def tokenizer(words: Any, request: pytest.FixtureRequest) -> Any:
    words.chat_template = (FOLDER / f"{request.getfixturevalue('name')}.jinja").read_text(encoding="utf-8")
    return words


def learnt(tokenizer: Any, row: Rendered) -> list[tuple[list[int], str]]:
    """(what the model reads before, what it learns to write) of each run of labels."""
    found: list[tuple[list[int], str]] = []
    start = None
    for place, label in enumerate((*row.labels, IGNORED)):
        if label != IGNORED and start is None:
            start = place
        elif label == IGNORED and start is not None:
            assert row.labels[start:place] == row.input_ids[start:place]
            found.append((list(row.input_ids[:start]), tokenizer.decode(row.input_ids[start:place])))
            start = None
    return found


def why_not(name: str, dialogue: str) -> str | None:
    """What the refusal must say, where the template cannot render the dialogue."""
    family = name.removesuffix("_training")
    if family in PICTURES:
        return "chat template"
    if dialogue == "tool" and family in NO_TOOLS:
        return "chat template (refuses it|writes nothing)"
    if dialogue == "thinking" and family in WITHOUT_THINKING:
        return "thinks"
    return None


@pytest.mark.parametrize("dialogue", DIALOGUES)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_learnt_is_what_the_served_prompt_asks_for(tokenizer: Any, name: str, dialogue: str) -> None:
    turns = DIALOGUES[dialogue]
    tools = TOOLS if dialogue == "tool" else ()
    reason = why_not(name, dialogue)
    if reason:
        with pytest.raises(DataError, match=reason):
            render(tokenizer, HERE, turns, tools)
        return
    rows = render(tokenizer, HERE, turns, tools)
    spoken = [part for row in rows for part in learnt(tokenizer, row)]
    places = [number for number, turn in enumerate(turns) if turn.role == "assistant"]
    assert len(spoken) == len(places) and len(rows) in (1, len(places))
    for place, (before, said) in zip(places, spoken, strict=True):
        served = tokenizer(text_of_turns(tokenizer, HERE, turns[:place], tools, prompt=True), add_special_tokens=False)
        assert tokenizer.decode(before) == tokenizer.decode(served["input_ids"])
        assert before[-1] == served["input_ids"][-1]
        # To the token, but where an answer stands before it in the same row: that was cut where it was asked for.
        assert before == served["input_ids"] or (len(rows) == 1 and place > places[0])
        thought, _, answer = turns[place].content.rpartition("</think>")
        assert said.count(answer.strip()) == 1 or not answer
        assert thought.removeprefix("<think>").strip() in said
        assert not turns[place].tool_calls or ("weather" in said and said.count("北京") == 1)
        assert not any(turn.content in said for turn in turns if turn.role == "user")
        end = said.rpartition(answer.strip() or "北京")[2]
        assert end.strip() or name in WITHOUT_END


@pytest.mark.parametrize("name", LEARNT)
def test_what_is_learnt_word_by_word(tokenizer: Any, name: str) -> None:
    rows = render(tokenizer, HERE, DIALOGUES["multi"])
    assert len(rows) == (1 if name in ONE_ROW else 2)
    said = [text for row in rows for _, text in learnt(tokenizer, row)]
    close = f"\n{tokenizer.eos_token}" if name.startswith("phi") else ""  # Phi-3 ends the whole text too
    assert said == [LEARNT[name].format("Thirty-five days."), LEARNT[name].format("三十五天。") + close]
    pair = render_answer(tokenizer, HERE, DIALOGUES["multi"][:3], DIALOGUES["multi"][3:])
    assert tokenizer.decode(pair.answer) == said[1]


@pytest.mark.parametrize("name", ["qwen2_5_training", "qwen3_training", "llama3_training"])
def test_it_is_what_trl_marks_as_generated(tokenizer: Any, name: str) -> None:
    turns = DIALOGUES["multi"][:2]
    made = tokenizer.apply_chat_template(
        [turn.as_message() for turn in turns], return_dict=True, return_assistant_tokens_mask=True
    )
    marked = [token for token, on in zip(made["input_ids"], made["assistant_masks"], strict=True) if on]
    (_, said), *_ = learnt(tokenizer, render(tokenizer, HERE, turns)[0])
    assert tokenizer.decode(marked).strip() == said


@pytest.mark.parametrize("name", ["qwen3", "qwen2_5"])
def test_a_turn_of_no_weight_is_given_and_not_learnt(tokenizer: Any, name: str) -> None:
    first, answer, *rest = DIALOGUES["multi"]
    unlearnt = Turn("assistant", answer.content, learnt=False)
    rows = render(tokenizer, HERE, (first, unlearnt, *rest))
    assert [text for row in rows for _, text in learnt(tokenizer, row)] == [LEARNT[name].format("三十五天。")]
    assert answer.content in tokenizer.decode(rows[-1].input_ids)
    assert render(tokenizer, HERE, (first, unlearnt)) == ()


def test_calls_are_text_where_a_template_joins_them_to_text(words: Any) -> None:
    words.chat_template = (FOLDER / "deepseekv3.jinja").read_text(encoding="utf-8")
    said = [text for row in render(words, HERE, DIALOGUES["tool"]) for _, text in learnt(words, row)]
    assert '\n```json\n{"city": "北京"}\n```' in said[0] and "晴天。" in said[1]


def test_a_conversation_of_two_rows_is_one_example(words: Any) -> None:
    words.chat_template = (FOLDER / "qwen3.jinja").read_text(encoding="utf-8")
    made = prepare(words, [Conversation(HERE, DIALOGUES["multi"])], 512, "refuse")
    assert (len(made.rows), made.examples, made.problems) == (2, 1, ())
    cut = prepare(words, [Conversation(HERE, DIALOGUES["multi"])], made.rows[0].length, "drop")
    assert cut.rows == made.rows[:1] and [(p.kind, p.fatal) for p in cut.problems] == [("too long", False)]


def test_tools_reach_prompts_and_pairs(words: Any) -> None:
    words.chat_template = (FOLDER / "qwen2_5.jinja").read_text(encoding="utf-8")
    prompt, (call, *_) = DIALOGUES["tool"][:1], DIALOGUES["tool"][1:]
    asked = words.decode(encoded(words, Prompt(HERE, prompt, tools=TOOLS)))
    assert "查天气 Looks the weather up" in asked and asked.endswith("<|im_start|>assistant\n")
    pair = Preference(HERE, prompt, (call,), (Turn("assistant", "不知道。"),), tools=TOOLS)
    (row,) = prepare_pairs(words, [pair], 512, "refuse").rows
    assert words.decode(row.chosen.prompt) == asked == words.decode(row.rejected.prompt)
    assert words.decode(row.chosen.answer).count('"arguments": {"city": "北京"}') == 1


def test_a_tokenizer_that_puts_a_space_before_every_text_reads_the_whole() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(set("▁[INST]/备份留多久？三十五天。</s>Thirty-five days.How long?") - {"<", ">"})
    vocabulary = {letter: place for place, letter in enumerate(["</s>", *letters])}
    made = Tokenizer(models.BPE(vocabulary, []))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.decoder = decoders.Metaspace(prepend_scheme="always")
    words: Any = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>")
    words.chat_template = (
        "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
        "{% else %}{{ m.content }}</s>{% endif %}{% endfor %}"
    )
    turns = (
        *(Turn("user", "备份留多久？"), Turn("assistant", "三十五天。")),
        *(Turn("user", "How long?"), Turn("assistant", "Thirty-five days.")),
    )
    (row,) = render(words, HERE, turns)
    whole = words.apply_chat_template([turn.as_message() for turn in turns], tokenize=False)
    assert list(row.input_ids) == words(whole, add_special_tokens=False)["input_ids"]
    assert [said.strip() for _, said in learnt(words, row)] == ["三十五天。</s>", "Thirty-five days.</s>"]
