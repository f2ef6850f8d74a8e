{{/* Mode `bundled`: the chart runs the server as a StatefulSet. Each server has a certificate and an authority of its own. */}}
{{- define "switchyard.mode.bundled" -}}
{{- $settings := get .root.Values.bundled .engine | default dict -}}
{{- $fullname := include "switchyard.fullname" .root -}}
{{- $name := printf "%s-db-%s" $fullname .alias -}}
{{- $ownerName := printf "%s-db-%s" $fullname (default .alias .values.replicaOf) -}}
host: {{ $name }}
port: {{ .defaultPort }}
directHost: {{ $name }}
directPort: {{ .defaultPort }}
name: switchyard
users:
  app: {name: app, secret: {{ $ownerName }}-app, key: password}
  {{- if not .values.replicaOf }}
  migrator: {name: migrator, secret: {{ $ownerName }}-migrator, key: password}
  {{- end }}
tls:
  mode: verify-full
  ca: {kind: secret, name: {{ $name }}-tls, key: ca.crt}
network:
  pods: {{- include "switchyard.selectorLabels" (dict "root" .root "component" "database" "alias" .alias) | nindent 4 }}
  ports: [{{ .defaultPort }}]
bundled:
  name: {{ $name }}
  ownerHost: {{ $ownerName }}
  serverSecret: {{ $ownerName }}-server
  certificate: {{ $name }}-tls
  # A standby verifies its owner.
  ownerCertificate: {{ $ownerName }}-tls
  # The Secrets that the server itself reads.
  secrets: [{{ $ownerName }}-server, {{ $name }}-tls, {{ $ownerName }}-tls{{ if not .values.replicaOf }}, {{ $ownerName }}-migrator, {{ $ownerName }}-app{{ end }}]
  image: {{ $settings.image }}
  resources: {{ toJson $settings.resources }}
  storage: {{ merge (dict) (default dict .values.storage) .root.Values.bundled.storage | toJson }}
  applyDelay: {{ default 0 .values.applyDelay | int64 }}
{{- end -}}
