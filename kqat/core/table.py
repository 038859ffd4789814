"""Aligned text tables, and the same as a `rich` table where that package is used."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TextTable:
    """Rows of text under column titles.

    Args:
        columns: Titles.
        rows: Cells, one sequence a row, as long as `columns`.
        title: Line above the table.
        numeric: Titles of the columns that are aligned to the right.
        footer: Lines below the table.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    numeric: frozenset[str] = frozenset()
    footer: Sequence[str] = ()

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        lines = [self._line(self.columns, widths), "-" * (sum(widths) + 2 * len(widths) - 2)]
        lines += [self._line(row, widths) for row in self.rows]
        return "\n".join([*([self.title] if self.title else []), *lines, *self.footer])

    def _line(self, cells, widths) -> str:
        pairs = zip(self.columns, cells, widths, strict=True)
        aligned = (c.rjust(w) if name in self.numeric else c.ljust(w) for name, c, w in pairs)
        return "  ".join(aligned).rstrip()

    def __rich__(self):
        """Returns the table for `rich.print`; only called by `rich` itself."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(self.title) if self.title else None)
        for name in self.columns:
            table.add_column(name, justify="right" if name in self.numeric else "left")
        for row in self.rows:
            table.add_row(*(Text(cell) for cell in row))
        return Group(table, *(Text(line) for line in self.footer))
