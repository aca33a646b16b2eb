"""How `make docs` builds the pages: Sphinx with Markdown by MyST, every warning an error."""

from ladnn import __version__

project = "LA-DNN"
copyright = "the LA-DNN contributors, Apache-2.0"
release = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["commands.py", "audit.py"]
# Pages link to files of the repository that are no pages; a test proves that each is there.
suppress_warnings = ["myst.xref_missing"]

html_theme = "furo"
html_title = f"LA-DNN {release}"
html_show_sourcelink = False
