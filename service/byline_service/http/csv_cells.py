"""Cells of CSV files, escaped for spreadsheets."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters of text that a spreadsheet computes as a formula."""


def csv_cell(value: object) -> object:
    """Escape the value of a cell. Owners choose their names, and a spreadsheet must not compute them.

    Args:
        value: Any value. None is an empty cell.

    Returns:
        The value. Text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value
