"""Grafana dashboards as tables of panels; `python -m tests.charts.boards` writes the chart's files."""

import itertools
import json
from typing import Any

import msgspec

from tests.charts.rendering import CHART

FOLDER = CHART / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT, COLUMNS = 8, 8, 3
RATE = "[$__rate_interval]"


class Panel(msgspec.Struct, frozen=True):
    """One picture: a title, Grafana's unit, and expressions by what their lines are called."""

    title: str
    unit: str
    lines: dict[str, str]
    about: str = ""
    kind: str = "timeseries"


class Board(msgspec.Struct, frozen=True):
    """A dashboard: rows of panels by their headings."""

    uid: str
    title: str
    about: str
    rows: dict[str, tuple[Panel, ...]]


def quantiles(metric: str, matching: str = "", by: str = "", *shares: float) -> dict[str, str]:
    """Lines of a histogram's quantiles."""
    inner = f"sum by (le{f', {by}' if by else ''}) (rate({metric}_bucket{{{matching}}}{RATE}))"
    name = f"{{{{{by}}}}} " if by else ""
    return {
        f"{name}p{share * 100:g}": f"histogram_quantile({share}, {inner})" for share in shares or (0.5, 0.95)
    }


def rate(metric: str, by: str = "", matching: str = "") -> dict[str, str]:
    """One line of a counter's rate, or one for each value of a label."""
    grouped = f" by ({by})" if by else ""
    return {f"{{{{{by}}}}}" if by else "a second": f"sum{grouped} (rate({metric}{{{matching}}}{RATE}))"}


def newest(metric: str, by: str = "", matching: str = "", how: str = "max") -> dict[str, str]:
    """One line of a gauge, or one for each value of a label."""
    grouped = f" by ({by})" if by else ""
    return {f"{{{{{by}}}}}" if by else "now": f"{how}{grouped} ({metric}{{{matching}}})"}


def stage(name: str) -> dict[str, str]:
    """Quantiles of a stage of a recording's way."""
    return quantiles("whisper_stage_seconds", f'stage="{name}"')


def process(service: str) -> tuple[Panel, ...]:
    """What every process uses."""
    job = f'job="{service}"'
    return (
        Panel(
            "Processes",
            "short",
            {"running": f'count(whisper_build_info{{service="{service}"}}) or vector(0)'},
        ),
        Panel("Processor time", "short", {"{{instance}}": f"rate(process_cpu_seconds_total{{{job}}}{RATE})"}),
        Panel("Memory", "bytes", {"{{instance}}": f"process_resident_memory_bytes{{{job}}}"}),
    )


USERS = Board(
    "whisper-users",
    "Whisper: what users see",
    "Whether uploads are taken, how soon words appear, and how much of the promise is left.",
    {
        "Promises": (
            Panel(
                "Error budget left over 30 days",
                "percentunit",
                {
                    "{{slo}}": "1 - sum_over_time(whisper:slo_errors:rate5m[30d:1h])"
                    " / sum_over_time(whisper:slo_events:rate5m[30d:1h]) / on (slo) whisper:slo_budget:ratio"
                },
                "1 is all of it, 0 none; below, more failed than promised.",
                "stat",
            ),
            Panel(
                "Failing now",
                "percentunit",
                {"{{slo}}": "whisper:slo_errors:rate5m / whisper:slo_events:rate5m"},
                "Share of the last five minutes' events.",
            ),
            Panel("Time to the first words", "s", quantiles("whisper_first_text_seconds", "", "", 0.5, 0.95)),
        ),
        "Recordings": (
            Panel("Uploads by how they ended", "ops", rate("whisper_uploads_total", "outcome")),
            Panel("Jobs under way", "short", newest("whisper_jobs", "state")),
            Panel("Attempts that ended", "ops", rate("whisper_jobs_ended_total", "state")),
            Panel(
                "Seconds of work for a second of audio",
                "short",
                quantiles("whisper_job_real_time_factor"),
                "Below 1 is faster than listening.",
            ),
            Panel(
                "Chunks without text",
                "ops",
                rate("whisper_gaps_total", "code"),
                "Each is a gap in a transcript, which can be tried again.",
            ),
            Panel("Audio of users today", "s", newest("whisper_user_audio_seconds", "user")),
        ),
        "The page and the API": (
            Panel("Requests by status", "reqps", rate("whisper_http_requests_total", "status")),
            Panel(
                "Time to answer",
                "s",
                quantiles(
                    "whisper_http_request_seconds",
                    'route!~"/v1/jobs/{id}/events|/stream|/v1/jobs|/transcribe|/api/transcribe|/v1/audio/.*"',
                ),
                "Without uploads and event streams, whose time is the client's doing.",
            ),
            Panel(
                "Stored to seen",
                "s",
                stage("deliver"),
                "From a result being stored to it being written to a reader.",
            ),
            Panel("Readers", "short", newest("whisper_event_streams_open", how="sum")),
            Panel(
                "Logins by outcome", "ops", rate("whisper_auth_requests_total", "outcome", 'request="login"')
            ),
            Panel("Webhooks by outcome", "ops", rate("whisper_webhook_tries_total", "outcome")),
        ),
    },
)
RECEIVING = Board(
    "whisper-receiving",
    "Whisper: receiving (gateway, auth)",
    "Uploads, events, logins.",
    {
        "Uploads": (
            Panel("Under way", "short", newest("whisper_uploads_in_progress", how="sum")),
            Panel("Bytes stored", "Bps", rate("whisper_upload_bytes_total")),
            Panel("Time of an upload", "s", stage("upload"), "The client's line is in it."),
            Panel("Sent again, not worked on again", "ops", rate("whisper_repeated_uploads_total")),
            Panel("Cancelled", "ops", rate("whisper_jobs_cancelled_total", "by")),
            Panel("Gaps tried again", "ops", rate("whisper_retries_total")),
        ),
        "Events": (
            Panel("Events sent", "ops", rate("whisper_events_sent_total")),
            Panel("Jobs followed", "short", newest("whisper_jobs_followed", how="sum")),
            Panel("Readers cut off", "ops", rate("whisper_event_readers_cut_off_total")),
        ),
        "Janitor": (
            Panel("What it did", "ops", rate("whisper_janitor_actions_total", "action")),
            Panel("Rounds", "ops", rate("whisper_janitor_rounds_total")),
            Panel("Jobs in mind", "short", newest("whisper_janitor_jobs")),
        ),
        "Access": (
            Panel("Tokens given out", "ops", rate("whisper_auth_tokens_issued_total", "kind")),
            Panel("Tokens refused", "ops", rate("whisper_tokens_refused_total", "reason")),
            Panel("Passwords waiting", "short", newest("whisper_auth_password_checks_waiting", how="sum")),
            Panel("Time of auth", "s", quantiles("whisper_auth_request_seconds", "", "request", 0.95)),
            Panel("Reads of the accounts", "ops", rate("whisper_auth_account_reads_total", "outcome")),
            Panel(
                "Age of the signing key",
                "s",
                {"now": "time() - max(whisper_auth_signing_key_created_timestamp_seconds > 0)"},
                kind="stat",
            ),
        ),
        "Gateways": process("gateway"),
        "Auth": process("auth"),
    },
)
CUTTING = Board(
    "whisper-cutting",
    "Whisper: decoding and cutting (chunker)",
    "From stored bytes to chunks.",
    {
        "Work": (
            Panel(
                "Recordings in hand",
                "short",
                newest("whisper_messages_in_progress", "queue", 'queue=~"chunker-.*"', "sum"),
            ),
            Panel("Given a place", "ops", rate("whisper_jobs_admitted_total")),
            Panel("Audio decoded, a second", "s", rate("whisper_decoded_audio_seconds_total")),
            Panel("Decoding a recording", "s", stage("decode")),
            Panel("Cutting a recording", "s", stage("cut")),
            Panel("From the job to its first chunk", "s", quantiles("whisper_first_chunk_seconds")),
        ),
        "Chunks": (
            Panel("Sent", "ops", rate("whisper_chunks_sent_total")),
            Panel("Sent again", "ops", rate("whisper_chunks_redriven_total")),
            Panel(
                "Waiting for the window",
                "short",
                rate("whisper_window_stall_seconds_total"),
                "How many jobs wait for the endpoint at a time.",
            ),
            Panel("Silence left out, a second", "s", rate("whisper_skipped_audio_seconds_total")),
            Panel(
                "Protection of decoders",
                "short",
                newest("whisper_decoder_protection", "protection", how="min"),
            ),
        ),
        "Chunkers": process("chunker"),
    },
)
TRANSCRIBING = Board(
    "whisper-transcribing",
    "Whisper: transcribing (transcriber, endpoint)",
    "From chunks to words.",
    {
        "Chunks": (
            Panel("Waiting", "s", stage("queue"), "From being stored to a transcriber beginning with it."),
            Panel(
                "In hand",
                "short",
                newest("whisper_messages_in_progress", "queue", 'queue=~"transcriber-.*"', "sum"),
            ),
            Panel("Audio transcribed, a second", "s", rate("whisper_transcribed_audio_seconds_total")),
        ),
        "Calls of the endpoint": (
            Panel("By outcome", "ops", rate("whisper_endpoint_calls_total", "outcome")),
            Panel("Time of a good one", "s", stage("invoke")),
            Panel("Refused, one asks for all", "short", newest("whisper_endpoint_closed")),
            Panel("Held meanwhile", "short", newest("whisper_endpoint_held_chunks", how="sum")),
            Panel("Cold for", "s", quantiles("whisper_endpoint_cold_seconds", "", "", 0.5, 0.95)),
        ),
        "Inside the container, where it is scraped": (
            Panel("Requests", "ops", rate("whisper_endpoint_requests_total", "outcome")),
            Panel("Waiting for a place", "s", quantiles("whisper_endpoint_queue_wait_seconds")),
            Panel("Inference", "s", quantiles("whisper_endpoint_inference_seconds")),
            Panel("Windows in a step", "short", quantiles("whisper_endpoint_batch_rows")),
            Panel("Time of a step", "s", quantiles("whisper_endpoint_decode_step_seconds")),
            Panel("Written again", "ops", rate("whisper_endpoint_fallbacks_total", "flaw")),
        ),
        "Transcribers": process("transcriber"),
    },
)
QUEUES = Board(
    "whisper-queues",
    "Whisper: queues and storage (NATS)",
    "What waits, for how long, and how full the disk is.",
    {
        "Queues": (
            Panel("Messages", "short", newest("whisper_queue_messages", "queue")),
            Panel("Age of the oldest", "s", newest("whisper_queue_oldest_seconds", "queue")),
            Panel("Settled, by outcome", "ops", rate("whisper_messages_handled_total", "outcome")),
            Panel("Time in hand", "s", quantiles("whisper_message_seconds", "", "queue", 0.95)),
            Panel("Given up", "short", newest("whisper_dead_letters")),
            Panel("Forgotten and replaced", "ops", rate("whisper_forgotten_messages_total", "queue")),
        ),
        "Storage": (
            Panel(
                "Share of the disk budget",
                "percentunit",
                {
                    "{{stream}}": "max by (stream) (whisper_stream_bytes)"
                    " / (max by (stream) (whisper_stream_limit_bytes) > 0)"
                },
            ),
            Panel("Bytes", "bytes", newest("whisper_stream_bytes", "stream")),
            Panel("Waits for room", "ops", rate("whisper_room_waits_total")),
        ),
        "Health": (
            Panel("Without a leader", "short", newest("whisper_stream_leaderless", "stream")),
            Panel("Copies missing", "short", newest("whisper_stream_replicas", "stream", 'state="missing"')),
            Panel("Connected", "short", newest("whisper_bus_connected", "job", how="min")),
            Panel("Connections made again", "ops", rate("whisper_bus_reconnects_total", "job")),
            Panel("Operations tried again", "ops", rate("whisper_bus_retries_total", "job")),
            Panel(
                "Certificate ends in",
                "s",
                {"now": "min(whisper_nats_certificate_expiry_timestamp_seconds) - time()"},
                kind="stat",
            ),
        ),
    },
)
COST = Board(
    "whisper-cost",
    "Whisper: what it costs",
    "Hours of audio against hours of machines. Prices are in docs/cost.md, endpoint hours in CloudWatch.",
    {
        "Audio": (
            Panel(
                "Hours in, a day",
                "h",
                {"decoded": "sum(increase(whisper_decoded_audio_seconds_total[1d])) / 3600"},
                kind="stat",
            ),
            Panel(
                "Hours transcribed, a day",
                "h",
                {"transcribed": "sum(increase(whisper_transcribed_audio_seconds_total[1d])) / 3600"},
                kind="stat",
            ),
            Panel(
                "Share left out as silence",
                "percentunit",
                {
                    "skipped": "sum(increase(whisper_skipped_audio_seconds_total[1d]))"
                    " / sum(increase(whisper_decoded_audio_seconds_total[1d]))"
                },
                "What the endpoint did not have to be paid for.",
                "stat",
            ),
        ),
        "Endpoint": (
            Panel(
                "Calls at a time",
                "short",
                {"busy": f'sum(rate(whisper_stage_seconds_sum{{stage="invoke"}}{RATE}))'},
                "Divided by what the endpoint can do at once it is the share of its hours that are used.",
            ),
            Panel(
                "Hours of calls, a day",
                "h",
                {"busy": 'sum(increase(whisper_stage_seconds_sum{stage="invoke"}[1d])) / 3600'},
                kind="stat",
            ),
            Panel(
                "Idle share of the last day",
                "percentunit",
                {
                    "nothing was transcribed": "1 - avg_over_time((sum(rate("
                    "whisper_transcribed_audio_seconds_total[5m])) > bool 0)[1d:5m])"
                },
                "Of an endpoint that is always on, so much of its price bought nothing.",
                "stat",
            ),
        ),
        "Machines": (
            Panel(
                "Processes",
                "short",
                {"{{service}}": "count by (service) (whisper_build_info)"},
                "Chunkers and transcribers are at 0 when nothing is to be done.",
            ),
            Panel(
                "Hours of processes, a day",
                "h",
                {"{{service}}": "sum_over_time((count by (service) (whisper_build_info))[1d:1m]) / 60"},
            ),
            Panel(
                "Processor seconds for an hour of audio",
                "s",
                {
                    "{{job}}": "sum by (job) (increase(process_cpu_seconds_total"
                    '{job=~"gateway|chunker|transcriber"}[1h]))'
                    " / on () group_left ()"
                    " (sum(increase(whisper_decoded_audio_seconds_total[1h])) / 3600 > 0)"
                },
            ),
        ),
    },
)
BOARDS = (USERS, RECEIVING, CUTTING, TRANSCRIBING, QUEUES, COST)


def shown(board: Board) -> str:
    """The dashboard as Grafana imports it."""
    numbers = itertools.count(1)
    panels: list[dict[str, Any]] = []
    top = 0
    for heading, row in board.rows.items():
        place = {"h": 1, "w": WIDTH * COLUMNS, "x": 0, "y": top}
        panels.append(
            {
                "type": "row",
                "id": next(numbers),
                "title": heading,
                "gridPos": place,
                "collapsed": False,
                "panels": [],
            }
        )
        top += 1
        for number, panel in enumerate(row):
            x, y = number % COLUMNS * WIDTH, top + number // COLUMNS * HEIGHT
            panels.append(_panel(panel, next(numbers), x, y))
        top += -(-len(row) // COLUMNS) * HEIGHT
    document = {
        "uid": board.uid,
        "title": board.title,
        "description": board.about,
        "tags": ["whisper"],
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
            ]
        },
        "panels": panels,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "id": number,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": {},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": expression, "legendFormat": name}
            for index, (name, expression) in enumerate(panel.lines.items())
        ],
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for board in BOARDS:
        (FOLDER / f"{board.uid.removeprefix('whisper-')}.json").write_text(shown(board))
