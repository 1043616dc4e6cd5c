"""Scripts: what they can say (declare), how they run (host, worker, vm, wire) and what fences them in (fence)."""
