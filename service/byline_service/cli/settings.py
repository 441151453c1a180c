"""`byline settings`: the effective settings of the service."""

from typing import TYPE_CHECKING

from byline_service.cli.common import read_settings

if TYPE_CHECKING:
    from byline_service.settings import Settings


def settings() -> None:
    """Print the effective settings of the service. Secrets are not shown, only whether they are set.

    Example: `BYLINE_MAX_K=100 byline settings`
    """
    from rich.console import Console
    from rich.table import Table

    table = Table("variable", "value", "source")
    for variable, value, source in effective(read_settings()):
        table.add_row(variable, value, source)
    Console().print(table)


def effective(chosen: "Settings") -> list[tuple[str, str, str]]:
    """Return each setting's variable, value and source: `default`, or `set` by the environment or a secret's file.

    Args:
        chosen: The settings.
    """
    from pydantic import SecretStr

    from byline_service.settings import variable_of

    rows = []
    for name in type(chosen).model_fields:
        value = getattr(chosen, name)
        shown = "(secret)" if isinstance(value, SecretStr) else _text(value)
        source = "set" if name in chosen.model_fields_set else "default"
        rows.append((variable_of(name), shown, source))
    return rows


def _text(value: object) -> str:
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
