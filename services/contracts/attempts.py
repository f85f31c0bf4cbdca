"""Attempts at a job: its first pass over the recording, and one more each time its gaps are tried again."""

import msgspec

from services.contracts import topology
from services.contracts.identifiers import run_id
from services.contracts.messages import JobRecord, JobState, StartJob


def retried(record: JobRecord) -> JobRecord:
    """The record of the attempt after this one."""
    return msgspec.structs.replace(
        record,
        attempt=record.attempt + 1,
        state=JobState.RUNNING,
        ended_at=None,
        problem=None,
    )


def command(record: JobRecord) -> StartJob:
    """What tells the chunkers to make the record's current attempt."""
    return StartJob(
        owner=record.owner, job=record.id, run=record.run, attempt=record.attempt, trace=record.trace
    )


def waiting_subject(record: JobRecord) -> str:
    """Where that command waits until the job's user has a place for it."""
    return topology.waiting(record.lane, record.owner, run_id(record.id, record.run), record.attempt)


def command_subject(record: JobRecord) -> str:
    """Where it stands from then on, until its attempt is over."""
    return topology.control(record.lane, record.owner, run_id(record.id, record.run), record.attempt)
