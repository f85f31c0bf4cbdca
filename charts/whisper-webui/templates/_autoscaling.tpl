{{/* What the ScaledObjects are made of. */}}

{{/* Refuses what Kubernetes and KEDA would refuse in the middle of an upgrade; takes (dict "root" $ "component" "gateway"). */}}
{{- define "whisper-webui.checkReplicas" -}}
{{- with (index .root.Values.services .component).autoscaling -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail (printf "services.%s.autoscaling.minReplicas=%d is more than maxReplicas=%d" $.component (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What both have in common; takes root, component and, with a formula over its triggers, that and its target. */}}
{{- define "whisper-webui.scaled" -}}
{{- include "whisper-webui.checkReplicas" . -}}
{{- $autoscaling := (index .root.Values.services .component).autoscaling -}}
scaleTargetRef:
  apiVersion: apps/v1
  kind: Deployment
  name: {{ include "whisper-webui.componentName" . }}
minReplicaCount: {{ $autoscaling.minReplicas }}
maxReplicaCount: {{ $autoscaling.maxReplicas }}
pollingInterval: {{ .root.Values.keda.pollingSeconds }}
cooldownPeriod: {{ .root.Values.keda.cooldownSeconds }}
advanced:
  {{- with .formula }}
  scalingModifiers:
    formula: {{ .formula | quote }}
    target: {{ .target | quote }}
    activationTarget: "0"
    metricType: AverageValue
  {{- end }}
  horizontalPodAutoscalerConfig:
    behavior:
      scaleUp:
        stabilizationWindowSeconds: 0
        policies:
          - {type: Percent, value: 100, periodSeconds: 15}
          - {type: Pods, value: 4, periodSeconds: 15}
        selectPolicy: Max
      scaleDown:
        stabilizationWindowSeconds: {{ $autoscaling.stabilizationSeconds }}
        policies:
          - {type: Pods, value: 1, periodSeconds: 60}
{{- end }}

{{/* A trigger on the lag of one consumer: root, stream, consumer, name and threshold. */}}
{{- define "whisper-webui.lag" -}}
- type: nats-jetstream
  name: {{ .name }}
  metadata:
    natsServerMonitoringEndpoint: {{ include "whisper-webui.natsMonitor" .root | quote }}
    useHttps: "false"
    account: {{ .root.Values.keda.account | quote }}
    stream: {{ .stream }}
    consumer: {{ .consumer }}
    lagThreshold: {{ .threshold | quote }}
    activationLagThreshold: "0"
{{- end }}
