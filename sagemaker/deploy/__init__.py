"""Puts the container on SageMaker, keeps it up to date under load, and takes it away again."""
