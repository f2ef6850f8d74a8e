{{/* Mode `external`: a server that exists outside the release. A replica inherits all but its host and port from its owner. */}}
{{- define "switchyard.mode.external" -}}
{{- $port := default .defaultPort .values.port -}}
{{- $directPort := .values.directPort | default (empty .values.directHost | ternary $port .defaultPort) -}}
host: {{ .values.host | default "" | quote }}
port: {{ int64 $port }}
directHost: {{ coalesce .values.directHost .values.host "" | quote }}
directPort: {{ int64 $directPort }}
pooler: {{ .values.pooler | default "" | quote }}
shared: {{ .values.shared | default false }}
name: {{ .values.name | default .owner.name | default "" | toJson }}
{{ include "switchyard.givenUsers" (merge (dict "defaultUser" "app" "defaultSecret" "") .) }}
{{ include "switchyard.givenTls" (merge (dict "defaultCa" "") .) }}
network:
  cidrs: {{ .values.cidrs | default (dig "network" "cidrs" list .owner) | toJson }}
  ports: {{ list (int64 $port) (int64 $directPort) | uniq | toJson }}
{{- end -}}
