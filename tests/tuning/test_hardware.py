"""The hardware probe: limits of both versions of control groups, cores behind an affinity, bfloat16 only where native."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunheng.tuning.planning import hardware
from lunheng.tuning.planning.hardware import Accelerator, Hardware, control_groups, probe

GIB = 2**30
CPU = Hardware("cpu", 8.0, 8, 64 * GIB, 60 * GIB, 100 * GIB, cpu_bfloat16=False)


def gpu(capability: tuple[int, int] | None, kind: str = "cuda", free: int = 20 * GIB) -> Accelerator:
    return Accelerator(kind, "a GPU", 24 * GIB, free, capability)  # type: ignore[arg-type]


def test_this_machine() -> None:
    found = probe("not/made/yet")
    assert found.cores > 0 and found.threads >= 1
    assert 0 < found.available <= found.memory and found.disk > 0
    assert found.device_memory > 0


@pytest.mark.parametrize(
    ("accelerators", "cpu_bfloat16", "device", "precision"),
    [
        ((), False, "cpu", "float32"),
        ((), True, "cpu", "bfloat16"),
        ((gpu((8, 6)),), False, "cuda", "bfloat16"),
        ((gpu((7, 5)),), True, "cuda", "float16"),  # torch would emulate bfloat16 there
        ((gpu((8, 0)), gpu((7, 0))), True, "cuda", "float16"),
        ((gpu(None, "mps"),), True, "mps", "float32"),
    ],
)
def test_precision_is_what_is_native(
    accelerators: tuple[Accelerator, ...], cpu_bfloat16: bool, device: str, precision: str
) -> None:
    found = Hardware("cpu", 8.0, 8, GIB, GIB, GIB, cpu_bfloat16, accelerators)
    assert (found.device, found.precision) == (device, precision)


def test_memory_of_a_device_is_what_the_fullest_has_left() -> None:
    assert CPU.device_memory == 60 * GIB
    two = Hardware("cpu", 8.0, 8, GIB, GIB, GIB, False, (gpu((8, 0)), gpu((8, 0), free=3 * GIB)))
    assert two.device_memory == 3 * GIB


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_limits_of_the_unified_control_group(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    write(inner / "memory.max", "max\n")
    write(inner / "cpu.max", "max 100000\n")
    write(tmp_path / "a" / "memory.max", f"{2**20}\n")
    write(tmp_path / "a" / "memory.current", f"{2**19}\n")
    write(tmp_path / "a" / "memory.stat", f"anon 5\ninactive_file {2**18}\n")
    write(tmp_path / "a" / "cpu.max", "150000 100000\n")
    groups = control_groups("memory", tmp_path, "0::/a/b\n")
    assert groups == [inner, tmp_path / "a", tmp_path]
    assert hardware._cpu_quota(groups) == 1.5
    # What the kernel would give back, cached files, is available.
    assert hardware._memory(groups) == (2**20, 2**20 - 2**19 + 2**18)


def test_limits_of_the_separate_control_groups(tmp_path: Path) -> None:
    write(tmp_path / "memory" / "job" / "memory.limit_in_bytes", f"{2**20}\n")
    write(tmp_path / "memory" / "job" / "memory.usage_in_bytes", "0\n")
    write(tmp_path / "memory" / "memory.limit_in_bytes", "9223372036854771712\n")
    write(tmp_path / "cpu" / "cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "cpu" / "cpu.cfs_period_us", "100000\n")
    own = "4:memory:/job\n3:cpu,cpuacct:/\n0::/elsewhere\n"
    assert hardware._memory(control_groups("memory", tmp_path, own)) == (2**20, 2**20)
    assert hardware._cpu_quota(control_groups("cpu", tmp_path, own)) is None
    write(tmp_path / "cpu" / "cpu.cfs_quota_us", "50000\n")
    assert hardware._cpu_quota(control_groups("cpu", tmp_path, own)) == 0.5


def test_the_path_of_a_container_is_its_hosts(tmp_path: Path) -> None:
    write(tmp_path / "memory.max", "1024\n")
    assert control_groups("memory", tmp_path, "0::/docker/0a1b\n") == [tmp_path]


def test_threads_leave_room_for_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(hardware, "_physical", lambda cpus: {("0", str(n)) for n in range(4)})
    for load, threads in ((0.0, 4), (1.2, 3), (3.9, 1), (9.0, 1)):
        monkeypatch.setattr(hardware.os, "getloadavg", lambda load=load: (load, 0, 0))
        assert hardware._threads(frozenset(range(8)), 8.0) == threads
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert hardware._threads(frozenset(range(8)), 8.0) == 2


def test_two_threads_of_one_core_are_one() -> None:
    table = "\n\n".join(f"processor\t: {n}\nphysical id\t: 0\ncore id\t\t: {n % 2}" for n in range(4))
    assert len(hardware._physical(frozenset(range(4)), table)) == 2
    assert len(hardware._physical(frozenset({0, 2}), table)) == 1
