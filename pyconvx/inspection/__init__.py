"""Information about networks, before and after training, and about the installation.

summary          a table of layers: shapes, parameters, multiplications, receptive fields
receptive_field  which part of the input an output cell depends on
versions         what a bug report needs
"""

from pyconvx.inspection.summary import Summary
from pyconvx.inspection.versions import show_versions

__all__ = ["Summary", "show_versions"]
