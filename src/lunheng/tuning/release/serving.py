"""An adapter made ready for servers that keep one base in memory and put adapters on it request by request.

Called by ``export``. vLLM, SGLang and TGI take LoRA and little else; what they would refuse, often only at the first
request, is said here before anything is served.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lunheng.errors import ModelError
from lunheng.tuning.trained import ADAPTER_FILE, TrainedModel, attach, open_base

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as --max-lora-rank."""
_CHANGES_BASE = ("pissa", "olora", "corda", "lora_ga")
"""Initialisations that take their part out of the base's weights: the adapter is none for the base as it lies there."""


def lora_complaints(model: TrainedModel) -> list[str]:
    """Why a server of LoRA adapters would not take it; empty where it would."""
    config = model.adapter_config()
    kind = str(config.get("peft_type"))
    if kind != "LORA":
        return [f"{kind} is no LoRA: vLLM, SGLang and TGI serve only LoRA adapters"]
    found = []
    if config.get("use_dora"):
        found.append("DoRA: its magnitudes are no part of LoRA, and vLLM, SGLang and TGI refuse it")
    if config.get("modules_to_save"):
        found.append(
            f'it brings whole modules ({", ".join(config["modules_to_save"])}): vLLM says "only supports modules_to_save '
            'being None" at the first request'
        )
    if config.get("trainable_token_indices"):
        found.append("it brings embeddings of single tokens, which no server of adapters applies")
    if config.get("bias", "none") != "none":
        found.append(f"it trains biases (bias = {config['bias']!r}), which vLLM refuses")
    if str(config.get("init_lora_weights")).lower() == "loftq":
        found.append("LoftQ: it stands on weights that were changed for it, and not on its base as it lies there")
    return found


def plain_lora(model: TrainedModel, folder: Path) -> None:
    """Write the LoRA adapter ``model`` into ``folder`` as one over the base as it lies there.

    PiSSA and its like become LoRA of twice the rank (as PEFT does it), since what was taken out of the base is put
    back.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if str(model.adapter_config().get("init_lora_weights")).lower().startswith(_CHANGES_BASE):
        _as_difference(model, folder)
    else:
        for name in ("adapter_model.safetensors", ADAPTER_FILE):
            shutil.copy2(model.folder / name, folder / name)
    for file in model.folder.iterdir():
        if file.is_file() and file.name.startswith(("tokenizer", "special_tokens", "chat_template", "vocab", "merges")):
            shutil.copy2(file, folder / file.name)


def _as_difference(model: TrainedModel, folder: Path) -> None:
    import peft

    with tempfile.TemporaryDirectory() as start:
        config = peft.PeftConfig.from_pretrained(str(model.folder))
        config.inference_mode = False
        peft.get_peft_model(open_base(model), config).save_pretrained(start)
        adapted = attach(open_base(model), model)
        try:
            adapted.save_pretrained(str(folder), path_initial_model_for_weight_conversion=start)
        except (ValueError, KeyError) as error:
            raise ModelError(
                f"{model.folder}: cannot be told apart from what was taken out of its base ({error}); merge it"
            ) from error


def largest_rank(folder: Path) -> int:
    """The largest rank of an adapter's matrices."""
    from safetensors import safe_open

    with safe_open(str(folder / "adapter_model.safetensors"), framework="pt") as tensors:
        ranks = [tensors.get_slice(n).get_shape()[0] for n in tensors.keys() if ".lora_A" in n]  # noqa: SIM118
    return max(ranks, default=0)


def write_readme(
    folder: Path, final: Path, base: str, name: str, rank: int, complaints: Sequence[str], four_bit: bool
) -> None:
    """The launch commands, with everything filled in.

    Args:
        final: where the folder will stand.
        complaints: why a server would not take it, if so.
    """
    limit = next((r for r in RANKS if r >= rank), None)
    if limit is None:
        raise ModelError(f"{folder}: rank {rank} is more than vLLM serves ({RANKS[-1]}); merge it")
    over = (
        "\nIt was trained over its base in 4 bits (NF4): served over the base in full precision, its answers differ a "
        "little from those in training. `lunheng tune merge` keeps them.\n"
        if four_bit
        else ""
    )
    refused = "".join(
        f"\n**Not as it is**: {complaint}. Export it merged: `--to safetensors`.\n" for complaint in complaints
    )
    (folder / "README.md").write_text(
        f"""# {name}

A LoRA adapter of rank {rank} over `{base}`. Put the folder where the server sees it, and the base likewise.
{refused}{over}
## vLLM

```
vllm serve {base} --enable-lora --max-lora-rank {limit} --lora-modules {name}={final.absolute()}
```

## SGLang

```
python -m sglang.launch_server --model-path {base} --enable-lora --max-lora-rank {rank} --lora-paths {name}={final.absolute()}
```

## Text Generation Inference

```
LORA_ADAPTERS={name}={final.absolute()} text-generation-launcher --model-id {base}
```

## A request

```
curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' \\
  -d '{json.dumps({"model": name, "messages": [{"role": "user", "content": "你好"}]}, ensure_ascii=False)}'
```

The model's name chooses the adapter; `{base}` answers without it. (SGLang listens on port 30000 and also takes
`{base}:{name}`; TGI on port 3000.) In lunheng.toml: `models.llm = "endpoint"`, and under `[models.llm_endpoint]`
`base_url = "http://127.0.0.1:8000/v1"` and `model = "{name}"`.
""",
        encoding="utf-8",
    )


def rename_base(folder: Path, base: str) -> None:
    """The adapter's own word on where its base is."""
    file = folder / ADAPTER_FILE
    plain: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**plain, "base_model_name_or_path": base}, indent=2) + "\n", encoding="utf-8")
