"""The AdmissionReviews that are sent: one that a real API server wrote, and the same request with a larger object."""

import copy
import json
import pathlib

FIXTURES = pathlib.Path(__file__).parent.parent / "Tests" / "WebhookTests" / "Fixtures"
NAMESPACE = "team-a"


def captured() -> list[pathlib.Path]:
    """All that a real API server sent."""
    return sorted(FIXTURES.glob("*.json"))


def small(namespace: str = NAMESPACE) -> bytes:
    """As the API server sent it, 1.5 KB; or the same for another namespace."""
    review = (FIXTURES / "01-create-guestbooks.json").read_bytes()
    assert json.loads(review)["request"]["namespace"] == NAMESPACE
    return review.replace(NAMESPACE.encode(), namespace.encode())


def padded(size: int) -> bytes:
    """The same request, its object grown to at least `size` bytes of what custom resources consist of: nested objects
    with short keys, numbers, and strings of which some hold escapes or letters beyond ASCII."""
    review = json.loads(small())
    components = []
    missing = size - len(encoded(review))
    while missing > 0:
        components.append(component(len(components)))
        missing -= len(encoded(components[-1])) + 1
    padded = copy.deepcopy(review)
    padded["request"]["object"]["spec"]["components"] = components
    return encoded(padded)


def component(number: int) -> dict:
    return {
        "name": f"component-{number}",
        "image": f"registry.example/team-a/component-{number}:v1.{number % 40}.0",
        "command": ["/bin/sh", "-c", f'exec serve --name="component {number}" --verbose\n'],
        "env": [
            {"name": "GREETING", "value": "Grüße, 世界 👋"},
            {"name": "HOME_PAGE", "value": f"https://component-{number}.example/path?a=1&b=2"},
        ],
        "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}},
        "ports": [{"containerPort": 8000 + number % 1000, "name": "http", "protocol": "TCP"}],
        "weight": number * 0.25,
        "enabled": number % 3 != 0,
        "previous": None,
    }


def encoded(value: object) -> bytes:
    """Compact, as API servers write it: letters beyond ASCII as they are, `<`, `>` and `&` as Go's encoder has them."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()
