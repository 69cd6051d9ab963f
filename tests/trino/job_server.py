"""Runs the Glue job for each command line on stdin, with tests/local_spark in Spark's place.

Each line is a JSON list. The answer is one line: null, or the error as text.
"""

import json
import os
import sys

import export_table


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the job prints is no answer
    for line in sys.stdin:
        try:
            export_table.main(["export_table.py", *json.loads(line)])
            answer = None
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
