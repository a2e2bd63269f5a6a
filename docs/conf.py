"""Sphinx settings. The pages are built offline and load nothing from elsewhere when they are read."""

project = "onionpath"
copyright = "the onionpath maintainers"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

# Links to headings, as in `architecture.md#the-walk-of-one-request`.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]

html_theme = "furo"
html_title = "onionpath"
html_copy_source = False
html_show_sphinx = False
