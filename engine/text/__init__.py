"""Text: reading and decoding files, tokenizers, vocabulary, the encoded corpus."""
