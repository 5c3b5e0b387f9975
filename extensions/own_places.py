"""The user's own places in a rendered repository, which no update touches.

Other lists of them (copier.yml, the maintenance tool, .yamllint, the docs) are compared with these
by tests/questions/test_own_places.py.
"""

PLACES = {
    "values.local.yaml": "values for the chart",
    "values.image.yaml": "the image that `make push` has pushed",
    "zones.yaml": "zones, traits and resource classes as data",
    "environments/": "environments such as staging and production",
    "gabbits/local/": "HTTP tests that `make test` also runs",
    "Makefile.local": "make targets",
    "compose.override.yaml": "changes to `compose.yaml`",
    "placement-chart/templates/local-*.yaml": "chart templates",
}
"""Patterns as in .gitignore, each with its purpose."""

CI_PLACES = {
    "github": {".github/workflows/": "workflow files that you add"},
    "gitlab": {".gitlab-ci.local.yml": "CI jobs"},
}
"""The places of each CI service."""

RENDERED_ONCE = ("values.local.yaml", "zones.yaml", "gabbits/local/")
"""Rendered by the first copy, then the user's (`_skip_if_exists` in copier.yml)."""
