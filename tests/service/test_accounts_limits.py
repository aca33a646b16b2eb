"""Limits on requests, on guesses, and what of either a caller is told."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sites import MakeSite, in_a_loop
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.requests import Request

from ladnn.service import limits
from ladnn.service.accounts import guessing
from ladnn.service.database import Database
from ladnn.service.errors import TooMany
from ladnn.service.tables_accounts import Allowance

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


def test_who_gets_in_without_a_guess_takes_none_from_the_address(database: Database):
    for number in range(20):
        guess(database, NOON, email=f"{number}@b.c")
        own = guessing.Guesser(email="own@b.c", address="x")
        database.write(lambda session, own=own: guessing.forget(session, own, counted=False))
    with pytest.raises(TooMany):
        guess(database, NOON, email="another@b.c")


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


class Hands:
    """The hands of a clock that is turned by hand."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Counted:
    """A database that counts how often it was written to."""

    database: Database
    writes: int = 0

    def write(self, work: Callable[[Session], object]) -> object:
        self.writes += 1
        return self.database.write(work)

    def lock(self, session: Session, name: str) -> None:
        self.database.lock(session, name)


def processes(
    database: Database | Counted, most: float, clock: Hands | None = None, count: int = 2
) -> list[limits.SharedLimiter]:
    """The limiters of some processes, for a day."""
    hands = clock or Hands()
    return [
        limits.SharedLimiter("kind", most, 86_400, database, hands)  # type: ignore[arg-type]
        for _ in range(count)
    ]


def taken(limiter: limits.SharedLimiter, name: str = "192.0.2.7", most: int = 10_000) -> int:
    """How much of `most` is given out, one by one."""
    for number in range(most):
        try:
            limiter.take_now(name)
        except TooMany:
            return number
    return most


def test_all_processes_together_let_through_no_more_than_the_limit(database: Database):
    one, two = processes(database, 100)
    first = taken(one, most=31)
    assert (first, taken(two), taken(one)) == (31, 68, 1)  # which was left of a block


def test_many_at_the_same_moment_get_no_more_than_the_limit(database: Database):
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(taken, processes(database, 100, count=4) * 2)) == 100


def test_a_process_asks_the_database_once_for_each_block_and_not_for_what_it_must_refuse(
    database: Database,
):
    counted = Counted(database)
    (limiter,) = processes(counted, 1000, count=1)
    assert taken(limiter) == 1000
    asked = counted.writes
    assert asked <= limits.BLOCKS + 1
    assert [taken(limiter) for _ in range(100)] == [0] * 100
    assert counted.writes == asked


def test_what_is_used_of_a_day_comes_back_over_the_day(database: Database):
    clock = Hands()
    one, two = processes(database, 86_400, clock)
    one.take_now("a", 80_000)
    for limiter in (two, one):
        with pytest.raises(TooMany) as refused:
            limiter.take_now("a", 10_000, "error.too_much")
        assert refused.value.key == "error.too_much"
        assert refused.value.headers == {"retry-after": "3601"}
    clock.at += timedelta(seconds=3601)
    two.take_now("a", 10_000)
    with pytest.raises(TooMany):
        one.take_now("a", 10_000)


def test_what_a_process_took_and_did_not_give_out_is_void_after_the_time(database: Database):
    clock = Hands()
    one, two = processes(database, 100, clock)
    one.take_now("192.0.2.7")
    clock.at += timedelta(days=2)
    assert taken(two) + taken(one) == 100


def test_one_piece_larger_than_all_of_a_day_is_let_through_once(database: Database):
    (limiter,) = processes(database, 10, count=1)
    in_a_loop(limiter.take("a", 50))
    with pytest.raises(TooMany):
        limiter.take_now("a")


def test_one_name_and_one_kind_use_up_no_other_s(database: Database):
    (limiter,) = processes(database, 1, count=1)
    other = limits.SharedLimiter("other", 1, 60, database, Hands())
    for name in ("a", "b"):
        limiter.take_now(name)
    other.take_now("a")


def test_what_costs_nothing_and_what_has_no_limit_asks_no_database():
    counted = Counted(Database.__new__(Database))
    (limiter,) = processes(counted, 10, count=1)
    (free,) = processes(counted, 0, count=1)
    in_a_loop(limiter.take("a", 0))
    in_a_loop(free.take("a"))
    assert counted.writes == 0


def test_no_address_is_kept_and_nothing_at_all_after_a_day(database: Database):
    (limiter,) = processes(database, 10, count=1)
    limiter.take_now("192.0.2.7")
    (kept,) = database.read(lambda session: list(session.scalars(select(Allowance))))
    assert "192.0.2.7" not in kept.key
    database.write(lambda session: limits.forget(session, NOON + timedelta(hours=25)))
    assert database.read(lambda session: session.scalar(select(func.count(Allowance.key)))) == 0


def test_visitors_of_two_replicas_have_one_limit(make_site: MakeSite, database_url: str):
    replicas = [make_site(database_url, visitor_tests_per_minute=5) for _ in range(2)]
    said = [site.client.post("/api/v1/batches").status_code for site in replicas * 4]
    assert sorted(said) == [201] * 5 + [429] * 3


def test_guesses_are_forgotten_after_a_day(database: Database):
    for _ in range(5):
        guess(database, NOON)
    for _ in range(5):
        guess(database, NOON + timedelta(hours=25))
