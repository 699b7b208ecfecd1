"""Expressions as people write them in hall files → expressions of polars. They are read, never run as Python: what is
not listed here is refused."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean

_LONGEST = 2000
_SHOWN = 100
_TWO: dict[type[ast.AST], Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.And: operator.and_, ast.Or: operator.or_,
}  # fmt: skip
_ONE: dict[type[ast.AST], Callable[[pl.Expr], pl.Expr]] = {ast.Not: operator.invert, ast.USub: operator.neg}
_FUNCTIONS: dict[str, Callable[..., pl.Expr]] = {
    "abs": lambda x: x.abs(),
    "ceil": lambda x: x.ceil(),
    "concat": lambda *parts: pl.concat_str(part.cast(pl.String) for part in parts),
    "contains": lambda x, pattern: x.str.contains(pattern, literal=True),
    "day": lambda x: x.dt.day(),
    "exp": lambda x: x.exp(),
    "fill": lambda x, value: x.fill_null(value),
    "floor": lambda x: x.floor(),
    "hour": lambda x: x.dt.hour(),
    "is_missing": lambda x: x.is_null(),
    "length": lambda x: x.str.len_chars(),
    "log": lambda x: x.log(),
    "lower": lambda x: x.str.to_lowercase(),
    "max": lambda *parts: pl.max_horizontal(*parts),
    "min": lambda *parts: pl.min_horizontal(*parts),
    "month": lambda x: x.dt.month(),
    "number": lambda x: x.cast(pl.Float64, strict=False),
    "replace": lambda x, old, new: x.str.replace_all(old, new, literal=True),
    "round": lambda x: x.round(),
    "sqrt": lambda x: x.sqrt(),
    "strip": lambda x: x.str.strip_chars(),
    "text": lambda x: x.cast(pl.String),
    "upper": lambda x: x.str.to_uppercase(),
    "weekday": lambda x: x.dt.weekday(),
    "words": lambda x: x.str.count_matches(r"\S+"),
    "year": lambda x: x.dt.year(),
}


def expression(written: str, columns: Sequence[str]) -> pl.Expr:
    """Raises Rejected for what cannot be read, a column or a function there is not."""
    if len(written) > _LONGEST:
        raise Rejected(f"an expression has at most {_LONGEST} characters, not {len(written)}")
    try:
        return _read(ast.parse(written.strip(), mode="eval").body, columns)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Rejected(f"{written[:_SHOWN]!r} cannot be read: {error}") from None


def _read(node: ast.expr, columns: Sequence[str]) -> pl.Expr:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return pl.lit(value)
        case ast.Name(id=name):
            return _column(name, columns)
        case ast.BinOp(
            left=ast.expr() as divided, op=ast.Div(), right=ast.Constant(value=float() | int() as divisor)
        ):
            # By a column of it: by one number, polars may multiply instead, depending on how many rows there are.
            return _read(divided, columns) / pl.repeat(float(divisor), pl.len())
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _TWO:
            return _TWO[type(op)](_read(left, columns), _read(right, columns))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _ONE:
            return _ONE[type(op)](_read(operand, columns))
        case ast.BoolOp(op=op, values=[first, *rest]):
            found = _read(first, columns)
            for more in rest:
                found = _TWO[type(op)](found, _read(more, columns))
            return found
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            return _compared(_read(left, columns), ops, comparators, columns)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            then = pl.when(_read(test, columns)).then(_read(body, columns))
            return then.otherwise(_read(orelse, columns))
        case ast.Call(func=ast.Name(id="col"), args=[ast.Constant(value=str(name))], keywords=[]):
            return _column(name, columns)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return _called(name, [_read(arg, columns) for arg in args])
    raise Rejected(f"{ast.unparse(node)!r} is none of what an expression may hold")


def _column(name: str, columns: Sequence[str]) -> pl.Expr:
    if name not in columns:
        raise Rejected(f"no column {name!r}; {did_you_mean(name, columns)}")
    return pl.col(name)


def _called(name: str, given: list[pl.Expr]) -> pl.Expr:
    if name not in _FUNCTIONS:
        raise Rejected(f"no function {name!r}; {did_you_mean(name, _FUNCTIONS)}")
    try:
        called: pl.Expr = _FUNCTIONS[name](*given)
    except TypeError as error:
        raise Rejected(f"{name} is given {len(given)} values: {error}") from None
    return called


def _compared(
    left: pl.Expr, ops: Sequence[ast.cmpop], comparators: Sequence[ast.expr], columns: Sequence[str]
) -> pl.Expr:
    """`a < b < c` as in mathematics; `a in [1, 2]` with values that are written down."""
    found: pl.Expr | None = None
    for op, node in zip(ops, comparators, strict=True):
        if isinstance(op, (ast.In, ast.NotIn)):
            try:
                values = ast.literal_eval(node)
            except ValueError:
                raise Rejected("`in` needs a list of values that are written down, such as [1, 2]") from None
            told = left.is_in(list(values))
            told, left = ~told if isinstance(op, ast.NotIn) else told, left
        elif type(op) in _TWO:
            right = _read(node, columns)
            told, left = _TWO[type(op)](left, right), right
        else:
            raise Rejected("of `is` there is is_missing(x)")
        found = told if found is None else found & told
    assert found is not None
    return found
