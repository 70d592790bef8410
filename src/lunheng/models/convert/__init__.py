"""Turning weights as they are published into the form that runs fastest here, without torch."""
