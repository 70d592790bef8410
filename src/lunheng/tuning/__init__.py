"""Fine-tuning: recipes, data, trainers, merging and export. Called by ``lunheng tune``; needs the extra ``tune``.

Rooms: ``data`` (what is read), ``planning`` (before a run), ``llm``, ``encoders`` and ``adapters`` (the run), ``release``
(after it), ``rag`` (data made from a knowledge base). Nothing here imports torch until a model is loaded, so that
data and recipes are checked anywhere.
"""
