"""Work that waits for a package to be imported by somebody else."""

import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import PathFinder


def after_import(package: str, work: Callable[[], object]) -> None:
    """Runs `work()` once `package` has been imported: at once where it is, else right after its import.

    The package itself is never imported here.

    Args:
        package: Name of a top-level package.
        work: Called once, without arguments.
    """
    if package in sys.modules:
        work()
    else:
        sys.meta_path.insert(0, _Finder(package, work))


class _Finder(MetaPathFinder):
    """Finds one package where Python finds it, and hands it over with a loader that adds the work."""

    def __init__(self, package, work):
        self.package = package
        self.work = work

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.package:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self)
        return spec


class _Loader(Loader):
    """Loads with `loader`, then removes the finder and does its work."""

    def __init__(self, loader, finder):
        self.loader = loader
        self.finder = finder

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        # The package sees its own loader, as if nobody had been in between.
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        if self.finder in sys.meta_path:
            sys.meta_path.remove(self.finder)
            self.finder.work()
