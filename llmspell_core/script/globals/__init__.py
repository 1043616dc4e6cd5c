"""The core's own script globals; each module exposes one `GLOBAL`."""
