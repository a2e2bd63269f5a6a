"""Sphinx settings. The pages are built offline and load nothing from elsewhere when they are read."""

project = "onionpath"
copyright = "the onionpath maintainers"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

# Links to headings, as in `architecture.md#the-walk-of-one-request`.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]

# The reference is read in the order in which the source is.
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_use_param = True

html_theme = "furo"
html_title = "onionpath"
html_copy_source = False
html_show_sphinx = False


def _leave_tree_to_its_page(app, what, name, obj, options, lines):
    """docs/reference/errors.md shows the tree of errors as it stands in the source, line by line."""
    if name == "onionpath.errors":
        lines.clear()


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _leave_tree_to_its_page)
