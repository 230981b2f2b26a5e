"""Source -> mutants of it: each differs in one operator, constant, condition, element or statement."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC: dict[type[ast.operator], ast.operator] = {
    ast.Add: ast.Sub(),
    ast.Sub: ast.Add(),
    ast.Mult: ast.Div(),
    ast.Div: ast.Mult(),
}
# Texts for people, and names.
_UNTOUCHED = (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom)
# Tuples this long are lists of facts: each element is left out once.
_TUPLE = 3


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of a module.

    Attributes:
        name: where and what, independent of line numbers: `file::function: before -> after`.
        line: the first of the statement that is changed.
        source: the whole module, changed.
    """

    name: str
    line: int
    source: str


def mutants_of(file: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module, by line."""
    tree = ast.parse(source)
    seen: dict[str, int] = {}
    for scope, line, node in _nodes(tree, "", 0):
        for changed in _changes(node):
            before, after = ast.unparse(node), ast.unparse(changed) or "(removed)"
            name = f"{file}::{scope}: {_short(before)} -> {_short(after)}"
            seen[name] = seen.get(name, 0) + 1
            again = f" #{seen[name]}" if seen[name] > 1 else ""
            yield Mutant(name + again, line, _with(tree, node, changed))


def _nodes(parent: ast.AST, scope: str, line: int) -> Iterator[tuple[str, int, ast.expr | ast.stmt]]:
    for child in _code(parent):
        if isinstance(child, _UNTOUCHED) or _is_typing_only(child):
            continue
        first = child.lineno if isinstance(child, ast.stmt) else line
        if isinstance(child, (ast.expr, ast.stmt)):
            yield scope or "module", first, child
        inner = f"{scope}.{child.name}".lstrip(".") if isinstance(child, (ast.FunctionDef, ast.ClassDef)) else scope
        yield from _nodes(child, inner, first)


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """The children that run: no annotations, decorators or docstrings."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "bases"}:
            continue
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            docstring = name == "body" and index == 0 and _is_text(child)
            if isinstance(child, ast.AST) and not docstring:
                yield child


def _is_text(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _changes(node: ast.expr | ast.stmt) -> Iterator[ast.expr | ast.stmt]:
    match node:
        case ast.Compare(left=left, ops=[op], comparators=comparators):
            yield ast.Compare(left, [_COMPARISONS[type(op)]()], comparators)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            yield ast.BinOp(left, _ARITHMETIC[type(op)], right)
        case ast.Constant(value=value):
            yield from _constants(value)
        case ast.Tuple(elts=elements, ctx=ast.Load()) if len(elements) >= _TUPLE:
            for index in range(len(elements)):
                yield ast.Tuple([*elements[:index], *elements[index + 1 :]], ast.Load())
        case _:
            yield from _branches(node)


def _branches(node: ast.expr | ast.stmt) -> Iterator[ast.expr | ast.stmt]:
    match node:
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.If(test=test) if not isinstance(test, (ast.Compare, ast.UnaryOp, ast.BoolOp)):
            yield _replaced(node, "test", ast.UnaryOp(ast.Not(), test))
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()


def _constants(value: object) -> Iterator[ast.expr]:
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
    elif isinstance(value, str) and " " not in value:  # with spaces it is a text for people
        yield ast.Constant(f"{value}XX")


def _replaced(node: ast.stmt, name: str, value: ast.expr) -> ast.stmt:
    changed = copy.copy(node)
    setattr(changed, name, value)
    return changed


def _with(tree: ast.Module, node: ast.AST, changed: ast.AST) -> str:
    class Swap(ast.NodeTransformer):
        def visit(self, visited: ast.AST) -> ast.AST:
            return changed if visited is node else self.generic_visit(visited)

    # The transformer works in place: put the original back afterwards.
    class Back(ast.NodeTransformer):
        def visit(self, visited: ast.AST) -> ast.AST:
            return node if visited is changed else self.generic_visit(visited)

    source = ast.unparse(Swap().visit(tree))
    Back().visit(tree)
    return source


def _short(text: str) -> str:
    return " ".join(text.split())[:90]
