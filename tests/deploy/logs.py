"""The logs that a deploy reads and writes, as the small world of ``world`` has them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from midstage.contracts.apps import AppFact
from midstage.deploy.decide.commands import decide
from midstage.deploy.decide.fold import evolve
from midstage.deploy.model import App, Command, Scale
from midstage.eventlog.versions import Answer


@dataclass(kw_only=True)
class Log:
    """The applications' log of one moment: whoever executes is alone; an id counts once."""

    apps: dict[str, App] = field(default_factory=dict)
    facts: list[AppFact] = field(default_factory=list)
    answers: dict[str, Answer[AppFact]] = field(default_factory=dict)

    def states(self) -> Mapping[str, App]:
        return dict(self.apps)

    def execute(
        self,
        *,
        key: str,
        command_id: str,
        payload: bytes,
        decide: Callable[[App], Sequence[AppFact]],
    ) -> Answer[AppFact]:
        if command_id in self.answers:
            return self.answers[command_id]
        state = self.apps.get(key, App())
        facts = tuple(decide(state))
        for fact in facts:
            state = evolve(state, fact)
            self.facts.append(fact)
        if facts:
            self.apps[key] = state
        answer = Answer(
            key=key, version=state.version, command_id=command_id, facts=facts, repeated=False
        )
        if command_id and facts:
            self.answers[command_id] = answer
        return answer

    def command(self, command: Command) -> None:
        self.execute(
            key=command.app, command_id="", payload=b"", decide=lambda app: decide(app, command)
        )


@dataclass(kw_only=True)
class Scales:
    """hpa's log."""

    counts: dict[str, tuple[int, Scale]] = field(default_factory=dict)

    def state(self, key: str) -> tuple[int, Scale]:
        return self.counts.get(key, (0, Scale()))
