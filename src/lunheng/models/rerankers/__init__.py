"""Rerankers: one file a provider. Each implements ``lunheng.protocols.Reranker``."""
