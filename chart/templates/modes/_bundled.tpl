{{/* Mode `bundled`: the chart runs the server as a StatefulSet. Each server has a certificate and an authority of its own. */}}
{{- define "switchyard.mode.bundled" -}}
{{- $settings := get .root.Values.bundled .engine | default dict -}}
{{- $fullname := include "switchyard.fullname" .root -}}
{{- $name := printf "%s-db-%s" $fullname .alias -}}
{{- $ownerName := printf "%s-db-%s" $fullname (default .alias .values.replicaOf) -}}
{{- $passwords := include "switchyard.bundledPasswords" (dict "replicaOf" .values.replicaOf "ownerName" $ownerName) | fromYaml -}}
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
  passwords: {{ toJson $passwords }}
  certificate: {{ $name }}-tls
  # A replica verifies its owner.
  ownerCertificate: {{ $ownerName }}-tls
  # The Secrets that the server itself reads.
  secrets: {{ list (printf "%s-tls" $name) (printf "%s-tls" $ownerName) | concat (include "switchyard.secretsOf" $passwords | fromYamlArray) | uniq | toJson }}
  image: {{ $settings.image }}
  resources: {{ toJson $settings.resources }}
  storage: {{ merge (dict) (default dict .values.storage) .root.Values.bundled.storage | toJson }}
  applyDelay: {{ default 0 .values.applyDelay | int64 }}
{{- end -}}

{{/*
The passwords that a server reads: a map with the role as key, each with secret and key. A replica needs
only that of the user as which it follows its owner. Arguments: replicaOf, ownerName.
*/}}
{{- define "switchyard.bundledPasswords" -}}
{{- range $role := empty .replicaOf | ternary (list "superuser" "migrator" "app" "readonly" "monitor" "replicator") (list "replicator") }}
{{- if has $role (list "superuser" "replicator") }}
{{ $role }}: {secret: {{ $.ownerName }}-server, key: {{ $role }}}
{{- else }}
{{ $role }}: {secret: {{ $.ownerName }}-{{ $role }}, key: password}
{{- end }}
{{- end }}
{{- end -}}

{{- define "switchyard.secretsOf" -}}
{{- range . }}
- {{ .secret }}
{{- end }}
{{- end -}}
