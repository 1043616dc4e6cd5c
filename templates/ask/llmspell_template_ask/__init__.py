"""The llmspell template ask."""
