"""Training data: read in every usual form, judged line by line, split, and nothing dropped without being counted."""
