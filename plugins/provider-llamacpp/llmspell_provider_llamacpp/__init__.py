"""Models that run on this machine: GGUF files served by a llama.cpp child process."""
