"""Settings of the documentation site, which `make docs` builds."""

project = "copier-placement"
author = "The copier-placement authors"
html_title = "copier-placement"

extensions = ["myst_parser", "sphinxcontrib.mermaid"]
exclude_patterns = ["_build"]
nitpicky = True

# GitHub renders the same pages, so they use its syntax: ```mermaid, and links to headings.
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 3

html_theme = "furo"
html_copy_source = False
