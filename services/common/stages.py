"""How long each stage of a recording's way takes: one histogram, in which each service counts its own."""

from prometheus_client import Histogram

STAGE_SECONDS = Histogram(
    "whisper_stage_seconds",
    "Time that one stage of a recording's way took",
    ["stage"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
)
