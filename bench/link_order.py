#!/usr/bin/env python3
"""Finds out which functions a webhook calls, and writes them down for the linker: those of every day first, then those
of the start.

What lies together in the program lies together in memory. The kernel maps 64 KB around each function that is called;
without an order, nearly every 64 KB of the program hold one that is. Names that a later program does not have do no
harm, so this is worth repeating when a webhook's memory has grown (`make bench`), or for a new version of Swift. Needs
valgrind.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

import reviews
from processes import Controller, Failure, Processors, Webhook, find

ROOT = pathlib.Path(__file__).parent.parent
REQUESTS = 20


def functions(profile: pathlib.Path, program: str) -> list[str]:
    """The names of the functions of `program` in one of callgrind's files, in its order."""
    objects: dict[str, str] = {}
    names: dict[str, str] = {}
    called: dict[str, None] = {}
    current = ""
    for line in profile.read_text(errors="replace").splitlines():
        # A name comes with a number, and later the number stands for it; `c` is for the one that is called.
        match = re.match(r"(c?)(ob|fn)=\((\d+)\)(?: (.*))?$", line)
        if match is None:
            continue
        is_called, kind, number, name = match.groups()
        known = objects if kind == "ob" else names
        if name is not None:
            known[number] = name
        if is_called:
            continue
        if kind == "ob":
            current = known[number]
        elif current.endswith(program):
            # Recursion is marked by a number at the end.
            called[re.sub(r"'\d+$", "", known[number])] = None
    return [name for name in called if not name.startswith(("0x", "(", "_start", "_init", "_fini"))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / ".build" / "release" / "leasehold")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "Sources" / "leasehold" / "Link" / "order.txt")
    options = parser.parse_args()
    binary = options.binary.resolve()
    everywhere = Processors.choose()
    everywhere = everywhere.server | everywhere.load
    try:
        with tempfile.TemporaryDirectory(prefix="leasehold-order-") as name:
            directory = pathlib.Path(name)
            profile = directory / "profile"
            valgrind = [find("valgrind"), "--tool=callgrind", "--demangle=no", f"--callgrind-out-file={profile}"]
            with Controller(binary, directory / "controller", [reviews.NAMESPACE], everywhere) as controller:
                controller.wait_until("ready", controller.is_ready)
                with Webhook(binary, directory / "webhook", controller, everywhere, under=valgrind) as webhook:
                    webhook.wait_until("ready", webhook.is_ready)
                    webhook.wait_until("admitting", lambda: webhook.allows(reviews.small()))
                    # Writes a file, numbered, and begins anew.
                    subprocess.run(
                        [find("callgrind_control"), "--dump=start", str(webhook.process.pid)],
                        check=True, capture_output=True,
                    )
                    for _ in range(REQUESTS):
                        for file in reviews.captured():
                            webhook.post("/validate", file.read_bytes())
                        webhook.post("/validate", reviews.padded(100_000))
                        webhook.is_ready()
                        webhook.sample("leasehold")
            start, daily = (
                functions(part, str(binary)) for part in (profile.with_suffix(".1"), profile)
            )
    except (Failure, OSError, subprocess.CalledProcessError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    order = list(dict.fromkeys(daily + start))
    options.output.write_text("\n".join(order) + "\n")
    print(f"{len(daily)} functions of every day and {len(order) - len(daily)} of the start in {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
