"""Embedders: one file a provider. Each implements ``lunheng.protocols.Embedder``."""
