"""The client for programs without an event loop: `AsyncWhisper`, run in a thread of its own."""

import functools
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from client.access_tokens import AccessTokens
from client.hotword_lists import HotwordLists
from client.loop_thread import LoopThread
from client.whisper import PATIENCE_SECONDS, AsyncWhisper

A = TypeVar("A")
P = ParamSpec("P")
T = TypeVar("T")


class Blocking(Generic[A]):
    """Stands in front of an object whose methods are coroutines."""

    def __init__(self, target: A, thread: LoopThread) -> None:
        self._target = target
        self._thread = thread


def waited(method: Callable[Concatenate[A, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Any, P], T]:
    """The method, for callers that wait for its outcome."""

    @functools.wraps(method)
    def call(self: Blocking[A], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._thread.run(method(self._target, *args, **kwargs))

    return call


def iterated(
    method: Callable[Concatenate[A, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[Any, P], Generator[T, None, None]]:
    """The generator, for callers that wait for each item; nothing is fetched ahead."""

    @functools.wraps(method)
    def call(self: Blocking[A], /, *args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        stream = method(self._target, *args, **kwargs)

        async def following() -> list[T]:
            async for item in stream:
                return [item]
            return []

        try:
            while item := self._thread.run(following()):
                yield item[0]
        finally:
            if not self._thread.closed:
                self._thread.run(stream.aclose())

    return call


class BlockingHotwordLists(Blocking[HotwordLists]):
    """A user's hotword lists."""

    list = waited(HotwordLists.list)
    get = waited(HotwordLists.get)
    export = waited(HotwordLists.export)
    set = waited(HotwordLists.set)
    load = waited(HotwordLists.load)
    delete = waited(HotwordLists.delete)
    apply = waited(HotwordLists.apply)


class BlockingAccessTokens(Blocking[AccessTokens]):
    """A user's personal access tokens."""

    create = waited(AccessTokens.create)
    list = waited(AccessTokens.list)
    revoke = waited(AccessTokens.revoke)


class Whisper(Blocking[AsyncWhisper]):
    """`AsyncWhisper` for callers that wait; may be shared by threads, and used where a loop runs already."""

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        whisper = AsyncWhisper(
            url, token=token, username=username, password=password, patience_seconds=patience_seconds
        )
        thread = LoopThread()
        super().__init__(whisper, thread)
        self.hotwords = BlockingHotwordLists(whisper.hotwords, thread)
        self.tokens = BlockingAccessTokens(whisper.tokens, thread)
        self.close = weakref.finalize(self, _close, whisper, thread)
        """Ends the connections and the thread; done at the program's exit where it was forgotten."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    login = waited(AsyncWhisper.login)
    me = waited(AsyncWhisper.me)
    transcribe = waited(AsyncWhisper.transcribe)
    submit = waited(AsyncWhisper.submit)
    job = waited(AsyncWhisper.job)
    jobs = iterated(AsyncWhisper.jobs)
    events = iterated(AsyncWhisper.events)
    wait = waited(AsyncWhisper.wait)
    transcript = waited(AsyncWhisper.transcript)
    transcript_as = waited(AsyncWhisper.transcript_as)
    retry = waited(AsyncWhisper.retry)
    cancel = waited(AsyncWhisper.cancel)
    delete = waited(AsyncWhisper.delete)


def _close(whisper: AsyncWhisper, thread: LoopThread) -> None:
    thread.run(whisper.close())
    thread.stop()
