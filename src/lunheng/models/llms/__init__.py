"""Language models: one file a provider. Each implements ``lunheng.protocols.LLM``."""
