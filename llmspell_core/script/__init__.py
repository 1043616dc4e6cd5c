"""Scripts: what they can say (declare), how they run (host, worker, wire) and what fences them in (fence)."""
