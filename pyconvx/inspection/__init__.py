"""Looking into what is there: networks before and after training, and the installation.

summary   a table of layers: shapes, parameters, multiplications, receptive fields
versions  what a bug report needs
"""

from pyconvx.inspection.summary import Summary
from pyconvx.inspection.versions import show_versions

__all__ = ["Summary", "show_versions"]
