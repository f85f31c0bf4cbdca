{{/* How the services reach NATS. */}}

{{/* NATS_URL of every service. Its host stands in the certificate, so the name is whole. */}}
{{- define "whisper-webui.natsUrl" -}}
{{- if .Values.nats.enabled -}}
{{ ternary "nats" "tls" (eq .Values.nats.tls.mode "none") }}://{{ include "whisper-webui.fullname" . }}-nats.{{ .Release.Namespace }}.svc:4222
{{- else -}}
{{- required "nats.external.url must say where NATS is, such as tls://nats.nats.svc:4222, where nats.enabled is false" .Values.nats.external.url -}}
{{- end -}}
{{- end }}

{{/* Secret with everybody's keys. */}}
{{- define "whisper-webui.natsKeysSecret" -}}
{{ .Values.nats.keysSecret | default (printf "%s-nats-keys" (include "whisper-webui.fullname" .)) }}
{{- end }}

{{/* Secret that has the authority's certificate as ca.crt; nothing where NATS has none of its own. */}}
{{- define "whisper-webui.natsAuthoritySecret" -}}
{{- if not .Values.nats.enabled -}}
{{ .Values.nats.external.caSecret }}
{{- else if ne .Values.nats.tls.mode "none" -}}
{{ include "whisper-webui.natsTlsSecret" . }}
{{- end -}}
{{- end }}

{{/* Secret with tls.crt, tls.key and ca.crt of our own NATS. */}}
{{- define "whisper-webui.natsTlsSecret" -}}
{{- if eq .Values.nats.tls.mode "secret" -}}
{{ required "nats.tls.secret must name the Secret with tls.crt, tls.key and ca.crt, where nats.tls.mode is secret" .Values.nats.tls.secret }}
{{- else -}}
{{ include "whisper-webui.fullname" . }}-nats-tls
{{- end -}}
{{- end }}

{{/* Environment with which a component gets into NATS; takes (dict "root" $ "component" "gateway"). */}}
{{- define "whisper-webui.natsEnv" -}}
- name: NATS_URL
  value: {{ include "whisper-webui.natsUrl" .root | quote }}
- name: NATS_NKEY_SEED
  valueFrom:
    secretKeyRef:
      name: {{ include "whisper-webui.natsKeysSecret" .root }}
      key: {{ .component }}
{{- if include "whisper-webui.natsAuthoritySecret" .root }}
- name: NATS_CA_FILE
  value: /etc/nats/ca.crt
{{- end }}
{{- end }}

{{/* Volumes and mounts that the environment above needs; the same arguments. The key beside ca.crt stays out. */}}
{{- define "whisper-webui.natsVolumes" -}}
{{- with include "whisper-webui.natsAuthoritySecret" .root }}
- name: nats-authority
  secret:
    secretName: {{ . }}
    items:
      - {key: ca.crt, path: ca.crt}
{{- end }}
{{- end }}
{{- define "whisper-webui.natsVolumeMounts" -}}
{{- if include "whisper-webui.natsAuthoritySecret" .root }}
- name: nats-authority
  mountPath: /etc/nats
  readOnly: true
{{- end }}
{{- end }}

{{/* Refuses what a StatefulSet that is there cannot become: a server that joins a cluster erases what it had alone. */}}
{{- define "whisper-webui.checkEarlier" -}}
{{- with lookup "apps/v1" "StatefulSet" .Release.Namespace (printf "%s-nats" (include "whisper-webui.fullname" .)) -}}
  {{- $had := int .spec.replicas -}}
  {{- $wanted := int $.Values.nats.replicas -}}
  {{- if ne (gt $had 1) (gt $wanted 1) -}}
    {{- fail (printf "nats.replicas cannot go from %d to %d: streams do not come along, and a server that joins a cluster erases its own. Back up and restore (docs/nats.md), or keep nats.replicas=%d" $had $wanted $had) -}}
  {{- end -}}
  {{- $size := (first .spec.volumeClaimTemplates).spec.resources.requests.storage -}}
  {{- if ne (include "whisper-webui.bytes" $size) (include "whisper-webui.bytes" $.Values.nats.storage.size) -}}
    {{- fail (printf "nats.storage.size cannot go from %s to %s by an upgrade alone: resize the claims and delete the StatefulSet with --cascade=orphan first (docs/nats.md); volumes cannot shrink" $size $.Values.nats.storage.size) -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/* Copies of each stream: three where there are three servers. */}}
{{- define "whisper-webui.streamReplicas" -}}
{{- min 3 (int (ternary .Values.nats.replicas .Values.nats.external.replicas .Values.nats.enabled)) -}}
{{- end }}

{{/* Host and port of NATS's monitoring, which KEDA reads; the headless name, for it asks the consumer's leader. */}}
{{- define "whisper-webui.natsMonitor" -}}
{{- if .Values.nats.enabled -}}
{{ include "whisper-webui.fullname" . }}-nats-headless.{{ .Release.Namespace }}.svc.cluster.local:8222
{{- else -}}
{{- required "nats.external.monitor must say where KEDA reads the backlog, such as nats-headless.nats.svc.cluster.local:8222, where nats.enabled is false and keda.enabled is true" .Values.nats.external.monitor -}}
{{- end -}}
{{- end }}
