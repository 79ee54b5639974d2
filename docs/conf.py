"""The documentation as a site: `make docs`. Its pages fetch nothing from elsewhere."""

project = "PREFINE"
copyright = "the authors of this repository, MIT licence"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3  # page.md#a-heading, as GitHub has it
html_theme = "furo"
html_title = "PREFINE"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_use_index = False
html_show_search_summary = False  # they would be fetched, which file:// does not allow
html_show_sphinx = False
