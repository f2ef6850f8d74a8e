{{/* Mode `bundled`: the chart runs the server as a StatefulSet. Each server has a certificate and an authority of its own. */}}
{{- define "switchyard.mode.bundled" -}}
{{- $settings := get .root.Values.bundled .engine | default dict -}}
{{- $fullname := include "switchyard.fullname" .root -}}
{{- $name := printf "%s-db-%s" $fullname .alias -}}
{{- $owner := default .alias .values.replicaOf -}}
{{- $ownerName := printf "%s-db-%s" $fullname $owner -}}
{{- $passwords := include "switchyard.bundledPasswords" (dict "root" .root "replicaOf" .values.replicaOf "owner" $owner) | fromYaml -}}
{{- $certificate := include "switchyard.certificateSecret" (list .root $name) -}}
{{- $ownerCertificate := include "switchyard.certificateSecret" (list .root $ownerName) -}}
host: {{ $name }}
port: {{ .defaultPort }}
directHost: {{ $name }}
directPort: {{ .defaultPort }}
name: switchyard
users:
  {{- range $user := empty .values.replicaOf | ternary (list "app" "migrator") (list "app") }}
  {{ $user }}: {{ include "switchyard.bundledPassword" (list $.root $owner $user) | fromYaml | merge (dict "name" $user) | toJson }}
  {{- end }}
tls:
  mode: verify-full
  ca: {kind: secret, name: {{ $certificate }}, key: ca.crt}
network:
  pods: {{- include "switchyard.selectorLabels" (dict "root" .root "component" "database" "alias" .alias) | nindent 4 }}
  ports: [{{ .defaultPort }}]
bundled:
  name: {{ $name }}
  ownerHost: {{ $ownerName }}
  passwords: {{ toJson $passwords }}
  certificate: {{ $certificate }}
  # A replica verifies its owner.
  ownerCertificate: {{ $ownerCertificate }}
  # The Secrets that the server itself reads.
  secrets: {{ list $certificate $ownerCertificate | concat (include "switchyard.secretsOf" $passwords | fromYamlArray) | uniq | toJson }}
  image: {{ $settings.image }}
  resources: {{ toJson $settings.resources }}
  storage: {{ merge (dict) (default dict .values.storage) .root.Values.bundled.storage | toJson }}
  applyDelay: {{ default 0 .values.applyDelay | int64 }}
{{- end -}}

{{/*
The passwords that a server reads: a map with the role as key, each with secret and key. A replica needs
only that of the user as which it follows its owner. Arguments: root, replicaOf, owner.
*/}}
{{- define "switchyard.bundledPasswords" -}}
{{- range $role := empty .replicaOf | ternary (list "superuser" "migrator" "app" "readonly" "monitor" "replicator") (list "replicator") }}
{{ $role }}: {{ include "switchyard.bundledPassword" (list $.root $.owner $role) }}
{{- end }}
{{- end -}}

{{/* Where the password of a role is: secret and key. Argument: list of root, owner, role. */}}
{{- define "switchyard.bundledPassword" -}}
{{- $role := index . 2 -}}
{{- $server := printf "%s-db-%s" (include "switchyard.fullname" (index . 0)) (index . 1) -}}
{{- $existing := (index . 0).Values.bundled.existingSecret -}}
{{- if $existing -}}
{secret: {{ $existing }}, key: {{ index . 1 }}-{{ $role }}}
{{- else if has $role (list "superuser" "replicator") -}}
{secret: {{ $server }}-server, key: {{ $role }}}
{{- else -}}
{secret: {{ $server }}-{{ $role }}, key: password}
{{- end -}}
{{- end -}}

{{- define "switchyard.secretsOf" -}}
{{- range . }}
- {{ .secret }}
{{- end }}
{{- end -}}

{{/*
The Secret with the certificate of a server. cert-manager writes into a Secret of another name than the chart does, so that no server
starts with the certificate of the other. Argument: list of root, name of the server.
*/}}
{{- define "switchyard.certificateSecret" -}}
{{- $certificates := (index . 0).Values.bundled.certificates -}}
{{- if $certificates.existingSecret -}}
{{- $certificates.existingSecret -}}
{{- else -}}
{{- printf "%s-%s" (index . 1) (empty $certificates.issuerRef | ternary "tls" "issued") -}}
{{- end -}}
{{- end -}}
