from __future__ import annotations

import re
import uuid

import pytest

from llmspell_core.errors import ValidationError


async def test_random_by_default(invoke):
    results = [(await invoke("uuid-generator"))["result"] for _ in range(2)]
    assert results[0]["uuid"] != results[1]["uuid"]
    assert uuid.UUID(results[0]["uuid"]).version == 4
    assert (results[0]["version"], results[0]["format"]) == ("v4", "hyphenated")


@pytest.mark.parametrize(("version", "number"), [("v1", 1), ("1", 1), ("4", 4), ("v5", 5)])
async def test_version_is_real(invoke, version, number):
    result = (await invoke("uuid-generator", version=version, name="x"))["result"]
    assert uuid.UUID(result["uuid"]).version == number
    assert result["version"] == f"v{number}"


async def test_time_based_does_not_tell_the_machine(invoke):
    first, second = [uuid.UUID((await invoke("uuid-generator", version="v1"))["result"]["uuid"]) for _ in range(2)]
    assert first.node != second.node
    assert first.node >> 40 & 1


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("hyphenated", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("simple", r"[0-9a-f]{32}"),
        ("urn", r"urn:uuid:[0-9a-f-]{36}"),
        ("braced", r"\{[0-9a-f-]{36}\}"),
    ],
)
async def test_forms(invoke, form, pattern):
    result = (await invoke("uuid-generator", format=form))["result"]
    assert re.fullmatch(pattern, result["uuid"])
    assert result["format"] == form


async def test_derived_id_is_always_the_same(invoke):
    result = (await invoke("uuid-generator", operation="deterministic", namespace="dns", name="example.com"))["result"]
    assert result == {
        "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, "example.com")),
        "namespace": "dns",
        "name": "example.com",
    }


async def test_private_namespaces_are_the_documented_ones(invoke):
    own = uuid.UUID("6ba13d5a-3f5d-4a5b-9f7e-3d5a2f4d3a2b")
    result = (await invoke("uuid-generator", operation="deterministic", name="researcher"))["result"]
    assert result == {"id": str(uuid.uuid5(own, "researcher")), "namespace": "agent", "name": "researcher"}
    given = (await invoke("uuid-generator", version="v5", namespace=str(own), name="researcher"))["result"]
    assert given["uuid"] == result["id"]


@pytest.mark.parametrize("parameters", [{"version": "v5"}, {"operation": "deterministic"}])
async def test_derivation_without_a_name_is_refused(invoke, parameters):
    with pytest.raises(ValidationError) as caught:
        await invoke("uuid-generator", **parameters)
    assert caught.value.field == "name"


async def test_unknown_namespace_is_refused(invoke):
    with pytest.raises(ValidationError) as caught:
        await invoke("uuid-generator", operation="deterministic", name="x", namespace="planet")
    assert caught.value.field == "namespace"


async def test_component_id(invoke):
    long = (await invoke("uuid-generator", operation="component_id"))["result"]
    assert re.fullmatch(r"component_[0-9a-f-]{36}", long["id"])
    short = (await invoke("uuid-generator", operation="component_id", prefix="agent", short=True))["result"]
    assert re.fullmatch(r"agent_[0-9a-f]{8}", short["id"])
    assert (short["prefix"], short["short"]) == ("agent", True)


async def test_custom_id_joins_its_parts(invoke):
    envelope = await invoke("uuid-generator", operation="custom", prefix="job", timestamp=True, short=True, suffix="eu")
    assert re.fullmatch(r"job_\d{10}_[0-9a-f]{8}_eu", envelope["result"]["id"])
    bare = await invoke("uuid-generator", operation="custom")
    assert uuid.UUID(bare["result"]["id"]).version == 4


async def test_validation_of_a_uuid(invoke):
    envelope = await invoke("uuid-generator", operation="validate", uuid="6BA7B810-9DAD-11D1-80B4-00C04FD430C8")
    facts = {"valid": True, "uuid": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "version": "v1", "variant": "RFC4122"}
    assert envelope["result"] == facts
    assert envelope["success"]
    assert envelope["valid"] is True


async def test_validation_of_something_else(invoke):
    envelope = await invoke("uuid-generator", operation="validate", uuid="not-a-uuid")
    assert (envelope["success"], envelope["valid"], envelope["result"]["valid"]) == (True, False, False)
    assert "32 hexadecimal digits" in envelope["result"]["error"]


async def test_validation_needs_a_uuid(invoke):
    with pytest.raises(ValidationError) as caught:
        await invoke("uuid-generator", operation="validate")
    assert caught.value.field == "uuid"
