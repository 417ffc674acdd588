"""Examples of the past that a forecast goes by, and of its alarm, as golden files pin them."""

from datetime import timedelta

from midstage.contracts.alarms import Alarm, AlarmRaised
from midstage.contracts.fact import Event
from midstage.contracts.forecast import Forecast, ForecastInput, Season
from midstage.contracts.peaks import PEAKS_OBSERVED, PeaksObserved
from midstage.contracts.policy import Measure, Policy, Targets
from midstage.contracts.scaling import EVALUATION_MADE, Evaluation, EvaluationMade, Inputs, Stage
from midstage.contracts.topics import ALARMS, EVALUATIONS, PEAKS

from .examples import NOON, Decision, Events

SAID = PeaksObserved(
    app="ocr",
    measure=Measure.RPS,
    day=NOON.replace(hour=0, minute=0, second=0, microsecond=0),
    peaks=bytes.fromhex("407f417fffff0000"),  # 3, 3.015625, unknown, 0
)
FORESEEING = Evaluation(
    inputs=Inputs(
        app="ocr",
        now=NOON,
        policy=Policy(
            max=60,
            targets=Targets(requests_per_s=10.0),
            forecast=Forecast(season=Season.WEEK, margin=1.25),
        ),
        spec_version=1,
        current=2,
        cold_start_s=90.0,
        forecast=ForecastInput(
            carried=120.0,
            until=NOON - timedelta(minutes=20),
            tested_s=604_800.0,
            lost_without=0.0175,
            lost_with=0.001,
        ),
    ),
    stages=(
        Stage(
            name="forecast floor",
            replicas=15,
            reason="120 is expected by the week, 10 each",
        ),
    ),
    replicas=15,
    reason="120 is expected by the week, 10 each",
)
EVENTS: Events = {
    "peaks-observed": (
        PEAKS,
        Event(
            id="hpa/0/peaks/1",
            source="hpa/0/peaks",
            type=PEAKS_OBSERVED,
            time=NOON,
            subject="ocr",
            data=SAID,
        ),
    ),
    "evaluation-made-foreseeing": (
        EVALUATIONS,
        Event(
            id="ocr/1",
            source="hpa/0",
            type=EVALUATION_MADE,
            time=NOON,
            data=EvaluationMade(app="ocr", evaluation=FORESEEING),
        ),
    ),
}
DECISIONS = {
    "alarms-appended-forecast-off": Decision(
        topic=ALARMS,
        key="ocr",
        engine="hpa/2",
        version=3,
        facts=(
            AlarmRaised(
                app="ocr",
                alarm=Alarm.FORECAST_OFF,
                since=NOON,
                at=NOON,
                reason="without it nothing was lost either",
            ),
        ),
    ),
}
