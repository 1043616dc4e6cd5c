"""What is installed: found without importing it (`catalog`, `discovery`, `describe`), imported by name (`registry`)."""
