"""Tokenised rows on the disk, mapped from there: a big set takes no memory beside the pages that are being read.

Called by ``run`` and by the methods. The files lie in the run's folder, are of this run alone and go when it ends: no
cache is shared with another run, and none is found again that was made of other data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

Columns = Mapping[str, Literal["ids", "number", "flag"]]
"""What stands in each column: a list of token ids, a number, or yes and no."""
AT_A_TIME = 256
"""Rows that are written together."""


def write_rows(rows: Iterable[Mapping[str, Any]], columns: Columns, path: Path) -> Any:
    """``rows`` in a file at ``path``, as a data set that reads them from there; None where there are none."""
    from datasets import Dataset, Features, List, Value
    from datasets.arrow_writer import ArrowWriter

    kinds = {"ids": List(Value("int32")), "number": Value("float64"), "flag": Value("bool")}
    features = Features({name: kinds[kind] for name, kind in columns.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with ArrowWriter(path=str(path), features=features, writer_batch_size=AT_A_TIME) as writer:
        for row in rows:
            writer.write(dict(row))
            count += 1
        if count:
            writer.finalize()
    return Dataset.from_file(str(path)) if count else None
