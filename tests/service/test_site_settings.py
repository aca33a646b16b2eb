"""Settings: where they come from, which one wins, what is refused, and that each is documented."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladnn.errors import ConfigError
from ladnn.service.addresses import both_ways
from ladnn.service.settings import Settings, read_settings, to_environment

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "settings.md"
ROW = re.compile(r"^\| `(\w+)` \| (?:`([^`]*)`|empty) \|", re.MULTILINE)


def test_options_win_over_the_environment_which_wins_over_the_file(tmp_path: Path):
    file = tmp_path / "site.toml"
    file.write_text('port = 1\nworkers = 2\nlanguage = "zh"\n')
    environment = {"LADNN_PORT": "3", "LADNN_WORKERS": "4"}
    found = read_settings(file, environment, {"port": 5})
    assert (found.port, found.workers, found.language) == (5, 4, "zh")


def test_the_environment_may_name_the_file(tmp_path: Path):
    file = tmp_path / "site.toml"
    file.write_text("port = 1\n")
    assert read_settings(environment={"LADNN_CONFIG": str(file)}).port == 1


@pytest.mark.parametrize(
    ("file", "environment"),
    [
        ("prot = 1\n", {}),
        ("port = 'one'\n", {}),
        ("port = \n", {}),
        ("", {"LADNN_PROT": "1"}),
        ("", {"LADNN_PORT": "one"}),
        ("", {"LADNN_PORT": "70000"}),
        ("", {"LADNN_PORT": "0"}),  # the system would choose one, and nobody could tell which
        ("", {"LADNN_LANGUAGE": "fr"}),
        ("", {"LADNN_PUBLIC_URL": "ladnn.example.org"}),
        ("", {"LADNN_PUBLIC_URL": "https://"}),
        ("", {"LADNN_PUBLIC_URL": "https://ladnn.example.org/ct"}),
        ("", {"LADNN_PUBLIC_URL": "https://ladnn.example.org?x#y"}),
        ("", {"LADNN_METRICS_FROM": "monitor.example.org"}),
        ("", {"LADNN_METRICS_FROM": "127.0.0.1,10.0.0.1/8"}),
        ("metrics_from = ['10.0.0.0/33']\n", {}),
        ("trusted_proxies = ['nginx']\n", {}),
        ("trusted_proxies = ['10.0.0.1/8']\n", {}),
        ("", {"LADNN_TRUSTED_PROXIES": "*,10.0.0.1"}),
    ],
)
def test_what_is_unknown_or_impossible_is_refused_by_name(
    file: str, environment: dict[str, str], tmp_path: Path
):
    path = tmp_path / "site.toml"
    path.write_text(file)
    with pytest.raises(
        ConfigError, match=r"(?i)prot|port|language|public_url|metrics_from|trusted|TOML"
    ):
        read_settings(path, environment)


def test_everybody_may_be_trusted_as_a_proxy_where_only_one_can_connect():
    assert read_settings(environment={"LADNN_TRUSTED_PROXIES": "*"}).trusted_proxies == ("*",)


@pytest.mark.parametrize("given", ["https://ladnn.example.org/", "http://[::1]:8000"])
def test_an_address_may_have_a_port_and_end_with_a_slash(given: str):
    assert read_settings(environment={"LADNN_PUBLIC_URL": given}).public_url == given


def test_variables_of_other_parts_of_the_project_are_no_settings():
    assert read_settings(environment={"LADNN_DEBUG": "1", "HOME": "/"}) == Settings()


addresses = st.lists(st.sampled_from(["10.0.0.1", "::1", "10.0.0.0/8"]), max_size=3).map(tuple)


@given(st.builds(Settings, port=st.integers(1, 65_535), trusted_proxies=addresses))
def test_settings_survive_the_way_to_a_worker_process(settings: Settings):
    assert read_settings(environment=to_environment(settings)) == settings


def test_every_setting_is_documented_with_its_default():
    documented = dict(ROW.findall(PAGE.read_text("utf-8")))
    environment = to_environment(Settings())
    names = [item.name for item in fields(Settings)]
    assert documented == {name: environment[f"LADNN_{name.upper()}"] for name in names}


def test_every_setting_is_told_in_the_docstring():
    words = set(re.findall(r"\w+", Settings.__doc__ or ""))
    assert {item.name for item in fields(Settings)} - words == set()


def test_the_ipv4_proxies_of_a_site_that_listens_on_both_are_known_in_ipv6_too():
    assert both_ways(["10.0.0.0/8", "::1"]) == ["10.0.0.0/8", "::1/128", "::ffff:10.0.0.0/104"]
    assert both_ways(["127.0.0.1", "*"]) == ["*"]
