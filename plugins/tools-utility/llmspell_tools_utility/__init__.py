"""Everyday tools for llmspell: calculator, dates, UUIDs, hashes, base64 and text."""
