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
    # The place stands for the group: of a big set, its texts need not be kept a second time.
    places = [_place(e.group or f"\0{' '.join(question_of(e).split())}", seed) for e in examples]
    groups = set(places)
    held = {place for place in groups if place < share}
    if share > 0 and not held and len(groups) > 1:
        held = {min(groups)}
    if held and len(held) == len(groups):
        held.discard(max(groups))
    training = [e for e, place in zip(examples, places, strict=True) if place not in held]
    return training, [e for e, place in zip(examples, places, strict=True) if place in held]


def _place(group: str, seed: int) -> float:
    digest = hashlib.blake2b(f"{seed}/{group}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
