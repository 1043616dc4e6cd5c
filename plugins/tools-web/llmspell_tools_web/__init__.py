"""llmspell plugin."""
