"""Scaling: more instances when each has many requests at once, none when a component has no work."""

from typing import Any

from deploy import plan
from deploy.arguments import Up
from deploy.aws import Aws
from deploy.errors import Rejected

SECONDS_A_REQUEST = 2.0
"""Assumed where only invocations per minute can be tracked: 30 s of audio on a small GPU."""
SCALE_IN_SECONDS = 300
SCALE_OUT_SECONDS = 60

Target = dict[str, Any]


def target(name: str, *, component: bool) -> Target:
    """What is scaled: instances of the variant, or copies of the component."""
    if component:
        resource = f"inference-component/{plan.component_name(name)}"
        dimension = "sagemaker:inference-component:DesiredCopyCount"
    else:
        resource = f"endpoint/{name}/variant/{plan.VARIANT}"
        dimension = "sagemaker:variant:DesiredInstanceCount"
    return {"ServiceNamespace": "sagemaker", "ResourceId": resource, "ScalableDimension": dimension}


def ensure(aws: Aws, wanted: Up) -> None:
    """Scale as wanted, or not at all where the number is fixed."""
    what = target(wanted.name, component=wanted.scale_to_zero)
    if not plan.scales(wanted):
        return remove(aws, wanted.name)
    least = 0 if wanted.scale_to_zero else wanted.instances
    aws.change(
        "application-autoscaling",
        "register_scalable_target",
        **what,
        MinCapacity=least,
        MaxCapacity=wanted.max_instances,
    )
    _track(aws, wanted, what)
    if wanted.scale_to_zero:
        _wake(aws, wanted.name, what)
    return aws.console.say(
        f"scaling from {least} to {wanted.max_instances} at {wanted.concurrency} requests each"
    )


def _track(aws: Aws, wanted: Up, what: Target) -> None:
    """Requests at once, measured every 10 s; where a region does not know that, requests a minute."""
    kind = "InferenceComponent" if wanted.scale_to_zero else "Variant"
    unit = "Copy" if wanted.scale_to_zero else "Model"
    each = "Copy" if wanted.scale_to_zero else "Instance"
    try:
        _policy(
            aws,
            wanted.name,
            what,
            f"SageMaker{kind}ConcurrentRequestsPer{unit}HighResolution",
            wanted.concurrency,
        )
    except Rejected as error:
        a_minute = wanted.concurrency * 60 / SECONDS_A_REQUEST
        aws.console.say(f"AWS: {error.said}")
        aws.console.say(
            f"scaling on {a_minute:.0f} requests a minute instead of {wanted.concurrency} at once"
        )
        _policy(aws, wanted.name, what, f"SageMaker{kind}InvocationsPer{each}", a_minute)


def _policy(aws: Aws, name: str, what: Target, metric: str, value: float) -> None:
    aws.change(
        "application-autoscaling",
        "put_scaling_policy",
        **what,
        PolicyName=f"{name}-load",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": float(value),
            "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
            "ScaleInCooldown": SCALE_IN_SECONDS,
            "ScaleOutCooldown": SCALE_OUT_SECONDS,
        },
    )


def _wake(aws: Aws, name: str, what: Target) -> None:
    """From zero, the only sign of work is a request that finds no copy:
    docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-zero-instances.html
    """
    policy = aws.change(
        "application-autoscaling",
        "put_scaling_policy",
        **what,
        PolicyName=f"{name}-wake",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "MetricAggregationType": "Maximum",
            "Cooldown": SCALE_OUT_SECONDS,
            "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}],
        },
    )
    aws.change(
        "cloudwatch",
        "put_metric_alarm",
        AlarmName=alarm_name(name),
        AlarmDescription=f"A request found no copy of {plan.component_name(name)}",
        AlarmActions=[policy.get("PolicyARN", f"<PolicyARN of {name}-wake>")],
        Namespace="AWS/SageMaker",
        MetricName="NoCapacityInvocationFailures",
        Dimensions=[{"Name": "InferenceComponentName", "Value": plan.component_name(name)}],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        DatapointsToAlarm=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="missing",
    )


def alarm_name(name: str) -> str:
    """The alarm that wakes the endpoint."""
    return f"{name}-wake"


def registered(aws: Aws, name: str) -> list[dict[str, Any]]:
    """Scalable targets of this endpoint, with their limits."""
    found = []
    for component in (False, True):
        what = target(name, component=component)
        answer = aws.read(
            "application-autoscaling",
            "describe_scalable_targets",
            ServiceNamespace=what["ServiceNamespace"],
            ResourceIds=[what["ResourceId"]],
            ScalableDimension=what["ScalableDimension"],
        )
        found += answer["ScalableTargets"]
    return found


def remove(aws: Aws, name: str) -> None:
    """Deregister what is registered, which deletes its policies, and the alarm."""
    for entry in registered(aws, name):
        what = {key: entry[key] for key in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
        aws.remove("application-autoscaling", "deregister_scalable_target", **what)
    answer = aws.read("cloudwatch", "describe_alarms", AlarmNames=[alarm_name(name)])
    if answer.get("MetricAlarms"):
        aws.remove("cloudwatch", "delete_alarms", AlarmNames=[alarm_name(name)])
