"""``lunheng tune export``"""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from lunheng.cli.common import AsJson, Waiting, out, print_json, show_notes
from lunheng.cli.tune.merge import Base, FourBit, Output


def export(
    trained: Annotated[str, typer.Argument(help="A run's folder, an adapter's or a model's, or a model's name.")],
    to: Annotated[str, typer.Option("--to", help="safetensors, gguf, adapter or gguf-adapter.")],
    output: Output,
    kind: Annotated[
        str, typer.Option(help="Of a GGUF file: f32, f16, bf16, q8_0, q6_k, q5_k_m, q4_k_m or q3_k_m.")
    ] = "f16",
    precision: Annotated[
        str, typer.Option(help="Of safetensors: auto (as the base's), float32, bfloat16 or float16.")
    ] = "auto",
    shard: Annotated[str, typer.Option(help="The most that one file of safetensors holds.")] = "5GB",
    name: Annotated[str, typer.Option(help="By which a server is asked for the adapter; by default the run's.")] = "",
    system: Annotated[str, typer.Option(help="A system message for Ollama's Modelfile.")] = "",
    threads: Annotated[int, typer.Option(min=0, help="For quantising; 0: as many as there are cores.")] = 0,
    base: Base = None,
    four_bit: FourBit = None,
    as_json: AsJson = False,
) -> None:
    """Write a trained model for llama.cpp and Ollama, for vLLM, SGLang and TGI, or as plain safetensors."""
    from lunheng.tuning.release.export import Target
    from lunheng.tuning.release.export import export as run
    from lunheng.tuning.release.gguf_file import GgufKind
    from lunheng.tuning.release.merge import Precision
    from lunheng.tuning.trained import find_trained

    for value, choices, option in (
        (to, Target, "--to"),
        (kind, GgufKind, "--kind"),
        (precision, Precision, "--precision"),
    ):
        if value not in get_args(choices):
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(get_args(choices))}", param_hint=option)
    with Waiting(as_json) as waiting:
        waiting.say(f"writing {to}…")
        exported = run(
            find_trained(trained, base, four_bit),
            to,  # type: ignore[arg-type]
            output,
            kind=kind,  # type: ignore[arg-type]
            precision=precision,  # type: ignore[arg-type]
            shard=shard,
            name=name,
            system=system,
            threads=threads,
        )
    if as_json:
        print_json(exported)
        return
    show_notes(exported.warnings)
    out.print(f"[bold]{exported.target}[/], {exported.kind}, {exported.size / 1e6:.0f} MB in {exported.output}:")
    for file in exported.files:
        out.print(f"  {file}", markup=False)
    if exported.target == "gguf":
        out.print(f"lunheng ask --llm {exported.output / 'model.gguf'} QUESTION", markup=False)
