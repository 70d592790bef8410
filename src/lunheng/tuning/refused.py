"""What a gate says where it does not open. Raised before a model is put to use; the commands end with exit code 3."""

from __future__ import annotations

from lunheng.errors import LunhengError


class RefusedError(LunhengError):
    """A model that is not better, has forgotten too much, or is less safe was to be promoted."""
