"""Text as such: language, sentences, normal forms, terms, keywords. Called by every room above.

Pure functions over strings; nothing here knows of documents, models or indexes.
"""

from lunheng.text.keywords import extract_keywords
from lunheng.text.language import detect_language, han_share
from lunheng.text.normalise import normalise, simplify
from lunheng.text.segmentation import terms, words
from lunheng.text.sentences import split_sentences

__all__ = [
    "detect_language",
    "extract_keywords",
    "han_share",
    "normalise",
    "simplify",
    "split_sentences",
    "terms",
    "words",
]
