import threading
import time

import pytest

from ladnn.turns import Turns


def test_who_waits_longest_is_served_first():
    turns, order, threads = Turns(), [], []

    def work(number):
        taken = turns.get()
        order.append(number)
        turns.put(taken)

    for number in range(5):
        thread = threading.Thread(target=work, args=(number,))
        thread.start()
        threads.append(thread)
        while turns.waiting < number + 1:
            time.sleep(0.001)
    turns.put("the only one")
    for thread in threads:
        thread.join()
    assert order == list(range(5))


def test_a_failure_puts_back_what_it_held():
    turns = Turns("one")
    with pytest.raises(ValueError, match="of the work"), turns.held() as thing:
        raise ValueError(f"of the work with {thing}")
    with turns.held() as thing:
        assert thing == "one"


def test_who_waits_too_long_leaves_the_queue():
    turns = Turns("one")
    with turns.held():
        with pytest.raises(TimeoutError):
            turns.get(0.01)
        assert turns.waiting == 0
    assert turns.get(0.01) == "one"


def test_of_several_names_each_is_served_in_turn_however_many_wait_under_one():
    turns, order, threads = Turns(), [], []

    def work(name):
        with turns.held(name):
            order.append(name)

    for name in "aaabc":
        threads.append(threading.Thread(target=work, args=(name,)))
        threads[-1].start()
        while turns.waiting < len(threads):
            time.sleep(0.001)
    turns.put("the only one")
    for thread in threads:
        thread.join()
    assert "".join(order) == "abcaa"
