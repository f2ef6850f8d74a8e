{{/*
The normal model of the databases, which all other templates read, for every mode. A map with the alias as key:
  engine, scheme, host, port, name, tls         its address and protocol
  replicaOf, maxLagSeconds, apps, required, migrates   its role
  secrets: app, migrator                        names of the Secrets with the `password` of each user
  bundled                                       how the chart runs the server; absent if it does not
*/}}
{{- define "switchyard.databases" -}}
{{- include "switchyard.validate" . -}}
{{- range $alias, $values := include "switchyard.enabled" . | fromYaml }}
{{ quote $alias }}: {{- include (printf "switchyard.mode.%s" (default "bundled" $values.mode)) (dict "root" $ "alias" $alias "values" $values) | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The values of the enabled aliases. */}}
{{- define "switchyard.enabled" -}}
{{- range $alias, $values := .Values.databases }}
{{- if and (kindIs "map" $values) (dig "enabled" true $values) }}
{{ quote $alias }}: {{ toJson $values }}
{{- end }}
{{- end }}
{{- end -}}

{{/* tls: a MySQL server generates a certificate that no client can verify; a PostgreSQL server has no certificate. */}}
{{- define "switchyard.engines" -}}
postgresql: {scheme: postgres, port: 5432, tls: sslmode=disable}
mysql: {scheme: mysql, port: 3306, tls: ssl_mode=REQUIRED}
{{- end -}}

{{/* Mode `bundled`: the chart runs the server as a StatefulSet. */}}
{{- define "switchyard.mode.bundled" -}}
{{- $owner := default .alias .values.replicaOf -}}
{{- $engine := dig $owner "engine" "" .root.Values.databases -}}
{{- $settings := get .root.Values.bundled $engine -}}
{{- $name := printf "%s-db-%s" (include "switchyard.fullname" .root) .alias -}}
{{- $ownerName := printf "%s-db-%s" (include "switchyard.fullname" .root) $owner -}}
{{- get (include "switchyard.engines" .root | fromYaml) $engine | toYaml }}
engine: {{ $engine }}
host: {{ $name }}
name: switchyard
replicaOf: {{ .values.replicaOf | default "" | quote }}
maxLagSeconds: {{ default 30 .values.maxLagSeconds | int64 }}
apps: {{ toJson (default list .values.apps) }}
required: {{ and (not .values.replicaOf) (dig "required" true .values) }}
migrates: {{ not .values.replicaOf }}
secrets:
  app: {{ $ownerName }}-app
  migrator: {{ $ownerName }}-migrator
bundled:
  name: {{ $name }}
  ownerHost: {{ $ownerName }}
  serverSecret: {{ $ownerName }}-server
  image: {{ $settings.image }}
  resources: {{ toJson $settings.resources }}
  storage: {{ merge (dict) (default dict .values.storage) .root.Values.bundled.storage | toJson }}
  applyDelay: {{ default 0 .values.applyDelay | int64 }}
{{- end -}}
