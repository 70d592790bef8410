"""Models in Hugging Face's form, through torch and transformers: the provider, what a folder holds, where text ends."""

from lunheng.models.llms.hugging_face.adapters import HuggingFaceAdapters
from lunheng.models.llms.hugging_face.folder import find_model_folder, is_model_folder
from lunheng.models.llms.hugging_face.provider import HuggingFaceLLM

__all__ = ["HuggingFaceAdapters", "HuggingFaceLLM", "find_model_folder", "is_model_folder"]
