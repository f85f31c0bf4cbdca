"""Repeatable comparisons, each beside its targets; `python -m bench.NAME` runs one."""
