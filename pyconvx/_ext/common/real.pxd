"""The two types that kernels compute in."""

ctypedef fused real:
    float
    double
