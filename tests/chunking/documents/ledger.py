"""库存台账：记录零件的出入库。A ledger of parts that come in and go out."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

LIMIT = 200  # 每次出库的上限


@dataclass(frozen=True)
class Movement:
    """一次出入库。"""

    part: str
    amount: int
    note: str = ""


# 台账由仓库管理员维护，每周一核对。
class Ledger:
    """Movements in order, and what follows from them.

    The stock of a part is the sum of its movements; it is never below zero.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._movements: list[Movement] = []

    @property
    def parts(self) -> list[str]:
        """零件名称，按字母排序。"""
        return sorted({m.part for m in self._movements})

    # 出库前必须检查余额
    def move(self, part: str, amount: int, note: str = "") -> int:
        """Book a movement and give the new stock.

        Raises:
            ValueError: more is taken than is there, or more than the limit.
        """
        if -amount > LIMIT:
            raise ValueError(f"{part}: {-amount} exceeds the limit of {LIMIT} a movement; split it")
        stock = self.stock()[part] + amount
        if stock < 0:
            raise ValueError(f"{part}: 余额不足，只剩 {stock - amount} 件")
        self._movements.append(Movement(part, amount, note))
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow([part, amount, note])
        return stock

    def stock(self) -> dict[str, int]:
        """What is there of each part."""
        found: dict[str, int] = defaultdict(int)
        for movement in self._movements:
            found[movement.part] += movement.amount
        return found


def load(path: Path) -> Ledger:
    """Read a ledger that was written by ``Ledger.move``."""
    ledger = Ledger(path)
    with path.open(encoding="utf-8", newline="") as file:
        for part, amount, note in csv.reader(file):
            ledger.move(part, int(amount), note)
    return ledger


if __name__ == "__main__":
    print(load(Path("ledger.csv")).stock())
