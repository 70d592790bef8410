"""Documents into the catalog, and its upkeep: add, sync, remove, check, rebuild, backup.

Called by the knowledge base.
"""
