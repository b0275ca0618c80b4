"""What holds for the compiled modules' sources as texts; test_plans.py has plans, which look at their arrays."""

import re
from pathlib import Path

import pytest

import pyconvx

SOURCES = sorted(Path(pyconvx.__file__).with_name("_ext").glob("*.pyx"))
DEFINITION = re.compile(r"^def (\w+)\((.*?)\):$", re.MULTILINE | re.DOTALL)
ARRAY = re.compile(r"(?:const )?\w+\[[:, 1]+\] (\w+)( not None)?\s*(?:[,=)#\n]|$)")
# arrays that may be missing: everything else refuses None, which a loop would follow into nowhere
OPTIONAL = {
    ("activations", "add"): {"activated"},
    ("channels", "scale"): {"shifts"},
}


@pytest.mark.skipif(not SOURCES, reason="installed without sources")
def test_arrays_of_kernels_refuse_none():
    arrays, optional = 0, {}
    for source in SOURCES:
        for name, arguments in DEFINITION.findall(source.read_text()):
            found = ARRAY.findall(arguments)
            arrays += len(found)
            assert len(found) == len(re.findall(r"\[[:, 1]+\]", arguments)), name
            missing = {argument for argument, refused in found if not refused}
            if missing:
                optional[source.stem, name] = missing
    assert optional == OPTIONAL
    assert arrays > 50
