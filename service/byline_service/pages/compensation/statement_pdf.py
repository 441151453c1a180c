"""Statements as PDF files on a letterhead. The same statement gives the same bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import Align, XPos, YPos
from fpdf.fonts import TTFFont

from byline.api.statements import StatementDocument, StatementLine
from byline_service.pages.compensation.titles import day_title, days_title, run_title
from byline_service.pages.formats import plain_amount

FONTS = Path(__file__).parent / "pdf_fonts"
MOST_LINES = 1000
"""Most lines of one file."""
COLUMNS = {
    "earned": "Earned",
    "brought": "Brought forward",
    "payable": "Payable",
    "netted": "Netted",
    "carried": "Carried forward",
    "escrow": "Escrow",
    "held": "Held",
}
STEPS = {"approval": "Approved", "rejection": "Rejected", "posting": "Posted", "void": "Voided"}
EXPLANATION = (
    "Earned is the lower bound of the share in the events of the run. The rest of the share is in escrow until it is "
    "known better. Earned and brought forward are payable once they reach the floor. Held amounts wait for a release, "
    "behind a hold, a dispute or a missing consent."
)
INK, SOFT, LINE = (28, 29, 34), (93, 95, 107), (200, 200, 196)
MARGIN, WIDTH, NAME_WIDTH, AMOUNT_WIDTH, ROW = 20.0, 170.0, 44.0, 18.0, 5.6
"""Millimeters of an A4 page."""


@dataclass(frozen=True, kw_only=True)
class Letterhead:
    """The sender of statements."""

    lines: Sequence[str] = ()
    """Name of the sender, then address and contact."""
    fonts: Sequence[Path] = ()
    """Further fonts, for letters that Inter lacks."""


def statement_pdf(statement: StatementDocument, letterhead: Letterhead, recipient: str | None) -> bytes:
    """Write a statement as a PDF file.

    Args:
        statement: The statement as its reader may see it.
        letterhead: The sender.
        recipient: Owner to whom it is addressed. None for the statement of a whole run.

    Returns:
        The file.
    """
    paper = _Paper(statement, letterhead)
    paper.add_page()
    paper.address(recipient)
    paper.facts()
    if recipient is not None and len(statement.lines) == 1:
        paper.account(statement.lines[0])
    else:
        paper.lines_of_owners()
    paper.note(EXPLANATION)
    paper.missing()
    written = bytes(paper.output())
    paper.close_fonts()
    return written


class _Paper(FPDF):
    """A statement on A4 pages."""

    def __init__(self, statement: StatementDocument, letterhead: Letterhead) -> None:
        super().__init__(format="A4")
        self.statement = statement
        self.letterhead = letterhead
        self.known: set[int] = set()
        self.lacking: set[str] = set()
        self.heading: Sequence[str] = ()
        self.add_font("Inter", "", FONTS / "Inter-Regular.ttf")
        self.add_font("Inter", "B", FONTS / "Inter-SemiBold.ttf")
        for n, path in enumerate(letterhead.fonts):
            self.add_font(f"Further{n}", "", path)
        self.set_fallback_fonts([f"Further{n}" for n in range(len(letterhead.fonts))], exact_match=False)
        self.c_margin = 0.0
        for font in self.fonts.values():
            assert isinstance(font, TTFFont)
            self.known |= set(font.cmap)
        self.set_margins(MARGIN, 16, MARGIN)
        self.set_auto_page_break(auto=True, margin=26)
        self.set_title(f"Statement: {run_title(statement)}")
        self.set_author(letterhead.lines[0] if letterhead.lines else "Byline")
        self.set_creator("Byline")
        self.set_lang("en")
        self.set_creation_date(datetime.fromisoformat(_issued(statement)))

    def header(self) -> None:
        """Write the letterhead."""
        first, *rest = self.letterhead.lines or ("Byline",)
        self._text(first, 13, bold=True)
        for line in rest:
            self._text(line, 8.5, color=SOFT, height=4.2)
        self.ln(2)
        self._rule()
        self.ln(8)
        self._heading()

    def footer(self) -> None:
        """Write the digest of the statement and the number of the page."""
        self.set_y(-20)
        self._rule()
        self.ln(2)
        self._text(
            f"Statement {self.statement.id} · SHA-256 {self.statement.sha256}", 6.5, color=SOFT, height=4
        )
        self._text(f"Page {self.page_no()} of {{nb}}", 6.5, color=SOFT, height=4)

    def address(self, recipient: str | None) -> None:
        """Write the recipient and the title."""
        if recipient is not None:
            self._text("To", 8.5, color=SOFT, height=4.5)
            self._text(recipient, 11, bold=True)
            self.ln(6)
        state = "" if self.statement.state == "posted" else f" ({self.statement.state})"
        self._text(f"Statement: {run_title(self.statement)}{state}", 17, bold=True, height=9)
        self.ln(3)

    def facts(self) -> None:
        """Write the period, the policy and the steps."""
        run = self.statement
        rows = [("Policy", f"{run.policy}, revision {run.revision}")]
        if run.since and run.until:
            late = f", {run.late:,} of them late" if run.late else ""
            rows = [
                ("Period", f"{days_title(run.since, run.until)} (UTC)"),
                ("Events", f"{run.events:,}{late}"),
                *rows,
            ]
        if run.reason:
            rows.append(("Reason", run.reason))
        rows.append(("Drafted", _signed(run.drafted_by, run.drafted_at)))
        rows += [(STEPS[step.step], _signed(step.person, step.at)) for step in run.steps]
        for name, value in rows:
            self._pair(name, value)
        self.ln(6)

    def account(self, line: StatementLine) -> None:
        """Write the amounts of one owner, one below the other."""
        currency = self.statement.currency
        for name, title in COLUMNS.items():
            if name == "payable":
                continue
            self._amount(title, plain_amount(getattr(line, name), currency))
        self._rule()
        self.ln(1)
        self._amount(f"Payable, {currency}", plain_amount(line.payable, currency), bold=True)
        self.ln(6)

    def lines_of_owners(self) -> None:
        """Write the lines of all owners."""
        currency = self.statement.currency
        self.heading = [f"Owner, {currency}", *(title.removesuffix(" forward") for title in COLUMNS.values())]
        self._heading()
        for line in self.statement.lines:
            self._row([line.owner, *(plain_amount(getattr(line, name), currency) for name in COLUMNS)])
        self.heading = ()
        if self.statement.totals is not None:
            self._rule()
            for name, amount in self.statement.totals.model_dump().items():
                self._amount(name.capitalize(), plain_amount(amount, currency), bold=name == "payable")
        self.ln(6)

    def note(self, text: str) -> None:
        """Write a paragraph in small letters."""
        self._font(8.5, color=SOFT)
        self.multi_cell(WIDTH, 4.4, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def missing(self) -> None:
        """Tell the letters that no font has."""
        if self.lacking:
            points = ", ".join(sorted(f"U+{ord(letter):04X}" for letter in self.lacking))
            self.ln(2)
            self.note(f"This file shows \u25a1 for letters that its fonts lack: {points}.")

    def close_fonts(self) -> None:
        """Close the files of the fonts."""
        for font in self.fonts.values():
            assert isinstance(font, TTFFont)
            font.close()

    def _heading(self) -> None:
        """Write the names of the columns, again on each page of the table."""
        if self.heading:
            self._row(self.heading, bold=True)
            self._rule()

    def _row(self, cells: Sequence[str], *, bold: bool = False) -> None:
        self._font(8.5, bold=bold)
        name, *amounts = cells
        self.cell(NAME_WIDTH, ROW, self._fitting(name, NAME_WIDTH))
        for amount in amounts:
            self.cell(AMOUNT_WIDTH, ROW, amount, align=Align.R)
        self.ln(ROW)

    def _pair(self, name: str, value: str) -> None:
        self._font(9, color=SOFT)
        self.cell(28, 5.4, name)
        self._font(9)
        self.multi_cell(
            WIDTH - 28, 5.4, self._shown(value), new_x=XPos.LMARGIN, new_y=YPos.NEXT, align=Align.L
        )

    def _amount(self, name: str, amount: str, *, bold: bool = False) -> None:
        self._font(12 if bold else 10, bold=bold)
        self.cell(WIDTH / 2, 7, name)
        self.cell(WIDTH / 2, 7, amount, align=Align.R, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _text(
        self,
        text: str,
        size: float,
        *,
        bold: bool = False,
        color: tuple[int, int, int] = INK,
        height: float = 6,
    ) -> None:
        self._font(size, bold=bold, color=color)
        self.multi_cell(WIDTH, height, self._shown(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT, align=Align.L)

    def _font(self, size: float, *, bold: bool = False, color: tuple[int, int, int] = INK) -> None:
        self.set_font("Inter", "B" if bold else "", size)
        self.set_text_color(*color)

    def _rule(self) -> None:
        self.set_draw_color(*LINE)
        self.line(MARGIN, self.get_y(), MARGIN + WIDTH, self.get_y())

    def _fitting(self, text: str, width: float) -> str:
        """Shorten a text to a width."""
        shown = self._shown(text)
        if self.get_string_width(shown) <= width - 2:
            return shown
        while shown and self.get_string_width(shown + "…") > width - 2:
            shown = shown[:-1]
        return shown + "…"

    def _shown(self, text: str) -> str:
        """Replace letters that no font has."""
        lacking = {letter for letter in text if ord(letter) not in self.known and letter != "\n"}
        self.lacking |= lacking
        return "".join("\u25a1" if letter in lacking else letter for letter in text)


def _issued(statement: StatementDocument) -> str:
    """Return the time of the last step."""
    return max([statement.drafted_at, *(step.at for step in statement.steps)])


def _signed(person: str, at: str) -> str:
    return f"{person}, {day_title(datetime.fromisoformat(at).date())}"
