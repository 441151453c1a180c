"""Two runs side by side, against differences by hand."""

from byline_service.pages.compensation.comparison import figures, owner_changes
from tests.service.pages.compensation.test_statement_pdf import statement


def with_payable(**amounts):
    found = statement(*amounts)
    lines = [line.model_copy(update={"payable": amounts[line.owner]}) for line in found.lines]
    return found.model_copy(update={"lines": lines})


def test_the_largest_changes_come_first_and_equal_amounts_are_left_out():
    before, after = with_payable(a=10, b=5, c=7), with_payable(a=4, c=7, d=9)
    found = owner_changes(before, after)
    assert [(each.owner, each.before, each.after, each.change) for each in found] == [
        ("d", 0, 9, 9),
        ("a", 10, 4, -6),
        ("b", 5, 0, -5),
    ]
    assert {name: (old, new) for name, old, new in figures(before, after)}["payable"] == (22, 20)
