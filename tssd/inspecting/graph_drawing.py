"""A network as an SVG: one box per layer, ranks from top to bottom, one line per connection."""

from html import escape

from tssd.inspecting.inspection import InspectedLayer, Inspection

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 190, 46, 24, 40, 20
COLOURS = {"input": "#dbe9f6", "lif": "#fde7c8", "readout": "#d8efd9", "relay": "#eeeeee"}


def to_svg(inspection: Inspection) -> str:
    """The drawing, self-contained."""
    rows = list(inspection.layers)
    place = _places(inspection)
    across = max((x for x, _ in place.values()), default=0) + 1
    down = max((y for _, y in place.values()), default=0) + 1
    width = 2 * MARGIN + across * (WIDTH + GAP_X)
    height = 2 * MARGIN + down * (HEIGHT + GAP_Y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>',
    ]
    parts += [_line(place[a], place[b]) for a, b in inspection.edges if a in place and b in place]
    parts += [_box(row, place[row.name]) for row in rows]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _places(inspection: Inspection) -> dict[str, tuple[int, int]]:
    """Column and rank of each layer: the rank is the longest forward way from the input. Layers
    come in the order of the flow, so an edge to an earlier one is recurrent."""
    order = {row.name: i for i, row in enumerate(inspection.layers)}
    rank = dict.fromkeys(order, 0)
    forward = [(a, b) for a, b in inspection.edges if order.get(a, len(order)) < order.get(b, -1)]
    for a, b in sorted(forward, key=lambda edge: order[edge[0]]):
        rank[b] = max(rank[b], rank[a] + 1)
    taken: dict[int, int] = {}
    place = {}
    for name in order:
        column = taken.get(rank[name], 0)
        taken[rank[name]] = column + 1
        place[name] = (column, rank[name])
    return place


def _corner(at: tuple[int, int]) -> tuple[int, int]:
    return MARGIN + at[0] * (WIDTH + GAP_X), MARGIN + at[1] * (HEIGHT + GAP_Y)


def _box(row: InspectedLayer, at: tuple[int, int]) -> str:
    x, y = _corner(at)
    size = " x ".join(map(str, row.shape))
    about = f"{row.kind} {size}" + (
        f", {row.reset} reset" if row.reset not in (None, "none") else ""
    )
    fill = COLOURS.get(row.kind, "#f4f0fa")
    return (
        f"<g><title>{escape(row.name)}: {row.parameters:,} parameters</title>"
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{fill}" '
        f'stroke="#555"/><text x="{x + 10}" y="{y + 19}" font-weight="bold">'
        f'{escape(row.name[:26])}</text><text x="{x + 10}" y="{y + 36}" fill="#444">'
        f"{escape(about[:32])}</text></g>"
    )


def _line(a: tuple[int, int], b: tuple[int, int]) -> str:
    """From the lower edge of one box to the upper edge of the other; curved beside for skips."""
    (xa, ya), (xb, yb) = _corner(a), _corner(b)
    x1, y1, x2, y2 = xa + WIDTH // 2, ya + HEIGHT, xb + WIDTH // 2, yb
    bend = 0 if b[1] == a[1] + 1 else WIDTH * 2 // 3
    middle = (y1 + y2) // 2
    path = f"M{x1} {y1} C{x1 + bend} {middle} {x2 + bend} {middle} {x2} {y2}"
    return f'<path d="{path}" fill="none" stroke="#555" marker-end="url(#tip)"/>'
