"""JavaScript for llmspell: the QuickJS VM in a worker process.

`engine` is what the host loads; everything else lives in the worker.
"""
