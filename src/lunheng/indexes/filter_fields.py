"""Tells a filter's misspelt fields from the user's own keys.

Called where a filter meets a catalog. A name that is no field stands for a key of the user's own metadata, and a key
that no document has admits what a missing field admits: nothing, or under ``not`` everything. That must not pass in
silence.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable

from lunheng.errors import FilterError
from lunheng.indexes.filter_tree import FIELDS, And, Comparison, Filter, Not, Or

_MISSPELT = 0.8
"""Likeness from which a name is taken for a slip of the pen and not for a key that no document has yet."""
_ALIKE = 0.6
_SHOWN = 8


def check_fields(filter: Filter | None, own_keys: Callable[[], Collection[str]]) -> list[str]:
    """A warning for each own key in ``filter`` that no document has; empty where all is well.

    ``own_keys`` gives the keys that the asker's documents have; it is asked only where the filter names one.

    Raises:
        FilterError: a name is nearly that of a field or of a known key, and was not given as ``extra.NAME``.
    """
    named = [c for c in _comparisons(filter) if c.field not in FIELDS] if filter is not None else []
    if not named:
        return []
    known = own_keys()
    return list(dict.fromkeys(_complaint(c, known) for c in named if _name(c) not in known))


def _comparisons(filter: Filter) -> Iterable[Comparison]:
    match filter:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _comparisons(part)
        case Not(part):
            yield from _comparisons(part)
        case Comparison():
            yield filter


def _name(comparison: Comparison) -> str:
    return comparison.field.removeprefix("extra.")


def _complaint(comparison: Comparison, known: Collection[str]) -> str:
    name = _name(comparison)
    likely = _nearest(name, known)
    if likely and not comparison.named_own and _likeness(name, likely) >= _MISSPELT:
        raise FilterError(
            f"filter: there is no field {name!r}; did you mean {likely!r}? For a key of your own write extra.{name}"
        )
    if likely:
        hint = f"did you mean {likely!r}?"
    elif known:
        keys = sorted(known)
        hint = f"the keys of your own are {', '.join(keys[:_SHOWN])}{' …' if len(keys) > _SHOWN else ''}"
    else:
        hint = f"the fields are {', '.join(sorted(FIELDS))}"
    return f"filter: no document has the field {name!r}; {hint}"


def _nearest(name: str, known: Collection[str]) -> str | None:
    """The field or key most like ``name``, or the field that has it as one of its words (``page``: page_number)."""
    best = max([*sorted(FIELDS), *sorted(known)], key=lambda field: _likeness(name, field))
    if _likeness(name, best) >= _MISSPELT:
        return best
    word = next((field for field in sorted(FIELDS) if name.lower() in field.split("_")), None)
    return word or (best if _likeness(name, best) >= _ALIKE else None)


def _likeness(name: str, field: str) -> float:
    return difflib.SequenceMatcher(None, name.lower(), field.lower()).ratio()
