"""Labels as a decorator."""

import functools

# Flags of code objects, as in the module `inspect`, which takes a third of the start to import.
_GENERATOR = 0x20
_COROUTINE = 0x80
_ASYNC_GENERATOR = 0x200


def decorate(labels, function):
    """`function` under `labels`: a generator in each of its steps, but not between them."""
    wrap = _wrapper_for(function)
    return functools.wraps(function)(wrap(labels, function))


def _wrapper_for(function):
    plain = function
    while isinstance(plain, functools.partial):
        plain = plain.func
    flags = getattr(getattr(plain, "__code__", None), "co_flags", 0)
    if flags & _COROUTINE:
        return _coroutine
    if flags & _GENERATOR:
        return _generator
    if flags & _ASYNC_GENERATOR:
        return _async_generator
    return _plain


def _plain(labels, function):
    def labeled(*args, **kwargs):
        with labels:
            return function(*args, **kwargs)

    return labeled


def _coroutine(labels, function):
    async def labeled(*args, **kwargs):
        with labels:
            return await function(*args, **kwargs)

    return labeled


def _generator(labels, function):
    def labeled(*args, **kwargs):
        steps = function(*args, **kwargs)
        step, value = steps.send, None
        while True:
            try:
                with labels:
                    item = step(value)
            except StopIteration as end:
                return end.value
            try:
                step, value = steps.send, (yield item)
            except GeneratorExit:
                with labels:
                    steps.close()
                raise
            except BaseException as error:
                step, value = steps.throw, error

    return labeled


def _async_generator(labels, function):
    async def labeled(*args, **kwargs):
        steps = function(*args, **kwargs)
        step, value = steps.asend, None
        while True:
            try:
                with labels:
                    item = await step(value)
            except StopAsyncIteration:
                return
            try:
                step, value = steps.asend, (yield item)
            except GeneratorExit:
                with labels:
                    await steps.aclose()
                raise
            except BaseException as error:
                step, value = steps.athrow, error

    return labeled
