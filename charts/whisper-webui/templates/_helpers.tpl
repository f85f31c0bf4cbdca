{{/* Names, labels, images and security contexts that every object of the chart shares. */}}

{{/* What the names of all objects begin with; Kubernetes allows 63 characters, the longest ending takes 14. */}}
{{- define "whisper-webui.fullname" -}}
{{- $name := ternary .Release.Name (printf "%s-whisper-webui" .Release.Name) (contains "whisper-webui" .Release.Name) -}}
{{- $name | trunc 49 | trimSuffix "-" -}}
{{- end }}

{{/* Labels by which pods are selected; takes (dict "root" $ "component" "gateway"). They can never change. */}}
{{- define "whisper-webui.selectorLabels" -}}
app.kubernetes.io/name: whisper-webui
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of every object of a component; takes (dict "root" $ "component" "gateway"). */}}
{{- define "whisper-webui.labels" -}}
{{ include "whisper-webui.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Name of a component's objects; takes (dict "root" $ "component" "gateway"). */}}
{{- define "whisper-webui.componentName" -}}
{{ include "whisper-webui.fullname" .root }}-{{ .component }}
{{- end }}

{{/* Image of a component of ours; takes (dict "root" $ "component" "gateway"). */}}
{{- define "whisper-webui.image" -}}
{{- $image := .root.Values.image -}}
{{- with $image.registry }}{{ . }}/{{ end }}{{ $image.repository }}-{{ .component }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* A number, truth or text as a setting's text; Helm holds 10000000000 as 1e+10, which is no integer. */}}
{{- define "whisper-webui.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end }}

{{/* Labels that nodes must have for pods with an image of ours; takes (dict "root" $ "labels" .Values.nats.nodeSelector). */}}
{{- define "whisper-webui.nodeSelector" -}}
{{- $labels := merge (dict) .labels -}}
{{- with .root.Values.arch }}{{ $_ := set $labels "kubernetes.io/arch" . }}{{ end -}}
{{- with $labels }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Security context of a pod of ours: what Pod Security "restricted" asks, as the user of the images. */}}
{{- define "whisper-webui.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Security context of each of its containers. */}}
{{- define "whisper-webui.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
