"""Dice for llmspell."""
