"""The workflow types that come with llmspell."""
