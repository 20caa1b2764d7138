"""Sending again what a carrier refused."""

import time


class RetryBudget:
    """Allows a share of all sends to be repeated, so that an outage is not made worse."""

    def __init__(self, share: float = 0.1) -> None:
        self.share = share
        self.sent = 0
        self.repeated = 0

    def may_repeat(self) -> bool:
        return self.repeated < self.share * max(self.sent, 10)


def send_with_retry(carrier, parcel, budget: RetryBudget, attempts: int = 3):
    """Send a parcel; wait longer after each refusal."""
    for attempt in range(attempts):
        budget.sent += 1
        receipt = carrier.send(parcel)
        if receipt.accepted or not budget.may_repeat():
            return receipt
        budget.repeated += 1
        time.sleep(0.05 * 2**attempt)
    return receipt
