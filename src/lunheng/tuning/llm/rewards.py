"""Verifiable rewards: plain functions from (prompt, completion, reference answer) to a number.

Named in a recipe's ``[reward] functions``, and called by ``judge`` for every completion that a policy writes. A reward
of one's own is named ``package.module:function`` and has the same form. Each is tried in Chinese and in English.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from lunheng.answering.verification import cited_in
from lunheng.errors import ConfigError, MissingExtraError
from lunheng.text.language import detect_language
from lunheng.text.normalise import normalise

RewardFunction = Callable[[str, str, str], float]
"""(prompt, completion, reference answer): the prompt is the text of its turns, the answer may be empty."""

_AFTER_MARK = re.compile(r"####\s*([^\n]+)")
_AFTER_WORDS = re.compile(
    r"(?:(?:最终|正确)?答案\s*(?:应该)?(?:是|为|[:：])|\b(?:final |correct )?answer(?: is|\s*[:：]))\s*[:：]?\s*([^\n。；;!?！？]+)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\w.,])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*/\s*[1-9]\d*)?")
_LATEX = re.compile(r"\\(?:text|mathrm|mathbf)\s*\{([^{}]*)\}|\\[,;!% ]|\\left|\\right|\$|\*\*|`")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*([1-9]\d*)\s*\}")
_SPACE_BY_HAN = re.compile(r"(?<=[\u3400-\u9fff])\s+|\s+(?=[\u3400-\u9fff])")
_ENDS = " \t\n.,;:!?。，；：！？、\"'“”‘’「」()（）"
_SOURCE = re.compile(r"^\s*[\[【［](\d+)[\]】］]", re.MULTILINE)


def exact_answer(prompt: str, completion: str, answer: str) -> float:
    r"""1 where the final answers are the same, else 0.

    The final answer stands in the last ``\boxed{}``, else after ``####`` (GSM8K: Cobbe et al. 2021), else after
    "the answer is" or 答案是; else it is the last number where a number is wanted, and the whole text where not. Numbers
    are compared by value (1,000 = １０００.0, 1/2 = 0.5), other text in its normal form (full width = half width,
    traditional = simplified, case, spaces beside Chinese and closing punctuation aside).
    """
    wanted = final_answer(answer) or _plain(answer)
    if not wanted:
        raise ValueError("exact_answer compares with a reference answer, and this prompt has none")
    number = as_number(wanted)
    given = final_answer(completion)
    if given is None:
        numbers = _NUMBER.findall(_plain(completion)) if number is not None else []
        given = numbers[-1] if numbers else _plain(completion)
    if number is not None:
        first = _NUMBER.search(given)
        return float(first is not None and as_number(first.group()) == number)
    return float(given == wanted)


def final_answer(text: str) -> str | None:
    """What ``text`` marks as its final answer, in its normal form; None where it marks none."""
    boxed = _last_boxed(text)
    if boxed is not None:
        return _plain(boxed)
    for mark in (_AFTER_MARK, _AFTER_WORDS):
        found = mark.findall(text)
        if found:
            return _plain(found[-1])
    return None


def as_number(text: str) -> Fraction | None:
    """The number that ``text`` is, whole or as a fraction, without its currency or per cent sign."""
    bare = text.strip().lstrip("$¥￥€£").rstrip("%元").strip()
    if not _NUMBER.fullmatch(bare):
        return None
    above, _, below = bare.replace(",", "").replace("−", "-").replace(" ", "").partition("/")
    return Fraction(above) / Fraction(below or 1)


def cites_source(prompt: str, completion: str, answer: str) -> float:
    """1 where the completion cites a source as [n], and each that it cites is one of the prompt's; else 0.

    The sources of a prompt are its lines that begin with [n], as answering writes them. Where the reference answer
    cites nothing (it says that the sources do not tell), the completion must not either.
    """
    cited = cited_in(completion)
    if answer and not cited_in(answer):
        return float(not cited)
    given = {int(n) for n in _SOURCE.findall(prompt)}
    return float(bool(cited) and given.issuperset(cited))


def valid_json(prompt: str, completion: str, answer: str) -> float:
    """1 where the completion is one JSON object or array and nothing else (RFC 8259: no NaN); else 0."""
    return float(_parsed(completion) is not None)


def json_of(schema: Mapping[str, Any]) -> RewardFunction:
    """``valid_json`` against a JSON Schema: a half where it is JSON of another form, so that there is a way up.

    Raises:
        ConfigError: ``schema`` is no JSON Schema.
        MissingExtraError: jsonschema is not installed.
    """
    try:
        import jsonschema
    except ImportError as error:
        raise MissingExtraError("jsonschema", "tune") from error
    checker = jsonschema.validators.validator_for(schema)
    try:
        checker.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ConfigError(f"reward.schema: is no JSON Schema ({error.message})") from error
    validator = checker(schema)

    def valid_json(prompt: str, completion: str, answer: str) -> float:
        parsed = _parsed(completion)
        return 0.0 if parsed is None else 1.0 if validator.is_valid(parsed) else 0.5

    return valid_json


def same_language(prompt: str, completion: str, answer: str) -> float:
    """1 where the completion is in the language of the reference answer, or without one of the prompt's last line."""
    lines = [line for line in prompt.splitlines() if line.strip()]
    wanted = detect_language(answer) if answer else "und"
    if wanted == "und" and lines:
        wanted = detect_language(lines[-1])
    return float(detect_language(completion) == wanted)


FUNCTIONS: Mapping[str, RewardFunction] = {
    function.__name__: function for function in (exact_answer, cites_source, valid_json, same_language)
}
"""The rewards that have a name."""


def load_function(name: str) -> RewardFunction:
    """The reward called ``name``, one of ``FUNCTIONS`` or ``package.module:function`` (also from the working folder).

    Raises:
        ConfigError: there is none, it cannot be imported, or it does not take three arguments.
    """
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ConfigError(
            f"reward.functions: {name!r} is none of {', '.join(FUNCTIONS)}; a function of your own is named "
            "package.module:function"
        )
    here = str(Path.cwd())
    if sys.path[0] != here:
        sys.path.insert(0, here)
    if Path(f"{module}.py").is_file():  # read again: it may be edited since, or another folder's of the same name
        sys.modules.pop(module, None)
        importlib.invalidate_caches()
    try:
        function = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever the user's module raises while it is imported
        raise ConfigError(
            f"reward.functions: {name} cannot be imported from {here} or the installed packages "
            f"({type(error).__name__}: {error})"
        ) from error
    try:
        inspect.signature(function).bind("prompt", "completion", "answer")
    except TypeError as error:
        raise ConfigError(
            f"reward.functions: {name} must be a function of (prompt, completion, answer) ({error})"
        ) from error
    return function  # type: ignore[no-any-return]


def _last_boxed(text: str) -> str | None:
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 1, start + len("\\boxed{")
    for at in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[begin:at]
    return None


def _plain(text: str) -> str:
    """The normal form in which answers are compared."""
    text = _FRACTION.sub(r"\1/\2", text)
    text = normalise(_LATEX.sub(lambda m: m.group(1) or "", text))
    return _SPACE_BY_HAN.sub("", " ".join(text.split())).strip(_ENDS)


def _parsed(text: str) -> Any:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    try:
        parsed = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict | list) else None
