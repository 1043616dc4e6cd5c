"""The web for llmspell scripts and agents, within the hosts the security policy allows."""
