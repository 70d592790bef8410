"""The ports to models."""
