"""KEDA and the HorizontalPodAutoscaler, as far as our ScaledObjects use them, on the caller's clock.

Learned from kedacore/keda (pkg/scaling, pkg/scalers/nats_jetstream_scaler.go) and kubernetes/kubernetes
(pkg/controller/podautoscaler): KEDA alone goes from zero to one and back to zero, the HPA everything else.
"""

import ast
import functools
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

TOLERANCE = 0.1
"""Of the HPA: a ratio within it changes nothing."""
SYNC_SECONDS = 15.0
"""How often the HPA looks."""

Lags = Mapping[str, int]
"""By the name of the consumer."""


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """One `nats-jetstream` trigger."""

    name: str
    stream: str
    consumer: str
    threshold: int
    activation: int = 0


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How much may change within a period."""

    type: str
    value: int
    periodSeconds: int  # noqa: N815  # as Kubernetes spells it


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """One direction of a `behavior`."""

    stabilizationWindowSeconds: int  # noqa: N815  # as Kubernetes spells it
    policies: tuple[Policy, ...]

    def changed(self, start: int, policy: Policy, sign: int) -> int:
        """Replicas at the end of a period that began with `start`, if all of the policy is used."""
        if policy.type == "Pods":
            return start + sign * policy.value
        share = start * (1 + sign * policy.value / 100)
        return math.ceil(share) if sign > 0 else int(share)


UP = Rules(
    stabilizationWindowSeconds=0,
    policies=(
        Policy(type="Percent", value=100, periodSeconds=15),
        Policy(type="Pods", value=4, periodSeconds=15),
    ),
)
DOWN = Rules(stabilizationWindowSeconds=300, policies=(Policy(type="Percent", value=100, periodSeconds=15),))
"""The defaults of Kubernetes."""


class ScaledObject(msgspec.Struct, frozen=True, kw_only=True):
    """What the autoscaler goes by, times in seconds."""

    triggers: tuple[Trigger, ...]
    formula: str = ""
    target: float = 0.0
    """Of the formula; without one each trigger has a threshold of its own."""
    polling: float
    cooldown: float
    least: int
    most: int
    up: Rules = UP
    down: Rules = DOWN

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> "ScaledObject":
        """Read one as it is applied to a cluster."""
        spec = manifest["spec"]
        advanced = spec.get("advanced", {})
        behavior = advanced.get("horizontalPodAutoscalerConfig", {}).get("behavior", {})
        modifiers = advanced.get("scalingModifiers", {})
        assert modifiers.get("metricType", "AverageValue") == "AverageValue"
        return cls(
            triggers=tuple(_trigger(found) for found in spec["triggers"]),
            formula=modifiers.get("formula", ""),
            target=float(modifiers.get("target", 0)),
            polling=float(spec["pollingInterval"]),
            cooldown=float(spec["cooldownPeriod"]),
            least=spec.get("minReplicaCount", 0),
            most=spec["maxReplicaCount"],
            up=_rules(UP, behavior.get("scaleUp", {})),
            down=_rules(DOWN, behavior.get("scaleDown", {})),
        )

    def metrics(self, lags: Lags) -> list[tuple[float, float]]:
        """Value and target of each metric that the HPA sees."""
        values = {trigger.name: lags[trigger.consumer] for trigger in self.triggers}
        if self.formula:
            return [(evaluated(self.formula, values), self.target)]
        return [(values[trigger.name], trigger.threshold) for trigger in self.triggers]

    @property
    def shortest_life(self) -> float:
        """A replica that goes sooner than this flaps."""
        return min(self.cooldown, self.down.stabilizationWindowSeconds) - self.polling

    def is_active(self, lags: Lags) -> bool:
        """Whether KEDA keeps the last replica."""
        if self.formula:
            return self.metrics(lags)[0][0] > 0
        return any(lags[trigger.consumer] > trigger.activation for trigger in self.triggers)


def _trigger(found: Mapping[str, Any]) -> Trigger:
    assert found["type"] == "nats-jetstream"
    assert found.get("metricType", "AverageValue") == "AverageValue"
    metadata = found["metadata"]
    return Trigger(
        name=found.get("name", metadata["consumer"]),
        stream=metadata["stream"],
        consumer=metadata["consumer"],
        threshold=int(metadata.get("lagThreshold", 10)),
        activation=int(metadata.get("activationLagThreshold", 0)),
    )


def _rules(default: Rules, given: Mapping[str, Any]) -> Rules:
    assert given.get("selectPolicy", "Max") == "Max"
    window = given.get("stabilizationWindowSeconds", default.stabilizationWindowSeconds)
    policies = given.get("policies")
    return Rules(
        stabilizationWindowSeconds=window,
        policies=msgspec.convert(policies, tuple[Policy, ...]) if policies else default.policies,
    )


def evaluated(formula: str, values: Mapping[str, float]) -> float:
    """A formula of sums, `max` and `min`: the part of KEDA's language that reads the same in Python."""

    def value(node: ast.expr) -> float:
        match node:
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return value(left) + value(right)
            case ast.Call(func=ast.Name(id="max" | "min" as name), args=args, keywords=[]):
                return (max if name == "max" else min)(map(value, args))
            case ast.Name(id=name):
                return values[name]
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case _:
                raise ValueError(f"{ast.unparse(node)!r} in the formula {formula!r} is not modelled")

    return value(_parsed(formula))


@functools.cache
def _parsed(formula: str) -> ast.expr:
    return ast.parse(formula, mode="eval").body


class Autoscaler:
    """One ScaledObject at work; `replicas` is what it wants, and the caller provides."""

    def __init__(self, spec: ScaledObject) -> None:
        self._spec = spec
        self.replicas = spec.least
        self.history: list[tuple[float, int]] = []
        """Every change: when, and to how many."""
        self._active_at = -math.inf
        self._wanted: deque[tuple[float, int]] = deque()
        self._changes: deque[tuple[float, int]] = deque()
        """What the HPA changed, and when: KEDA's own changes do not count against its policies."""

    def poll(self, now: float, lags: Lags) -> None:
        """KEDA looks, once every `polling` seconds."""
        if self._spec.is_active(lags):
            self._active_at = now
            if self.replicas == 0:
                self._set(now, max(1, self._spec.least))
        elif self.replicas > 0 and self._spec.least == 0 and now - self._active_at > self._spec.cooldown:
            self._set(now, 0)

    def sync(self, now: float, lags: Lags) -> None:
        """The HPA looks; it is out of work at zero."""
        if self.replicas == 0:
            return
        wanted = max(self._needed(value, target) for value, target in self._spec.metrics(lags))
        wanted = min(max(wanted, self._spec.least, 1), self._spec.most)
        allowed = self._at_pace(now, self._stabilised(now, wanted))
        if allowed != self.replicas:
            self._changes.append((now, allowed - self.replicas))
            self._set(now, allowed)

    def _set(self, now: float, replicas: int) -> None:
        self.replicas = replicas
        self.history.append((now, replicas))

    def _needed(self, value: float, target: float) -> int:
        ratio = value / (target * self.replicas)
        return self.replicas if abs(1 - ratio) <= TOLERANCE else math.ceil(value / target)

    def _stabilised(self, now: float, wanted: int) -> int:
        """The most that was wanted lately when fewer are, and the least when more are."""
        up = wanted >= self.replicas
        rules = self._spec.up if up else self._spec.down
        recent = [count for at, count in self._wanted if now - at < rules.stabilizationWindowSeconds]
        self._wanted.append((now, wanted))
        longest = max(self._spec.up.stabilizationWindowSeconds, self._spec.down.stabilizationWindowSeconds)
        while now - self._wanted[0][0] > longest:
            self._wanted.popleft()
        return (min if up else max)([wanted, *recent])

    def _at_pace(self, now: float, wanted: int) -> int:
        if wanted > self.replicas:
            return min(wanted, max(self.replicas, *self._limits(now, self._spec.up, 1)))
        if wanted < self.replicas:
            return max(wanted, min(self.replicas, *self._limits(now, self._spec.down, -1)))
        return wanted

    def _limits(self, now: float, rules: Rules, sign: int) -> Sequence[int]:
        return [
            rules.changed(self.replicas - self._changed_in(now, policy.periodSeconds, sign), policy, sign)
            for policy in rules.policies
        ]

    def _changed_in(self, now: float, seconds: float, sign: int) -> int:
        return sum(change for at, change in self._changes if now - at < seconds and change * sign > 0)


def lives(history: Sequence[tuple[float, int]]) -> list[float]:
    """For how many seconds each replica that went had been there, where the newest goes first."""
    began: list[float] = []
    found: list[float] = []
    for at, count in history:
        found += [at - began.pop() for _ in range(len(began) - count)]
        began += [at] * (count - len(began))
    return found
