"""OpenTelemetry spans of llmspell runs."""
