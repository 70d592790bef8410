"""P-tuning (Liu et al. 2021) learns its vectors through a small network. Called by ``upkeep``.

PEFT saves the vectors alone, which is what serves; a resumed run needs the network, saved here with each checkpoint.
A module like ``callbacks``: its class is a child of the trainer's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

ENCODER = "prompt_encoder.safetensors"


class EncoderKeeper(TrainerCallback):  # type: ignore[misc]
    """Saves the network that makes the vectors, and gives it back to a resumed run.

    Args:
        model: PEFT's.
        checkpoint: where a resumed run goes on.
    """

    def __init__(self, model: Any, checkpoint: Path | None) -> None:
        self._encoder = model.prompt_encoder
        self._checkpoint = checkpoint

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._checkpoint is not None:
            from safetensors.torch import load_file

            self._encoder.load_state_dict(load_file(self._checkpoint / ENCODER))

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            from safetensors.torch import save_file

            save_file({k: v.contiguous() for k, v in self._encoder.state_dict().items()}, folder / ENCODER)
