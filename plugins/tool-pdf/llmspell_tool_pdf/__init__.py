"""Reads PDF files in llmspell: text, pages and document properties."""
