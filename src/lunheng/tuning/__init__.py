"""Fine-tuning: recipes, data, trainers, merging and export. Called by ``lunheng tune``; needs the extra ``tune``.

Nothing here imports torch until a model is loaded, so that data and recipes are checked anywhere.
"""
