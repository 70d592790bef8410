"""Training and validation apart: by group, seeded, and the same on every machine.

Called by the trainers. Examples of one group (a conversation, a document) are never on both sides; equal questions
are one group, whatever the data says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from lunheng.tuning.data.examples import Example, question_of


def split(examples: Sequence[Example], share: float, seed: int = 0) -> tuple[list[Example], list[Example]]:
    """(training, validation): about ``share`` of the groups, at least one where share is above 0 and there are two.

    Which side a group is on follows from its own name and the seed alone, so that data that grows keeps its
    validation set.
    """
    groups = [example.group or f"\0{' '.join(question_of(example).split())}" for example in examples]
    places = {group: _place(group, seed) for group in groups}
    held = {group for group, place in places.items() if place < share}
    if share > 0 and not held and len(places) > 1:
        held = {min(places, key=places.__getitem__)}
    if held and len(held) == len(places):
        held.discard(max(places, key=places.__getitem__))
    training = [e for e, group in zip(examples, groups, strict=True) if group not in held]
    return training, [e for e, group in zip(examples, groups, strict=True) if group in held]


def _place(group: str, seed: int) -> float:
    digest = hashlib.blake2b(f"{seed}/{group}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
