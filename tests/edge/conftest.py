"""Tests that are coroutines run in an event loop of their own; an error that a call-back did not handle fails them."""

import asyncio
import inspect

import pytest


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

    asyncio.run(watched())
    return True
