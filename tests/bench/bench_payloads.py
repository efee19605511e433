"""What it costs to decode a message: a plain one, one that needs the tolerant parser, and the families' samples.

Run: python tests/bench/bench_payloads.py [--against OTHER_CHECKOUT]. 12 signals in about 200 B of JSON. Figures are
ratios within one run: to msgspec's parsing of the same bytes alone, and with ``--against`` to the decoder of another
checkout, each in a process of its own, in turns; of each the fastest round counts.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), *([] if os.environ.get("BENCH_EDGE") else [str(TESTS.parent / "edge")])]

import msgspec  # noqa: E402

from tickover.payloads.base import Input, open_decoder  # noqa: E402

SIGNALS, MESSAGES, ROUNDS, TURNS = 12, 200, 40, 5
MUST = 1.05
"""A plain message, against the other checkout."""
COLUMNS = {f"s{place}": place for place in range(SIGNALS)}


def body(number: int) -> bytes:
    values = {f"s{place}": round(50 + place + number % 7 * 0.25, 2) for place in range(SIGNALS)}
    return json.dumps({"t": 1_700_000_000 + number, **values}, separators=(",", ":")).encode()


PLAIN = [body(number) for number in range(MESSAGES)]
KINDS: dict[str, list[bytes]] = {
    "plain": PLAIN,
    "with NaN": [text.replace(b'"s3":', b'"s3":NaN,"x":') for text in PLAIN],
    "with nan of printf": [text.replace(b'"s3":', b'"s3":nan,"x":') for text in PLAIN],
    "numbers as text": [text.replace(b'"s3":', b'"s3":"60 km/h","x":') for text in PLAIN],
}


def fastest_us(run: Callable[[bytes], object], payloads: list[bytes]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for payload in payloads:
            run(payload)
        best = min(best, time.perf_counter() - began)
    return best / len(payloads) * 1e6


def decoding_us(payloads: list[bytes]) -> float:
    decoder, counts = open_decoder(Input(topic="t/{vehicle}", time="t"), COLUMNS), Counter[str]()
    fields = {"vehicle": "v1"}
    return fastest_us(lambda payload: decoder.decode(fields, payload, counts), payloads)


def other_us(edge: Path) -> float:
    env = {**os.environ, "PYTHONPATH": str(edge), "BENCH_EDGE": "1"}
    done = subprocess.run([sys.executable, __file__, "--plain"], env=env, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    if "--plain" in sys.argv:
        print(decoding_us(PLAIN))
        return
    parsing = fastest_us(msgspec.json.decode, PLAIN)
    print(f"{'msgspec alone':20} {parsing:6.2f} us a message")
    for name, payloads in KINDS.items():
        cost = decoding_us(payloads)
        print(f"{name:20} {cost:6.2f} us a message, {cost / parsing:.2f} x msgspec alone")
    if "--against" in sys.argv:
        other = Path(sys.argv[sys.argv.index("--against") + 1]) / "edge"
        ours = TESTS.parent / "edge"
        pairs = [(other_us(ours), other_us(other)) for _ in range(TURNS)]
        ratio = min(one for one, _ in pairs) / min(one for _, one in pairs)
        print(f"a plain message: {ratio:.3f} x the other checkout (must: <= {MUST})")


if __name__ == "__main__":
    main()
