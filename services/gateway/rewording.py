"""The hotwords of a job that is there already, changed for its chunks still to come."""

from collections.abc import Callable, Mapping

import msgspec
from aiohttp import web

from services.contracts.hotwords import Hotwords, ListUsed
from services.contracts.messages import JobRecord
from services.gateway import forms
from services.gateway.destinations import Destinations
from services.gateway.errors import BadHotwords, JobOver, NotFound
from services.gateway.hotwords import HOTWORD_LISTS
from services.gateway.jobs import JOBS
from services.gateway.results import RESULTS
from services.gateway.wordings import FIELDS, object_sent, wording

LIST = "list"

Written = Callable[[Hotwords], Hotwords]
"""What the next chunks get, by what the last ones got."""


async def reword(request: web.Request, record: JobRecord) -> JobRecord:
    """The record with the hotwords of the request; raises `JobOver` where no chunk is still to come."""
    written, used = await _wanted(request, record.owner)
    if (await request.app[RESULTS].progress(record)).end_of(record.attempt):
        raise _over(record)
    changed = await request.app[JOBS].change(record, lambda old: reworded(old, written, used))
    if changed is None:
        raise _gone()
    return changed


def reworded(old: JobRecord, written: Written, used: ListUsed | None) -> JobRecord:
    """The record with other hotwords; raises `JobOver`, or `NotFound` for a deleted job.

    Asked for what it has already it stays as it is, so the request may be repeated.
    """
    if old.deleted:
        raise _gone()
    if old.state.final:
        raise _over(old)
    hotwords = written(old.options.hotwords or Hotwords())
    options = msgspec.structs.replace(old.options, hotwords=hotwords if hotwords.words else None)
    if (options, used) == (old.options, old.hotword_list):
        return old
    revision = old.hotwords_revision + 1
    return msgspec.structs.replace(old, options=options, hotword_list=used, hotwords_revision=revision)


def described(old: JobRecord, found: JobRecord) -> JobRecord:
    """The record with what fields after the file say; hotwords that the user has changed by then stay."""
    options, used = found.options, found.hotword_list
    if old.hotwords_revision:
        options, used = msgspec.structs.replace(options, hotwords=old.options.hotwords), old.hotword_list
    return msgspec.structs.replace(old, name=found.name, options=options, hotword_list=used, lane=found.lane)


def asks_the_same(record: JobRecord, fields: Mapping[str, str], receivers: Destinations) -> bool:
    """Whether the fields of a repeated upload ask for what the job was made for.

    The hotwords it was made with are not known any more once they were changed, and a list is compared
    by its name: it may hold other words by now.
    """
    named, used = forms.named_list(fields), record.hotword_list
    options = forms.job_options(fields, record.options.hotwords or Hotwords(), receivers)
    if record.hotwords_revision:
        options = msgspec.structs.replace(options, hotwords=record.options.hotwords)
    elif named and (used is None or used.name != named):
        return False
    return options == record.options


async def _wanted(request: web.Request, owner: str) -> tuple[Written, ListUsed | None]:
    """The hotwords that the body brings, or those of the list that it names."""
    raw = await object_sent(request, known=(LIST, *FIELDS))
    if LIST not in raw:
        return wording(raw).over, None
    name = raw[LIST]
    if len(raw) > 1 or not isinstance(name, str):
        raise BadHotwords("send either the name of a list, or words and how they are used", field=LIST)
    hotwords, used = await request.app[HOTWORD_LISTS].used(owner, name, field=LIST)
    return lambda _old: hotwords, used


def _gone() -> NotFound:
    return NotFound("there is no such job")


def _over(record: JobRecord) -> JobOver:
    return JobOver(f"the job has ended ({record.state}): no chunk of it is still to come")
