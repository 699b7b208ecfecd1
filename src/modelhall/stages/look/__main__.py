import json
import sys
from typing import Any

from modelhall.core.errors import HallError
from modelhall.core.kinds import Problem
from modelhall.core.looking import Question
from modelhall.stages.look import compare, export, match, record, rows

ANSWERS = {
    "rows": rows.answer,
    "record": record.answer,
    "compare": compare.answer,
    "match": match.answer,
}

question = Question.model_validate_json(sys.stdin.buffer.read())
try:
    if question.ask == "export":
        export.write(question, sys.stdout.buffer)
        sys.exit(0)
    said: dict[str, Any] = {"answer": ANSWERS[question.ask](question)}
except HallError as error:
    said = {"problem": Problem.of(error).model_dump()}
    if question.ask == "export":
        sys.exit(f"{error}")  # there is no saying it in the middle of a file
sys.stdout.write(json.dumps(said, default=str))
