"""Progress of long work: a bar on a terminal, nothing in a pipe or where tqdm is not installed."""

from collections.abc import Iterable
from typing import Any


def bar(items: Iterable[Any] | None = None, *, desc: str, total: int | None = None) -> Any:
    """``tqdm(items)``, gone when it is done; without items, something to ``update`` in a ``with`` block."""
    try:
        from tqdm import tqdm  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        return _Silent(items)
    return tqdm(items, desc=desc, total=total, disable=None, leave=False)


class _Silent:
    def __init__(self, items: Iterable[Any] | None) -> None:
        self.items = items or ()

    def __iter__(self) -> Any:
        return iter(self.items)

    def __enter__(self) -> "_Silent":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, n: int = 1) -> None:
        """Do nothing."""

    def clear(self) -> None:
        """Nothing: there is no bar that a printed line would run into."""
