"""The probe against our own server: it must find what is there and what is not."""

from __future__ import annotations

import pytest

from pilothouse.cli import main
from pilothouse.core.errors import EngineError
from pilothouse.engines.probe import probe


def test_it_finds_what_our_server_does(server) -> None:
    report = probe(server.url, concurrency=(1, 2), load_s=0.3, timeout_s=20)
    found = {finding.feature: finding for finding in report.findings}
    verdicts = {name: finding.verdict for name, finding in found.items()}
    assert verdicts == {
        "models": "yes",
        "chat": "yes",
        "completions": "yes",
        "usage": "yes",
        "max_tokens": "yes",
        "streaming": "yes",
        "log-probs": "partly",
        "n": "yes",
        "stop": "yes",
        "seed": "yes",
        "tools": "no",
        "JSON schema": "no",
        "token ids": "no",
        "prefix cache": "yes",
        "refuses unknown fields": "yes",
    }, found
    assert "sampled tokens only" in found["log-probs"].detail
    assert "does not know the field 'tools'" in found["tools"].detail
    assert "does not know the field 'not_a_field_of_this_protocol'" in found["refuses unknown fields"].detail
    assert "tokens reused" in found["prefix cache"].detail
    assert report.model == "tiny"
    assert [load.concurrency for load in report.loads] == [1, 2]
    assert all(load.succeeded == 1 and load.total_s[0] > 0 for load in report.loads), report.loads
    assert not any(load.first_token_s[0] <= 0 for load in report.loads)
    assert report.requests <= 200


def test_a_key_is_needed_and_never_shown(kit, policy) -> None:
    with kit.serving(kit.local(policy), kit.Terms("sesame-open")) as running:
        with pytest.raises(EngineError, match="give a valid api_key") as caught:
            probe(running.url, api_key="wrong-key-123")
        assert "wrong-key-123" not in str(caught.value)
        report = probe(running.url, api_key="sesame-open", concurrency=(), timeout_s=20)
    assert "sesame" not in str(report.to_dict())


def test_the_command_prints_the_table(server, capsys) -> None:
    main(["engines", "check", server.url, "--concurrency", "1", "--load", "0.2"])
    said = capsys.readouterr().out
    for words in ("log-probs", "prefix cache", "JSON schema", "tokens/s", "tiny"):
        assert words in said
