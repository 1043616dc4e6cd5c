"""The workflow type tries, and the executor elsewhere."""
