"""llmspell's core: what a plugin is, and how the parts come together."""
