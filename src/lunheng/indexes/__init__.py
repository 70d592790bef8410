"""Derived indexes: everything here can be dropped and rebuilt from the catalog.

Called by ``knowledge`` and ``retrieval``. ``filters`` is the one filter language, ``lexical`` is BM25
inside the catalog's SQLite file, ``vectors`` holds the embedded vector indexes.
"""
