"""What the server's errors mean: a table, and the cases that no table holds."""

import pytest
from asyncmy import errors as driver

from codequay.ports import errors as ports
from codequay_mariadb.errors import CommitLost, Damaged, NoConnection, PoolClosed, classify


@pytest.mark.parametrize(
    ("number", "meaning"),
    [
        (1213, ports.LockBusy),
        (1205, ports.LockBusy),
        (2006, ports.Unavailable),
        (2013, ports.Unavailable),
        (2003, ports.Unavailable),
        (1927, ports.Unavailable),
        (1053, ports.Unavailable),
        (1040, ports.Unavailable),
        (1045, ports.PermissionDenied),
        (1044, ports.PermissionDenied),
        (1142, ports.PermissionDenied),
        (1290, ports.PermissionDenied),
        (1049, ports.NotFound),
        (1021, ports.ResourceExhausted),
        (1114, ports.ResourceExhausted),
        (1153, ports.ResourceExhausted),
        (1406, ports.InvalidArgument),
        (1146, ports.FingerprintMismatch),
        (1054, ports.FingerprintMismatch),
        (1194, ports.Corrupt),
        (1969, ports.DeadlineExceeded),
        (1064, ports.Internal),
        (9999, ports.Internal),
    ],
)
def test_a_number_has_one_meaning(number, meaning):
    verdict = classify(driver.OperationalError(number, "what the server says"))
    assert verdict.error is meaning
    assert not verdict.ambiguous
    assert "what the server says" in verdict.message
    assert verdict.remedy or meaning is ports.Internal


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (driver.OperationalError(2013, "Lost connection (read timeout)"), ports.DeadlineExceeded),
        (driver.InterfaceError(0, ""), ports.Unavailable),
        (ConnectionResetError(), ports.Unavailable),
        (TimeoutError(), ports.DeadlineExceeded),
        (NoConnection("all 8 connections were in use"), ports.Unavailable),
        (PoolClosed(), ports.Closed),
        (Damaged("a blob without its chunks"), ports.Corrupt),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), ports.Corrupt),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), ports.InvalidArgument),
    ],
)
def test_errors_without_a_number(error, meaning):
    assert classify(error).error is meaning


def test_only_a_commit_that_was_lost_is_ambiguous():
    verdict = classify(CommitLost())
    assert verdict.error is ports.Unavailable
    assert verdict.ambiguous


def test_other_peoples_errors_are_not_ours():
    assert classify(ValueError("no")) is None
    assert classify(KeyError("no")) is None
