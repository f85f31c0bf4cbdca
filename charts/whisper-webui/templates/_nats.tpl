{{/* How the services reach NATS. */}}

{{/* NATS_URL of every service. */}}
{{- define "whisper-webui.natsUrl" -}}
{{- if .Values.nats.enabled -}}
nats://{{ include "whisper-webui.fullname" . }}-nats:4222
{{- else -}}
{{- required "nats.external.url must say where NATS is, such as nats://nats.nats:4222, where nats.enabled is false" .Values.nats.external.url -}}
{{- end -}}
{{- end }}

{{/* Environment with which a component gets into NATS; takes (dict "root" $ "component" "gateway"). */}}
{{- define "whisper-webui.natsEnv" -}}
- name: NATS_URL
  value: {{ include "whisper-webui.natsUrl" .root | quote }}
- name: NATS_NKEY_SEED
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.nats.keysSecret | default (printf "%s-nats-keys" (include "whisper-webui.fullname" .root)) }}
      key: {{ .component }}
{{- end }}

{{/* Volumes and mounts that the environment above needs; the same arguments. */}}
{{- define "whisper-webui.natsVolumes" -}}
{{- end }}
{{- define "whisper-webui.natsVolumeMounts" -}}
{{- end }}

{{/* Host and port of NATS's monitoring, which KEDA reads; the headless name, for it asks the consumer's leader. */}}
{{- define "whisper-webui.natsMonitor" -}}
{{- if .Values.nats.enabled -}}
{{ include "whisper-webui.fullname" . }}-nats-headless.{{ .Release.Namespace }}.svc.cluster.local:8222
{{- else -}}
{{- required "nats.external.monitor must say where KEDA reads the backlog, such as nats-headless.nats.svc.cluster.local:8222, where nats.enabled is false and keda.enabled is true" .Values.nats.external.monitor -}}
{{- end -}}
{{- end }}
