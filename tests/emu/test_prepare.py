import re

import msgspec
import pytest
from cryptography import x509

from bellweave.edge.identity import role_uri
from bellweave.emu.deployment import DEPLOYMENT, NodeDeployment, SourceDeployment, line
from bellweave.emu.prepare import Deployments, Plan, deployments, loopback
from bellweave.errors import ScenarioError
from bellweave.scenario.schema import Recorded
from bellweave.testing.data_centres import small


def made(**more: object) -> Deployments:
    scenario = small(3, 4, tunnels=2)
    names = ["source", *scenario.node]
    wanted: dict[str, object] = {
        "scenario": scenario, "hosts": dict.fromkeys(names, "127.0.0.1"), "folders": dict.fromkeys(names, "/nowhere")
    }  # fmt: skip
    return deployments(Plan(**(wanted | more)))  # type: ignore[arg-type]


def test_every_process_gets_its_own_certificates_and_nobody_elses_secrets() -> None:
    all_of_them = made(seeded=False)
    keys: list[bytes] = [all_of_them.source.device.key]
    for name, node in all_of_them.nodes.items():
        uris = x509.load_pem_x509_certificate(node.kme_credentials.certificate).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value.get_values_for_type(x509.UniformResourceIdentifier)  # fmt: skip
        assert uris == [role_uri("kme", name)]
        keys += [node.device.key, node.kme_credentials.key, node.master_key, *(agent.sae.key for agent in node.agents)]
    assert len(keys) == len(set(keys))


def test_the_two_ends_of_a_link_share_a_secret_and_others_do_not_have_it() -> None:
    nodes = made(seeded=False).nodes
    one, two, three = (nodes[f"user{number}"].secrets for number in (1, 2, 3))
    assert one is not None
    assert two is not None
    assert three is not None

    assert one.links["user1-user2"] == two.links["user1-user2"]
    assert "user1-user2" not in three.links
    assert len({one.own, two.own, three.own}) == 3
    assert made().nodes["user1"].secrets is None


def test_what_goes_to_a_process_is_one_line_that_reads_back_and_shows_no_secret() -> None:
    all_of_them = made(seeded=False)
    for given in (all_of_them.source, *all_of_them.nodes.values()):
        data = line(given)
        assert data.count(b"\n") == 1
        assert DEPLOYMENT.decode(data) == given
        assert isinstance(given, SourceDeployment | NodeDeployment)
        assert re.fullmatch(r"<\w+ \w+>", repr(given))
    node = all_of_them.nodes["user1"]
    shown = repr(node.agents) + repr(node.secrets) + repr(node.device)
    assert "PRIVATE" not in shown
    assert repr(node.agents[0]).startswith("<AgentDeployment")
    assert "PRIVATE" not in repr(all_of_them)


def test_no_two_endpoints_have_the_same_address() -> None:
    all_of_them = made()
    taken = [all_of_them.source.listen]
    for node in all_of_them.nodes.values():
        taken.append(node.listen)
        assert node.kme.etsi014 is not None
        assert node.kme.link is not None
        taken += [tuple(text.split(":")) for text in (node.kme.etsi014.listen, node.kme.link.listen)]  # type: ignore[misc]
    numbers = [str(port) for _, port in taken]
    assert len(numbers) == len(set(numbers))


def test_ports_of_a_fixed_first_one_follow_each_other_at_each_host() -> None:
    hosts = {"source": "10.0.0.1", "user1": "10.0.0.1", "user2": "10.0.0.2", "user3": "10.0.0.3"}
    nodes = made(hosts=hosts, ports=9000)

    assert nodes.source.listen == ("10.0.0.1", 9000)
    assert nodes.nodes["user2"].listen[0] == "10.0.0.2"
    assert min(nodes.nodes["user2"].listen[1], nodes.nodes["user3"].listen[1]) >= 9000
    assert nodes.nodes["user1"].peers["user2"] == nodes.nodes["user2"].listen


def test_a_run_has_a_loopback_address_of_its_own() -> None:
    one, other = loopback(), loopback()
    assert one.startswith("127.")
    assert (one != other) or one == "127.0.0.1"


def test_what_can_not_be_emulated_is_refused() -> None:
    scenario = small(3, 4)
    with pytest.raises(ScenarioError, match="schedule"):
        made(scenario=msgspec.structs.replace(scenario, schedule=None))
    recorded = {"user1-user2": Recorded(alice="a.npz", bob="b.npz")}
    with pytest.raises(ScenarioError, match="recorded"):
        made(scenario=msgspec.structs.replace(scenario, recorded=recorded))
