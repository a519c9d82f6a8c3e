"""Load and chaos for a server: one that is started here and stopped afterwards, or, without faults, a running one.

    MODEL_ID=builtin python -m benchmarks.chaos [--minutes 10] [--seed 1] [--clients 24] [--url http://127.0.0.1:8000]
    MODEL_ID=builtin python -m benchmarks.chaos overload|kills|disconnects|memory|slow-clients

It exits with 0 only if every request is accounted for and none is wrong or hung and nothing leaked. README.md has the
details. Needs locust and psutil: .venv/bin/python -m pip install -e '.[chaos]'
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from random import Random

from benchmarks.chaos.disconnects import disconnect
from benchmarks.chaos.kills import kill_engines
from benchmarks.chaos.memory import measure_memory
from benchmarks.chaos.overload import overload
from benchmarks.chaos.slow_clients import measure_slow_clients
from benchmarks.chaos.soak import soak


def main() -> int:
    arguments = parse_arguments()
    if arguments.program == "soak":
        return soak(arguments.url, arguments.minutes, arguments.seed, arguments.clients)
    return PROGRAMS[arguments.program](arguments)


def parse_arguments() -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__, formatter_class=formatter)
    parser.add_argument("program", nargs="?", choices=["soak", *PROGRAMS], default="soak")
    parser.add_argument("--url", help="soak: a server that is running on this machine; it gets the load, but no faults")
    parser.add_argument("--minutes", type=float, default=10, help="soak: of load, without the calm run")
    parser.add_argument("--seed", type=int, help="of the plan; printed if it is not given")
    parser.add_argument("--clients", type=int, default=24, help="soak: that send at the same time")
    parser.add_argument("--seconds", type=float, default=60, help="overload: of each load")
    parser.add_argument("--num", type=int, help="kills (50), disconnects (1000), memory (5000), slow-clients (1000)")
    parser.add_argument("--engine", choices=["builtin", "scripted"], default="scripted", help="memory")
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = Random().randrange(10_000)  # noqa: S311
    print(f"seed {arguments.seed}", flush=True)  # noqa: T201
    return arguments


PROGRAMS: dict[str, Callable[[argparse.Namespace], int]] = {
    "overload": lambda arguments: overload(arguments.seed, arguments.seconds),
    "kills": lambda arguments: kill_engines(arguments.seed, arguments.num or 50),
    "disconnects": lambda arguments: disconnect(arguments.seed, arguments.num or 1000),
    "memory": lambda arguments: measure_memory(arguments.seed, arguments.num or 5000, arguments.engine),
    "slow-clients": lambda arguments: measure_slow_clients(arguments.num or 1000),
}

if __name__ == "__main__":
    sys.exit(main())
