"""Exceptions in the log without their words, which may quote what was read."""

from __future__ import annotations

from types import TracebackType


class Withheld(Exception):  # noqa: N818 - stands for another error, whose name it tells
    """An exception whose words are withheld.

    Arguments
        name: the type of the exception.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def quiet(error: BaseException) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """For `exc_info` of a logger: type and place of an exception, and nothing that it says.

    >>> [str(each) for each in quiet(ValueError("Jane Roe"))[1:]]
    ['ValueError', 'None']
    """
    return Withheld, Withheld(type(error).__name__), error.__traceback__
