"""The servers that are compared, what loads them, and how much processor time and memory they took."""

import contextlib
import ctypes
import dataclasses
import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import time

HERE = pathlib.Path(__file__).parent
LIBC = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """Something could not be measured; the text says what, and why."""


@dataclasses.dataclass
class Processors:
    """One processor for the servers and another one for wrk where there are two, so that neither takes the other's."""

    server: set[int]
    load: set[int]

    @staticmethod
    def choose() -> "Processors":
        available = sorted(os.sched_getaffinity(0))
        if len(available) < 2:
            return Processors(set(available), set(available))
        return Processors({available[0]}, {available[1]})


def find(program: str) -> str:
    # Debian keeps nginx in /usr/sbin, which people's PATH does not name.
    path = shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
    if path is None:
        raise Failure(f"{program} is not installed")
    return path


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def start(arguments: list[str], processors: set[int], **options) -> subprocess.Popen:
    """Starts a process that runs on `processors` only: it inherits them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, **options)
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process, in user and kernel mode. /proc/PID/stat has the same in steps of
    10 ms, which is too coarse for short slices."""
    clock = ctypes.c_int()
    error = LIBC.clock_getcpuclockid(pid, ctypes.byref(clock))
    if error != 0:
        raise Failure(f"no CPU clock for process {pid}: {os.strerror(error)}")
    return time.clock_gettime(clock.value)


@dataclasses.dataclass
class Memory:
    """Resident memory of a process, in bytes."""

    # All of it, libraries and the program itself included.
    resident: int = 0
    # The part that is not backed by a file: nobody else shares it and nothing can drop it.
    own: int = 0

    @staticmethod
    def of(pids: list[int]) -> "Memory":
        memory = Memory()
        for pid in pids:
            lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
            fields = dict(line.split(":", 1) for line in lines)
            memory.resident += int(fields["VmRSS"].split()[0]) * 1024
            memory.own += int(fields["RssAnon"].split()[0]) * 1024
        return memory


class Server:
    """A server process with its own directory; `with` ends it."""

    name: str
    port: int


    def __init__(self, directory: pathlib.Path, arguments: list[str], processors: set[int]):
        self.output = directory / "output"
        with self.output.open("wb") as output:
            self.process = start(arguments, processors, stdout=output, stderr=output)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def pids(self) -> list[int]:
        return [self.process.pid]

    def cpu_seconds(self) -> float:
        return sum(cpu_seconds(pid) for pid in self.pids())

    def check_alive(self) -> None:
        if self.process.poll() is not None:
            lines = self.output.read_text(errors="replace").splitlines()[-5:]
            raise Failure("\n".join([f"{self.name} ended with status {self.process.returncode}:", *lines]))

    def wait_until(self, what: str, condition, seconds: float = 60, pause: float = 0.02) -> None:
        """Asks for `condition` again and again; one that cannot connect is one that is not met."""
        deadline = time.monotonic() + seconds
        while True:
            self.check_alive()
            with contextlib.suppress(OSError, http.client.HTTPException):
                if condition():
                    return
            if time.monotonic() > deadline:
                raise Failure(f"{self.name}: {what} not within {seconds:.0f} s")
            time.sleep(pause)

    def greet(self) -> tuple[str, str]:
        """Makes a TLS connection. Returns its version and cipher."""
        # The certificate is of this run and only ever seen on the loopback interface.
        context = ssl._create_unverified_context()
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as connection:
                return connection.version(), connection.cipher()[0]

    def post(self, path: str, body: bytes) -> bytes:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=5, context=ssl._create_unverified_context()
        )
        with contextlib.closing(connection):
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
            if response.status != 200:
                raise Failure(f"{self.name} answered {response.status}: {answer.decode(errors='replace').strip()}")
            return answer


@dataclasses.dataclass
class Identity:
    """One key and certificate for both servers."""

    certificate: pathlib.Path
    key: pathlib.Path

    @staticmethod
    def make(directory: pathlib.Path) -> "Identity":
        identity = Identity(directory / "certificate.pem", directory / "key.pem")
        subprocess.run(
            [find("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
            + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2"]
            + ["-keyout", str(identity.key), "-out", str(identity.certificate)],
            check=True,
            capture_output=True,
        )
        return identity


class Leasehold(Server):
    """A process of Leasehold's, with its pages."""

    def __init__(self, directory: pathlib.Path, arguments: list[str], processors: set[int]):
        directory.mkdir()
        self.health_port, self.metrics_port = free_ports(2)
        arguments += ["--cluster", "bench", "--health-probe-bind-address", f"127.0.0.1:{self.health_port}"]
        arguments += ["--metrics-bind-address", f"127.0.0.1:{self.metrics_port}"]
        super().__init__(directory, arguments, processors)

    def get(self, port: int, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()

    def is_healthy(self) -> bool:
        return self.get(self.health_port, "/healthz")[0] == 200

    def is_ready(self) -> bool:
        return self.get(self.health_port, "/readyz")[0] == 200

    def sample(self, name: str) -> float | None:
        """The value of the first sample of this name (with labels, if it begins with them); None: there is none."""
        for line in self.get(self.metrics_port, "/metrics")[1].decode().splitlines():
            if line.startswith(name):
                return float(line.split()[-1])
        return None


class Controller(Leasehold):
    """`leasehold controller` on a file store of its own, alone: it leads its namespaces, and grants so."""

    name = "leasehold controller"

    def __init__(
        self, binary: pathlib.Path, directory: pathlib.Path, namespaces: list[str], processors: set[int]
    ):
        (self.port,) = free_ports(1)
        self.state = directory / "state"
        # A machine that is busy beside this must not make grants end: denials are not what is measured.
        arguments = [str(binary), "controller", "--lease-duration", "60", "--grant-duration", "20s"]
        arguments += ["--state-directory", str(self.state)]
        arguments += ["--store", (directory / "store").as_uri(), "--grants-bind-address", f"127.0.0.1:{self.port}"]
        arguments += [part for namespace in namespaces for part in ("--namespace", namespace)]
        super().__init__(directory, arguments, processors)


class Webhook(Leasehold):
    """`leasehold webhook` with one event loop, by the grants of a controller on this machine."""

    name = "leasehold"

    def __init__(
        self,
        binary: pathlib.Path,
        directory: pathlib.Path,
        controller: Controller,
        processors: set[int],
        identity: Identity | None = None,
        under: list[str] = [],
    ):
        """`under`: what runs it, such as valgrind with its arguments."""
        (self.port,) = free_ports(1)
        arguments = [*under, str(binary), "webhook", "--threads", "1", "--grants-address", f"127.0.0.1:{controller.port}"]
        arguments += ["--state-directory", str(controller.state), "--bind-address", f"127.0.0.1:{self.port}"]
        if identity is not None:
            arguments += ["--tls-certificate", str(identity.certificate), "--tls-key", str(identity.key)]
        super().__init__(directory, arguments, processors)

    def path(self, size: int) -> str:
        return "/validate"

    def allows(self, review: bytes) -> bool:
        return json.loads(self.post("/validate", review))["response"]["allowed"]

    def decisions(self) -> dict[str, int]:
        """How many AdmissionReviews got which decision so far."""
        counts: dict[str, int] = {}
        for line in self.get(self.metrics_port, "/metrics")[1].decode().splitlines():
            if line.startswith("leasehold_admissions_total{"):
                decision = line.split('decision="')[1].split('"')[0]
                counts[decision] = counts.get(decision, 0) + int(float(line.split()[-1]))
        return counts


class Nginx(Server):
    """nginx as it is fastest at reading a body over TLS and sending a fixed answer."""

    name = "nginx"
    # What one TLS record holds: a body below it has arrived with its headers.
    RECORD_BYTES = 16 * 1024

    def __init__(self, directory: pathlib.Path, answer: bytes, processors: set[int], identity: Identity):
        directory.mkdir()
        (self.port,) = free_ports(1)
        configuration = (HERE / "nginx.conf").read_text()
        for name, value in {
            "PORT": self.port,
            "CERTIFICATE": identity.certificate,
            "KEY": identity.key,
            # Its bytes do not matter, and would have to be quoted.
            "ANSWER": "x" * len(answer),
        }.items():
            configuration = configuration.replace(f"@{name}@", str(value))
        (directory / "nginx.conf").write_text(configuration)
        super().__init__(
            directory,
            [find("nginx"), "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", str(directory / "errors")],
            processors,
        )

    def path(self, size: int) -> str:
        return "/discard" if size < self.RECORD_BYTES * 3 // 4 else "/read"

    def pids(self) -> list[int]:
        master = self.process.pid
        children = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return [master, *map(int, children)]


@dataclasses.dataclass
class Slice:
    """What one server did in one run of wrk."""

    requests: int
    seconds: float
    cpu_seconds: float
    resident_bytes_max: int
    own_bytes_max: int
    p50_us: int
    p99_us: int

    @property
    def cpu_us(self) -> float:
        return self.cpu_seconds / self.requests * 1e6

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @staticmethod
    def measure(
        server: Server, review: pathlib.Path, connections: int, connection: str, seconds: int, processors: set[int]
    ) -> "Slice":
        """Lets wrk load `server` for some seconds. `connection` is "keep-alive", or "close" for a new one each time."""
        url = f"https://127.0.0.1:{server.port}{server.path(review.stat().st_size)}"
        arguments = [find("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
        arguments += ["-s", str(HERE / "load.lua"), url, "--", str(review), connection]
        before = server.cpu_seconds()
        wrk = start(arguments, processors, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            most = Memory()
            while wrk.poll() is None:
                server.check_alive()
                memory = Memory.of(server.pids())
                most = Memory(max(most.resident, memory.resident), max(most.own, memory.own))
                time.sleep(0.05)
            output = wrk.stdout.read()
        finally:
            if wrk.poll() is None:
                wrk.kill()
            wrk.wait()
        used = server.cpu_seconds() - before
        try:
            result = json.loads(output.splitlines()[-1])
        except (IndexError, json.JSONDecodeError):
            raise Failure(f"wrk against {server.name} printed no result but: {output.strip()}") from None
        errors = result.pop("errors")
        if errors:
            raise Failure(f"wrk against {server.name}: {result['requests']} requests, {errors} errors")
        return Slice(cpu_seconds=used, resident_bytes_max=most.resident, own_bytes_max=most.own, **result)


@dataclasses.dataclass
class Tail:
    """How long requests took that came at a fixed rate, in microseconds since each was due."""

    requests: int
    rate: float
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float
    max_us: float
    # How much later than due the generator itself sent a request although it had a free connection.
    late_p99_us: float

    @staticmethod
    def measure(
        generator: pathlib.Path, server: Server, review: pathlib.Path, identity: Identity, connections: int, rate: float,
        seconds: int, seed: int, processors: set[int],
    ) -> "Tail":
        arguments = [str(generator), "load", str(server.port), server.path(review.stat().st_size), str(review)]
        arguments += [str(identity.certificate), str(connections), str(rate), str(seconds), str(seed)]
        load = start(arguments, processors, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        output, errors = load.communicate()
        if load.returncode != 0:
            raise Failure(f"load on {server.name}: {errors.strip()}")
        return Tail(**json.loads(output))
