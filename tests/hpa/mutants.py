"""One small change of a module at a time: comparisons, figures, signs, minima, whole stages.

``mutants`` gives each change of a module, ``probed`` a module that says which statements it runs.
``installed`` puts one in the place of the module that runs: functions keep their identity and get
other code, so who imported them sees it too. What was made of a module's constants while others
were imported stays as it was.
"""

import ast
import copy
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import _lru_cache_wrapper
from types import FunctionType, ModuleType
from typing import Final

from msgspec import StructMeta

PROBE: Final = "_reached"
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
    """A changed module; ``what`` was done in which ``line`` of the source.

    ``statement``: the line of the statement of ``function`` that it is in; 0 outside of any.
    ``change`` stands in the place of the node ``place`` of the tree.
    """

    module: str
    line: int
    function: str
    statement: int
    what: str
    place: int
    change: ast.AST

    def tree(self, source: str) -> ast.Module:
        """The whole module, changed."""
        tree = ast.parse(source)
        twin, change = _places(tree)[self.place], copy.deepcopy(self.change)
        twin.__dict__.clear()
        twin.__class__ = change.__class__
        twin.__dict__.update(change.__dict__)
        return ast.fix_missing_locations(tree)


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every one of the module, in the order of its lines."""
    original = ast.parse(source)
    statements, made = _statements(original), _made(original)
    for place, node in enumerate(_places(original)):
        for what, change in () if node in made else _changes(node):
            function, statement = statements.get(node, ("", 0))
            yield Mutant(
                module=module,
                line=getattr(node, "lineno", 0),
                function=function,
                statement=statement,
                what=what,
                place=place,
                change=change,
            )


def probed(source: str) -> ast.Module:
    """The module that calls ``PROBE`` with the line of each statement of a function it runs."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            _probe(node)
    return ast.fix_missing_locations(tree)


def installed(name: str, tree: ast.Module) -> None:
    """From here on this process runs the changed module; there is no way back."""
    original = sys.modules[name]
    changed = ModuleType(name)
    changed.__file__ = original.__file__
    sys.modules[name] = changed  # dataclasses look their module up
    exec(compile(tree, original.__file__ or "mutant", "exec"), changed.__dict__)
    sys.modules[name] = original
    for each, value in vars(changed).items():
        before = vars(original).get(each)
        made = isinstance(value, type | FunctionType | _lru_cache_wrapper)
        if not made or getattr(value, "__module__", name) == name:
            _take_over(each, before, value)


def forgotten(modules: Iterable[str]) -> None:
    """What functions of these modules keep of their answers is dropped."""
    for module in modules:
        for value in vars(sys.modules[module]).values():
            if isinstance(value, _lru_cache_wrapper):
                value.cache_clear()


def _take_over(name: str, before: object, value: object) -> None:
    if isinstance(before, _lru_cache_wrapper) and isinstance(value, _lru_cache_wrapper):
        before.cache_clear()
        _code(before.__wrapped__, value.__wrapped__)
    elif isinstance(before, FunctionType) and isinstance(value, FunctionType):
        _code(before, value)
    elif isinstance(before, StructMeta) and isinstance(value, StructMeta) and _other(before, value):
        _everywhere(name, before, value)
    elif isinstance(before, type) and isinstance(value, type):
        for part, method in vars(value).items():
            held = vars(before).get(part)
            if isinstance(held, property) and isinstance(method, property):
                _code(held.fget, method.fget)
            else:
                _code(held, method)
    elif not name.startswith("__") and not callable(value) and _said(before) != _said(value):
        _everywhere(name, before, value)


def _everywhere(name: str, before: object, value: object) -> None:
    for module in list(sys.modules.values()):
        if name in getattr(module, "__dict__", {}) and vars(module)[name] is before:
            setattr(module, name, value)


def _other(before: StructMeta, value: StructMeta) -> bool:
    """Whether other figures stand where nothing is said; they are no code that can be changed."""
    return _said(before.__struct_defaults__) != _said(value.__struct_defaults__)


def _said(value: object) -> str:
    """Without where in memory functions are."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _code(before: object, after: object) -> None:
    if not isinstance(before, FunctionType) or not isinstance(after, FunctionType):
        return
    if len(before.__code__.co_freevars) == len(after.__code__.co_freevars):
        before.__code__ = after.__code__
        if _said(before.__defaults__) != _said(after.__defaults__):
            before.__defaults__ = after.__defaults__
        if _said(before.__kwdefaults__) != _said(after.__kwdefaults__):
            before.__kwdefaults__ = after.__kwdefaults__


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


def _places(tree: ast.Module) -> Sequence[ast.AST]:
    return [node for node in ast.walk(tree) if hasattr(node, "lineno")]


def _made(tree: ast.Module) -> Set[ast.AST]:
    """How classes are made and what functions keep: nothing of what they say."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            keywords = node.keywords if isinstance(node, ast.ClassDef) else []
            found.update(
                part for each in (*node.decorator_list, *keywords) for part in ast.walk(each)
            )
    return found


def _statements(tree: ast.Module) -> Mapping[ast.AST, tuple[str, int]]:
    """The function, and the line of its innermost statement, that each node is in."""
    found: dict[ast.AST, tuple[str, int]] = {}
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        name = function.name
        found[function] = name, function.body[0].lineno  # skipped as a whole
        for statement in [each for part in function.body for each in ast.walk(part)]:
            if isinstance(statement, ast.stmt):
                found |= dict.fromkeys(ast.walk(statement), (name, statement.lineno))
    return found


def _probe(node: ast.AST) -> None:
    for blocks in [vars(each) for each in ast.walk(node)]:
        for block in blocks.values():
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                block[:] = [
                    each
                    for statement in block
                    for each in (ast.parse(f"{PROBE}({statement.lineno})").body[0], statement)
                ]


def _is_type(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id[:1].isupper()
