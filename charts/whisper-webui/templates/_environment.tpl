{{/* The environment of our services: settings with a place of their own among the values, and `env`. */}}

{{/* Name of a component's environment, with values that stand in one place for all who need them.
     Takes (dict "root" $ "component" "gateway" "env" .Values.services.gateway.env). */}}
{{- define "whisper-webui.env" -}}
{{- $values := .root.Values -}}
{{- $set := dict "LOG_LEVEL" $values.logLevel -}}
{{- if eq .component "gateway" -}}
  {{- $_ := set $set "PUBLIC_URL" $values.publicUrl -}}
  {{- $_ := set $set "TRUSTED_PROXIES" (ternary $values.ingress.proxies 0 $values.ingress.enabled) -}}
  {{- $_ := set $set "AUDIO_RETENTION_SECONDS" $values.retention.audioSeconds -}}
{{- end -}}
{{- if has .component (list "gateway" "provision") -}}
  {{- $_ := set $set "TEXT_RETENTION_SECONDS" $values.retention.textSeconds -}}
{{- end -}}
{{- if has .component (list "auth" "transcriber") -}}
  {{- $_ := set $set "AWS_REGION" $values.aws.region -}}
{{- end -}}
{{- if eq .component "auth" -}}
  {{- $_ := set $set "SECRET_NAME" $values.aws.secretName -}}
  {{- $_ := set $set "SIGNING_SECRET_NAME" $values.aws.signingSecretName -}}
{{- end -}}
{{- if eq .component "transcriber" -}}
  {{- $_ := set $set "SAGEMAKER_ENDPOINT" $values.aws.endpoint.name -}}
  {{- $_ := set $set "SAGEMAKER_INFERENCE_COMPONENT" $values.aws.endpoint.inferenceComponent -}}
{{- end -}}
{{- if eq .component "chunker" -}}
  {{- $_ := set $set "SPOOL_DIRECTORY" "/spool" -}}
{{- end -}}
{{- range $name, $value := mergeOverwrite $set (.env | default dict) }}
- name: {{ $name }}
  value: {{ include "whisper-webui.text" $value | quote }}
{{- end }}
{{ include "whisper-webui.natsEnv" . }}
{{- end }}
