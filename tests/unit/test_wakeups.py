"""What wake-ups tell of a job, and when they do not tell enough."""

from functools import partial

from services.contracts import topology
from services.gateway.standings import Standings
from services.gateway.wakeups import Wakeups

RESULT = f"live.{topology.text('job-0', 1)}"
RECORD = topology.live_job("owner", "job")


def test_results_are_counted_until_they_are_taken() -> None:
    wakeups = Wakeups(Standings())
    with wakeups.on("job") as news, wakeups.on("other") as others:
        assert news.take() is None, "before the first look anything may have happened"
        wakeups.wake(RESULT)
        wakeups.wake(RESULT)
        assert news.is_set()
        assert news.take() == 2
        assert not news.is_set()
        assert not others.is_set()


def test_a_look_without_a_wakeup_is_for_everything() -> None:
    with Wakeups(Standings()).on("job") as news:
        news.take()
        assert news.take() is None


def test_a_changed_record_or_lost_wakeups_are_a_look_for_everything() -> None:
    wakeups = Wakeups(Standings())
    with wakeups.on("job") as news:
        for wake in (partial(wakeups.wake, RECORD), wakeups.wake_all):
            news.take()
            wakeups.wake(RESULT)
            wake()
            assert news.take() is None
            wakeups.wake(RESULT)
            assert news.take() == 1
