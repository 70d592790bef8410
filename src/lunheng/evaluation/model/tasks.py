"""The tasks by name: reads the data of each, runs it, and gives one form of result.

Called by ``lunheng eval model`` and by whoever measures a model from Python.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lunheng.errors import ConfigError, DataError
from lunheng.evaluation.model.answering import measure_answers
from lunheng.evaluation.model.arithmetic import measure_arithmetic
from lunheng.evaluation.model.asking import Progress, answers, likelihood_model, silent
from lunheng.evaluation.model.big_bench_hard import measure_big_bench_hard
from lunheng.evaluation.model.choice import COLUMNS, measure_choice, read_question
from lunheng.evaluation.model.forgetting import measure_forgetting
from lunheng.evaluation.model.json_validity import measure_json
from lunheng.evaluation.model.mt_bench import measure_mt_bench
from lunheng.evaluation.model.mt_bench import read_question as read_turns
from lunheng.evaluation.model.pairwise import measure_pairwise, read_votes, win_rate
from lunheng.evaluation.model.perplexity import measure_perplexity, read_texts
from lunheng.evaluation.model.rows import Row, read_rows
from lunheng.evaluation.model.safety import measure_safety
from lunheng.evaluation.model.scores import Metric, TaskResult, by_group
from lunheng.protocols import LLM
from lunheng.text import detect_language

TASKS: Mapping[str, str] = {
    "perplexity": "a text (.txt, .md), or rows with text",
    "answers": "questions and reference answers: exact match, F1, ROUGE-L, BLEU",
    "choice": "question, A, B, C, D, answer (MMLU, C-Eval, CMMLU), by likelihood",
    "gsm8k": "question, and an answer that ends with #### and a number",
    "bbh": "BIG-bench hard: examples with input and target",
    "json": "prompts that ask for JSON, each with a schema or not",
    "pairwise": "prompts: a judge compares the answers with the baseline's; or people's votes",
    "mt-bench": "question.jsonl with turns and category, scored by a judge",
    "safety": "prompt and kind (harmful or harmless)",
    "forgetting": "a general set of ours, and your own multiple choice",
    "lm-eval": "a task file of lm-eval (.yaml)",
}
"""The tasks, and what the data of each is."""


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What a task may be told."""

    data: Path | None = None
    limit: int | None = None
    """Only so many items, from the first on."""
    max_tokens: int = 512
    """Of an answer."""
    window: int | None = None
    stride: int | None = None
    """Of perplexity, in tokens."""
    shots: Path | None = None
    """Solved multiple choice questions that stand before each."""
    schema: Mapping[str, Any] | None = None
    """A JSON Schema, for rows that bring none."""
    votes: Path | None = None
    """People's votes in the place of a judge."""
    judge: LLM | None = None
    judge_name: str = ""


def run_task(
    task: str,
    model: LLM,
    name: str,
    options: TaskOptions,
    *,
    baseline: LLM | None = None,
    progress: Progress = silent,
) -> TaskResult:
    """Measure ``model``, called ``name`` in the result.

    Args:
        baseline: whose answers ``pairwise`` compares with; other tasks are run for a baseline by a second call.

    Raises:
        ConfigError: no such task, or it lacks its data, a judge or a baseline.
        DataError: the data is not of the task's form, or empty.
        ModelError: a model cannot do what the task needs.
    """
    start = time.perf_counter()
    measured = _runner(task)(model, options, baseline, progress)
    if not measured.metrics:
        raise DataError(f"task {task}: {options.data} gives nothing to measure")
    return TaskResult(
        task,
        name,
        measured.metrics + measured.whole,
        by_group(measured.metrics, measured.groups),
        measured.notes,
        tuple(measured.records),
        time.perf_counter() - start,
    )


@dataclass(frozen=True, slots=True)
class _Measured:
    metrics: tuple[Metric, ...]
    records: Sequence[Mapping[str, Any]] = ()
    groups: Sequence[str] = ()
    """The group of each item."""
    notes: tuple[str, ...] = ()
    whole: tuple[Metric, ...] = ()
    """Metrics over other items, which have no groups."""


_Runner = Callable[[LLM, TaskOptions, LLM | None, Progress], _Measured]


def _runner(task: str) -> _Runner:
    runners: dict[str, _Runner] = {
        "perplexity": _perplexity,
        "answers": _answers,
        "choice": _choice,
        "gsm8k": _gsm8k,
        "bbh": _bbh,
        "json": _json,
        "pairwise": _pairwise,
        "mt-bench": _mt_bench,
        "safety": _safety,
        "forgetting": _forgetting,
        "lm-eval": _lm_eval,
    }
    if task not in runners:
        raise ConfigError(f"task {task!r}: is not one of {', '.join(runners)}")
    return runners[task]


def _perplexity(model: LLM, options: TaskOptions, baseline: LLM | None, progress: Progress) -> _Measured:
    able = likelihood_model(model, "perplexity")
    texts = read_texts(_data(options, "perplexity"))[: options.limit]
    metrics = measure_perplexity(able, texts, options.window, options.stride, progress)
    one = ("one text: an interval or a test needs several, as rows with text",) if len(texts) == 1 else ()
    return _Measured(metrics, groups=[detect_language(text) for text in texts], notes=one)


def _answers(model: LLM, options: TaskOptions, baseline: LLM | None, progress: Progress) -> _Measured:
    rows = _rows(options, "answers")
    metrics, records = measure_answers(model, rows, options.max_tokens, progress)
    return _Measured(metrics, records, _languages(records))


def _choice(model: LLM, options: TaskOptions, baseline: LLM | None, progress: Progress) -> _Measured:
    able = likelihood_model(model, "choice")
    questions = [read_question(row) for row in _rows(options, "choice", COLUMNS)]
    shots = [read_question(row) for row in read_rows(options.shots, COLUMNS)] if options.shots else []
    metrics, records = measure_choice(able, questions, shots, progress)
    return _Measured(metrics, records, [question.subject for question in questions])


def _gsm8k(model: LLM, options: TaskOptions, baseline: LLM | None, progress: Progress) -> _Measured:
    metrics, records = measure_arithmetic(model, _rows(options, "gsm8k"), options.max_tokens, progress)
    return _Measured(metrics, records, _languages(records))


def _bbh(model: LLM, options: TaskOptions, baseline: LLM | None, progress: Progress) -> _Measured:
    rows = _rows(options, "bbh")
    metrics, records = measure_big_bench_hard(model, rows, options.max_tokens, progress)
    return _Measured(metrics, records, [row.group for row in rows])


def _json(model: LLM, options: TaskOptions, baseline: LLM | None, progress: Progress) -> _Measured:
    metrics, records = measure_json(model, _rows(options, "json"), options.max_tokens, options.schema, progress)
    return _Measured(metrics, records, _languages(records))


def _pairwise(model: LLM, options: TaskOptions, baseline: LLM | None, progress: Progress) -> _Measured:
    if options.votes is not None:
        return _Measured(win_rate(read_votes(read_rows(options.votes))))
    judge = _judge(options, "pairwise")
    if baseline is None:
        raise ConfigError("task pairwise: needs --baseline MODEL, whose answers are compared with; or --votes FILE")
    asked = [row.conversation() for row in _rows(options, "pairwise")]
    total = 3 * len(asked)
    mine = answers(model, asked, options.max_tokens, lambda done, _: progress(done, total))
    others = answers(baseline, asked, options.max_tokens, lambda done, _: progress(len(asked) + done, total))
    metrics, notes, records = measure_pairwise(
        judge, asked, mine, others, options.judge_name, lambda done, _: progress(2 * len(asked) + done, total)
    )
    return _Measured(metrics, records, _languages(records), notes)


def _mt_bench(model: LLM, options: TaskOptions, baseline: LLM | None, progress: Progress) -> _Measured:
    judge = _judge(options, "mt-bench")
    questions = [read_turns(row) for row in _rows(options, "mt-bench")]
    metrics, notes, records = measure_mt_bench(
        model, judge, questions, options.max_tokens, options.judge_name, progress
    )
    return _Measured(metrics, records, [question.category for question in questions], notes)


def _safety(model: LLM, options: TaskOptions, baseline: LLM | None, progress: Progress) -> _Measured:
    metrics, notes, records = measure_safety(
        model, _rows(options, "safety"), options.max_tokens, options.judge, options.judge_name, progress
    )
    return _Measured(metrics, records, _languages(records), notes)


def _forgetting(model: LLM, options: TaskOptions, baseline: LLM | None, progress: Progress) -> _Measured:
    able = likelihood_model(model, "forgetting")
    own = [read_question(row) for row in _rows(options, "forgetting", COLUMNS)] if options.data else []
    accuracies, perplexities, groups, records = measure_forgetting(able, own, options.limit, progress)
    return _Measured(accuracies, records, groups, whole=perplexities)


def _lm_eval(model: LLM, options: TaskOptions, baseline: LLM | None, progress: Progress) -> _Measured:
    from lunheng.evaluation.model.lm_eval import measure_lm_eval

    path = _data(options, "lm-eval")
    metrics, records = measure_lm_eval(model, path, options.limit, options.max_tokens)
    return _Measured(metrics, records)


def _data(options: TaskOptions, task: str) -> Path:
    if options.data is None:
        raise ConfigError(f"task {task}: needs --data: {TASKS[task]}")
    return options.data


def _rows(options: TaskOptions, task: str, columns: Sequence[str] = ()) -> list[Row]:
    return read_rows(_data(options, task), columns)[: options.limit]


def _judge(options: TaskOptions, task: str) -> LLM:
    if options.judge is None:
        raise ConfigError(f"task {task}: needs a judge: --judge MODEL, the larger the better (or `endpoint`)")
    return options.judge


def _languages(records: Sequence[Mapping[str, Any]]) -> list[str]:
    return [detect_language(str(record["question"])) for record in records]
