"""The chart refuses the secret options of the image in plain text."""

from __future__ import annotations

import json
import re

from tests.support.chart import CHART
from tests.support.containers import PYTHON, Run

# Prints the variable of every option of Placement, of keystonemiddleware and of the auth plugins,
# and whether the option is secret. Two plugins need lxml, which the image does not contain.
OPTIONS = """
import contextlib, json
from importlib.metadata import entry_points
from keystoneauth1 import loading
from keystonemiddleware import opts
from oslo_config import cfg
from placement import conf
from entrypoint.variables import known_variables

found = {}
for plugin in entry_points(group=loading.PLUGIN_NAMESPACE):
    config = cfg.ConfigOpts()
    conf.register_opts(config)
    for group, options in opts.list_auth_token_opts():
        config.register_opts(options, group=group)
    with contextlib.suppress(AttributeError):
        config.register_opts(loading.get_auth_plugin_conf_options(plugin.name), group="login")
    found |= {name: option.secret for name, (_, option) in known_variables(config).items()}
print(json.dumps(found))
"""
# Newer versions of the packages call these secret.
ALSO_SECRET = {
    "OS_KEYSTONE_AUTHTOKEN__MEMCACHE_PASSWORD",
    "OS_LOGIN__ACCESS_SECRET",
    "OS_LOGIN__CONSUMER_SECRET",
}


def test_the_chart_refuses_exactly_the_secret_options(any_image: str, run: Run) -> None:
    done = run(any_image, "-I", "-c", OPTIONS, options=(PYTHON,))
    assert done.returncode == 0, done.stderr
    options: dict[str, bool] = json.loads(done.stdout)
    requirements = (CHART / "templates/requirements.yaml").read_text(encoding="utf-8")
    [refused] = re.findall(r'\$secretOption := "(.+)"', requirements)
    secret = {name for name, is_secret in options.items() if is_secret} | ALSO_SECRET
    assert {name for name in options if re.search(refused, name)} == secret & options.keys()
