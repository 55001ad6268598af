"""Change a module right after the trainer has imported it, without importing anything before.

Covers: an import finder that wraps the loaders of the named modules. Not: modules that are imported already.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType

Patch = Callable[[Any], None]  # of a module: whoever patches it knows what it has
Rescue = Callable[[Any, Exception], None]


class AfterImport:
    """An import finder that finds nothing itself. The other finders find the modules named in `patches`; once such a
    module has run, its patch gets it. A module in `rescues` may raise, and its rescue gets it as it is then. So the
    trainer's imports keep their order and their cost."""

    def __init__(self, patches: dict[str, Patch], rescues: dict[str, Rescue]) -> None:
        self.patches, self.rescues = patches, rescues

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self.patches and name not in self.rescues:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find is not None and finder is not self else None
            if spec is not None:
                if spec.loader is not None:
                    patching = PatchingLoader(spec.loader, self.patches.get(name), self.rescues.get(name))
                    spec.loader = patching  # type: ignore[assignment]  # not a subclass: importlib.abc stays unimported
                return spec
        return None


class PatchingLoader:
    """A loader that loads as the real one does and then calls `patch(module)`, or `rescue(module, error)`."""

    def __init__(self, loader: Loader, patch: Patch | None, rescue: Rescue | None) -> None:
        self.loader, self.patch, self.rescue = loader, patch, rescue

    def __getattr__(self, name: str) -> object:
        return getattr(self.loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        try:
            self.loader.exec_module(module)
        except Exception as error:
            if self.rescue is None:
                raise
            self.rescue(module, error)
        else:
            if self.patch is not None:
                self.patch(module)
