#!/usr/bin/env python3
"""Creates a container group on SaladCloud: fills container-group.json and posts it, or prints it (--dry-run).

    SALAD_API_KEY=… deploy/salad/deploy.py --organization my-org --project my-project --image me/asr-api:latest-turbo \\
        --gpu-class 65247de0-746f-45c6-8537-650ba613966a

The key is read from SALAD_API_KEY alone, so that no list of processes shows it. Needs Python 3.11 and no package.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).resolve().parent / "container-group.json"
API = "https://api.salad.com/api/public"
ANSWER_TIMEOUT_S = 30
# Three minutes for the download of a model, as in the original; the API takes at most 20 failures.
DOWNLOAD_PROBE = {"initial_delay_seconds": 10, "period_seconds": 9, "failure_threshold": 20}


class DeployError(Exception):
    """One sentence for the user."""


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="deploy/salad/deploy.py", description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--organization", default=os.environ.get("SALAD_ORGANIZATION"), help="or SALAD_ORGANIZATION")
    add("--project", default=os.environ.get("SALAD_PROJECT"), help="or SALAD_PROJECT")
    add("--name", help="of the container group; default: asr-api")
    add("--image", required=True, help="with its registry, and a model in it or not")
    add("--downloads-model", action="store_true", help="the image holds no model: its start gets three minutes")
    add("--gpu-class", action="append", default=[], metavar="UUID", help="may be repeated; none: on processors")
    add("--replicas", type=int, help="default: 3")
    add("--cpu", type=int, help="default: 2")
    add("--memory-mb", type=int, help="default: 8192")
    add("--priority", choices=("high", "medium", "low", "batch"), help="default: that of SaladCloud")
    add("--auth", action="store_true", help="requests need the header Salad-Api-Key")
    add("--env", action="append", default=[], metavar="NAME[=VALUE]", help="a setting; without a value, that of here")
    add("--dry-run", action="store_true", help="print the container group and send nothing")
    add("--api", default=os.environ.get("SALAD_API", API), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def container_group(options: argparse.Namespace) -> dict[str, Any]:
    group: dict[str, Any] = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    container, resources = group["container"], group["container"]["resources"]
    if options.name is not None:
        group["name"] = group["display_name"] = options.name
    if options.replicas is not None:
        group["replicas"] = options.replicas
    container["image"] = options.image
    if options.priority is not None:
        container["priority"] = options.priority
    container["environment_variables"] |= dict(map(variable, options.env))
    resources["gpu_classes"] = options.gpu_class
    for key, value in (("cpu", options.cpu), ("memory", options.memory_mb)):
        if value is not None:
            resources[key] = value
    group["networking"]["auth"] = options.auth
    if options.downloads_model:
        group["startup_probe"] |= DOWNLOAD_PROBE
    return group


def variable(text: str) -> tuple[str, str]:
    name, has_value, value = text.partition("=")
    if has_value:
        return name, value
    if name not in os.environ:
        raise DeployError(f"--env {name} has no value, and {name} is not set here")
    return name, os.environ[name]


def post(group: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """What SaladCloud answers, the new container group."""
    key = os.environ.get("SALAD_API_KEY")
    for name, value in (("--organization", options.organization), ("--project", options.project)):
        if not value:
            raise DeployError(f"{name} is missing")
    if not key:
        raise DeployError("SALAD_API_KEY is not set; the portal of SaladCloud shows it under API Access")
    organization, project = (urllib.parse.quote(part, safe="") for part in (options.organization, options.project))
    address = f"{options.api}/organizations/{organization}/projects/{project}/containers"
    headers = {"Salad-Api-Key": key, "Content-Type": "application/json", "Accept": "application/json"}
    request = urllib.request.Request(address, json.dumps(group).encode(), headers, method="POST")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S) as reply:  # noqa: S310
            created: dict[str, Any] = json.load(reply)
            return created
    except urllib.error.HTTPError as error:
        raise DeployError(f"SaladCloud answered {error.code}: {explanation(error)}") from None
    except (OSError, ValueError) as error:
        raise DeployError(f"SaladCloud cannot be reached, or its answer cannot be read: {error}") from None


def explanation(error: urllib.error.HTTPError) -> str:
    """What the API says, in one line."""
    text = error.read(10_000).decode(errors="replace")
    try:
        problem = json.loads(text)
        text = " ".join(str(problem[key]) for key in ("title", "detail", "errors") if problem.get(key)) or text
    except (ValueError, AttributeError):
        pass
    return " ".join(text.split()) or str(error.reason)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    try:
        group = container_group(options)
        if options.dry_run:
            sys.stdout.write(json.dumps(group, indent=2) + "\n")
            return 0
        created = post(group, options)
    except DeployError as error:
        sys.stderr.write(f"deploy/salad/deploy.py: {error}\n")
        return 1
    address = (created.get("networking") or {}).get("dns")
    where = f"; its address is https://{address}" if address else ""
    sys.stdout.write(f"created {created.get('name', group['name'])}{where}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
