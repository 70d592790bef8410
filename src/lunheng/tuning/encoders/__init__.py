"""Embedders and rerankers: how they are trained, measured beside the old one, and put in its place."""
