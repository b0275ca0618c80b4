"""Folders of the tests and of the project."""

import os
from pathlib import Path

SUPPORT = Path(__file__).parent
TESTS = SUPPORT.parent
ROOT = TESTS.parent
# for processes of their own whose scripts import test files
PYTHONPATH = os.pathsep.join(map(str, [SUPPORT, *sorted(path for path in TESTS.iterdir() if path.is_dir())]))
