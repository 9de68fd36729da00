#!/usr/bin/env python3
"""Measures a running webhook: admissions against nginx, new connections, the slowest of a hundred requests, the scanner,
the start, the memory.

Both servers run one event loop on the same processor, wrk runs on another one. They are loaded in turn, slice by
slice, and compared pair by pair, so that what else the machine does meets both alike: the ratios mean something on a
noisy machine, requests a second do not. The exit code is 0 when everything was measured, whether or not the goals
are met.
"""

import argparse
import contextlib
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

import plot
import reviews
from processes import Controller, Failure, Identity, Memory, Nginx, Processors, Slice, Tail, Webhook, find

ROOT = pathlib.Path(__file__).parent.parent
RELEASE = ROOT / ".build" / "release"
MIB = 1024 * 1024

# With less, the handshakes at the beginning (8 ms for 25) are too large a part of a slice.
CPU_SECONDS_MIN = 0.1
SLICE_SECONDS_MAX = 16

SCANNER_GOAL_GB_PER_SECOND = 1.0
READY_GOAL_MS = 100
# What the goals are set for.
CONNECTIONS = 25
TAIL_GOAL = 1.0
RESIDENT_GOAL_MIB = 16
NAMESPACES = 10_000
NAMESPACES_GOAL_MIB = 32


@dataclasses.dataclass
class Size:
    """An AdmissionReview, and what it may cost: CPU time per request, as a multiple of nginx's."""

    title: str
    review: bytes
    goal: float


SIZES = [
    Size("1.5 KB", reviews.small(), 1.15),
    Size("6 KB", reviews.padded(6_000), 1.4),
    Size("500 KB", reviews.padded(500_000), 2.8),
]
LARGEST = SIZES[-1].title


@dataclasses.dataclass
class Effort:
    pairs: int
    seconds: int
    starts: int


@dataclasses.dataclass
class Scenario:
    size: Size
    connections: int
    connection: str
    goal: float

    @property
    def title(self) -> str:
        return self.size.title if self.connection == "keep-alive" else f"new connection, {self.size.title}"


# In this order: the memory is looked at when connections with large bodies have gone.
SCENARIOS = [
    *[Scenario(size, connections, "keep-alive", size.goal) for connections in (CONNECTIONS, 1, 100) for size in SIZES],
]
SCENARIOS.insert(len(SIZES), Scenario(SIZES[0], CONNECTIONS, "close", 0.9))


@dataclasses.dataclass
class Plan:
    """How much is measured."""

    main: Effort
    # Other numbers of connections.
    side: Effort
    tail: Effort


FULL = Plan(Effort(7, 2, 9), Effort(5, 1, 0), Effort(21, 1, 0))
QUICK = Plan(Effort(3, 1, 3), Effort(1, 1, 0), Effort(1, 1, 0))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def spread(values: list[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


# --- Measuring ---------------------------------------------------------------------------------------------------


def measure_admissions(options, directory: pathlib.Path, plan: Plan, processors: Processors) -> dict:
    identity = Identity.make(directory)
    with contextlib.ExitStack() as stack:
        # The controller has hardly anything to do, so it does not matter where it does it.
        controller = stack.enter_context(
            Controller(options.binary, directory / "controller", [reviews.NAMESPACE], processors.load)
        )
        controller.wait_until("ready", controller.is_ready)
        webhook = stack.enter_context(
            Webhook(options.binary, directory / "webhook", controller, processors.server, identity)
        )
        say("Waiting until Leasehold leads its namespace ...")
        webhook.wait_until(f"leading {reviews.NAMESPACE}", lambda: webhook.allows(reviews.small()))
        answer = webhook.post("/validate", reviews.small())
        nginx = stack.enter_context(Nginx(directory / "nginx", answer, processors.server, identity))
        nginx.wait_until("serving", nginx.greet)
        tls = [server.greet() for server in (webhook, nginx)]
        if tls[0] != tls[1]:
            raise Failure(f"Leasehold speaks {' '.join(tls[0])}, nginx {' '.join(tls[1])}: not comparable")
        for server in (webhook, nginx):
            for size in SIZES:
                server.post(server.path(len(size.review)), size.review)
        at_rest = Memory.of(webhook.pids())
        scenarios = []
        for one in SCENARIOS:
            effort = plan.main if one.connections == CONNECTIONS else plan.side
            scenarios.append(compare(webhook, nginx, one, directory, effort, processors))
        after = memory_after(webhook, directory, processors)
        tails = [
            compare_tails(options.generator, webhook, nginx, size, identity, directory, scenarios, plan.tail, processors)
            for size in SIZES
        ]
        return {
            "tls": {"version": tls[0][0], "cipher": tls[0][1], "key": "ECDSA P-256"},
            "answer_bytes": len(answer),
            "scenarios": scenarios,
            "tails": tails,
            "resident_at_rest": at_rest,
            "resident_after": after,
        }


def compare(
    webhook: Webhook, nginx: Nginx, scenario: Scenario, directory: pathlib.Path, effort: Effort, processors: Processors
) -> dict:
    title = f"{scenario.title}, {scenario.connections} connection{'s' if scenario.connections > 1 else ''}"
    review = directory / "review.json"
    review.write_bytes(scenario.size.review)

    def measure(server, seconds: int) -> Slice:
        return Slice.measure(server, review, scenario.connections, scenario.connection, seconds, processors.load)

    pairs: list[tuple[Slice, Slice]] = []
    before = webhook.decisions()
    seconds = effort.seconds
    for server in (webhook, nginx):
        measure(server, 1)
    while len(pairs) < effort.pairs:
        one, other = (measure(server, seconds) for server in (webhook, nginx))
        if min(one.cpu_seconds, other.cpu_seconds) < CPU_SECONDS_MIN:
            seconds *= 2
            if seconds > SLICE_SECONDS_MAX:
                raise Failure(f"{title}: the machine is too busy, the servers hardly run")
            say(f"{title}: the machine is busy, this pair is repeated with slices of {seconds} s")
            continue
        pairs.append((one, other))
        say(
            f"{title}, pair {len(pairs)} of {effort.pairs}: {one.cpu_us:.1f} us CPU a request,"
            f" nginx {other.cpu_us:.1f}: {one.cpu_us / other.cpu_us:.2f} times"
        )
    after = webhook.decisions()
    others = {key: after[key] - before.get(key, 0) for key in after if key != "allowed"}
    if any(others.values()):
        raise Failure(f"{title}: not every review was allowed, which is what was to be measured: {others}")
    ratio = spread([one.cpu_us / other.cpu_us for one, other in pairs])
    return {
        "title": scenario.title,
        "connections": scenario.connections,
        "connection": scenario.connection,
        "review_bytes": len(scenario.size.review),
        "cpu_ratio": ratio,
        "cpu_ratio_goal": scenario.goal,
        "met": ratio["median"] <= scenario.goal,
        "throughput_ratio": spread([one.rate / other.rate for one, other in pairs]),
        "leasehold": [dataclasses.asdict(one) for one, _ in pairs],
        "nginx": [dataclasses.asdict(other) for _, other in pairs],
    }


def compare_tails(
    generator: pathlib.Path, webhook: Webhook, nginx: Nginx, size: Size, identity: Identity, directory: pathlib.Path,
    scenarios: list[dict], effort: Effort, processors: Processors,
) -> dict:
    """Both at the same rate: half of what the slower of the two has managed over as many connections."""
    review = directory / "review.json"
    review.write_bytes(size.review)
    (full,) = [
        one for one in scenarios
        if one["title"] == size.title and one["connections"] == CONNECTIONS and one["connection"] == "keep-alive"
    ]
    rate = min(
        statistics.median(part["requests"] / part["seconds"] for part in full[name]) for name in ("leasehold", "nginx")
    ) / 2
    pairs: list[tuple[Tail, Tail]] = []
    for seed in range(effort.pairs):
        one, other = (
            Tail.measure(
                generator, server, review, identity, CONNECTIONS, rate, effort.seconds, seed, processors.load
            )
            for server in (webhook, nginx)
        )
        pairs.append((one, other))
        say(
            f"{size.title} at {rate:.0f} requests/s, pair {seed + 1} of {effort.pairs}: p99 {one.p99_us:.0f} us,"
            f" nginx {other.p99_us:.0f}: {one.p99_us / other.p99_us:.2f} times"
        )
    ratio = spread([one.p99_us / other.p99_us for one, other in pairs])
    return {
        "title": size.title,
        "rate": rate,
        "p99_ratio": ratio,
        "p99_ratio_goal": TAIL_GOAL,
        "met": ratio["median"] <= TAIL_GOAL,
        "leasehold": [dataclasses.asdict(one) for one, _ in pairs],
        "nginx": [dataclasses.asdict(other) for _, other in pairs],
    }


def measure_scanner(binary: pathlib.Path, directory: pathlib.Path) -> dict:
    review = directory / "review.json"
    review.write_bytes(reviews.padded(500_000))
    result = output_of([str(binary), "scan", str(review)])
    rate = spread(result["gigabytes_per_second"])
    say(f"Scanner: {rate['median']:.2f} GB/s")
    return {
        "review_bytes": result["bytes"],
        "gigabytes_per_second": rate,
        "goal": SCANNER_GOAL_GB_PER_SECOND,
        "met": rate["median"] >= SCANNER_GOAL_GB_PER_SECOND,
    }


def measure_allocations(binary: pathlib.Path) -> dict:
    """Fails when there are any but OpenSSL's."""
    result = output_of([str(binary), "allocations", *map(str, reviews.captured())])
    say(f"Allocations: {result['allocations']} for {result['requests']} requests")
    return result


def output_of(arguments: list[str]) -> dict:
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(done.stderr.strip() or f"{' '.join(arguments[:2])} ended with status {done.returncode}")
    return json.loads(done.stdout)


def measure_start(binary: pathlib.Path, directory: pathlib.Path, effort: Effort) -> dict:
    """From before exec to the first grant in force, with a serving certificate still to be made.

    The fastest start counts, since what else the machine does can only add to it.
    """
    everywhere = os.sched_getaffinity(0)
    serving: list[float] = []
    ready: list[float] = []
    cpu: list[float] = []
    with Controller(binary, directory / "start-controller", [reviews.NAMESPACE], everywhere) as controller:
        controller.wait_until("ready", controller.is_ready)
        for number in range(effort.starts):
            begin = time.monotonic()
            with Webhook(binary, directory / f"start-{number}", controller, everywhere) as webhook:
                webhook.wait_until("a TLS connection", webhook.greet, pause=0.001)
                webhook.wait_until("/healthz", webhook.is_healthy, pause=0.001)
                serving.append((time.monotonic() - begin) * 1000)
                webhook.wait_until("/readyz", webhook.is_ready, pause=0.001)
                ready.append((time.monotonic() - begin) * 1000)
                cpu.append(webhook.cpu_seconds() * 1000)
            say(
                f"Start {number + 1} of {effort.starts}: serving after {serving[-1]:.0f} ms,"
                f" ready after {ready[-1]:.0f} ms"
            )
    return {
        "serving_ms": spread(serving),
        "ready_ms": spread(ready),
        "cpu_ms": spread(cpu),
        "goal_ms": READY_GOAL_MS,
        "met": min(ready) < READY_GOAL_MS,
    }


def memory_after(webhook: Webhook, directory: pathlib.Path, processors: Processors) -> Memory:
    """With ordinary load, when what connections with large bodies have taken has had time to go."""
    review = directory / "review.json"
    review.write_bytes(SIZES[-1].review)
    Slice.measure(webhook, review, 100, "keep-alive", 1, processors.load)
    # Spare buffers go when a second has passed in which nobody needed them.
    time.sleep(3)
    review.write_bytes(SIZES[0].review)
    after = Slice.measure(webhook, review, CONNECTIONS, "keep-alive", 1, processors.load)
    return Memory(after.resident_bytes_max, after.own_bytes_max)


def measure_namespaces(binary: pathlib.Path, directory: pathlib.Path, processors: Processors) -> Memory:
    """A webhook whose controller leads many namespaces, under ordinary load."""
    everywhere = processors.server | processors.load
    names = [f"team-{number:05}" for number in range(NAMESPACES)]
    identity = Identity.make(directory)
    with Controller(binary, directory / "many-controller", names, everywhere) as controller:
        say(f"Waiting until Leasehold leads {NAMESPACES} namespaces ...")
        led = "leasehold_leases_led "
        controller.wait_until(f"leading {NAMESPACES}", lambda: controller.sample(led) == NAMESPACES, pause=0.2)
        with Webhook(binary, directory / "many-webhook", controller, processors.server, identity) as webhook:
            review = directory / "review.json"
            review.write_bytes(reviews.small(names[-1]))
            webhook.wait_until(f"leading {names[-1]}", lambda: webhook.allows(reviews.small(names[-1])))
            most = Slice.measure(webhook, review, CONNECTIONS, "keep-alive", 2, processors.load)
            return Memory(most.resident_bytes_max, most.own_bytes_max)


def resident(admissions: dict, many: Memory) -> list[dict]:
    """The most memory that was seen while wrk kept its connections open, beside the goal; None: none is set."""

    def row(title: str, memory: Memory, goal: int | None) -> dict:
        mib = memory.resident / MIB
        met = goal is None or mib <= goal
        return {"title": title, "mib": mib, "own_mib": memory.own / MIB, "goal_mib": goal, "met": met}

    def most(connections: int, is_large: bool) -> Memory:
        parts = [
            part
            for one in admissions["scenarios"]
            if one["connections"] == connections and (one["title"] == LARGEST) == is_large
            for part in one["leasehold"]
        ]
        return Memory(max(part["resident_bytes_max"] for part in parts), max(part["own_bytes_max"] for part in parts))

    # With large bodies on their way, much of the memory is theirs: shown, but no goal is set for it.
    return [
        row("at rest", admissions.pop("resident_at_rest"), RESIDENT_GOAL_MIB),
        row(f"{CONNECTIONS} connections, 1.5 and 6 KB", most(CONNECTIONS, is_large=False), RESIDENT_GOAL_MIB),
        row(f"{CONNECTIONS} connections, 500 KB", most(CONNECTIONS, is_large=True), None),
        row("100 connections, 500 KB", most(100, is_large=True), None),
        row(f"and {CONNECTIONS} with 1.5 KB after those", admissions.pop("resident_after"), RESIDENT_GOAL_MIB),
        row(f"{CONNECTIONS} connections, {NAMESPACES:,} namespaces", many, NAMESPACES_GOAL_MIB),
    ]


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
    admissions = results["admissions"]
    lines = [
        "",
        f"Leasehold {results['commit']} and nginx in turn, {admissions['tls']['version']}"
        f" {admissions['tls']['cipher']}, {admissions['tls']['key']}",
        "",
        f"{'':24}{'connec-':>8}{'us CPU a request':>20}{'CPU time, Leasehold / nginx':>32}{'requests/s':>12}",
        f"{'AdmissionReview':24}{'tions':>8}{'Leasehold':>11}{'nginx':>9}{'min':>10}{'median':>9}{'max':>7}{'goal':>6}"
        f"{'ratio':>12}",
    ]
    for scenario in admissions["scenarios"]:
        one, other = (
            statistics.median(part["cpu_seconds"] / part["requests"] * 1e6 for part in scenario[name])
            for name in ("leasehold", "nginx")
        )
        ratio = scenario["cpu_ratio"]
        lines.append(
            f"{scenario['title']:24}{scenario['connections']:8}{one:11.1f}{other:9.1f}{ratio['min']:10.2f}"
            f"{ratio['median']:9.2f}{ratio['max']:7.2f}{scenario['cpu_ratio_goal']:6.2f}"
            f"{scenario['throughput_ratio']['median']:12.2f}   {verdict(scenario)}"
        )
    lines += [
        "",
        f"{'At half load,':24}{'':8}{'p99, us':>20}{'p99, Leasehold / nginx':>32}",
        f"{f'{CONNECTIONS} connections':24}{'rate':>8}{'Leasehold':>11}{'nginx':>9}{'min':>10}{'median':>9}{'max':>7}"
        f"{'goal':>6}",
    ]
    for tail in admissions["tails"]:
        one, other = (statistics.median(part["p99_us"] for part in tail[name]) for name in ("leasehold", "nginx"))
        ratio = tail["p99_ratio"]
        lines.append(
            f"{tail['title']:24}{tail['rate']:8.0f}{one:11.0f}{other:9.0f}{ratio['min']:10.2f}{ratio['median']:9.2f}"
            f"{ratio['max']:7.2f}{tail['p99_ratio_goal']:6.2f}{'':12}   {verdict(tail)}"
        )
    scanner, start, allocations = results["scanner"], results["start"], results["allocations"]
    rate = scanner["gigabytes_per_second"]
    serving, ready, cpu = start["serving_ms"], start["ready_ms"], start["cpu_ms"]
    lines += [
        "",
        f"{'':24}{'min':>9}{'median':>9}{'max':>9}{'goal':>10}",
        f"{'Scanner, 500 KB, GB/s':24}{rate['min']:9.2f}{rate['median']:9.2f}{rate['max']:9.2f}"
        f"{'>= %.2f' % scanner['goal']:>10}   {verdict(scanner)}",
        f"{'Start to serving, ms':24}{serving['min']:9.0f}{serving['median']:9.0f}{serving['max']:9.0f}",
        f"{'Start to ready, ms':24}{ready['min']:9.0f}{ready['median']:9.0f}{ready['max']:9.0f}"
        f"{'< %.0f' % start['goal_ms']:>10}   {verdict(start)} by the fastest",
        f"{'CPU time to ready, ms':24}{cpu['min']:9.0f}{cpu['median']:9.0f}{cpu['max']:9.0f}",
        f"Allocations: {allocations['allocations']} for {allocations['requests']} requests, beside OpenSSL's record"
        f" buffers ({allocations['allocations_by_openssl']})",
        "",
        f"{'Resident memory, MiB':40}{'all':>9}{'its own':>9}{'goal':>9}",
    ]
    for row in results["resident"]:
        goal = "" if row["goal_mib"] is None else f"{'<= %d' % row['goal_mib']:>9}   {verdict(row)}"
        lines.append(f"{row['title']:40}{row['mib']:9.1f}{row['own_mib']:9.1f}{goal}")
    return "\n".join([*lines, "(Its own: what is no page of a file, such as program and libraries.)", ""])


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
    parser.add_argument("--quick", action="store_true", help="a minute in place of five, less exact")
    parser.add_argument("--binary", type=pathlib.Path, default=RELEASE / "leasehold", help="the server")
    parser.add_argument(
        "--generator", type=pathlib.Path, default=RELEASE / "leasehold-bench",
        help="what scans, counts allocations and loads at a fixed rate",
    )
    parser.add_argument(
        "--results", type=pathlib.Path, default=ROOT / "bench" / "results", help="the directory for the JSON file"
    )
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
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
            results["scanner"] = measure_scanner(options.generator, directory)
            results["allocations"] = measure_allocations(options.generator)
            results["start"] = measure_start(options.binary, directory, plan.main)
            many = measure_namespaces(options.binary, directory, processors)
            results["admissions"] = measure_admissions(options, directory, plan, processors)
        results["resident"] = resident(results["admissions"], many)
        file = write(results, options.results)
        plot.draw(results, file.with_suffix(".svg"))
    except (Failure, OSError) as failure:
        say(f"error: {failure}")
        return 1
    except KeyboardInterrupt:
        say("Stopped.")
        return 130
    print(table(results))
    print(f"Written to {os.path.relpath(file)}, drawn in {os.path.relpath(file.with_suffix('.svg'))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
