"""How fast the container's engine is: what hotwords cost a step, and how it stands beside its peers."""
