"""What this machine has for training: cores that are really ours, memory, GPUs, disk; and the number type to train in.

Called by the trainers before anything loads, by the memory estimate, and by ``lunheng tune hardware``. A container sees
all of its host's cores and memory and may use a part: affinity and control groups (both versions) are asked. The CPU
part needs no torch.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import platform
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lunheng.tuning.recipes import Recipe

Device = Literal["cpu", "cuda", "mps"]
Precision = Literal["float32", "bfloat16", "float16"]

BFLOAT16_FLAGS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
"""CPU flags (x86 and ARM) of instructions that multiply bfloat16; without them torch emulates it 20 times slower."""
AMPERE = (8, 0)
"""The first CUDA capability that multiplies bfloat16; torch calls it supported on older ones too, and emulates it."""
_UNLIMITED = 2**60
"""Version 1 of the control groups says 'no limit' by a number of this size."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One GPU."""

    kind: Literal["cuda", "mps"]
    name: str
    memory: int
    """Bytes in all."""
    free: int
    """Bytes that nothing uses now."""
    capability: tuple[int, int] | None
    """CUDA's compute capability; None elsewhere."""

    @property
    def bfloat16(self) -> bool:
        """Whether it multiplies bfloat16 itself."""
        return self.kind == "cuda" and self.capability is not None and self.capability >= AMPERE


@dataclass(frozen=True, slots=True)
class Hardware:
    """What there is to train on."""

    processor: str
    cores: float
    """CPU cores of this process: affinity and control group; may be a fraction."""
    threads: int
    """Threads to train with: the physical cores of this process that others leave idle, or OMP_NUM_THREADS."""
    memory: int
    """Bytes of RAM that this process may use in all."""
    available: int
    """Bytes of RAM that it may use now."""
    disk: int
    """Bytes free where the output goes."""
    cpu_bfloat16: bool
    """Whether the CPU multiplies bfloat16 itself."""
    accelerators: tuple[Accelerator, ...] = ()
    four_bit: bool = True
    """Whether bitsandbytes is installed, which quantises to 4 bits and holds the 8-bit optimisers."""
    notes: tuple[str, ...] = ()

    @property
    def device(self) -> Device:
        """Where training runs."""
        return self.accelerators[0].kind if self.accelerators else "cpu"

    @property
    def precision(self) -> Precision:
        """The number type to compute in: bfloat16 only where it is native, float16 on older CUDA, else float32."""
        if self.device == "cuda":
            return "bfloat16" if all(a.bfloat16 for a in self.accelerators) else "float16"
        return "bfloat16" if self.device == "cpu" and self.cpu_bfloat16 else "float32"

    @property
    def device_memory(self) -> int:
        """Bytes that training may use now on one device: the fullest GPU's rest, or RAM."""
        return min(a.free for a in self.accelerators) if self.accelerators else self.available


def probe(folder: Path | str = ".") -> Hardware:
    """Look at this machine; ``folder`` is where the output will go (or would: the nearest parent that is there)."""
    cpus = _affinity()
    quota = _cpu_quota()
    cores = min(float(len(cpus)), quota) if quota else float(len(cpus))
    memory, available = _memory()
    notes: list[str] = []
    accelerators = _accelerators(notes)
    return Hardware(
        processor=_processor(),
        cores=cores,
        threads=_threads(cpus, cores),
        memory=memory,
        available=available,
        disk=_disk(Path(folder)),
        cpu_bfloat16=bool(BFLOAT16_FLAGS & _flags()),
        accelerators=accelerators,
        four_bit=importlib.util.find_spec("bitsandbytes") is not None,
        notes=tuple(notes),
    )


def shared_out(found: Hardware, recipe: Recipe) -> Hardware:
    """What one of several processes may plan with: the same on each, or they would choose differently.

    What is free at the moment differs from one to the next, so that the whole of a GPU counts, or its share of RAM.
    """
    if recipe.parallel.world == 1:
        return found
    whole = tuple(dataclasses.replace(gpu, free=gpu.memory) for gpu in found.accelerators)
    share = found.memory // recipe.parallel.devices
    return dataclasses.replace(found, accelerators=whole, memory=share, available=share)


def _affinity() -> frozenset[int]:
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _threads(cpus: frozenset[int], cores: float) -> int:
    """Two threads on a busy core take three times the work of one, so that what others use is left to them."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    physical = min(cores, len(_physical(cpus)) or cores)
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, int(physical - busy + 0.5)) if busy < physical else 1


def _physical(cpus: frozenset[int], info: str | None = None) -> set[tuple[str, str]]:
    """The physical cores behind ``cpus``, from Linux's own table; empty where it does not say."""
    found: set[tuple[str, str]] = set()
    for block in (_read("/proc/cpuinfo") if info is None else info).split("\n\n"):
        fields = dict(re.findall(r"^([\w ]+?)\s*:\s*(.*)$", block, re.M))
        if "core id" in fields and int(fields.get("processor", -1)) in cpus:
            found.add((fields.get("physical id", "0"), fields["core id"]))
    return found


def _flags() -> frozenset[str]:
    found = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", _read("/proc/cpuinfo"), re.M)
    return frozenset(found[1].split()) if found else frozenset()


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", _read("/proc/cpuinfo"), re.M)
    return found[1].strip() if found else platform.processor() or platform.machine()


def _read(path: str | Path) -> str:
    """A file of the kernel's; nothing where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _disk(folder: Path) -> int:
    folder = folder.expanduser().absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def control_groups(controller: str, root: Path = Path("/sys/fs/cgroup"), own: str | None = None) -> list[Path]:
    """The folders of this process's control groups, the innermost first: each of them may set a limit.

    Args:
        controller: ``memory`` or ``cpu``.
        root: where the control groups are mounted.
        own: the text of /proc/self/cgroup.
    """
    unified, separate = "", ""
    for line in (_read("/proc/self/cgroup") if own is None else own).splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0" and not names:
            unified = path
        elif controller in names.split(","):
            separate = path
    base, path = (root / controller, separate) if separate else (root, unified)
    inner = base / path.lstrip("/")
    folders = [folder for folder in (inner, *inner.parents) if folder == base or base in folder.parents]
    # In a container the path is the host's and the group itself is mounted at the root.
    return [folder for folder in dict.fromkeys([*folders, base]) if folder.is_dir()]


def _cpu_quota(folders: Iterable[Path] | None = None) -> float | None:
    """Cores that the control groups allow; None where there is no limit."""
    quotas: list[float] = []
    for folder in control_groups("cpu") if folders is None else folders:
        joint = _read(folder / "cpu.max").split()
        pair = joint or [_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()]
        if len(pair) == 2 and pair[0].isdigit() and pair[1].isdigit() and int(pair[0]) > 0:
            quotas.append(int(pair[0]) / int(pair[1]))
    return min(quotas, default=None)


def _memory(folders: Iterable[Path] | None = None) -> tuple[int, int]:
    """Bytes of RAM in all and available, the control groups' limits minded."""
    fields = {name: int(kib) * 1024 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB$", _read("/proc/meminfo"), re.M)}
    if fields:
        total, available = fields["MemTotal"], fields.get("MemAvailable", fields["MemFree"])
    else:
        import psutil  # of the extra 'tune' (accelerate brings it): macOS and Windows have no /proc

        virtual = psutil.virtual_memory()
        total, available = virtual.total, virtual.available
    for folder in control_groups("memory") if folders is None else folders:
        limit = _first(folder, "memory.max", "memory.limit_in_bytes")
        if limit is None or limit >= _UNLIMITED:
            continue
        used = _first(folder, "memory.current", "memory.usage_in_bytes") or 0
        cached = re.search(r"^(?:total_)?inactive_file (\d+)$", _read(folder / "memory.stat"), re.M)
        free = limit - used + (int(cached[1]) if cached else 0)
        total, available = min(total, limit), min(available, max(free, 0))
    return total, available


def _first(folder: Path, *names: str) -> int | None:
    for name in names:
        text = _read(folder / name).strip()
        if text.isdigit():
            return int(text)
    return None


def _accelerators(notes: list[str]) -> tuple[Accelerator, ...]:
    try:
        import torch
    except ImportError:
        notes.append("torch is not installed, so that GPUs are not looked for: pip install 'lunheng[tune]'")
        return ()
    found = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            free, memory = torch.cuda.mem_get_info(index)
            capability = (properties.major, properties.minor)
            found.append(Accelerator("cuda", properties.name, memory, free, capability))
    elif torch.backends.mps.is_available():
        memory = int(torch.mps.recommended_max_memory())
        used = int(torch.mps.driver_allocated_memory())
        found.append(Accelerator("mps", platform.processor(), memory, memory - used, None))
    return tuple(found)
