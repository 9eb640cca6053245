"""Mutants of a source: one comparison, operator, number, call or word of logic at a time.

What does not compute is left alone: annotations, texts, declarations (decorators), and guards of
our own invariants (``strict=`` of a zip, ``assert``).
"""

import ast
import copy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult, ast.Mod: ast.FloorDiv, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
NAMES = {"any": "all", "all": "any", "min": "max", "max": "min", "floor": "ceil", "ceil": "floor"}
NAMES |= {"argmax": "argmin", "argmin": "argmax", "maximum": "minimum", "minimum": "maximum"}


@dataclass(frozen=True)
class Mutant:
    """*before*, at a place of *file* whose text has the hash *text*, becomes *after*."""

    file: str
    text: str
    begin: int  # in bytes
    end: int
    line: int
    before: str
    after: str

    @property
    def change(self) -> str:
        return f"{self.before} -> {self.after}"

    @property
    def name(self) -> str:
        return f"{self.file}:{self.line}: {self.change}"

    @property
    def key(self) -> str:
        return f"{self.file}:{self.text}:{self.begin}:{self.end}:{self.after}"


def mutants_of(file: str, source: bytes) -> list[Mutant]:
    """Every mutant of one file, from the top."""
    text, starts = hashlib.sha256(source).hexdigest()[:16], [0]
    for row in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(row))
    found = []
    for node in _code(ast.parse(source)):
        for changed in _changes(node):
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            begin = starts[node.lineno - 1] + node.col_offset
            end = starts[node.end_lineno - 1] + node.end_col_offset
            before = " ".join(source[begin:end].decode().split())
            found.append(Mutant(file, text, begin, end, node.lineno, before, ast.unparse(changed)))
    return found


def applied(mutant: Mutant, source: bytes) -> bytes:
    """The text of its file with the change, in brackets where it stood."""
    return source[: mutant.begin] + f"({mutant.after})".encode() + source[mutant.end :]


def line_of(mutant: Mutant, source: bytes) -> str:
    """The line that a mutant begins in, without its indent."""
    return source.splitlines()[mutant.line - 1].decode().strip()


def function_of(mutant: Mutant, source: bytes) -> int | None:
    """The first line (of its decorators) of the innermost function around a mutant; None outside
    of all, in the line of its ``def`` too: what stands there acts when the file is imported."""
    first: int | None = None
    for node in ast.walk(ast.parse(source)):  # from the outside in
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
            if node.body[0].lineno <= mutant.line <= node.end_lineno:
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            elif node.lineno <= mutant.line < node.body[0].lineno:
                return None
    return first


def _code(tree: ast.AST) -> Iterator[ast.expr]:
    """The expressions that compute."""
    if isinstance(tree, ast.Assert) or (isinstance(tree, ast.keyword) and tree.arg == "strict"):
        return
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.JoinedStr) or _is_rest(tree, child):
                continue
            if isinstance(child, ast.expr):
                yield child
            if isinstance(child, ast.AST):
                yield from _code(child)


def _is_rest(call: ast.AST, argument: object) -> bool:
    """The -1 of a ``reshape``: numpy takes any negative size as the one that is left."""
    reshapes = (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "reshape"
    )
    return reshapes and isinstance(argument, ast.UnaryOp) and isinstance(argument.op, ast.USub)


def _changes(node: ast.expr) -> Iterator[ast.expr]:
    """What one expression may become."""
    changed = copy.deepcopy(node)
    match changed:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            changed.ops = [COMPARISONS[type(op)]()]
            yield changed
        case ast.BinOp(op=operator) if type(operator) in OPERATORS:
            changed.op = OPERATORS[type(operator)]()
            yield changed
        case ast.BoolOp(op=joint):
            changed.op = ast.Or() if isinstance(joint, ast.And) else ast.And()
            yield changed
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            yield inner
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as number):
            yield ast.Constant(number + 1)
        case ast.Name(id=name) if name in NAMES:
            yield ast.Name(NAMES[name])
        case ast.Attribute(attr=name) if name in NAMES:
            changed.attr = NAMES[name]
            yield changed
        case _:
            return
