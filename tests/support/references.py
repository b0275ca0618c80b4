"""Compiled functions and plans as pyconvx refers to them, for tests that watch their calls."""

import sys


def references(kernel):
    """Yield (module, name) of everything in pyconvx that is this function or class."""
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] == "pyconvx":
            yield from ((module, key) for key, value in list(vars(module).items()) if value is kernel)


def public_methods(plan):
    """Return the names of what a plan can run."""
    return [name for name in dir(plan) if not name.startswith("_") and callable(getattr(plan, name))]
