from pathlib import Path

import pytest

from midstage.local.replay import trace
from midstage.local.replay.trace import Arrival, TraceError, parsed, read

HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens"


def test_rows_become_arrivals_with_all_seven_decimals() -> None:
    lines = [HEAD, "2023-11-16 23:59:59.9999999,374,44", "2023-11-17 00:00:01.0000000,396,109"]
    assert parsed(lines) == (
        Arrival(at_s=0.0, prompt_tokens=374, max_tokens=44),
        Arrival(at_s=1.000_000_1, prompt_tokens=396, max_tokens=109),
    )


def test_later_traces_with_a_time_zone_are_read_too() -> None:
    lines = [HEAD, "2024-05-10 00:00:00.009930+00:00,1,2", "2024-05-10T00:00:01Z,3,4"]
    assert [arrival.at_s for arrival in parsed(lines)] == [0.0, 0.99007]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("2023-11-16 18:15:46,374", "2 fields, not 3"),
        ("yesterday,1,1", "'yesterday' is not a time"),
        ("2023-13-16 18:15:46,1,1", "is no time"),
        ("2023-11-16 18:15:46,x,1", "ContextTokens 'x' is not a number"),
        ("2023-11-16 18:15:46,0,1", "ContextTokens '0' is not a number"),
        ("2023-11-16 18:15:46,1,-1", "GeneratedTokens '-1' is not a number"),
        ("2023-11-16 18:15:46,1,1000001", "GeneratedTokens '1000001' is not a number"),
        ("2023-11-16 18:15:44,1,1", "is before the row above"),
    ],
)
def test_a_bad_row_is_named_with_its_line(row: str, says: str) -> None:
    with pytest.raises(TraceError, match=r"my\.csv, line 3") as refused:
        parsed([HEAD, "2023-11-16 18:15:45,1,1", row], name="my.csv")
    assert says in str(refused.value)


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="line 1: the columns are not"):
        parsed(["a,b,c"])
    with pytest.raises(TraceError, match="holds no requests"):
        parsed([HEAD])
    with pytest.raises(TraceError, match="use conv, code or a file"):
        read(str(tmp_path / "none.csv"))
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TraceError, match="can't be read"):
        read(str(tmp_path / "binary.csv"))


def test_only_so_many_rows_are_read_as_are_wanted() -> None:
    lines = [HEAD, "2023-11-16 18:15:45,1,1", "nonsense"]
    assert len(parsed(lines, most=1)) == 1


def test_the_shipped_excerpts_fit_the_default_replay_and_the_repository() -> None:
    conv, code = read("conv"), read("code")
    assert (len(conv), len(code)) == (3432, 1400)
    minutes = conv[-1].at_s / trace.DEFAULT_SPEED / 60
    assert 2.5 <= minutes <= 3.5
    folder = Path(trace.__file__).parent / "traces"
    assert sum(file.stat().st_size for file in folder.glob("*.csv")) < 200_000
    assert "CC-BY-4.0" in (folder / "LICENSE.md").read_text(encoding="utf-8")


def test_the_default_replay_is_something_that_two_cores_can_carry() -> None:
    """A Python process carries some 10,000 tokens a second in streams; two replicas at least."""
    conv = read("conv")
    seconds = conv[-1].at_s / trace.DEFAULT_SPEED
    assert sum(arrival.max_tokens for arrival in conv) / seconds < 6000
    assert sum(arrival.prompt_tokens for arrival in conv) * 5 / seconds < 200_000
