{{/*
The normal model: what every template reads about databases, whatever mode an alias has. A map keyed by alias:
  engine, scheme, host, port, name, tls         where it is and how to talk to it
  replicaOf, maxLag, apps, required, migrates   what it is
  secrets: app, migrator                        names of the Secrets that hold a user's `password`
  bundled                                       how the chart runs its server; absent where it does not
*/}}
{{- define "switchyard.databases" -}}
{{- include "switchyard.validate" . -}}
{{- range $alias, $values := include "switchyard.enabled" . | fromYaml }}
{{ quote $alias }}: {{- include (printf "switchyard.mode.%s" (default "bundled" $values.mode)) (dict "root" $ "alias" $alias "values" $values) | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The values of the aliases that are enabled. */}}
{{- define "switchyard.enabled" -}}
{{- range $alias, $values := .Values.databases }}
{{- if and (kindIs "map" $values) (dig "enabled" true $values) }}
{{ quote $alias }}: {{ toJson $values }}
{{- end }}
{{- end }}
{{- end -}}

{{/* tls: a MySQL server makes a certificate of its own, which no client can verify; a PostgreSQL server has none. */}}
{{- define "switchyard.engines" -}}
postgresql: {scheme: postgres, port: 5432, tls: sslmode=disable}
mysql: {scheme: mysql, port: 3306, tls: ssl_mode=REQUIRED}
{{- end -}}

{{/* mode `bundled`: a StatefulSet of the chart's. */}}
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
maxLag: {{ default 30 .values.maxLag | int64 }}
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
