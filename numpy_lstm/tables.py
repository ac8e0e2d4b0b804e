"""Tables of text, for a page in Markdown or a terminal."""


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with aligned columns: text to the left, the other columns to the right."""
    widths = [max(w, 2) for w in _widths(header, rows)]  # a rule needs a dash beside its colon
    rule = "| " + " | ".join("-" * w if k == 0 else "-" * (w - 1) + ":" for k, w in enumerate(widths)) + " |"
    lines = ["| " + " | ".join(_padded(row, widths)) + " |" for row in [header, *rows]]
    return "\n".join([lines[0], rule, *lines[1:]])


def columns(header: list[str], rows: list[list[str]]) -> str:
    """The same columns for a terminal, without rules."""
    widths = _widths(header, rows)
    return "\n".join("  ".join(_padded(row, widths)).rstrip() for row in [header, *rows])


def _widths(header: list[str], rows: list[list[str]]) -> list[int]:
    return [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]


def _padded(row: list[str], widths: list[int]) -> list[str]:
    return [cell.ljust(w) if k == 0 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))]
