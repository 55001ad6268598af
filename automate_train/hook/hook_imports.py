"""Do something to a module right after the trainer has imported it, and nothing before.

Covers: one import finder that wraps the loader of the modules it was told of. Not: modules that are imported already.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


class AfterImport:
    """An import finder that finds nothing itself: modules named in `patches` are found by the others and, once they
    have run, handed to their patch; those in `rescues` may raise, and are handed over as they then are. So the
    trainer's imports keep their order, and cost nothing before their time."""

    def __init__(
        self,
        patches: dict[str, Callable[[Any], None]],
        rescues: dict[str, Callable[[Any, Exception], None]] | None = None,
    ) -> None:
        self.patches, self.rescues = patches, rescues or {}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in self.patches and name not in self.rescues:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None and finder is not self else None
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = ThenPatch(spec.loader, self.patches.get(name), self.rescues.get(name))
                return spec
        return None


class ThenPatch:
    """A loader that does what the real one does and then calls `patch(module)`, or `rescue(module, error)`."""

    def __init__(
        self,
        loader: Any,
        patch: Callable[[Any], None] | None,
        rescue: Callable[[Any, Exception], None] | None = None,
    ) -> None:
        self.loader, self.patch, self.rescue = loader, patch, rescue

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def create_module(self, spec: Any) -> Any:
        return self.loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__spec__.loader = module.__loader__ = self.loader
        try:
            self.loader.exec_module(module)
        except Exception as error:
            if self.rescue is None:
                raise
            self.rescue(module, error)
        else:
            if self.patch is not None:
                self.patch(module)
