"""News reaches the code by time, then by number; and only what is waited for costs anything."""

from typing import Any

from msgspec import Raw

from aiki.model.journal import CallKey, EntryKind, Mail, MailKind
from aiki.worker.calls import Call, CallState, Request
from aiki.worker.inbox import Inbox


def call(kind: EntryKind, address: str, ordinal: int = 0, *, order: int = 1, deadline_ms: int | None = None) -> Call:
    found = Call(Request(kind, address), CallKey(kind, address, ordinal), settle=lambda _: None, order=order)
    found.deadline_ms = deadline_ms
    return found


def mail(number: int, kind: MailKind = MailKind.EVENT, name: str = "go", **facts: Any) -> Mail:
    return Mail(number, f"m{number}", kind, 1_000 + number, name=name, **facts)


def delivered(inbox: Inbox) -> list[tuple[int, CallKey | None]]:
    """Take all that can be delivered, each answering its wait."""
    found = []
    while (first := inbox.next_mail()) is not None:
        message, answered = first
        inbox.take(message)
        if answered is not None:
            answered.state = CallState.SETTLED
            inbox.close_wait(answered)
        found.append((message.number, None if answered is None else answered.key))
    return found


def test_mail_that_is_known_is_passed_over() -> None:
    inbox = Inbox()
    inbox.receive([mail(1), mail(2)], 2)
    inbox.receive([mail(1), mail(2), mail(3)], 3)

    assert [message.number for message in inbox.unread()] == [1, 2, 3]
    assert inbox.last_mail == 3


def test_mail_is_delivered_in_order_to_who_waits_and_the_rest_stays() -> None:
    inbox = Inbox()
    inbox.receive([mail(1, name="other"), mail(2), mail(3), mail(4)], 4)
    first, second = call(EntryKind.EVENT, "go"), call(EntryKind.EVENT, "go", 1, order=2)
    inbox.open_wait(first)
    inbox.open_wait(second)

    assert delivered(inbox) == [(2, first.key), (3, second.key)]
    assert [message.number for message in inbox.unread()] == [1, 4]

    third = call(EntryKind.EVENT, "go", 2, order=3)
    inbox.open_wait(third)
    assert delivered(inbox) == [(4, third.key)]


def test_the_line_of_one_event_does_not_hold_up_another() -> None:
    inbox = Inbox()
    inbox.receive([mail(1, name="a"), mail(2, name="b"), mail(3, name="a"), mail(4, MailKind.CANCEL, "")], 4)
    waits = [call(EntryKind.EVENT, "b", order=1), call(EntryKind.EVENT, "a", order=2)]
    for wait in waits:
        inbox.open_wait(wait)

    assert [number for number, _ in delivered(inbox)] == [1, 2, 4]


def test_a_closed_wait_for_a_child_takes_the_result_that_came_for_it_along() -> None:
    inbox = Inbox()
    wait = call(EntryKind.CHILD_RESULT, "child", 1)
    inbox.open_wait(wait)
    inbox.receive([mail(1, MailKind.CHILD_RESULT, "child", ordinal=1), mail(2, MailKind.CHILD_RESULT, "child")], 2)

    assert inbox.close_wait(wait)
    assert not inbox.close_wait(wait)
    assert [message.number for message in inbox.unread()] == [2]
    assert inbox.next_mail() is None


def test_a_wake_waits_for_a_sleeper_until_it_is_discarded() -> None:
    inbox = Inbox()
    inbox.receive([mail(1, MailKind.WAKE, ""), mail(2, MailKind.WAKE, "")], 2)
    assert inbox.next_mail() is None
    sleeper = call(EntryKind.SLEEP, "nap")
    inbox.open_wait(sleeper)
    assert inbox.sleepers() == [sleeper]
    assert delivered(inbox) == [(1, sleeper.key)]
    assert inbox.discard_wakes() == [2]
    assert inbox.unread() == ()


def test_the_earliest_deadline_counts_and_a_changed_one_replaces_the_old() -> None:
    inbox = Inbox()
    late, early = call(EntryKind.SLEEP, "a", deadline_ms=20), call(EntryKind.SLEEP, "b", order=2, deadline_ms=10)
    inbox.open_wait(late)
    inbox.open_wait(early)
    assert inbox.due(9) is None
    assert inbox.due(10) is early

    early.deadline_ms = 30
    inbox.open_wait(early)
    assert inbox.deadline_ms() == 20
    assert inbox.pop_due() is late
    assert inbox.deadline_ms() == 30
    early.state = CallState.WITHDRAWN
    assert inbox.deadline_ms() is None


def test_ten_thousand_results_of_children_are_delivered_in_one_sweep() -> None:
    class Counted(dict[CallKey, Call]):
        looked_up = 0

        def get(self, *args: Any) -> Any:
            Counted.looked_up += 1
            return super().get(*args)

    inbox = Inbox()
    inbox._asking = Counted()  # type: ignore[assignment]  # to count what is looked at
    waits = [call(EntryKind.CHILD_RESULT, f"child {number}", order=number) for number in range(1, 10_001)]
    for wait in waits:
        inbox.open_wait(wait)
    results = [mail(n, MailKind.CHILD_RESULT, f"child {n}", payload=Raw(b"1")) for n in range(1, 10_001)]
    inbox.receive(results, 10_000)

    assert [number for number, _ in delivered(inbox)] == list(range(1, 10_001))
    assert Counted.looked_up <= 10_001


def test_a_thousand_unread_events_are_not_looked_at_until_they_are_waited_for() -> None:
    inbox = Inbox()
    inbox.receive([mail(number, name="other") for number in range(1, 1_001)], 1_000)
    assert inbox.next_mail() is None
    assert inbox._heads == []
