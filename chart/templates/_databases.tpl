{{/*
The normal model of the databases, which all other templates read, whatever the mode. A map with the alias as key:
  mode, engine, scheme                          how it is run, and its protocol
  replicaOf, maxLagSeconds, apps, required, migrates   its role
  clearMark                                     the migration whose mark its Job takes away
  host, port, name                              its address
  directHost, directPort                        the address of the server itself; differs from host and port behind a pooler
  pooler                                        mode of the pooler at host and port; absent or empty if there is none
  shared                                        several servers answer at host and port; absent if nothing says so
  users: app, migrator                          each with name, and secret and key of its password; no migrator where none is needed
  tls: mode, ca                                 mode in the words of libpq; ca has kind (secret or configMap), name and key
  network: pods or cidrs, ports                 where its servers are, for network policies; no cidrs: anywhere
  bundled                                       how the chart runs the server; absent if it does not
*/}}
{{- define "switchyard.databases" -}}
{{- include "switchyard.validate" . -}}
{{- include "switchyard.model" . -}}
{{- end -}}

{{/* The model without validation. Owners come first, because a replica inherits from its owner what its values leave out. */}}
{{- define "switchyard.model" -}}
{{- $model := dict -}}
{{- $enabled := include "switchyard.enabled" . | fromYaml -}}
{{- range $alias, $values := $enabled -}}
{{- if not $values.replicaOf -}}
{{- $_ := set $model $alias (include "switchyard.database" (dict "root" $ "alias" $alias "values" $values "owner" dict) | fromYaml) -}}
{{- end -}}
{{- end -}}
{{- range $alias, $values := $enabled -}}
{{- if $values.replicaOf -}}
{{- $owner := get $model $values.replicaOf | default dict -}}
{{- $_ := set $model $alias (include "switchyard.database" (dict "root" $ "alias" $alias "values" $values "owner" $owner) | fromYaml) -}}
{{- end -}}
{{- end -}}
{{- toYaml $model -}}
{{- end -}}

{{/* The values of the enabled aliases. */}}
{{- define "switchyard.enabled" -}}
{{- range $alias, $values := .Values.databases }}
{{- if and (kindIs "map" $values) (dig "enabled" true $values) }}
{{ quote $alias }}: {{ toJson $values }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The model of one alias. Arguments: root, alias, values, and owner: the model of a replica's owner. */}}
{{- define "switchyard.database" -}}
{{- $mode := .values.mode | default .owner.mode | default "bundled" -}}
{{- $engine := .values.engine | default .owner.engine | default (eq $mode "cloudnativepg" | ternary "postgresql" "") -}}
{{- $facts := get (include "switchyard.engines" . | fromYaml) $engine | default dict -}}
mode: {{ $mode }}
engine: {{ $engine }}
scheme: {{ $facts.scheme }}
replicaOf: {{ .values.replicaOf | default "" | quote }}
maxLagSeconds: {{ default 30 .values.maxLagSeconds | int64 }}
apps: {{ toJson (default list .values.apps) }}
required: {{ and (not .values.replicaOf) (dig "required" true .values) }}
clearMark: {{ .values.clearMark | default "" | quote }}
migrates: {{ and (not .values.replicaOf) (dig "managed" true .values) }}
{{ include (printf "switchyard.mode.%s" $mode) (merge (dict "engine" $engine "defaultPort" $facts.port) .) }}
{{- end -}}

{{- define "switchyard.engines" -}}
postgresql:
  scheme: postgres
  port: 5432
  tls: {mode: sslmode, ca: sslrootcert}
  tlsModes: {disable: disable, require: require, verify-ca: verify-ca, verify-full: verify-full}
mysql:
  scheme: mysql
  port: 3306
  tls: {mode: ssl_mode, ca: ssl_ca}
  tlsModes: {disable: DISABLED, require: REQUIRED, verify-ca: VERIFY_CA, verify-full: VERIFY_IDENTITY}
{{- end -}}
