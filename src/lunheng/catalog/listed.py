"""Lists as one bound JSON value, so that a statement is the same whatever their length, and is made once.

Called by ``Catalog`` and ``vectors`` for the statements of a search: to make one takes longer than to run it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, String, bindparam, func, select


def listed(name: str) -> Select[tuple[Any]]:
    """The values of the parameter ``name``, which ``as_list`` gives."""
    return select(func.json_each(bindparam(name, type_=String)).table_valued("value", name=f"{name}_listed").c.value)


def as_list(values: Iterable[int | str]) -> str:
    """``values`` as such a parameter."""
    return json.dumps(list(values), ensure_ascii=False)
