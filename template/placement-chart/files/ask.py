"""Ask a Placement as its own user: `ask.py URL` for a look at it, `ask.py` alone for a token.

For the Python of Placement's image, with the settings that Placement has.
"""

import sys

sys.path.insert(0, "/startup")

import requests
from keystoneauth1 import loading, session

import options
from problem import StartError, told_in_one_line

SECONDS = 30


def token():
    """Return a token of an admin."""
    config = options.load()
    if config.api.auth_strategy == "noauth2":
        return "admin"
    group = options.KEYSTONE_GROUP
    auth = loading.load_auth_from_conf_options(config, group)
    verify = config[group].cafile or True
    return session.Session(auth, verify=verify, timeout=SECONDS).get_token()


def ask(url, path, **headers):
    """Return what Placement answers, or end with it."""
    answer = requests.get(url + path, headers=headers, timeout=SECONDS)
    if answer.status_code != 200:
        raise StartError(f"GET {path} was answered with {answer.status_code}: {answer.text}")
    return answer.json()


def main():
    """Do what the arguments say."""
    if not sys.argv[1:]:
        print(token())
        return
    [url] = sys.argv[1:]
    [version] = ask(url, "/")["versions"]
    print(f"version: {version['id']}, up to {version['max_version']}")
    found = ask(
        url,
        "/traits",
        **{"x-auth-token": token(), "openstack-api-version": f"placement {version['max_version']}"},
    )
    print(f"token and database: accepted, {len(found['traits'])} traits")


with told_in_one_line():
    main()
