#!/usr/bin/env python3
"""Measures a running Leasehold: admissions against nginx, new connections, the scanner, the start, the memory.

Both servers run one event loop on the same processor, wrk runs on another one. They are loaded in turn, slice by
slice, and compared pair by pair, so that what else the machine does meets both alike: the ratios mean something on a
noisy machine, requests a second do not. The exit code is 0 when everything was measured, whether or not the goals
are met.
"""

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import reviews
from processes import CONNECTIONS, Failure, Identity, Leasehold, Nginx, Processors, Slice, find

ROOT = pathlib.Path(__file__).parent.parent
RELEASE = ROOT / ".build" / "release"
MIB = 1024 * 1024

# With less, the 25 handshakes at the beginning (8 ms) are too large a part of a slice.
CPU_SECONDS_MIN = 0.1
SLICE_SECONDS_MAX = 16

SCANNER_GOAL_GB_PER_SECOND = 1.0
READY_GOAL_MS = 100
RESIDENT_GOAL_MIB = 16


@dataclasses.dataclass
class Scenario:
    title: str
    review: bytes
    connection: str
    # CPU time per request, as a multiple of nginx's.
    goal: float


SCENARIOS = [
    Scenario("1.5 KB", reviews.small(), "keep-alive", 1.15),
    Scenario("6 KB", reviews.padded(6_000), "keep-alive", 1.4),
    Scenario("500 KB", reviews.padded(500_000), "keep-alive", 2.8),
    Scenario("new connection, 1.5 KB", reviews.small(), "close", 0.9),
]


@dataclasses.dataclass
class Effort:
    pairs: int
    seconds: int
    starts: int


FULL = Effort(pairs=7, seconds=2, starts=9)
QUICK = Effort(pairs=3, seconds=1, starts=3)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def spread(values: list[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


# --- Measuring ---------------------------------------------------------------------------------------------------


def measure_admissions(binary: pathlib.Path, directory: pathlib.Path, effort: Effort, processors: Processors) -> dict:
    identity = Identity.make(directory)
    with Leasehold(binary, directory / "leasehold", reviews.NAMESPACE, processors.server, identity) as leasehold:
        say("Waiting until Leasehold leads its namespace ...")
        leasehold.wait_until(f"leading {reviews.NAMESPACE}", lambda: leasehold.allows(reviews.small()))
        answer = leasehold.post("/validate", reviews.small())
        with Nginx(directory / "nginx", answer, processors.server, identity) as nginx:
            nginx.wait_until("serving", lambda: nginx.greet())
            tls = [server.greet() for server in (leasehold, nginx)]
            if tls[0] != tls[1]:
                raise Failure(f"Leasehold speaks {' '.join(tls[0])}, nginx {' '.join(tls[1])}: not comparable")
            for server in (leasehold, nginx):
                for scenario in SCENARIOS:
                    server.post(server.path(len(scenario.review)), scenario.review)
            return {
                "tls": {"version": tls[0][0], "cipher": tls[0][1], "key": "ECDSA P-256"},
                "connections": CONNECTIONS,
                "answer_bytes": len(answer),
                "scenarios": [compare(leasehold, nginx, one, directory, effort, processors) for one in SCENARIOS],
            }


def compare(
    leasehold: Leasehold, nginx: Nginx, scenario: Scenario, directory: pathlib.Path, effort: Effort,
    processors: Processors,
) -> dict:
    review = directory / "review.json"
    review.write_bytes(scenario.review)
    pairs: list[tuple[Slice, Slice]] = []
    before = leasehold.decisions()
    seconds = effort.seconds
    Slice.measure(leasehold, review, scenario.connection, 1, processors.load)
    Slice.measure(nginx, review, scenario.connection, 1, processors.load)
    while len(pairs) < effort.pairs:
        one, other = (
            Slice.measure(server, review, scenario.connection, seconds, processors.load)
            for server in (leasehold, nginx)
        )
        if min(one.cpu_seconds, other.cpu_seconds) < CPU_SECONDS_MIN:
            seconds *= 2
            if seconds > SLICE_SECONDS_MAX:
                raise Failure(f"{scenario.title}: the machine is too busy, the servers hardly run")
            say(f"{scenario.title}: the machine is busy, this pair is repeated with slices of {seconds} s")
            continue
        pairs.append((one, other))
        say(
            f"{scenario.title}, pair {len(pairs)} of {effort.pairs}: {one.cpu_us:.1f} us CPU a request,"
            f" nginx {other.cpu_us:.1f}: {one.cpu_us / other.cpu_us:.2f} times"
        )
    after = leasehold.decisions()
    others = {key: after[key] - before.get(key, 0) for key in after if key != "allowed"}
    if any(others.values()):
        raise Failure(f"{scenario.title}: not every review was allowed, which is what was to be measured: {others}")
    ratio = spread([one.cpu_us / other.cpu_us for one, other in pairs])
    return {
        "title": scenario.title,
        "connection": scenario.connection,
        "review_bytes": len(scenario.review),
        "cpu_ratio": ratio,
        "cpu_ratio_goal": scenario.goal,
        "met": ratio["median"] <= scenario.goal,
        "throughput_ratio": spread([one.rate / other.rate for one, other in pairs]),
        "leasehold": [dataclasses.asdict(one) for one, _ in pairs],
        "nginx": [dataclasses.asdict(other) for _, other in pairs],
    }


def measure_scanner(binary: pathlib.Path, directory: pathlib.Path) -> dict:
    review = directory / "review.json"
    review.write_bytes(reviews.padded(500_000))
    done = subprocess.run([str(binary), str(review)], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(done.stderr.strip() or f"the scanner's benchmark ended with status {done.returncode}")
    result = json.loads(done.stdout)
    rate = spread(result["gigabytes_per_second"])
    say(f"Scanner: {rate['median']:.2f} GB/s")
    return {
        "review_bytes": result["bytes"],
        "gigabytes_per_second": rate,
        "goal": SCANNER_GOAL_GB_PER_SECOND,
        "met": rate["median"] >= SCANNER_GOAL_GB_PER_SECOND,
    }


def measure_start(binary: pathlib.Path, directory: pathlib.Path, effort: Effort) -> dict:
    """From before exec, with nothing there yet: the state directory, the store and the certificate are made, too.

    The fastest start counts, since what else the machine does can only add to it.
    """
    everywhere = os.sched_getaffinity(0)
    serving: list[float] = []
    ready: list[float] = []
    cpu: list[float] = []
    for number in range(effort.starts):
        begin = time.monotonic()
        with Leasehold(binary, directory / f"start-{number}", reviews.NAMESPACE, everywhere) as leasehold:
            leasehold.wait_until("a TLS connection", lambda: leasehold.greet(), pause=0.001)
            leasehold.wait_until("/healthz", leasehold.is_healthy, pause=0.001)
            serving.append((time.monotonic() - begin) * 1000)
            leasehold.wait_until("/readyz", leasehold.is_ready, pause=0.001)
            ready.append((time.monotonic() - begin) * 1000)
            cpu.append(leasehold.cpu_seconds() * 1000)
        say(f"Start {number + 1} of {effort.starts}: serving after {serving[-1]:.0f} ms, ready after {ready[-1]:.0f} ms")
    return {
        "serving_ms": spread(serving),
        "ready_ms": spread(ready),
        "cpu_ms": spread(cpu),
        "goal_ms": READY_GOAL_MS,
        "met": min(ready) < READY_GOAL_MS,
    }


def resident(scenarios: list[dict]) -> dict:
    """The most memory that was seen while wrk kept its connections open."""
    most = {
        scenario["title"]: {
            key: max(one[f"{key}_bytes_max"] for one in scenario["leasehold"]) / MIB for key in ("resident", "own")
        }
        for scenario in scenarios
    }
    # With large bodies on their way, much of the memory is theirs: shown, but no goal is set for it.
    ordinary = max(mib["resident"] for title, mib in most.items() if title != "500 KB")
    return {"mib": most, "goal_mib": RESIDENT_GOAL_MIB, "met": ordinary < RESIDENT_GOAL_MIB}


# --- Telling -----------------------------------------------------------------------------------------------------


def git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def commit() -> str:
    """As in `git log --oneline`; a tree with changes is not that commit and says so."""
    name = git("rev-parse", "--short", "HEAD")
    if name is None:
        return "unknown"
    changed = git("status", "--porcelain", "--", "Sources", "Package.swift", "bench/*.py", "bench/*.lua", "bench/*.conf")
    return f"{name}-changed" if changed else name


def machine(processors: Processors) -> dict:
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {
        "cpu": model.group(1) if model else platform.machine(),
        "cores": os.cpu_count(),
        "servers_on_cpu": sorted(processors.server),
        "wrk_on_cpu": sorted(processors.load),
        "kernel": platform.release(),
        "openssl": first_line([find("openssl"), "version"]),
        "nginx": first_line([find("nginx"), "-v"]),
        "wrk": first_line([find("wrk"), "-v"]),
    }


def first_line(arguments: list[str]) -> str:
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.splitlines()[0].strip()


def table(results: dict) -> str:
    lines = [
        "",
        f"Leasehold {results['commit']} and nginx in turn, {results['admissions']['connections']} connections,"
        f" {results['admissions']['tls']['version']} {results['admissions']['tls']['cipher']},"
        f" {results['admissions']['tls']['key']}",
        "",
        f"{'':24}{'us CPU a request':>20}{'CPU time, Leasehold / nginx':>32}{'requests/s':>16}",
        f"{'AdmissionReview':24}{'Leasehold':>11}{'nginx':>9}{'min':>10}{'median':>9}{'max':>7}{'goal':>9}"
        f"{'ratio':>13}",
    ]
    for scenario in results["admissions"]["scenarios"]:
        one, other = (
            statistics.median(part["cpu_seconds"] / part["requests"] * 1e6 for part in scenario[name])
            for name in ("leasehold", "nginx")
        )
        ratio = scenario["cpu_ratio"]
        lines.append(
            f"{scenario['title']:24}{one:11.1f}{other:9.1f}{ratio['min']:10.2f}{ratio['median']:9.2f}"
            f"{ratio['max']:7.2f}{scenario['cpu_ratio_goal']:9.2f}{scenario['throughput_ratio']['median']:13.2f}"
            f"   {verdict(scenario)}"
        )
    scanner, start, memory = results["scanner"], results["start"], results["resident"]
    rate = scanner["gigabytes_per_second"]
    serving, ready, cpu = start["serving_ms"], start["ready_ms"], start["cpu_ms"]
    sizes = [
        f"    {title:24}{mib['resident']:6.1f} MiB, of which {mib['own']:.1f} its own (the rest: program and libraries)"
        for title, mib in memory["mib"].items()
    ]
    lines += [
        "",
        f"{'':24}{'min':>9}{'median':>9}{'max':>9}{'goal':>10}",
        f"{'Scanner, 500 KB, GB/s':24}{rate['min']:9.2f}{rate['median']:9.2f}{rate['max']:9.2f}"
        f"{'>= %.2f' % scanner['goal']:>10}   {verdict(scanner)}",
        f"{'Start to serving, ms':24}{serving['min']:9.0f}{serving['median']:9.0f}{serving['max']:9.0f}",
        f"{'Start to ready, ms':24}{ready['min']:9.0f}{ready['median']:9.0f}{ready['max']:9.0f}"
        f"{'< %.0f' % start['goal_ms']:>10}   {verdict(start)} by the fastest",
        f"{'CPU time to ready, ms':24}{cpu['min']:9.0f}{cpu['median']:9.0f}{cpu['max']:9.0f}",
        "",
        f"Resident memory at {results['admissions']['connections']} connections, goal < {memory['goal_mib']} MiB"
        f" unless bodies are large: {verdict(memory)}",
        *sizes,
        "",
    ]
    return "\n".join(lines)


def verdict(part: dict) -> str:
    return "met" if part["met"] else "MISSED"


def rounded(value):
    """Four digits are more than can be measured here."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


def write(results: dict, directory: pathlib.Path) -> pathlib.Path:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{results['date'][:10]}-{results['commit']}{'-quick' if results['quick'] else ''}.json"
    file.write_text(json.dumps(rounded(results), indent=1) + "\n")
    return file


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute in place of two and a half, less exact")
    parser.add_argument("--binary", type=pathlib.Path, default=RELEASE / "leasehold", help="the server")
    parser.add_argument("--scanner", type=pathlib.Path, default=RELEASE / "leasehold-bench", help="the scanner's part")
    parser.add_argument(
        "--results", type=pathlib.Path, default=ROOT / "bench" / "results", help="the directory for the JSON file"
    )
    options = parser.parse_args()
    effort = QUICK if options.quick else FULL
    # So that `finally` and `with` end the servers when somebody ends this with kill, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        processors = Processors.choose()
        results = {
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "commit": commit(),
            "quick": options.quick,
            "machine": machine(processors),
        }
        with tempfile.TemporaryDirectory(prefix="leasehold-bench-") as name:
            directory = pathlib.Path(name)
            results["scanner"] = measure_scanner(options.scanner, directory)
            results["start"] = measure_start(options.binary, directory, effort)
            results["admissions"] = measure_admissions(options.binary, directory, effort, processors)
        results["resident"] = resident(results["admissions"]["scenarios"])
        file = write(results, options.results)
    except (Failure, OSError) as failure:
        say(f"error: {failure}")
        return 1
    except KeyboardInterrupt:
        say("Stopped.")
        return 130
    print(table(results))
    print(f"Written to {os.path.relpath(file)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
