"""Gemini models over the Gemini Developer API."""
