"""Limits on requests, on guesses, and what of either a caller is told."""

from datetime import UTC, datetime, timedelta

import pytest
from starlette.requests import Request

from ladnn.service import limits
from ladnn.service.accounts import guessing
from ladnn.service.database import Database
from ladnn.service.errors import TooMany

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_name_gets_its_minute_s_worth_at_once_and_then_one_by_one():
    clock = Clock()
    limiter = limits.Limiter(60, clock=clock)
    for _ in range(60):
        limiter.take("a")
    with pytest.raises(TooMany) as refused:
        limiter.take("a")
    assert refused.value.headers == {"retry-after": "2"}
    clock.now += 1.01
    limiter.take("a")
    with pytest.raises(TooMany):
        limiter.take("a")


def test_one_name_does_not_use_up_another_s():
    limiter = limits.Limiter(1, clock=Clock())
    limiter.take("a")
    limiter.take("b")


def test_no_limit_is_no_limit():
    limiter = limits.Limiter(0, clock=Clock())
    for _ in range(1000):
        limiter.take("a")


def test_what_is_remembered_of_many_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "MOST_BUCKETS", 10)
    limiter = limits.Limiter(5, clock=Clock())
    for number in range(100):
        limiter.take(f"address {number}")
    assert len(limiter._buckets) == 10


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "testclient"),
    ],
)
def test_an_address_counts_for_the_line_it_comes_from(host: str, name: str):
    request = Request({"type": "http", "client": (host, 1), "headers": []})
    assert limits.address_of(request) == name


def guess(
    database: Database,
    when: datetime,
    email: str = "a@b.c",
    address: str = "x",
    browser: str = "",
) -> None:
    who = guessing.Guesser(email=email, address=address, browser=browser)
    database.write(lambda session: guessing.attempt(session, database, when, who))


def test_after_five_wrong_guesses_an_account_waits_longer_each_time(database: Database):
    for _ in range(5):
        guess(database, NOON)
    with pytest.raises(TooMany) as first:
        guess(database, NOON)
    guess(database, NOON + timedelta(seconds=5))
    with pytest.raises(TooMany) as second:
        guess(database, NOON + timedelta(seconds=5))
    waits = [int(one.value.headers["retry-after"]) for one in (first, second)]
    assert waits == [6, 11]


def test_no_wait_is_longer_than_a_quarter_of_an_hour():
    assert guessing.wait_after(1_000_000, 5) == timedelta(minutes=15)


def test_many_accounts_guessed_at_from_one_address_make_the_address_wait(database: Database):
    for number in range(20):
        guess(database, NOON, email=f"{number}@b.c")
    with pytest.raises(TooMany):
        guess(database, NOON, email="another@b.c")
    guess(database, NOON, email="another@b.c", address="y")


def test_a_right_password_ends_the_account_s_wait_and_takes_one_guess_from_the_address(
    database: Database,
):
    stranger = guessing.Guesser(email="a@b.c", address="x")
    for _ in range(5):
        guess(database, NOON)
    database.write(lambda session: guessing.forget(session, stranger))
    guess(database, NOON)
    for number in range(15):
        guess(database, NOON, email=f"{number}@b.c")
    with pytest.raises(TooMany):
        guess(database, NOON, email="last@b.c")


def test_strangers_make_an_account_wait_and_not_a_browser_that_it_knows(database: Database):
    for number in range(5):
        guess(database, NOON, address=str(number))
    with pytest.raises(TooMany):
        guess(database, NOON, address="y")
    for _ in range(5):
        guess(database, NOON, address="y", browser="own")
    with pytest.raises(TooMany):
        guess(database, NOON, address="y", browser="own")


def test_what_is_right_in_a_known_browser_gives_strangers_no_guess(database: Database):
    for _ in range(5):
        guess(database, NOON)
    owner = guessing.Guesser(email="a@b.c", address="y", browser="own")
    database.write(lambda session: guessing.forget(session, owner))
    with pytest.raises(TooMany):
        guess(database, NOON)


def test_what_is_used_of_a_day_comes_back_over_the_day():
    clock = Clock()
    limiter = limits.Limiter(86_400, 86_400, clock)
    limiter.take("a", 80_000)
    with pytest.raises(TooMany) as refused:
        limiter.take("a", 10_000, "error.too_much")
    assert (refused.value.key, refused.value.headers) == ("error.too_much", {"retry-after": "3601"})
    clock.now += 3601
    limiter.take("a", 10_000)


def test_one_piece_larger_than_all_of_a_day_is_let_through_once():
    limiter = limits.Limiter(10, clock=Clock())
    limiter.take("a", 50)
    with pytest.raises(TooMany):
        limiter.take("a", 1)


def test_guesses_are_forgotten_after_a_day(database: Database):
    for _ in range(5):
        guess(database, NOON)
    for _ in range(5):
        guess(database, NOON + timedelta(hours=25))
