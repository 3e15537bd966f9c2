"""What the word vectors hold: neighbours by their cosine."""
