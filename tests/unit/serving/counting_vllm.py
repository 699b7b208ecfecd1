"""A server that is started and asked as vLLM is, and speaks its protocol: it counts on from a prompt's last token.

Some last tokens have it misbehave. Into the folder it is to serve it writes how it was called, and whose caller left.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

REFUSED, BREAKS, DIES, ENDLESS = 13, 66, 99, 500
"""Last tokens of prompts that are refused, that break off in the middle, that end the process, and that are counted
on from slowly."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path

    def do_GET(self) -> None:
        self._say(200 if self.path == "/health" else 404, b"")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.headers["authorization"] != f"Bearer {os.environ['VLLM_API_KEY']}":
            self._say(401, b'{"error": "Unauthorized"}')
        elif asked["prompt"][-1] == REFUSED:
            self._say(400, b'{"error": {"message": "the grammar is unlucky", "code": 400}}')
        else:
            self._stream(asked)

    def _stream(self, asked: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for event in self._events(asked):
                self._chunk(f"data: {event}\n\n".encode())
            self._chunk(b"")
        except (BrokenPipeError, ConnectionResetError):
            (self.folder / "left").touch()
        except EOFError:
            self.close_connection = True

    def _events(self, asked: dict[str, Any]) -> Any:
        first, many = asked["prompt"][-1], asked["max_tokens"]
        for number in range(1, many + 1):
            id = first + number
            if first == DIES:
                os._exit(3)
            if first == BREAKS and number > 1:
                raise EOFError
            if first == ENDLESS:
                time.sleep(0.005)
            reason = "stop" if id in asked["stop_token_ids"] else "length" if number == many else None
            choice = {"index": 0, "text": "", "finish_reason": reason, "token_ids": [id]}
            if asked.get("logprobs") is not None:
                top = {f"token_id:{id}": -0.5, "token_id:1": -0.25}
                choice["logprobs"] = {
                    "tokens": [f"token_id:{id}"],
                    "token_logprobs": [-0.5],
                    "top_logprobs": [top],
                }
            yield json.dumps({"id": "cmpl", "choices": [choice]})
            if reason is not None:
                break
        yield json.dumps({"choices": [], "usage": {"prompt_tokens_details": {"cached_tokens": 16}}})
        yield "[DONE]"

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """The log is the replica's."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    given, _ = parser.parse_known_args()
    Handler.folder = given.folder
    (given.folder / "called.json").write_text(json.dumps({"argv": sys.argv, "pid": os.getpid()}))
    ThreadingHTTPServer((given.host, given.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
