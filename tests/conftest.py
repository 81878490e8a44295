"""Hypothesis profiles: what CI finds, it finds every time; a developer's machine keeps looking elsewhere.

Tests that are coroutines run in an event loop of their own; an error that a call-back did not handle fails them.
"""

import asyncio
import inspect
import os
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("dev", deadline=None)  # the first example compiles numba code
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

LEFT_S = 10.0
"""How long what a test left behind may take to end when it is cancelled."""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}

    async def watched() -> None:
        unhandled: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(repr(context)))
        await test(**arguments)
        assert not unhandled, unhandled

    _run(watched())
    return True


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run as ``asyncio.run`` does, but a task that does not end when cancelled fails the test and hangs nobody."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(work)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        stuck = loop.run_until_complete(asyncio.wait(left, timeout=LEFT_S))[1] if left else set()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        asyncio.set_event_loop(None)
        if not stuck:
            loop.close()
    assert not stuck, f"did not end when they were cancelled: {stuck}"
