"""Aligned text tables, and the same as a `rich` table where that package is used."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


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

    def to_html(self) -> str:
        """Returns the table as HTML, for notebooks."""
        cell = lambda tag, name, text: f"<{tag}{self._style(name)}>{escape(text)}</{tag}>"  # noqa: E731
        rows = [[cell("th", name, name) for name in self.columns]]
        rows += [[cell("td", *pair) for pair in zip(self.columns, row, strict=True)] for row in self.rows]
        body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
        title = f"<caption>{escape(self.title)}</caption>" if self.title else ""
        footer = "".join(f"<div>{escape(line)}</div>" for line in self.footer)
        return f"<table>{title}{body}</table>{footer}"

    def _style(self, name: str) -> str:
        return f' style="text-align: {"right" if name in self.numeric else "left"}"'

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


class Tabular:
    """Base of results that are shown as a table: printed, with `rich`, and in notebooks."""

    def table(self) -> TextTable:
        """Returns the result as a table."""
        raise NotImplementedError

    def __str__(self) -> str:
        return str(self.table())

    def __rich__(self):
        return self.table().__rich__()

    def _repr_html_(self) -> str:
        return self.table().to_html()
