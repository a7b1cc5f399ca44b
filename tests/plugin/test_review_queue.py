"""The queue of a review: view order, filters and counts, with answers known by construction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Module = Callable[[str], Any]


@pytest.fixture
def module_queue(module: Module) -> Any:
    return module("dialogs.review.queue")


ROWS = {
    "a": {"status": "unreviewed", "relation": "1-1", "priority": 0.2, "probability": 0.90, "area_km2": 0.05, "name": "RG 10"},
    "b": {"status": "accepted", "relation": "1-1", "priority": 0.9, "probability": 0.95, "area_km2": 0.10, "name": "RG 9"},
    "c": {"status": "unreviewed", "relation": "false", "priority": 0.9, "probability": 0.40, "area_km2": 2.0, "change": "found"},
    "d": {"status": "unreviewed", "relation": "missed", "area_km2": 0.7, "comment": "Beside the LAKE"},
    "e": {"status": "accepted", "priority": 0.9, "probability": 0.99, "conflict": "status", "area_km2": 0.4},
    "f": {"status": "unreviewed", "relation": "n-1", "priority": 0.5, "probability": 0.70},
}


@pytest.fixture
def queue(module_queue: Any) -> Any:
    return module_queue.Queue(
        [[{"uid": uid, **row}.get(column) for column in module_queue.COLUMNS] for uid, row in ROWS.items()],
    )


def order(queue: Any) -> str:
    return "".join(queue.uid_at(position) for position in range(len(queue)))


def test_the_highest_priority_is_first_conflicts_before_equals_and_unknown_last(queue: Any) -> None:
    assert order(queue) == "ebcfad"


@pytest.mark.parametrize(
    ("column", "descending", "expected"),
    [
        ("priority", False, "afebcd"),
        ("probability", True, "ebafcd"),
        ("probability", False, "cfabed"),
        ("area_km2", True, "cdebaf"),
        ("size_class", False, "aebdcf"),
        ("name", False, "baecfd"),
        ("name", True, "abecfd"),
        ("status", False, "cfadeb"),
        ("relation", True, "cdfbae"),
        ("conflict", True, "ebcfad"),
    ],
    ids=str,
)
def test_sorting(queue: Any, column: str, descending: bool, expected: str) -> None:
    queue.sort(column, descending)
    assert order(queue) == expected
    assert queue.sorting == (column, descending)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"relations": {"1-1", "missed"}}, "bad"),
        ({"relations": {""}}, "e"),
        ({"statuses": {"unreviewed"}}, "cfad"),
        ({"size_classes": {"small", "large"}}, "ca"),
        ({"size_classes": {"medium_s"}}, "eb"),
        ({"size_classes": {""}}, "f"),
        ({"changes": {"found", "moved"}}, "c"),
        ({"conflicts_only": True}, "e"),
        ({"text": "rg 1"}, "a"),
        ({"text": " lake "}, "d"),
        ({"text": "f"}, "f"),
        ({"relations": {"1-1"}, "statuses": {"unreviewed"}}, "a"),
        ({"relations": {"n-m"}}, ""),
        ({}, "ebcfad"),
    ],
    ids=str,
)
def test_filtering(module_queue: Any, queue: Any, conditions: dict[str, Any], expected: str) -> None:
    frozen = {name: frozenset(value) if isinstance(value, set) else value for name, value in conditions.items()}
    queue.filter(module_queue.Filter(**frozen))
    assert order(queue) == expected
    assert queue.conditions.active() == len(conditions)
    assert queue.total == len(ROWS)


def test_a_row_holds_what_was_told_and_none_where_nothing_was(queue: Any, module_queue: Any) -> None:
    row = queue.get("d")
    assert tuple(row) == module_queue.COLUMNS
    assert {name: value for name, value in row.items() if value is not None} == {"uid": "d", **ROWS["d"]}
    position = queue.position("d")
    assert queue.row_at(position) == row
    assert queue.value(position, "comment") == "Beside the LAKE"
    assert [queue.value(queue.position(uid), "size_class") for uid in "abdcf"] == ["small", "medium_s", "medium_l", "large", None]


def test_a_judged_row_stays_in_view_until_the_view_is_made_anew(module_queue: Any, queue: Any) -> None:
    queue.filter(module_queue.Filter(statuses=frozenset({"unreviewed"})))
    queue.update("c", status="rejected", reason="moraine", priority=None)
    assert order(queue) == "cfad"
    assert queue.get("c")["reason"] == "moraine"
    assert queue.counts() == {"unreviewed": 3, "accepted": 2, "rejected": 1}
    assert queue.counts(in_view=True) == {"unreviewed": 3, "rejected": 1}
    queue.apply()
    assert order(queue) == "fad"
    assert queue.position("c") is None


def test_rows_come_and_go(queue: Any) -> None:
    queue.add({"uid": "g", "status": "added", "priority": 1.0})
    assert order(queue) == "ebcfadg"
    assert queue.position("g") == 6
    queue.remove("c")
    assert order(queue) == "ebfadg"
    assert [queue.position(uid) for uid in "ebfadg"] == [0, 1, 2, 3, 4, 5]
    assert "c" not in queue and queue.position("c") is None and queue.total == len(queue) == 6
    queue.add({"uid": "c", "status": "edited"})
    queue.apply()
    assert order(queue) == "gebfadc"
    assert queue.get("c")["relation"] is None
    with pytest.raises(KeyError):
        queue.get("x")


@pytest.mark.parametrize(
    ("uid", "step", "undecided", "expected"),
    [
        ("e", 1, True, "c"),
        ("c", 1, True, "f"),
        ("d", 1, True, "e"),
        ("c", -1, True, "e"),
        ("e", -1, True, "d"),
        ("e", 1, False, "b"),
        ("e", -1, False, "d"),
        ("", 1, True, "e"),
        ("", -1, True, "d"),
    ],
)
def test_the_next_one_is_found_going_round(queue: Any, uid: str, step: int, undecided: bool, expected: str) -> None:
    assert queue.next_uid(uid, step, undecided) == expected


def test_there_is_no_next_one_when_all_others_are_judged(queue: Any, module_queue: Any) -> None:
    for uid in "acdf":
        queue.update(uid, status="uncertain")
    assert queue.undecided() == 1
    assert queue.next_uid("a") == "e"
    assert queue.next_uid("e") is None
    assert module_queue.Queue().next_uid("") is None


def test_counts(queue: Any, module_queue: Any) -> None:
    assert queue.counts() == {"unreviewed": 4, "accepted": 2}
    assert list(queue.relations().items()) == [("1-1", 2), ("n-1", 1), ("missed", 1), ("false", 1), ("", 1)]
    assert queue.undecided() == 5
    queue.filter(module_queue.Filter(relations=frozenset({"1-1"})))
    assert queue.undecided(in_view=True) == 1
    assert queue.relations(in_view=True) == {"1-1": 2}


def test_the_histogram_parts_what_is_judged_and_leaves_out_the_unknown(queue: Any) -> None:
    edges, undecided, decided = queue.histogram(bins=2)
    assert edges.tolist() == [0.0, 0.5, 1.0]
    assert undecided.tolist() == [1, 3]
    assert decided.tolist() == [0, 1]


def test_only_undecided_outlines_in_view_without_conflict_are_certain_or_doubtful(queue: Any, module_queue: Any) -> None:
    assert queue.certain(0.7) == ["f", "a"]
    assert queue.doubtful(0.7) == ["c"]
    assert queue.amounts(0.7)[0] == (len(queue.certain(0.7)), pytest.approx(0.05))
    assert queue.amounts(0.7)[1][0] == len(queue.doubtful(0.7))
    queue.filter(module_queue.Filter(relations=frozenset({"1-1"})))
    assert queue.certain(0.7) == ["a"]
    assert queue.amounts(1.0)[0] == (0, 0.0)


def test_an_empty_queue_can_be_asked_everything(module_queue: Any) -> None:
    queue = module_queue.Queue()
    queue.sort("name")
    queue.filter(module_queue.Filter(text="x", size_classes=frozenset({"small"})))
    assert len(queue) == queue.total == queue.undecided() == 0
    assert queue.counts() == {}
    assert queue.certain(0.0) == []
    assert queue.histogram(4)[1].tolist() == [0, 0, 0, 0]
