"""OpenAI and every server that speaks its chat protocol, through the `openai` package."""
