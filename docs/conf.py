"""How Sphinx makes the book: ``python -m sphinx -W -b html -c docs . out/book``, in the folder of the repository.

The sources are the Markdown files where they stand, the derivations beside their pages among them. What a reader of
docs/book/README.md sees listed there is the table of contents.
"""

import re
from glob import glob
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

project = "numpy-lstm"
html_title = "LSTM gradients, derived and proved"
root_doc = "docs/book/README"
include_patterns = ["*.md", "analysis/*.md", "docs/**.md", "numpy_lstm/**.md", "reference/**.md"]
exclude_patterns = ["out", ".venv*", "reference/vectors/*/*.md"]
extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = {"math"}
myst_heading_anchors = 4
html_theme = "furo"
html_math_renderer = "mathml"
html_static_path = ["_static", *glob("../numpy_lstm/explain/web/*.woff2", root_dir=Path(__file__).parent)]
html_css_files = ["book.css"]
html_additional_pages = {"index": "index.html"}
templates_path = ["_templates"]
html_copy_source = False
CONTENTS = Path(__file__).parent / "book" / "README.md"
MANUAL = "docs/README"


def contents(app: Any, docname: str, source: list[str]) -> None:
    """Every section of the two pages that list others gets the pages that it links to as a hidden table of contents.

    A link to a folder, which GitHub shows, becomes what it says.
    """
    here = Path(app.srcdir, docname).parent
    source[0] = re.sub(r"\[([^\]]+)\]\(([\w./-]+)\)", lambda m: m[1 if (here / m[2]).is_dir() else 0], source[0])
    if docname in (root_doc, MANUAL):
        sections = re.split(r"^(?=## )", source[0], flags=re.M)
        source[0] = "".join(section + toctree(section, docname == MANUAL) for section in sections)


def toctree(section: str, manual: bool) -> str:
    """The links of a section, numbered where they are there; of the manual, those that the book has not."""
    chapters = [path for _, path in links(CONTENTS.read_text(encoding="utf-8"))]
    found = [
        f"{said} <{path}>"
        for said, path in links(section)
        if not manual or ("/" not in path and f"../{path}" not in chapters)
    ]
    caption = section.partition("\n")[0].lstrip("# ")
    return "\n".join(["\n```{toctree}", ":hidden:", f":caption: {caption}", "", *found, "```", "\n"]) if found else ""


def links(text: str) -> list[tuple[str, str]]:
    """What each link to a page says, with the number of its chapter, and where it leads."""
    found = []
    for line in text.splitlines():
        number = re.match(r"(\d+)\. ", line)
        for said, path in re.findall(r"\[([^\]]+)\]\(([\w./-]+)\.md\)", line):
            found.append((f"{number[1]}. {said}" if number else said, path))
            number = None
    return found


def mathml(self: Any, node: Any) -> None:
    """MathML in place of a formula: no script, no request; what browsers do not expect in it is mended."""
    block = isinstance(node, nodes.math_block)
    written = convert(node.astext(), display="block" if block else "inline")
    for pattern, better in FORMULAS.items():
        written = re.sub(pattern, better, written)
    self.body.append(f'<div class="math" tabindex="0">{written}</div>' if block else written)
    raise nodes.SkipNode


def mend(app: Any, failed: Exception | None) -> None:
    """What the theme leaves out for those who hear a page, or have no mouse."""
    for path in Path(app.outdir).rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        for pattern, better in PAGES.items():
            text = re.sub(pattern, better, text)
        path.write_text(text, encoding="utf-8")


TIGHT = "lspace='0' rspace='0'"
FORMULAS = {
    r"<mo><mrow><mo>&#x0002B;</mo></mrow></mo><mo>&#x0003D;</mo>": "<mo>+=</mo>",
    r"<msup>(<m[io]>[^<]*</m[io]>)<mi>(&#x0203[2-4];)</mi></msup>": rf"<mrow>\1<mo {TIGHT}>\2</mo></mrow>",
    r"(<mi>(?:tanh|exp|ln|log)</mi>)(?=<m(?!o|row))": r"\1<mspace width='0.17em'/>",
    r"<mo[^>]*>(&#x0007C;|&#x02016;)</mo>": rf"<mo stretchy='false' {TIGHT}>\1</mo>",
    r"(&#x00028;|&#x0002C;|&#x0003D;)</mo><mo>(&#x02212;)": r"\1</mo><mo form='prefix'>\2",
}
PAGES = {
    'role="heading"(?! aria-level)': 'role="heading" aria-level="2"',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Contents">',
    '<aside class="toc-drawer': '<aside aria-label="On this page" class="toc-drawer',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
    "<pre>": '<pre tabindex="0">',
    r'<th class="head[^>]*>(?:<p></p>)?</th>': "<td></td>",
    "(?<!</h1>)<noscript>": "<h1>Search</h1><noscript>",  # the page of the search alone has one
}


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", contents)
    app.connect("build-finished", mend)
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
