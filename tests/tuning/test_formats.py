"""Every form of training data, in both languages, and what is wrong with a line said by its number."""

from __future__ import annotations

from typing import Any

import pytest

from lunheng.tuning.data.examples import (
    Conversation,
    Judged,
    Origin,
    Preference,
    Problem,
    Prompt,
    RawText,
    Triple,
    text_of,
)
from lunheng.tuning.data.formats import to_example

HERE = Origin("data.jsonl", 7)


def roles(turns: Any) -> list[tuple[str, str]]:
    return [(t.role, t.content) for t in turns]


@pytest.mark.parametrize(
    "record",
    [
        {"instruction": "备份保留多久？", "input": "", "output": "35 天。"},
        {"instruction": "备份保留", "input": "多久？", "output": "35 天。"},
        {"messages": [{"role": "user", "content": "备份保留多久？"}, {"role": "assistant", "content": "35 天。"}]},
        {"conversations": [{"from": "human", "value": "备份保留多久？"}, {"from": "gpt", "value": "35 天。"}]},
        {"prompt": "备份保留多久？", "completion": "35 天。"},
        {
            "prompt": [{"role": "user", "content": "备份保留多久？"}],
            "completion": [{"role": "assistant", "content": "35 天。"}],
        },
        {"question": "备份保留多久？", "answer": "35 天。"},
        {"messages": '[{"role": "user", "content": "备份保留多久？"}, {"role": "assistant", "content": "35 天。"}]'},
    ],
)
def test_conversations(record: dict[str, Any]) -> None:
    example = to_example(HERE, record)
    assert isinstance(example, Conversation), example
    spoken = roles(example.turns)
    assert [role for role, _ in spoken] == ["user", "assistant"]
    assert spoken[0][1].replace("\n", "") == "备份保留多久？" and spoken[1][1] == "35 天。"
    assert example.origin == HERE


def test_system_history_and_tools() -> None:
    record = {
        "system": "Be brief.",
        "history": [["Hi", "Hello"], ["你好", "您好"]],
        "instruction": "How long?",
        "output": "35 days.",
        "tools": '[{"type": "function", "function": {"name": "look_up"}}]',
    }
    example = to_example(HERE, record)
    assert isinstance(example, Conversation)
    assert [t.role for t in example.turns] == ["system", "user", "assistant", "user", "assistant", "user", "assistant"]
    assert example.tools[0]["function"]["name"] == "look_up"


def test_sharegpt_tool_calls() -> None:
    record = {
        "conversations": [
            {"from": "human", "value": "天气？"},
            {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "杭州"}}'},
            {"from": "observation", "value": "晴"},
            {"from": "gpt", "value": "杭州晴。"},
        ]
    }
    example = to_example(HERE, record)
    assert isinstance(example, Conversation)
    assert [t.role for t in example.turns] == ["user", "assistant", "tool", "assistant"]
    assert example.turns[1].tool_calls[0]["function"]["name"] == "weather"


@pytest.mark.parametrize(
    "record",
    [
        {"instruction": "Q", "chosen": "good", "rejected": "bad"},
        {"prompt": "Q", "chosen": "good", "rejected": "bad"},
        {
            "conversations": [{"from": "human", "value": "Q"}],
            "chosen": {"from": "gpt", "value": "good"},
            "rejected": {"from": "gpt", "value": "bad"},
        },
        {
            "chosen": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "good"}],
            "rejected": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "bad"}],
        },
    ],
)
def test_preferences(record: dict[str, Any]) -> None:
    example = to_example(HERE, record)
    assert isinstance(example, Preference), example
    assert roles(example.prompt) == [("user", "Q")]
    assert roles(example.chosen) == [("assistant", "good")] and roles(example.rejected) == [("assistant", "bad")]


@pytest.mark.parametrize(("label", "good"), [(True, True), ("false", False), (1, True), (0, False)])
def test_labels(label: object, good: bool) -> None:
    messages = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    for record in ({"messages": messages, "label": label}, {"prompt": "Q", "completion": "A", "kto_tag": label}):
        example = to_example(HERE, record)
        assert (
            isinstance(example, Judged) and example.good is good and roles(example.completion) == [("assistant", "A")]
        )


def test_prompts_texts_and_triples() -> None:
    prompt = to_example(HERE, {"prompt": "2 + 2?", "answer": "4"})
    assert isinstance(prompt, Prompt) and prompt.answer == "4"
    asked = to_example(HERE, {"question": "2 + 2?", "answer": "4"}, "prompt")
    assert isinstance(asked, Prompt) and asked.answer == "4" and roles(asked.turns) == [("user", "2 + 2?")]
    text = to_example(HERE, {"text": "第一章"})
    assert isinstance(text, RawText) and text_of(text) == "第一章"
    triple = to_example(HERE, {"query": "备份", "pos": ["保留 35 天"], "neg": ["食堂", "停车"], "score": 0.9})
    assert isinstance(triple, Triple) and triple.negatives == ("食堂", "停车") and triple.score == 0.9


def test_columns_are_named_by_the_recipe() -> None:
    columns = {"instruction": "问题", "output": "答案"}
    example = to_example(HERE, {"问题": "多久？", "答案": "35 天"}, columns=columns)
    assert isinstance(example, Conversation) and example.turns[1].content == "35 天"
    wrong = to_example(HERE, {"提问": "多久？"}, columns=columns)
    assert isinstance(wrong, Problem) and wrong.kind == "wrong column" and "问题" in wrong.message


@pytest.mark.parametrize(
    ("record", "kind", "says"),
    [
        ({"messages": [{"role": "narrator", "content": "x"}]}, "bad role", "narrator"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "bad role", "begins with"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}, "bad role", "both"),
        ({"messages": [{"role": "user", "content": "a"}]}, "no answer", "nothing to learn"),
        ({"instruction": "a", "output": " "}, "empty answer", "empty"),
        ({"instruction": "", "output": "b"}, "empty prompt", "empty"),
        ({"prompt": "a", "chosen": "same", "rejected": "same"}, "same answers", "the same"),
        ({"query": "a", "positive": "p", "negatives": ["p"]}, "same answers", "among its negatives"),
        ({"messages": "hello", "label": "maybe"}, "no answer", "nothing to judge"),
        ({"foo": 1}, "wrong column", "foo"),
        ({"text": 3.5, "kind": "x"}, "", ""),
    ],
)
def test_what_is_wrong_with_a_line_is_said(record: dict[str, Any], kind: str, says: str) -> None:
    made = to_example(HERE, record)
    if not kind:
        assert isinstance(made, RawText)
        return
    assert isinstance(made, Problem) and made.fatal, made
    assert (made.kind, made.origin) == (kind, HERE) and says in made.message


def called(arguments: object) -> dict[str, Any]:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    return {
        "messages": [
            {"role": "user", "content": "天气？"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "name": "weather", "content": "晴"},
            {"role": "assistant", "content": "杭州晴。"},
        ],
    }


@pytest.mark.parametrize("arguments", ['{"city": "杭州"}', {"city": "杭州"}])
def test_arguments_of_calls_are_objects_and_ids_are_kept(arguments: object) -> None:
    example = to_example(HERE, called(arguments))
    assert isinstance(example, Conversation), example
    said = [turn.as_message() for turn in example.turns]
    function = {"name": "weather", "arguments": {"city": "杭州"}}
    assert said[1]["tool_calls"] == [{"type": "function", "id": "c1", "function": function}]
    assert '{"city": "杭州"}' in text_of(example)
    assert said[2] == {"role": "tool", "content": "晴", "tool_call_id": "c1", "name": "weather"}


@pytest.mark.parametrize("arguments", ["city=杭州", "[1]", 3])
def test_arguments_that_are_no_object_are_a_problem(arguments: object) -> None:
    example = to_example(HERE, called(arguments))
    assert isinstance(example, Problem) and example.kind == "wrong value" and "the call to weather" in example.message


def test_an_old_function_call_is_a_call() -> None:
    record = called({})
    call = {"name": "weather", "arguments": '{"city": "Oslo"}'}
    record["messages"][1] = {"role": "assistant", "content": None, "function_call": call}
    example = to_example(HERE, record)
    assert isinstance(example, Conversation)
    assert example.turns[1].tool_calls[0]["function"] == {"name": "weather", "arguments": {"city": "Oslo"}}


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ({"prompt": "Q", "chosen": "a", "rejected": "b"}, Preference),
        ({"prompt": "Q", "completion": "A", "label": True}, Judged),
        ({"prompt": "Q", "answer": "A"}, Prompt),
    ],
)
def test_tools_are_carried(record: dict[str, Any], kind: type) -> None:
    tool = {"name": "look_up", "description": "查"}
    example = to_example(HERE, record | {"tools": [tool]})
    assert isinstance(example, kind) and isinstance(example, Preference | Judged | Prompt)
    assert example.tools == ({"type": "function", "function": tool},)
    wrong = to_example(HERE, record | {"tools": "look_up"})
    assert isinstance(wrong, Problem) and "tools must be JSON" in wrong.message


def weighed(*weights: object) -> Any:
    answers = [{"role": "assistant", "content": f"答 {n}", "weight": w} for n, w in enumerate(weights)]
    return to_example(HERE, {"messages": [m for a in answers for m in ({"role": "user", "content": "问"}, a)]})


def test_a_turn_of_weight_0_is_not_learnt() -> None:
    assert [turn.learnt for turn in weighed(0, 1, None).turns if turn.role == "assistant"] == [False, True, True]
    judged = {
        "messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A", "weight": 0}],
        "label": 1,
    }
    assert isinstance(to_example(HERE, judged), Problem)
    assert weighed(0).kind == "no answer" and weighed(0.5).kind == "wrong value"


def test_what_is_no_text_is_a_problem() -> None:
    parts: list[dict[str, Any]] = [{"type": "text", "text": "看图"}, {"type": "image_url", "image_url": {"url": "x"}}]
    answer = {"role": "assistant", "content": "猫"}
    seen = to_example(HERE, {"messages": [{"role": "user", "content": parts}, answer]})
    assert isinstance(seen, Problem) and seen.kind == "not text" and "image_url" in seen.message
    kept = to_example(HERE, {"messages": [{"role": "user", "content": parts[:1]}, answer]})
    assert isinstance(kept, Conversation) and kept.turns[0].content == "看图"
    beside = to_example(HERE, {"instruction": "<image>看图", "output": "猫", "images": ["a.png"]})
    assert isinstance(beside, Problem) and beside.kind == "not text"


def test_thinking_stands_at_the_head_of_the_answer() -> None:
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "42", "reasoning_content": "六七"}]
    example = to_example(HERE, {"messages": messages})
    assert isinstance(example, Conversation) and example.turns[1].content == "<think>\n六七\n</think>\n\n42"


@pytest.mark.parametrize("reviewed", [False, None, "", "no"])
def test_what_nobody_has_reviewed_is_a_problem(reviewed: object) -> None:
    pair = {"prompt": "Q", "chosen": "a", "rejected": "b"}
    left = to_example(HERE, pair | {"reviewed": reviewed})
    assert isinstance(left, Problem) and left.kind == "not reviewed" and "--reviewed" in left.message
    assert isinstance(to_example(HERE, pair | {"reviewed": True}), Preference)
