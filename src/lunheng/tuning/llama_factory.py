"""A LLaMA-Factory YAML read as a recipe of ours, with every key that has no counterpart named.

Called by ``lunheng tune import``. The keys are those of its arguments (hparams/*.py) and of dataset_info.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lunheng.errors import ConfigError, MissingExtraError

_STAGES = {"pt": "clm", "sft": "sft", "rm": "reward", "ppo": "ppo", "dpo": "dpo", "kto": "kto"}
_COPIED = {
    "model_name_or_path": ("model", "name"),
    "cutoff_len": ("data", "window"),
    "lora_rank": ("parameters", "rank"),
    "lora_alpha": ("parameters", "alpha"),
    "lora_dropout": ("parameters", "dropout"),
    "loraplus_lr_ratio": ("parameters", "plus_ratio"),
    "learning_rate": ("training", "learning_rate"),
    "num_train_epochs": ("training", "epochs"),
    "warmup_ratio": ("training", "warmup_share"),
    "weight_decay": ("training", "weight_decay"),
    "max_grad_norm": ("training", "clip"),
    "gradient_checkpointing": ("training", "checkpointing"),
    "seed": ("training", "seed"),
    "save_steps": ("training", "save_steps"),
    "eval_steps": ("training", "evaluate_steps"),
    "save_total_limit": ("training", "keep"),
    "group_by_length": ("training", "by_length"),
    "pref_beta": ("preference", "beta"),
    "reward_model": ("reward", "model"),
    "max_new_tokens": ("reward", "completion_tokens"),
    "temperature": ("reward", "temperature"),
}
_OPTIMISERS = {
    "adamw_torch": "adamw",
    "adamw_torch_fused": "adamw",
    "adamw_hf": "adamw",
    "adamw_bnb_8bit": "adamw_8bit",
    "adamw_8bit": "adamw_8bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
    "adafactor": "adafactor",
}
_SCHEDULES = {
    "cosine": "cosine",
    "linear": "linear",
    "constant": "constant",
    "constant_with_warmup": "constant",
    "warmup_stable_decay": "wsd",
}
_LOSSES = {"sigmoid": "sigmoid", "hinge": "hinge", "ipo": "ipo"}
_TRACKERS = ("tensorboard", "mlflow", "wandb")
_NEEDLESS = frozenset(
    [
        "do_train",
        "overwrite_output_dir",
        "overwrite_cache",
        "preprocessing_num_workers",
        "dataloader_num_workers",
        "logging_steps",
        "plot_loss",
        "trust_remote_code",
        "ddp_timeout",
        "per_device_eval_batch_size",
        "eval_strategy",
        "evaluation_strategy",
        "fp16",
        "bf16",
        "flash_attn",
        "tokenized_path",
        "include_num_input_tokens_seen",
        "include_tokens_per_second",
        "stage",
        "finetuning_type",
        "dataset_dir",
        "media_dir",
        "save_only_model",
    ]
)
"""What a run here does by itself, or has no need of: progress, curves, formats, the number type by the hardware."""
_TAGS = {"prompt": "instruction", "query": "input", "response": "output", "history": "history", "system": "system"}
"""dataset_info.json's columns of an alpaca set, to the keys of that form here; its sharegpt columns keep their names."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A recipe, and what of the original it does not hold."""

    recipe: Mapping[str, Any]
    """As TOML has it."""
    unmapped: Mapping[str, str]
    """Each key of the original without a counterpart, to the reason."""


def import_yaml(path: Path, devices: int = 1) -> Imported:
    """Read a LLaMA-Factory YAML.

    Args:
        devices: GPUs that it was started on, which the YAML does not say: a batch there is for each.

    Raises:
        ConfigError: it cannot be read, is no such file, or is for what cannot be trained (a stage, no model).
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("PyYAML", "tune") from error
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML ({error})") from error
    if not isinstance(raw, dict) or "model_name_or_path" not in raw:
        raise ConfigError(f"{path}: no training YAML of LLaMA-Factory; it names no model_name_or_path")
    stage = raw.get("stage", "sft")
    if stage not in _STAGES:
        raise ConfigError(f"{path}: stage {stage!r} is not one of {', '.join(_STAGES)}")
    return _Reading({key: value for key, value in raw.items() if value is not None}, path, devices).read()


class _Reading:
    """One file on its way: what was read is taken from ``left``, and what remains has no counterpart."""

    def __init__(self, raw: dict[str, Any], path: Path, devices: int) -> None:
        self.left, self.path, self.devices = dict(raw), path, devices
        self.method = _STAGES[raw.get("stage", "sft")]
        self.made: dict[str, Any] = {"method": self.method}
        self.unmapped: dict[str, str] = {}

    def read(self) -> Imported:
        for part in (self._mode, self._data, self._batch, self._choices, self._parallel, self._preference):
            part()
        self._copied()
        output = self.left.pop("output_dir", None) or f"runs/{self.path.stem}"
        resumed = self.left.pop("resume_from_checkpoint", None)
        if resumed:
            self.unmapped["resume_from_checkpoint"] = "a run goes on with --resume"
        for key in self.left:
            if key not in _NEEDLESS:
                self.unmapped[key] = "has no counterpart in a recipe"
        order = ("method", "output", "model", "data", "parameters", "training", "preference", "reward", "parallel")
        whole = {**self.made, "output": output}
        return Imported({key: whole[key] for key in order if whole.get(key)}, self.unmapped)

    def _set(self, part: str, key: str, value: Any) -> None:
        self.made.setdefault(part, {})[key] = value

    def _copied(self) -> None:
        for key, (part, name) in _COPIED.items():
            if key not in self.left:
                continue
            value = self.left.pop(key)
            if self._fits(part):
                # YAML reads 1e-4 without a point as text.
                number = isinstance(value, str) and name not in ("name", "model")
                self._set(part, name, float(value) if number else value)
            else:
                self.unmapped[key] = f"{self.method} does not use it"
        if "max_steps" in self.left and int(steps := self.left.pop("max_steps")) > 0:
            self._set("training", "steps", int(steps))

    def _fits(self, part: str) -> bool:
        of_method = {"preference": ("dpo", "kto"), "reward": ("ppo",)}
        return self.method in of_method.get(part, (self.method,))

    def _mode(self) -> None:
        kind = self.left.pop("finetuning_type", "lora")
        bits = self.left.pop("quantization_bit", None)
        if (how := self.left.pop("quantization_method", None)) and how not in ("bnb", "bitsandbytes"):
            self.unmapped["quantization_method"] = f"{how}: 4-bit bases are bitsandbytes' here"
        self.left.pop("double_quantization", None)  # always so
        flags = {name: bool(self.left.pop(name, False)) for name in ("use_dora", "use_rslora", "pissa_init")}
        mode = {"use_dora": "dora", "use_rslora": "rslora", "pissa_init": "pissa"}
        chosen = [mode[name] for name, on in flags.items() if on]
        if kind not in ("full", "lora"):
            self.unmapped["finetuning_type"] = f"{kind}: trained as lora here"
        if bits == 4 and kind != "full":
            for name in (name for name, on in flags.items() if on):
                self.unmapped[name] = "not together with a 4-bit base; qlora was taken"
            self._set("parameters", "mode", "qlora")
        else:
            if bits is not None:
                self.unmapped["quantization_bit"] = f"{bits}: bases are whole, or in 4 bits under an adapter"
            for other in chosen[1:]:
                self.unmapped[next(k for k, v in mode.items() if v == other)] = (
                    f"one mode at a time; {chosen[0]} was taken"
                )
            self._set("parameters", "mode", "full" if kind == "full" else chosen[0] if chosen else "lora")
        if kind != "full" and "lora_rank" not in self.left:
            self._set("parameters", "rank", 8)  # its default
        target = self.left.pop("lora_target", "all")
        if target != "all":
            self._set("parameters", "targets", [name.strip() for name in str(target).split(",")])
        extra = self.left.pop("additional_target", None)
        if extra is not None:
            names = {name.strip() for name in str(extra).split(",")}
            if names <= {"embed_tokens", "lm_head", "wte"}:
                self._set("parameters", "save_embeddings", True)
            else:
                self.unmapped["additional_target"] = f"{extra}: only the embeddings can be trained whole besides"

    def _data(self) -> None:
        folder = Path(str(self.left.pop("dataset_dir", "data")))
        folder = folder if folder.is_absolute() else self._root(folder)
        information = self._information(folder)
        names = _names(self.left.pop("dataset", None))
        if not names:
            raise ConfigError(f"{self.path}: names no dataset")
        weights = [float(p) for p in _names(self.left.pop("interleave_probs", None))]
        if weights and len(weights) == len(names):
            self.unmapped["interleave_probs"] = "taken as weights: how often each example counts, not each set"
        sets = [self._source(name, folder, information) for name in names]
        for source, weight in zip(sets, weights, strict=False):
            source["weight"] = weight
        self._set("data", "train", sets)
        if held := _names(self.left.pop("eval_dataset", None)):
            self._set("data", "evaluation", [self._source(name, folder, information) for name in held])
        share = float(self.left.pop("val_size", 0) or 0)
        if share >= 1:
            self.unmapped["val_size"] = (
                f"{share:g} examples: a share is meant here; data.validation_share is left at 0.05"
            )
        elif not held:
            self._set("data", "validation_share", share)
        self.left.setdefault("cutoff_len", 2048)  # its default
        if self.method == "ppo":
            self._set("data", "too_long", "drop")  # a prompt that is cut asks something else
        elif self.method != "clm":
            self._set("data", "too_long", "truncate")  # what it does without a word
        packing, neat = self.left.pop("packing", None), self.left.pop("neat_packing", False)
        if packing is None:
            packing = bool(neat) or self.method == "clm"
        if self.method == "sft" and (packing or neat):
            self._set("data", "packing", True)
            if packing and not neat:
                self.unmapped["packing"] = "packed examples do not see one another here, as with neat_packing"
        template = self.left.pop("template", None)
        if template is not None:
            self.unmapped["template"] = (
                f"{template}: the model's own chat template is used; a base that has none takes model.template"
            )

    def _root(self, folder: Path) -> Path:
        """Relative folders are LLaMA-Factory's own: of the nearest folder above the YAML that has it."""
        for above in self.path.absolute().parents:
            if (above / folder / "dataset_info.json").is_file():
                return above / folder
        return folder

    def _information(self, folder: Path) -> Mapping[str, Any]:
        file = folder / "dataset_info.json"
        if not file.is_file():
            return {}
        try:
            return dict(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file}: cannot be read ({error})") from error

    def _source(self, name: str, folder: Path, information: Mapping[str, Any]) -> dict[str, Any]:
        """One set of dataset_info.json as a source; what it names elsewhere than in a file is reported."""
        entry = information.get(name)
        if entry is None:
            self.unmapped[f"dataset: {name}"] = f"is not in {folder / 'dataset_info.json'}; put its file's path in"
            return {"path": str(folder / f"{name}.json")}
        if "file_name" not in entry:
            places = [
                key
                for key in ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
                if key in entry
            ]
            where = f"{places[0]} {entry[places[0]]}" if places else "no file"
            self.unmapped[f"dataset: {name}"] = f"lies at {where}; download it and put its file's path in"
            return {"path": str(folder / f"{name}.json")}
        made: dict[str, Any] = {"path": str(folder / entry["file_name"])}
        sharegpt = entry.get("formatting") == "sharegpt"
        columns: dict[str, str] = {}
        for key, own in (entry.get("columns") or {}).items():
            if key in ("images", "videos", "audios", "tools", "kto_tag"):
                known = {"tools": "tools", "kto_tag": "label"}.get(key)
            elif key == "messages":
                known = "conversations"
            elif key in ("chosen", "rejected"):
                known = key
            else:
                known = key if sharegpt else _TAGS.get(key)
            if known is None:
                self.unmapped[f"dataset: {name}: columns.{key}"] = "has no counterpart"
            elif own is not None and own != known and not (known == "label" and own == "kto_tag"):
                columns[known] = own
        if columns:
            made["columns"] = columns
        for key in entry:
            if key not in ("file_name", "formatting", "columns", "ranking", "file_sha1", "tags", "split"):
                self.unmapped[f"dataset: {name}: {key}"] = "has no counterpart"
        usual = {"from", "value", "human", "gpt", "role", "content", "user", "assistant", "system", "observation",
                 "function_call", "tool"}  # fmt: skip
        for key, own in (entry.get("tags") or {}).items():
            if own not in usual:
                self.unmapped[f"dataset: {name}: tags.{key}"] = f"{own}: turns are told by from/value or role/content"
        return made

    def _batch(self) -> None:
        each = int(self.left.pop("per_device_train_batch_size", 8))
        rounds = int(self.left.pop("gradient_accumulation_steps", 1))
        self._set("training", "device_batch", each)
        self._set("training", "batch", each * rounds * self.devices)

    def _choices(self) -> None:
        for key, name, known, default in (
            ("optim", "optimiser", _OPTIMISERS, "adamw_torch"),
            ("lr_scheduler_type", "schedule", _SCHEDULES, "linear"),
        ):
            asked = str(self.left.pop(key, default))
            if asked in known:
                self._set("training", name, known[asked])
            else:
                self.unmapped[key] = f"{asked}: there are {', '.join(dict.fromkeys(known.values()))}"
        self.left.setdefault("warmup_ratio", 0.0)
        reports = self.left.pop("report_to", "none")
        listed = [reports] if isinstance(reports, str) else list(reports)
        trackers = [name for name in listed if name in _TRACKERS]
        if trackers:
            self._set("training", "trackers", trackers)
        for name in listed:
            if name not in (*_TRACKERS, "none"):
                self.unmapped["report_to"] = f"{name}: there are {', '.join(_TRACKERS)}"
        self.left.setdefault("seed", 42)
        if self.left.pop("disable_gradient_checkpointing", False):
            self._set("training", "checkpointing", False)
        if pure := self.left.pop("pure_bf16", False):
            self.unmapped["pure_bf16"] = f"{pure}: weights that learn are float32 here"

    def _parallel(self) -> None:
        config = self.left.pop("deepspeed", None)
        shared = self.left.pop("fsdp", None)
        self.left.pop("fsdp_config", None)
        if config is None and not shared:
            if self.devices > 1:
                self.made["parallel"] = {"devices": self.devices, "strategy": "ddp"}
            return
        strategy = "fsdp" if shared else _zero(str(config))
        if strategy is None:
            self.unmapped["deepspeed"] = f"{config}: stage 2 or 3 is meant here; ddp was taken"
        if self.devices == 1:
            key = "fsdp" if shared else "deepspeed"
            self.unmapped[key] = f"{config or shared}: for several GPUs; import again with --devices N"
            return
        self.made["parallel"] = {"devices": self.devices, "strategy": strategy or "ddp"}
        if "offload" in str(config or shared) and strategy:
            self.made["parallel"]["offload"] = True

    def _preference(self) -> None:
        loss = self.left.pop("pref_loss", None)
        if loss is None:
            return
        if self.method == "dpo" and loss in _LOSSES:
            self._set("preference", "loss", _LOSSES[loss])
        elif self.method == "dpo":
            self.unmapped["pref_loss"] = f"{loss}: there are {', '.join(_LOSSES)}"
        else:
            self.unmapped["pref_loss"] = f"{self.method} does not use it"


def _names(value: Any) -> list[str]:
    if value is None:
        return []
    listed = value if isinstance(value, list) else str(value).split(",")
    return [str(name).strip() for name in listed if str(name).strip()]


def _zero(config: str) -> str | None:
    """The stage that the name of a DeepSpeed file says (ds_z3_offload_config.json)."""
    name = Path(config).name.lower()
    return next((f"zero{n}" for n in (2, 3) if f"z{n}" in name or f"stage{n}" in name or f"zero{n}" in name), None)
