"""Files and directories for llmspell scripts and agents, within the paths the security policy allows."""
