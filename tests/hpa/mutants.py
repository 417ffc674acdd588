"""One small change of a module at a time: comparisons, figures, signs, minima, whole stages.

``mutants`` gives each changed module as a tree. ``installed`` puts one in the place of the module
that runs: functions keep their identity and get other code, so who imported them sees it too.
"""

import ast
import copy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Final

Change = Callable[[ast.AST], Iterator[tuple[str, ast.AST]]]

_TURNED: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_REPLACED: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
}
_SWAPPED: Final = {"min": "max", "max": "min", "ceil": "floor", "floor": "ceil", "trunc": "ceil"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A changed module; ``what`` was done in which ``line`` of the source."""

    module: str
    line: int
    what: str
    tree: ast.Module


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every one of the module, in the order of its lines."""
    original = ast.parse(source)
    places = [node for node in ast.walk(original) if hasattr(node, "lineno")]
    for number, node in enumerate(places):
        for what, changed in _changes(node):
            tree = copy.deepcopy(original)
            twins = [each for each in ast.walk(tree) if hasattr(each, "lineno")]
            twins[number].__dict__.clear()
            twins[number].__class__ = changed.__class__
            twins[number].__dict__.update(changed.__dict__)
            line = getattr(node, "lineno", 0)
            yield Mutant(module=module, line=line, what=what, tree=ast.fix_missing_locations(tree))


def installed(mutant: Mutant) -> None:
    """From here on this process runs the mutant; there is no way back."""
    original = sys.modules[mutant.module]
    changed = ModuleType(mutant.module)
    changed.__file__ = original.__file__
    sys.modules[mutant.module] = changed  # dataclasses look their module up
    exec(compile(mutant.tree, original.__file__ or "mutant", "exec"), changed.__dict__)
    sys.modules[mutant.module] = original
    for name, value in vars(changed).items():
        before = vars(original).get(name)
        if getattr(value, "__module__", mutant.module) == mutant.module:
            _take_over(name, before, value)


def _take_over(name: str, before: object, value: object) -> None:
    if isinstance(before, FunctionType) and isinstance(value, FunctionType):
        _code(before, value)
    elif isinstance(before, type) and isinstance(value, type):
        for part, method in vars(value).items():
            held = vars(before).get(part)
            if isinstance(held, property) and isinstance(method, property):
                _code(held.fget, method.fget)
            else:
                _code(held, method)
    elif not name.startswith("__") and not callable(value) and repr(before) != repr(value):
        for module in list(sys.modules.values()):
            if name in getattr(module, "__dict__", {}) and vars(module)[name] is before:
                setattr(module, name, value)


def _code(before: object, after: object) -> None:
    if not isinstance(before, FunctionType) or not isinstance(after, FunctionType):
        return
    if len(before.__code__.co_freevars) == len(after.__code__.co_freevars):
        before.__code__ = after.__code__
        before.__defaults__, before.__kwdefaults__ = after.__defaults__, after.__kwdefaults__


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    before = ast.unparse(node).partition("\n")[0]
    for changed in _changed(node):
        after = ast.unparse(ast.fix_missing_locations(changed)).partition("\n")[0]
        yield f"{before} -> {after}" if before != after else f"{before} does nothing", changed


def _changed(node: ast.AST) -> Iterator[ast.AST]:  # noqa: C901, PLR0912  a case for each
    match node:
        case ast.Compare(left=left, ops=[only], comparators=right):
            for turned in _TURNED[type(only)]:
                yield ast.Compare(left=left, ops=[turned()], comparators=right)
        case ast.Compare(left=left, ops=[first, second], comparators=right):
            for one in _TURNED[type(first)]:
                yield ast.Compare(left=left, ops=[one(), second], comparators=right)
            for two in _TURNED[type(second)]:
                yield ast.Compare(left=left, ops=[first, two()], comparators=right)
        case ast.Constant(value=bool() as value):
            yield ast.Constant(value=not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value=value + 1)
            yield ast.Constant(value=value - 1)
        case ast.BinOp(left=left, op=op, right=last) if type(op) in _REPLACED:
            if not isinstance(left, ast.Constant | ast.Name) or not _is_type(left):
                yield ast.BinOp(left=left, op=_REPLACED[type(op)](), right=last)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(op=ast.Or() if isinstance(op, ast.And) else ast.And(), values=values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.IfExp(test=test, body=body, orelse=other):
            yield ast.IfExp(test=test, body=other, orelse=body)
        case ast.If(test=test, body=inner, orelse=others):
            yield ast.If(test=ast.Constant(value=False), body=inner, orelse=others)
            yield ast.If(test=ast.Constant(value=True), body=inner, orelse=others)
        case ast.Name(id=("min" | "max") as name):
            yield ast.Name(id=_SWAPPED[name], ctx=ast.Load())
        case ast.Attribute(value=ast.Name(id="math") as math, attr=name) if name in _SWAPPED:
            yield ast.Attribute(value=math, attr=_SWAPPED[name], ctx=ast.Load())
        case ast.FunctionDef(args=ast.arguments(args=[_, ast.arg(arg="before")])):
            yield _skipped(node)


def _skipped(step: ast.FunctionDef) -> ast.FunctionDef:
    """The stage that leaves the figure as it was."""
    name = step.name.replace("_", " ")
    skipped = copy.copy(step)
    skipped.body = ast.parse(f"return Stage(name={name!r}, replicas=before)").body
    return skipped


def _is_type(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id[:1].isupper()
