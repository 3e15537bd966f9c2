"""Text from a language model: one token at a time, and how each is chosen."""
