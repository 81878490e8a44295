"""Tests that are coroutines."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec

P = ParamSpec("P")


def in_loop(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run a test in an event loop of its own; a callback's unhandled error fails it."""

    async def watched(*args: P.args, **kwargs: P.kwargs) -> None:
        unhandled: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(repr(context)))
        await test(*args, **kwargs)
        assert not unhandled, unhandled  # noqa: S101 a test tool

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(watched(*args, **kwargs))

    return run
