{{/* One service: its account, Deployment, Service and disruption budget; services differ in values only.
     Takes (dict "root" $ "component" "gateway"). */}}
{{- define "whisper-webui.workload" -}}
{{- $root := .root -}}
{{- $service := index $root.Values.services .component -}}
{{- $name := include "whisper-webui.componentName" . -}}
{{- $spool := include "whisper-webui.spoolMebibytes" . -}}
{{- $scaled := or (and (eq .component "gateway") $service.autoscaling.enabled) (and (hasKey $service "autoscaling") (ne .component "gateway") $root.Values.keda.enabled) -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  labels:
    {{- include "whisper-webui.labels" . | nindent 4 }}
  {{- with and (eq $root.Values.aws.identity "irsa") (index $root.Values.aws.roles .component) }}
  annotations:
    eks.amazonaws.com/role-arn: {{ . }}
    eks.amazonaws.com/sts-regional-endpoints: "true"
  {{- end }}
automountServiceAccountToken: false
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels:
    {{- include "whisper-webui.labels" . | nindent 4 }}
spec:
  {{- if not $scaled }}
  replicas: {{ $service.replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  minReadySeconds: 5
  strategy:
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels:
      {{- include "whisper-webui.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "whisper-webui.labels" . | nindent 8 }}
      {{- with $service.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ $name }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- with $root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      {{- with include "whisper-webui.priorityClassName" . }}
      priorityClassName: {{ . }}
      {{- end }}
      securityContext:
        {{- include "whisper-webui.podSecurityContext" . | nindent 8 }}
      terminationGracePeriodSeconds: {{ include "whisper-webui.graceSeconds" . }}
      {{- with include "whisper-webui.placement" . | trim }}
      {{- . | nindent 6 }}
      {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ include "whisper-webui.image" . }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          securityContext:
            {{- include "whisper-webui.securityContext" . | nindent 12 }}
          env:
            {{- include "whisper-webui.env" (merge (dict "env" $service.env) .) | trim | nindent 12 }}
          ports:
            {{- if eq .component "gateway" }}
            - name: http
              containerPort: 8080
            {{- end }}
            - name: metrics
              containerPort: 9090
          # Python starts slowly on a busy node; until then the other probes wait.
          startupProbe:
            httpGet: {path: /healthz, port: metrics}
            periodSeconds: 2
            failureThreshold: 60
          readinessProbe:
            httpGet: {path: /readyz, port: metrics}
            periodSeconds: 5
            timeoutSeconds: 3
            failureThreshold: 2
          # It fails only where the process hangs: whether NATS is there is no matter of its life.
          livenessProbe:
            httpGet: {path: /healthz, port: metrics}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          {{- with $service.preStopSeconds }}
          lifecycle:
            preStop:
              sleep:
                seconds: {{ . }}
          {{- end }}
          resources:
            {{- include "whisper-webui.resources" (dict "resources" $service.resources "spool" $spool) | nindent 12 }}
          volumeMounts:
            - name: tmp
              mountPath: /tmp
            {{- if $spool }}
            - name: spool
              mountPath: /spool
            {{- end }}
            {{- with include "whisper-webui.natsVolumeMounts" . | trim }}
            {{- . | nindent 12 }}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir:
            sizeLimit: {{ $service.tmpSize }}
        {{- if $spool }}
        - name: spool
          emptyDir:
            sizeLimit: {{ $spool }}Mi
        {{- end }}
        {{- with include "whisper-webui.natsVolumes" . | trim }}
        {{- . | nindent 8 }}
        {{- end }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  labels:
    {{- include "whisper-webui.labels" . | nindent 4 }}
spec:
  {{- if ne .component "gateway" }}
  # Nobody calls it; Prometheus finds its pods by it.
  clusterIP: None
  {{- end }}
  selector:
    {{- include "whisper-webui.selectorLabels" . | nindent 4 }}
  ports:
    {{- if eq .component "gateway" }}
    - name: http
      port: 80
      targetPort: http
    {{- end }}
    - name: metrics
      port: 9090
      targetPort: metrics
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  labels:
    {{- include "whisper-webui.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ $service.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "whisper-webui.selectorLabels" . | nindent 6 }}
{{- end }}

{{/* Where a component's pods go. */}}
{{- define "whisper-webui.placement" -}}
{{- $component := . -}}
{{- $service := index .root.Values.services .component -}}
{{- include "whisper-webui.nodeSelector" (dict "root" .root "labels" $service.nodeSelector) }}
{{- with $service.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $service.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or $service.spread.zones $service.spread.nodes }}
topologySpreadConstraints:
  {{- range $key, $unsatisfiable := dict "topology.kubernetes.io/zone" $service.spread.zones "kubernetes.io/hostname" $service.spread.nodes }}
  {{- with $unsatisfiable }}
  - topologyKey: {{ $key }}
    maxSkew: 1
    whenUnsatisfiable: {{ . }}
    labelSelector:
      matchLabels:
        {{- include "whisper-webui.selectorLabels" $component | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{/* How long a pod may take to stop: preStop, what the service allows itself by its own settings, and a margin.
     The gateway spends DRAIN_SECONDS up to three times: on its workers (janitor, webhooks), then on uploads, then
     on other requests. The probes' site takes 5 s after that (services/common/service.py), and connections a few. */}}
{{- define "whisper-webui.graceSeconds" -}}
{{- $service := index .root.Values.services .component -}}
{{- $drain := required (printf "services.%s.env.DRAIN_SECONDS is needed: the grace period is made from it" .component) $service.env.DRAIN_SECONDS -}}
{{- $drains := ternary 3 1 (eq .component "gateway") -}}
{{- $seconds := addf ($service.preStopSeconds | default 0) (mulf $drains $drain) 5 10 -}}
{{- ceil $seconds | int64 -}}
{{- end }}

{{/* Size of the chunker's spool in MiB, with a tenth to spare; nothing for others. */}}
{{- define "whisper-webui.spoolMebibytes" -}}
{{- if eq .component "chunker" -}}
{{- $bytes := required "services.chunker.env.SPOOL_MAX_BYTES is needed: the volume's size is made from it" .root.Values.services.chunker.env.SPOOL_MAX_BYTES -}}
{{- ceil (divf (mulf $bytes 1.1) 1048576) | int64 -}}
{{- end -}}
{{- end }}

{{/* Resources, with disk for the spool where there is one. */}}
{{- define "whisper-webui.resources" -}}
{{- $resources := deepCopy .resources -}}
{{- if .spool -}}
  {{- $disk := printf "%dMi" (add (int64 .spool) 256) -}}
  {{- range $kind := list "requests" "limits" -}}
    {{- $_ := set $resources $kind (merge (get $resources $kind | default dict) (dict "ephemeral-storage" $disk)) -}}
  {{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end }}

{{/* Class of a component's pods: its own, or the chart's for those that everybody waits on. */}}
{{- define "whisper-webui.priorityClassName" -}}
{{- $own := (index .root.Values.services .component | default dict).priorityClassName -}}
{{- if $own -}}
{{ $own }}
{{- else if and .root.Values.priorityClass.create (has .component (list "gateway" "auth" "nats")) -}}
{{ include "whisper-webui.servingClass" .root }}
{{- end -}}
{{- end }}

{{/* Name of the chart's PriorityClass; it belongs to no namespace, so the name holds that. */}}
{{- define "whisper-webui.servingClass" -}}
{{ list .Release.Namespace (include "whisper-webui.fullname" .) "serving" | compact | join "-" }}
{{- end }}
