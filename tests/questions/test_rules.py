"""The valid values of a single answer."""

from __future__ import annotations

import pytest

from extensions.deployment import QUESTIONS, Deployment, find_error, find_errors

TEXT_QUESTIONS = [
    name
    for name, field in Deployment.model_fields.items()
    if field.annotation is str and name != "release"
]

KEYSTONE_NAMES = [
    "keystone_project_name",
    "keystone_project_domain_name",
    "keystone_user_domain_name",
    "keystone_region",
]
"""Any visible text is valid here. tests/answers/valid/keystone-names.yml renders such names."""

INVISIBLE = [
    "a\nb",
    "a\r\nb",
    "a\tb",
    "a\x00b",
    "a\x1b[31mb",
    "a\u2028b",
    "a\u200bb",
    "a\u202eb",
    "a\u2066b",
    "a\ufeffb",
    "a\ue000b",
    "a\uffffb",
    "a" * 10_000,
    " a",
    "a ",
]
"""No text answer may contain these, or be that long."""

HOSTILE = [
    *INVISIBLE,
    'a"b',
    "a'b",
    "a\u00a0b",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "{# comment #}",
    "{{ .Values.image }}",
    "$(reboot)",
    "${HOME}",
    "$HOME",
    "`reboot`",
    "a;b",
    "a&&b",
    "a|b",
    "a>b",
    "a\\b",
    "# comment",
    "a #b",
    "a: b",
    "%s",
    "100%",
    "*alias",
    "&anchor",
    "!!python/object:os.system",
    "!tag",
    "[a]",
    "{a: b}",
    "- a",
    "? a",
    "<script>",
    "../../etc/passwd",
    "pl\u0430cement",
    "\uff50lacement",
    "placement\u0301",
]


@pytest.mark.parametrize("name", TEXT_QUESTIONS)
def test_every_text_question_refuses_hostile_text(name: str) -> None:
    """No special character of YAML, shells, Jinja, Go templates, make or Dockerfiles is valid."""
    refused = INVISIBLE if name in KEYSTONE_NAMES else HOSTILE
    assert [answer for answer in refused if not find_error(name, answer)] == []


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_refuses_text_that_is_not_unicode(name: str) -> None:
    """A byte that is not UTF-8 on the command line, and a surrogate of a data file."""
    for answer in ("\udcff", "a\ud800", "\ud83d"):
        error = find_error(name, answer)
        assert error.startswith(ascii(answer))
        assert error.isascii()


@pytest.mark.parametrize("name", TEXT_QUESTIONS)
def test_refusal_is_one_short_line_of_printable_ascii(name: str) -> None:
    """A refusal repeats no character that could harm or flood a terminal."""
    for answer in HOSTILE:
        error = find_error(name, answer)
        assert error or name in KEYSTONE_NAMES
        assert error.isascii()
        assert error.isprintable()
        assert len(error) < 300
        [unknown] = find_errors({answer: "x"})
        assert unknown.isascii()
        assert unknown.isprintable()


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("project_name", "a"),
        ("project_name", "a" * 40),
        ("image_repository", "localhost:5000/a/b_c/d--e"),
        ("image_repository", "placement"),
        ("base_image", "debian"),
        ("base_image", f"registry:5000/debian:13@sha256:{'0' * 64}"),
        ("keystone_auth_url", "http://[::1]:5000/v3"),
        ("keystone_auth_url", "https://Keystone.Example.com/identity/v3/"),
        ("keystone_memcached_servers", "10.0.0.1:11211,[::1]:11211,memcached:1"),
        ("host", "a.b-c.example"),
        ("network_policy", "Yes"),
        ("network_policy", "false"),
        ("replicas", "0"),
        ("replicas", 0),
        ("keystone_project_name", "A project of mine @home"),
        *(
            ("keystone_region", name)
            for name in ("Дом", "東京\u3000本社", "Région\u00a01", "a\u200cb", "?")
        ),
        ("keystone_region", "😀" * 64),
    ],
)
def test_unusual_valid_answers_are_accepted(name: str, answer: object) -> None:
    """The limits themselves are valid."""
    assert find_error(name, answer) == ""
