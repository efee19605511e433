"""The private attributes of paho's client that the daemon uses: each is there, and none is used without being named."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

import tickover.transports.mqtt as package
from paths import ROOT

USED = {
    "_in_packet": dict,
    "_keepalive": int,
    "_last_bytes_received": float,
    "_last_msg_out": float,
    "_out_packet": paho.collections.deque,
    "_packet_queue": None,
    "_ping_t": float,
    "_protocol": int,
    "_sock_recv": None,
}
"""Attribute to the type of its value; None: a method."""
SOURCES = sorted(Path(package.__file__).parent.glob("*.py"))


@pytest.fixture
def client() -> paho.Client:
    return paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, manual_ack=True)


@pytest.mark.parametrize("name", USED)
def test_paho_has_each_private_attribute_that_is_used(client: paho.Client, name: str) -> None:
    kind, value = USED[name], getattr(client, name)
    assert callable(value) if kind is None else isinstance(value, kind)


def test_what_is_taken_from_them_is_there(client: paho.Client) -> None:
    """A key, and the order of the parameters."""
    assert client._in_packet["command"] == 0
    code = paho.Client._packet_queue.__code__
    assert code.co_varnames[: code.co_argcount][:5] == ("self", "command", "packet", "mid", "qos")
    assert paho.Client._sock_recv.__code__.co_varnames[:2] == ("self", "bufsize")


def test_paho_asks_the_method_that_connects_for_its_socket() -> None:
    """The daemon's client has its own, which knows the addresses."""
    assert "_create_socket_connection" in paho.Client._create_socket.__code__.co_names


def test_releases_that_were_not_tried_are_excluded() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (bound,) = (line for line in project["dependencies"] if line.startswith("paho-mqtt"))
    assert "<" in bound


def test_no_other_private_attribute_is_used() -> None:
    trees = [ast.parse(source.read_text(), source) for source in SOURCES]
    assert {name for tree in trees for name in private(tree)} == USED.keys()


def test_a_use_is_seen_whatever_its_form() -> None:
    tree = ast.parse("""
class Fast(paho.Client):
    _own = 0

    def _sock_recv(self):
        self._own = self._a
        return super()._b()

class Link:
    def _run(self, client):
        client._c = self._run
        self.client._d.clear()
        getattr(client, "_e")
""")
    assert set(private(tree)) == {"_a", "_b", "_c", "_d", "_e"}


def private(tree: ast.Module) -> Iterator[str]:
    """Private attributes that the module uses and does not define."""
    own = set(defined(tree))
    for node in ast.walk(tree):
        name = attribute(node)
        if name.startswith("_") and not name.startswith("__") and (name not in own or is_of_super(node)):
            yield name


def attribute(node: ast.AST) -> str:
    """The attribute that a node names, also ``getattr``'s; empty for other nodes."""
    if isinstance(node, ast.Attribute):
        return node.attr
    match node:
        case ast.Call(func=ast.Name(id="getattr" | "setattr"), args=[_, ast.Constant(value=str(name)), *_]):
            return name
    return ""


def is_of_super(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Call(func=ast.Name(id="super"))):
            return True
    return False


def defined(tree: ast.Module) -> Iterator[str]:
    """Functions and methods, class attributes, and attributes that a class which is no client sets on itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            inherits = any("Client" in ast.unparse(base) for base in node.bases)
            yield from class_attributes(node)
            yield from () if inherits else set_on_self(node)


def class_attributes(node: ast.ClassDef) -> Iterator[str]:
    for line in node.body:
        for target in line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]:
            if isinstance(target, ast.Name):
                yield target.id


def set_on_self(node: ast.ClassDef) -> Iterator[str]:
    for each in ast.walk(node):
        match each:
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name
