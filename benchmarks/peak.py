"""The machine's peak of fused multiply-adds on one core, in GFLOP/s, from a loop that stays in registers."""

import ctypes
import subprocess
import tempfile
import time
from pathlib import Path

SOURCE = """
#define BYTES {width}
typedef {real} vector __attribute__((vector_size(BYTES)));
double spin(long rounds)
{{
    vector acc[12], w, s;
    for (unsigned i = 0; i < BYTES / sizeof({real}); i++) {{ w[i] = 0.999999; s[i] = 1e-9; }}
    for (int m = 0; m < 12; m++) acc[m] = w * ({real})m;
    for (long i = 0; i < rounds; i++) {{
        _Pragma("GCC unroll 12")
        for (int m = 0; m < 12; m++) acc[m] = acc[m] * w + s;
        __asm__ volatile("" : "+x"(w), "+x"(s));
    }}
    double total = 0;
    for (int m = 0; m < 12; m++) total += acc[m][0];
    return total;
}}
"""


def _width() -> int:
    """Return the bytes of this processor's widest vector."""
    flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    return 64 if " avx512f" in flags else 32 if " fma" in flags else 16


class Peak:
    """Compiles the loop once; `measure` times it for about 20 ms."""

    def __init__(self, real: str = "float") -> None:
        self.lanes = _width() // (4 if real == "float" else 8)
        self._folder = tempfile.TemporaryDirectory()
        source = Path(self._folder.name, "peak.c")
        source.write_text(SOURCE.format(width=_width(), real=real))
        library = source.with_suffix(".so")
        flags = [
            "-O3",
            "-march=native",
            "-mprefer-vector-width=512",
            "-ffp-contract=fast",
            "-shared",
            "-fPIC",
        ]
        subprocess.run(["cc", *flags, str(source), "-o", str(library)], check=True)
        self._spin = ctypes.CDLL(str(library)).spin
        self._spin.restype = ctypes.c_double

    def measure(self, rounds: int = 3_000_000) -> float:
        """Return GFLOP/s: two operations per lane, twelve independent chains."""
        start = time.perf_counter()
        self._spin(ctypes.c_long(rounds))
        return 2 * 12 * self.lanes * rounds / (time.perf_counter() - start) / 1e9


if __name__ == "__main__":
    for real in ("float", "double"):
        peak = Peak(real)
        print(f"{real}: {max(peak.measure() for _ in range(10)):.1f} GFLOP/s on one core")
