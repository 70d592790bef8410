"""EleutherAI's lm-evaluation-harness over our models: any of its task files, on data that lies on the disk.

Called by ``tasks``. The harness renders and scores; the model is asked through our ports. It is imported when it is
used, since it brings torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lunheng.errors import DataError, LunhengError, MissingExtraError
from lunheng.evaluation.model.asking import likelihood_model
from lunheng.evaluation.model.perplexity import text_log_probability
from lunheng.evaluation.model.scores import Metric, given, mean
from lunheng.protocols import LLM, LikelihoodModel
from lunheng.types import Message

_LOWER = ("word_perplexity", "byte_perplexity", "bits_per_byte", "brier_score", "ter")


def adapter(model: LLM, max_tokens: int = 512) -> Any:
    """``model`` as a model of the harness.

    Raises:
        MissingExtraError: lm_eval is not installed.
    """
    try:
        from lm_eval.api.model import LM
    except ImportError as error:
        raise MissingExtraError("lm_eval", "lm-eval") from error

    class Adapter(LM):  # type: ignore[misc]
        """What the harness calls; each request's ``args`` are its arguments."""

        def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
            """Of each (context, continuation)."""
            able: LikelihoodModel = likelihood_model(model, "lm-eval")
            found = able.log_likelihoods([(r.args[0], r.args[1]) for r in requests])
            return [(f.log_probability, f.greedy) for f in found]

        def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
            """Of each whole text; windows do not overlap, as the harness's own do not."""
            able = likelihood_model(model, "lm-eval")
            window = able.window - 1
            return [text_log_probability(able, r.args[0], window, window)[0] for r in requests]

        def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
            """Of each context the answer, by the model's chat template."""
            return [self._generate(*r.args) for r in requests]

        def _generate(self, context: str, options: dict[str, Any]) -> str:
            until = options.get("until") or ()
            completion = model.generate(
                (Message("user", context),),
                stop=[until] if isinstance(until, str) else list(until),
                max_tokens=int(options.get("max_gen_toks", max_tokens)),
                temperature=float(options.get("temperature", 0.0)) if options.get("do_sample") else 0.0,
            )
            return completion.text

    return Adapter()


def measure_lm_eval(
    model: LLM, task: Path, limit: int | None, max_tokens: int
) -> tuple[tuple[Metric, ...], list[dict[str, Any]]]:
    """Every metric of the task file ``task`` that the harness gives by item, and each item.

    Raises:
        MissingExtraError: lm_eval is not installed.
        DataError: there is no such task file, or it is not one.
    """
    if not task.is_file() or task.suffix not in (".yaml", ".yml"):
        raise DataError(f"{task}: is no task file of lm-eval (.yaml)")
    adapted = adapter(model, max_tokens)
    import yaml
    from lm_eval import simple_evaluate

    try:
        config = yaml.safe_load(task.read_text(encoding="utf-8"))
        name = config["task"]
        found = simple_evaluate(
            model=adapted,
            tasks=[_located(config, task)],
            limit=limit,
            bootstrap_iters=0,
            log_samples=True,
            verbosity="ERROR",
        )
    except LunhengError:
        raise
    except Exception as error:  # the harness and its loader of data have no common class of errors
        raise DataError(f"{task}: lm-eval cannot run it ({type(error).__name__}: {error})") from error
    samples = found["samples"][name]
    if not samples:
        raise DataError(f"{task}: has no items")
    names = [n for n in samples[0]["metrics"] if all(isinstance(s.get(n), (int, float)) for s in samples)]
    metrics = given(*(mean(n, [float(s[n]) for s in samples], higher_is_better=n not in _LOWER) for n in names))
    if not metrics:
        raise DataError(f"{task}: gives no metric that has a value for each item, so there is nothing to compare")
    records = [{"question": str(s["doc"]), "answer": s["filtered_resps"], "right": s["target"]} for s in samples]
    return metrics, records


def _located(config: dict[str, Any], task: Path) -> dict[str, Any]:
    """The task's configuration, its data files found beside it where they are not here."""
    files = (config.get("dataset_kwargs") or {}).get("data_files")
    if not files:
        if config.get("dataset_path") in ("json", "csv", "parquet", "text"):
            raise DataError(f"{task}: names no dataset_kwargs.data_files, which say where its data lies")
        return config

    def locate(name: str) -> str:
        beside = task.parent / name
        return str(beside) if not Path(name).is_absolute() and beside.is_file() else name

    def all_of(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: all_of(v) for key, v in value.items()}
        return [all_of(v) for v in value] if isinstance(value, list) else locate(str(value))

    return {**config, "dataset_kwargs": {**config["dataset_kwargs"], "data_files": all_of(files)}}
