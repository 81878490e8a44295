import socket

import pytest

from bellweave.edge import ports
from bellweave.edge.ports import END, FIRST, free_ports
from bellweave.errors import ScenarioError


def test_every_address_gets_a_port_of_its_own_on_which_both_kinds_of_servers_can_listen() -> None:
    found = free_ports(["127.0.0.1", "0.0.0.0"] * 10)

    assert len(set(found)) == 20
    assert all(FIRST <= port < END for port in found)
    with socket.create_server(("127.0.0.1", found[0])), socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", found[0]))


def test_no_port_is_chosen_that_the_system_gives_to_outgoing_connections() -> None:
    (port,) = free_ports(["127.0.0.1"])
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert port < client.getsockname()[1]


def test_ports_in_use_are_passed_over_until_none_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = free_ports(["127.0.0.1"])
    monkeypatch.setattr(ports, "FIRST", first)
    monkeypatch.setattr(ports, "_end", lambda: first + 1)
    with socket.create_server(("127.0.0.1", first)), pytest.raises(ScenarioError, match="can't find a free port"):
        free_ports(["127.0.0.1"])
    assert free_ports(["127.0.0.1"]) == [first]


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"can't find a free port at 192\.0\.2\.1: "):
        free_ports(["192.0.2.1"])
