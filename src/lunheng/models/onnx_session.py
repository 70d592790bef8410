"""Opens ONNX models on the CPU, and says how many threads to use.

Called by the ONNX embedder and reranker, and by llama.cpp for the threads.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lunheng.errors import ModelError

MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"


def thread_count(threads: int) -> int:
    """``threads``, or where it is 0 the cores that this process may use."""
    if threads:
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def require_files(folder: Path) -> None:
    """Check that ``folder`` holds a model and its tokenizer.

    Raises:
        ModelError: one of them is missing.
    """
    for name in (MODEL_FILE, TOKENIZER_FILE):
        if not (folder / name).is_file():
            raise ModelError(
                f"model: {folder / name} is missing. `lunheng models list` names models that can be pulled."
            )


def open_session(path: Path) -> Any:
    """An ONNX Runtime session that runs on one thread; callers run several texts at once instead.

    Raises:
        ModelError: the file is missing or damaged.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # lengths vary, so a remembered layout would only take memory
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            str(path),
            options,
            providers=["CPUExecutionProvider"],
            # The fused kernel is five times slower than the sum and the norm apart (1.32, one thread).
            disabled_optimizers=["SkipLayerNormFusion"],
        )
    except Exception as error:
        raise ModelError(f"model {path}: ONNX Runtime cannot open it ({error}). Pull the model again.") from error
