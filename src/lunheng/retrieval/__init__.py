"""Finds what answers a question: dense and lexical search, fusion, reranking, duplicates, neighbours.

Called by answering and the knowledge base.
"""
