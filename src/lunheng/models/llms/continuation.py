"""A prompt and its continuation as tokens: what their likelihood is measured on, the same for every provider.

Called by the providers that keep ``LikelihoodModel``.
"""

from __future__ import annotations

from collections.abc import Callable

from lunheng.errors import ModelError


def joined_tokens(
    encode: Callable[[str], list[int]], start: int, window: int, prompt: str, continuation: str
) -> tuple[list[int], int]:
    """The start token and the tokens of both, and how many of them are the continuation's.

    White space at the prompt's end goes over to the continuation, since tokens begin with it (as lm-eval does). A
    prompt that is too long loses its beginning, so that at most ``window`` tokens stand before the last one.

    Raises:
        ModelError: the continuation is empty, or fills the window by itself.
    """
    if not continuation:
        raise ModelError("likelihood: the continuation is empty")
    stripped = prompt.rstrip()
    continuation = prompt[len(stripped) :] + continuation
    before, whole = encode(stripped), encode(stripped + continuation)
    if len(whole) <= len(before):  # the two merge into one token
        whole = before + encode(continuation)
    count = len(whole) - len(before)
    if count >= window:
        raise ModelError(f"likelihood: a continuation has {count} tokens and the window is {window}")
    return [start, *whole][-(window + 1) :], count
