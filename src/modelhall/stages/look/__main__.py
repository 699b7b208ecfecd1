import importlib
import json
import sys
from typing import Any

from modelhall.core.errors import HallError
from modelhall.core.kinds import Problem
from modelhall.core.looking import Question

question = Question.model_validate_json(sys.stdin.buffer.read())
try:
    # Only what answers this question: some need the libraries that read rows, and most need none.
    module = importlib.import_module(f"modelhall.stages.look.{question.ask}")
    if question.ask == "export":
        module.write(question, sys.stdout.buffer)
        sys.exit(0)
    said: dict[str, Any] = {"answer": module.answer(question)}
except HallError as error:
    said = {"problem": Problem.of(error).model_dump()}
    if question.ask == "export":
        sys.exit(f"{error}")  # there is no saying it in the middle of a file
sys.stdout.write(json.dumps(said, default=str))
