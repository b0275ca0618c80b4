"""Compiled loops, one directory per instruction-set level.

    cpu            the level of this processor, OpenMP's limits (baseline only)
    conv           convolution, forward
    conv_input     its dx
    conv_gradient  its dw and db
    conv_winograd  3x3 convolutions with fewer products, all directions
    dense          matrix products of dense layers
    max_pool       max pooling
    avg_pool       average pooling
    activations    activations over arrays, and over sums of two arrays
    softmax        softmax and its logarithm
    batch_norm     batch normalisation
    losses         losses over rows of outputs
    solver_steps   steps of the solvers, weight decay
    batches        rows of a data set as a batch
    random         counter-based random numbers, dropout

The modules take arrays, sizes and a thread count; `pyconvx.ops` checks them. README.md in this folder maps the
sources.
"""

import os
from pathlib import Path

# gcc's OpenMP lets a thread that waits spin for milliseconds before it sleeps. Beside other busy programs that
# costs two thirds of the speed of small networks; 20,000 rounds still outlast the pauses between our loops. The
# library reads the variable when `cpu` loads it; what the user has set holds, and the environment stays as it was.
_limits_spinning = not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys()
if _limits_spinning:
    os.environ["GOMP_SPINCOUNT"] = "20000"
from pyconvx._ext import cpu as cpu  # noqa: E402

if _limits_spinning:
    del os.environ["GOMP_SPINCOUNT"]

LEVELS = ("baseline", "v3", "v4")
_here = Path(__file__).parent
AVAILABLE = tuple(name for name in LEVELS[: LEVELS.index(cpu.level()) + 1] if (_here / name).is_dir())


def _choose() -> str:
    """Return the level to import, before any module that holds its instructions is touched."""
    wanted = os.environ.get("PYCONVX_ISA") or AVAILABLE[-1]
    if wanted not in LEVELS:
        raise ImportError(f"PYCONVX_ISA={wanted!r} is no level; the levels are {', '.join(LEVELS)}")
    if wanted not in AVAILABLE:
        raise ImportError(
            f"PYCONVX_ISA={wanted!r} needs more than this processor or build offers: "
            f"{cpu.level()!r} is its highest level, {', '.join(AVAILABLE)} can be chosen"
        )
    return wanted


LEVEL = _choose()
__path__.insert(0, str(_here / LEVEL))
