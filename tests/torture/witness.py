"""The program of tortured runs: says on record that it starts, sleeps, says that it ends. It needs no hall.

    python -I -S witness.py FOLDER SLEEP_S CODE

Every word is a line `RUN ATTEMPT WORD` in FOLDER/said, appended and synced. A run's attempts take turns with a lock;
one that finds it taken says `overlap`. Whoever is asked to end after the work is done stays until it has said so.
"""

import fcntl
import os
import signal
import sys
import time

folder, sleep_s, code = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
run, attempt = os.environ["MODELHALL_RUN"], os.path.basename(os.environ["MODELHALL_ATTEMPT"])


def say(word: str) -> None:
    record = os.open(f"{folder}/said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(record, f"{run} {attempt} {word}\n".encode())
    os.fsync(record)
    os.close(record)


lock = os.open(f"{folder}/lock-{run}", os.O_WRONLY | os.O_CREAT)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    say("overlap")
say("start")
time.sleep(sleep_s)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
result = '{"output": {}}' if code == 0 else '{"problem": {"message": "as it was told", "who": "caller"}}'
with open("result.json", "w") as file:
    file.write(result)
say("end")
sys.exit(code)
