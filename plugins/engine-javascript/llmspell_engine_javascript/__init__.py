"""JavaScript for llmspell: the QuickJS VM in a worker process.

`engine` is what the host loads; `vm`, `sources`, `interrupt` and `js/` live in the worker.
"""
