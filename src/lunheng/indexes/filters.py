"""One filter language over chunk metadata: text or JSON form, evaluated in Python or in SQL alike.

Called by the knowledge base and retrieval: ``parse_filter`` turns what the user wrote into the frozen
syntax tree below; ``to_sql`` compiles it to a condition on the catalog's chunks; ``matches`` is the
reference that a property test holds ``to_sql`` to.

Text form: ``author == "王芳" and page_number > 3 and not tags contains "draft"``; ``in`` takes a list:
``language in ["zh", "en"]``. JSON form: ``{"field": "page_number", "op": ">", "value": 3}``,
``{"and": [...]}``, ``{"or": [...]}``, ``{"not": {...}}``.

Fields are those of ``lunheng.types.Metadata``; any other name, or ``extra.NAME``, is the user's own key. Where a
filter meets a catalog, ``check_fields`` tells such a key from a misspelt field.

The truth table. Every comparison is true or false, never unknown, so ``not`` always flips:

=====================  ============================================================================
field missing or null  ``== null`` true, ``!= null`` false; ``==`` else false, ``!=`` else true;
                       ``< <= > >= in contains`` false (``in`` a list that has null: true)
types differ           number against text, boolean against number ...: not equal (``!=`` true),
                       ``< <= > >= contains`` false. 1 and 1.0 are equal; true and 1 are not
text                   compared by code point, case and width as they stand; ``contains``: substring
list fields            (tags, heading_path, acl, bbox, lists in extra) ``contains x``: an element
                       equals x. ``==`` and ``!=`` compare the whole list with a list, elements in
                       order. ``< <= > >=`` false; ``in`` compares the whole list with each entry
time fields            (created_at, last_modified) compared as instants; a time without a zone is UTC,
                       a date alone its first moment. ``contains``, or a value that is no time: FilterError
objects in extra       equal nothing; not null
=====================  ============================================================================
"""

from lunheng.indexes.filter_fields import check_fields
from lunheng.indexes.filter_sql import to_sql
from lunheng.indexes.filter_syntax import parse_filter
from lunheng.indexes.filter_tree import FIELDS, And, Comparison, Filter, Not, Operator, Or, matches

__all__ = [
    "FIELDS",
    "And",
    "Comparison",
    "Filter",
    "Not",
    "Operator",
    "Or",
    "check_fields",
    "matches",
    "parse_filter",
    "to_sql",
]
