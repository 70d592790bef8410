"""Functions of pdfium called by the thousand for each page, without what makes a call through ctypes slow.

Called by ``pdf_characters`` and ``pdf_rules``. The bindings check and convert each argument, which takes longer than the
function itself: here addresses are plain numbers, and the caller answers for them.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

_POINTER, _INT = ctypes.c_void_p, ctypes.c_int
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "FPDFText_GetLooseCharBox": (_POINTER, _INT, _POINTER),
    "FPDFText_GetMatrix": (_POINTER, _INT, _POINTER),
    "FPDFText_GetFontSize": (_POINTER, _INT),
    "FPDFText_GetTextObject": (_POINTER, _INT),
    "FPDFText_IsGenerated": (_POINTER, _INT),
    "FPDFTextObj_GetFont": (_POINTER,),
    "FPDFTextObj_GetTextRenderMode": (_POINTER,),
    "FPDFPage_GetObject": (_POINTER, _INT),
    "FPDFFormObj_GetObject": (_POINTER, ctypes.c_ulong),
    "FPDFPageObj_GetType": (_POINTER,),
    "FPDFPageObj_GetMatrix": (_POINTER, _POINTER),
    "FPDFPageObj_GetBounds": (_POINTER, _POINTER, _POINTER, _POINTER, _POINTER),
    "FPDFPath_CountSegments": (_POINTER,),
    "FPDFPath_GetPathSegment": (_POINTER, _INT),
    "FPDFPath_GetDrawMode": (_POINTER, _POINTER, _POINTER),
    "FPDFPathSegment_GetPoint": (_POINTER, _POINTER, _POINTER),
    "FPDFPathSegment_GetType": (_POINTER,),
    "FPDFPathSegment_GetClose": (_POINTER,),
}
_RESULTS: dict[str, Any] = {
    "FPDFText_GetFontSize": ctypes.c_double,
    "FPDFText_GetTextObject": _POINTER,
    "FPDFTextObj_GetFont": _POINTER,
    "FPDFPage_GetObject": _POINTER,
    "FPDFFormObj_GetObject": _POINTER,
    "FPDFPath_GetPathSegment": _POINTER,
}


@functools.cache
def quick(name: str) -> Callable[..., Any]:
    """The function of that name: handles are addresses (``address``), results as pdfium gives them."""
    import pypdfium2.raw as pdfium

    prototype = ctypes.PYFUNCTYPE(_RESULTS.get(name, _INT), *_ARGUMENTS[name])
    return prototype(ctypes.cast(getattr(pdfium, name), _POINTER).value or 0)


def address(handle: Any) -> int:
    """Of a handle of the bindings.

    Raises:
        ValueError: if it is null.
    """
    found = ctypes.cast(handle, _POINTER).value
    if not found:
        raise ValueError("a null handle of pdfium")
    return found
