"""Cells of CSV files, escaped for spreadsheets."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters of text that a spreadsheet computes as a formula."""


def csv_cell(value: object) -> object:
    """Escape the value of a cell: names of owners come from users, and a spreadsheet must not compute them.

    Args:
        value: Any value; None is an empty cell.

    Returns:
        Text with an apostrophe before it where a spreadsheet would take it for a formula; else the value.
    """
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value
