import threading

from sihwa.images import ByteBudget


def test_byte_budget_claims_beyond_the_limit_wait() -> None:
    budget, entered = ByteBudget(10), threading.Event()

    def claim() -> None:
        with budget.claim(4):
            entered.set()

    other = threading.Thread(target=claim)
    with budget.claim(7):
        other.start()
        assert not entered.wait(0.05)
    other.join()
    assert entered.is_set()


def test_byte_budget_claim_larger_than_all_is_held_alone() -> None:
    budget = ByteBudget(10)
    for _ in range(2):
        with budget.claim(99):
            pass
