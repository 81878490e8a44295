"""Sphinx configuration. ``make docs`` builds with ``-W``: a warning is an error."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "Bellweave"
author = "Bellweave developers"
project_copyright = "Bellweave developers, Apache-2.0"
release = version = installed_version("bellweave")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "layers", "reference"]
exclude_patterns = ["_build"]
nitpicky = True
# Every reference must resolve, but for these, which have no target on our pages:
nitpick_ignore_regex = [
    (r"py:.*", r"(?!bellweave\.).*"),  # types of other libraries
    (r"py:(class|obj|data)", r"bellweave\.(\w+\.)*[A-Z]\w*"),  # aliases and type variables in annotations
    (
        r"py:.*",
        r"bellweave\.(cli|edge|emu|plan|report|results|scenario|sim|studies|sweep|testing|ui)\b.*",
    ),  # not public
]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "Bellweave"
html_static_path = ["_static"]
html_css_files = ["bellweave.css"]
html_show_sphinx = False
