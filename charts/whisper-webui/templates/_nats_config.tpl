{{/* nats-server's configuration, which is the same for each server of the cluster. */}}

{{/* A quantity of Kubernetes, such as 80Gi, in bytes. */}}
{{- define "whisper-webui.bytes" -}}
{{- $units := dict "" 1 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $unit := regexFind "[KMGT]i$" (toString .) -}}
{{- $number := toString . | trimSuffix $unit -}}
{{- if not (regexMatch "^[0-9]+(\\.[0-9]+)?$" $number) -}}
{{- fail (printf "%v is not a size such as 80Gi: use Ki, Mi, Gi or Ti" .) -}}
{{- end -}}
{{- mulf (float64 $number) (get $units $unit) | floor | int64 -}}
{{- end }}

{{/* Bytes that streams may take of a volume; the rest is for indexes, logs of the cluster, and what is being erased. */}}
{{- define "whisper-webui.natsStoreBytes" -}}
{{- mulf (include "whisper-webui.bytes" .Values.nats.storage.size | float64) .Values.nats.storage.share | floor | int64 -}}
{{- end }}

{{/* Bytes that the streams reserve: the budgets of the settings, and 3.25 GiB of those that have none
     (services/contracts/streams.py). JetStream would refuse the stream that no longer fits. */}}
{{- define "whisper-webui.budgetBytes" -}}
{{- $sum := 3489660928 -}}
{{- $env := .Values.provision.env -}}
{{- range $name := list "UP_MAX_BYTES" "CHUNK_MAX_BYTES" "RESULTS_MAX_BYTES" "RECORDS_MAX_BYTES" -}}
{{- $sum = add $sum (required (printf "provision.env.%s is needed: the volumes of NATS are checked against it" $name) (get $env $name) | int64) -}}
{{- end -}}
{{- $sum -}}
{{- end }}

{{- define "whisper-webui.checkBudgets" -}}
{{- $room := include "whisper-webui.natsStoreBytes" . | int64 -}}
{{- $needed := include "whisper-webui.budgetBytes" . | int64 -}}
{{- if gt $needed $room -}}
{{- fail (printf "the budgets in provision.env, and 3.25 GiB of other streams, come to %.1f GiB, but %v of nats.storage.size=%v is %.1f GiB: lower UP_MAX_BYTES, or let nats.storage.size grow to %.0fGi" (divf $needed 1073741824) .Values.nats.storage.share .Values.nats.storage.size (divf $room 1073741824) (ceil (divf $needed 1073741824 .Values.nats.storage.share))) -}}
{{- end -}}
{{- end }}

{{/* Host of server number n for the others. Its first label is the server's name, by which KEDA finds a leader. */}}
{{- define "whisper-webui.natsHost" -}}
{{- $name := include "whisper-webui.fullname" .root -}}
{{ $name }}-nats-{{ .number }}.{{ $name }}-nats-headless.{{ .root.Release.Namespace }}.svc
{{- end }}

{{/* The configuration. Variables come from the pod's environment. */}}
{{- define "whisper-webui.natsConf" -}}
{{- $nats := .Values.nats -}}
server_name: $SERVER_NAME
port: 4222
http_port: 8222
pid_file: "/run/nats/nats.pid"
# Parts of uploads are 512 KiB, chunks at most 960 kB with their headers.
max_payload: 1048576
max_connections: {{ int $nats.maxConnections }}
# A server that shall stop hands over its streams, then sends its clients to the others bit by bit.
lame_duck_grace_period: "10s"
lame_duck_duration: "30s"
jetstream {
  store_dir: "/data"
  max_file_store: {{ include "whisper-webui.natsStoreBytes" . }}
  max_memory_store: 67108864
  # What was acknowledged is on the disk, whatever becomes of the node.
  sync_interval: always
  {{- if $nats.encryption.enabled }}
  cipher: chachapoly
  key: $JETSTREAM_KEY
  {{- end }}
}
{{- if ne $nats.tls.mode "none" }}
tls {
  cert_file: "/etc/nats-tls/tls.crt"
  key_file: "/etc/nats-tls/tls.key"
  timeout: 5
}
{{- end }}
{{- if gt (int $nats.replicas) 1 }}
cluster {
  name: "{{ include "whisper-webui.fullname" . }}-nats"
  port: 6222
  # Clients come by the Service, whose name the certificate has; addresses of pods would tell them nothing.
  no_advertise: true
  authorization { user: route, password: $ROUTE_PASSWORD, timeout: 5 }
  routes: $ROUTES
  {{- if ne $nats.tls.mode "none" }}
  tls {
    cert_file: "/etc/nats-tls/tls.crt"
    key_file: "/etc/nats-tls/tls.key"
    ca_file: "/etc/nats-tls/ca.crt"
    verify: true
    timeout: 5
  }
  {{- end }}
}
{{- end }}
# Written when the pod starts, of the public keys and the rights in the code.
include "../nats-authorization/authorization.conf"
{{- end }}

{{/* Addresses of all servers, as JSON with a variable of Kubernetes in it. */}}
{{- define "whisper-webui.natsRoutes" -}}
{{- $routes := list -}}
{{- range $number := until (int .Values.nats.replicas) -}}
{{- $routes = append $routes (printf "nats-route://route:$(ROUTE_SECRET)@%s:6222" (include "whisper-webui.natsHost" (dict "root" $ "number" $number))) -}}
{{- end -}}
{{- $routes | toJson -}}
{{- end }}

{{/* Secrets of a server, as they stand in the Secret. */}}
{{- define "whisper-webui.natsSecretEnv" -}}
{{- $nats := .Values.nats -}}
{{- $wanted := dict -}}
{{- if $nats.encryption.enabled }}{{ $_ := set $wanted "JETSTREAM_SECRET" "jetstream-key" }}{{ end -}}
{{- if gt (int $nats.replicas) 1 }}{{ $_ := set $wanted "ROUTE_SECRET" "route-password" }}{{ end -}}
{{- range $name, $key := $wanted }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ include "whisper-webui.natsKeysSecret" $ }}
      key: {{ $key }}
{{- end }}
{{- end }}

{{/* An image that is not ours; takes its values. */}}
{{- define "whisper-webui.natsImage" -}}
{{- with .registry }}{{ . }}/{{ end }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end }}

{{/* Class of the servers' pods, where they have none of their own. */}}
{{- define "whisper-webui.natsPriorityClass" -}}
{{- if .Values.priorityClass.create }}{{ include "whisper-webui.servingClass" . }}{{ end -}}
{{- end }}

{{/* Name of the chart's StorageClass; it belongs to no namespace, so the name holds that. */}}
{{- define "whisper-webui.natsStorageClass" -}}
{{ list .Release.Namespace (include "whisper-webui.fullname" .) "nats" | compact | join "-" }}
{{- end }}
