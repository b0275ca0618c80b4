"""Prints pyconvx/_ext/elementwise/vmath_coefficients.h: the polynomials behind exp, log, tanh and the normal CDF.

    python docs/internals/polynomials.py > pyconvx/_ext/elementwise/vmath_coefficients.h

It needs mpmath. Each polynomial is the Chebyshev interpolant, in 40 digits, of the smooth factor that remains when
the exactly known leading terms are taken out. Its coefficients are then rounded to the type. The printed error is
the relative error of the factor before its coefficients are rounded.
"""

import struct
from collections.abc import Callable

import mpmath as mp

mp.mp.dps = 40
Function = Callable[[mp.mpf], mp.mpf]

# t = (x - A) / (x + A) maps x >= 0 to [-1, 1); the tail ratio is nearly 1 / (2 + 2 x)
A = 4
SQRT2 = mp.sqrt(2)


def exp_factor(r: mp.mpf) -> mp.mpf:
    """Return (e^r - 1 - r) / r^2."""
    return (mp.expm1(r) - r) / r**2 if abs(r) > mp.mpf(10) ** -12 else mp.mpf(1) / 2 + r / 6


def log_factor(w: mp.mpf) -> mp.mpf:
    """Return (2 atanh(s) - 2 s) / s^3 at w = s^2."""
    s = mp.sqrt(w)
    return (2 * mp.atanh(s) - 2 * s) / s**3 if w > mp.mpf(10) ** -12 else mp.mpf(2) / 3 + 2 * w / 5


def normal_factor(t: mp.mpf) -> mp.mpf:
    """Return Phi(-x) e^(x^2/2) (1 + x) at t = (x - A) / (x + A)."""
    x = A * (1 + t) / (1 - t)
    return mp.erfc(x / SQRT2) / 2 * mp.exp(x * x / 2) * (1 + x)


def at(x: float) -> mp.mpf:
    """Return the t that belongs to x."""
    return (mp.mpf(x) - A) / (mp.mpf(x) + A)


HALF_LN2 = mp.log(2) / 2 * mp.mpf("1.0001")
LOG_END = (3 - 2 * SQRT2) ** 2 * mp.mpf("1.0001")
# name, meaning, factor; for each type the interval and the number of terms
TABLE: list[tuple[str, str, Function, dict[str, tuple[mp.mpf, mp.mpf, int]]]] = [
    (
        "EXP",
        "e^r = 1 + r + r^2 P(r), |r| <= ln(2)/2",
        exp_factor,
        {"float": (-HALF_LN2, HALF_LN2, 5), "double": (-HALF_LN2, HALF_LN2, 11)},
    ),
    (
        "LOG",
        "2 atanh(s) = 2 s + s^3 P(s^2), |s| <= 3 - 2 sqrt(2)",
        log_factor,
        {"float": (mp.mpf(0), LOG_END, 3), "double": (mp.mpf(0), LOG_END, 8)},
    ),
    (
        "LOG1P",
        "2 atanh(s) = 2 s + s^3 P(s^2), 0 <= s <= 1/3",
        log_factor,
        {"float": (mp.mpf(0), mp.mpf(1) / 9, 5), "double": (mp.mpf(0), mp.mpf(1) / 9, 12)},
    ),
    (
        "NORMAL",
        f"Phi(-x) = e^(-x^2/2) P(t) / (1 + x), t = (x - {A}) / (x + {A}), 0 <= x <= 15 or 39",
        normal_factor,
        {"float": (mp.mpf(-1), at(15.0), 11), "double": (mp.mpf(-1), at(39.0), 23)},
    ),
]


def rounded(value: mp.mpf, real: str) -> str:
    """Return the shortest decimals that give the value in the type."""
    if real == "double":
        return repr(float(value))
    single = struct.unpack("f", struct.pack("f", float(value)))[0]
    for digits in range(6, 10):
        short = f"{single:.{digits}g}"
        if struct.pack("f", float(short)) == struct.pack("f", single):
            break
    return f"{short}f" if "." in short or "e" in short else f"{short}.0f"


def macro(name: str, function: Function, real: str, interval: tuple[mp.mpf, mp.mpf, int]) -> str:
    """Write one polynomial as a Horner expression."""
    low, high, terms = interval
    coefficients = mp.chebyfit(function, [low, high], terms)
    grid = [low + (high - low) * k / 400 for k in range(401)]
    error = max(abs(mp.polyval(coefficients, g) / function(g) - 1) for g in grid)
    numbers = [rounded(c, real) for c in coefficients]
    lines = [f"/* {name.lower()}, {real}: {mp.nstr(error, 2)} */", f"#define VM_{name}_{real}(z) \\"]
    lines.append("    " + "(" * (terms - 1) + numbers[0] + " \\")
    lines += [f"     * (z) + {number}) \\" for number in numbers[1:]]
    return "\n".join(lines).removesuffix(" \\").replace("+ -", "- ")


def main() -> None:
    print("/* Written by docs/internals/polynomials.py, which derives these numbers. Do not edit. */")
    print("#ifndef PYCONVX_VMATH_COEFFICIENTS_H\n#define PYCONVX_VMATH_COEFFICIENTS_H\n")
    print("/* ln(2) in two parts: any exponent times the first is exact */")
    for real, bits in (("float", 15), ("double", 41)):
        high = mp.floor(mp.log(2) * 2**bits) / 2**bits
        print(f"#define VM_LN2_HIGH_{real} {rounded(high, real)}")
        print(f"#define VM_LN2_LOW_{real} {rounded(mp.log(2) - high, real)}")
    print()
    for name, meaning, function, types in TABLE:
        print(f"/* {meaning} */")
        for real, interval in types.items():
            print(macro(name, function, real, interval) + "\n")
    print("#endif")


if __name__ == "__main__":
    main()
