"""Claims of articles, judged; expected judgements were worked out by hand from the formats' block sizes."""

import json
import subprocess
import sys

import pytest

from fitcheck.claims import judge
from fitcheck.errors import BadInput
from fitcheck.schema.claim import Claim
from fitcheck.sources.catalog import load_model
from fitcheck.sources.claims import load_claims
from fitcheck.sources.engines import load_engines
from fitcheck.sources.machines import find_machine

CLAIMS = {claim.quote: claim for claim in load_claims()}

EXPECTED = {
    "0.198 bytes approx 13.86 GB": "too low",  # 14.81 GB in TQ1_0 is the least that is stored
    "fitting comfortably in 16GB": "too low",
    "readable speeds (5-10 tokens per second)": "too high",  # 2.44 measured on such a machine
    "70B Model @ FP16 = ~140 GB VRAM": "holds",  # 70.55e9 × 2 bytes
    "8B Model @ 4-bit = ~5 GB": "holds",  # 4920739232 bytes
    "Q2_K 2.6": "too low",  # 3.0 bits in the mix
    "100B ... single CPU at 5-7 tokens/second": "too high",  # 1.70 measured on it
    "3B parameters in 2.2 GB": "too high",  # 873.66 MiB
}


def _judged(claim):
    machine = find_machine(claim.machine) if claim.machine else None
    return judge(claim, load_model(claim.model), machine, load_engines())


@pytest.mark.parametrize("quote", EXPECTED)
def test_claims_are_judged_as_by_hand(quote):
    assert _judged(CLAIMS[quote]).judgement == EXPECTED[quote]


def test_every_claim_can_be_judged_and_a_wrong_one_says_why():
    for claim in CLAIMS.values():
        found = _judged(claim)
        assert 0 < found.low <= found.high
        assert found.judgement == "holds" or claim.why


def test_quotes_stay_short():
    assert all(len(claim.quote.split()) <= 12 for claim in CLAIMS.values())


def test_a_claim_about_speed_needs_a_machine():
    claim = Claim("an article", "fast", "llama-3.1-8b", ("Q4_K_M",), "tokens_per_s", (5.0, 10.0))
    with pytest.raises(BadInput, match="names no machine"):
        _judged(claim)


def test_the_command_prints_every_claim_and_its_json():
    done = [
        subprocess.run(
            [sys.executable, "-m", "fitcheck", "claims", *more], capture_output=True, text=True, check=True
        )
        for more in ((), ("--json",))
    ]
    assert all(quote in done[0].stdout for quote in CLAIMS)
    rows = json.loads(done[1].stdout)["claims"]
    assert [row["claim"]["quote"] for row in rows] == list(CLAIMS)
