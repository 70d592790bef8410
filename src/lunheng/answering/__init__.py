"""From hits to a cited and checked answer. Called by the knowledge base.

``naive`` and ``advanced`` find the sources; ``writer`` turns them into an answer for both.
"""
