"""Model plugins of the `llm` ecosystem as a provider for llmspell."""
