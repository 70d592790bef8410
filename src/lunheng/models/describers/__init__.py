"""Vision models that describe pictures, one file a provider."""
