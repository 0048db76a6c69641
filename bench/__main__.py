"""`python -m bench [NAME…]`: list the benches, run those that are named or all, print their figures."""

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from bench import machine
from bench.figures import show


def benches() -> dict[str, ModuleType]:
    """Return every module of this folder that has a `run`, which yields figures: a new bench is one new file."""
    names = [found.name for found in pkgutil.iter_modules([str(Path(__file__).parent)]) if found.name != "__main__"]
    modules = {name: importlib.import_module(f"bench.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "run")}


def main() -> int:
    found = benches()
    parser = argparse.ArgumentParser("python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(found)}; all by default")
    parser.add_argument("--list", action="store_true", help="say what each one measures, and run none")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(found)):
        parser.error(f"there is no bench {', '.join(unknown)}")
    for name in options.names or found:
        title = (found[name].__doc__ or "").splitlines()[0]
        if options.list:
            print(f"{name:<10} {title}")
        else:
            before = machine.load()
            show(f"{name}: {title}", found[name].run())
            print(f"  load of the machine before and after: {before:.1f}, {machine.load():.1f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
