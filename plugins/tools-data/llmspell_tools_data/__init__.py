"""Tools for structured data in llmspell: JSON queries with jq, validation by JSON Schema."""
