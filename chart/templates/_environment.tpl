{{/* Environment variables of the service's processes, and the files with their passwords. */}}

{{/* Variables of all aliases, for the user `app`. Argument: the normal model. */}}
{{- define "switchyard.databaseEnv" -}}
{{- range $alias, $db := . }}
{{- $prefix := printf "DATABASE_%s" (upper $alias) }}
- name: {{ $prefix }}_URL
  value: {{ printf "%s://app@%s:%v/%s?%s" $db.scheme $db.host $db.port $db.name $db.tls }}
- name: {{ $prefix }}_PASSWORD_FILE
  value: /run/secrets/switchyard/databases/{{ $alias }}
{{- include "switchyard.databaseRole" (list $prefix $db) }}
{{- end }}
{{- end -}}

{{/*
Variables of one owner, for its user `migrator`, without a time limit for statements. The other owners are named without a
password, so that every app is installed and the graph of migrations is complete. Arguments: root, databases, alias.
*/}}
{{- define "switchyard.migratorEnv" -}}
{{- range $alias, $db := .databases }}
{{- $prefix := printf "DATABASE_%s" (upper $alias) }}
{{- if eq $alias $.alias }}
- name: {{ $prefix }}_URL
  value: {{ printf "%s://migrator@%s:%v/%s?%s&statement_timeout=0" $db.scheme $db.host $db.port $db.name $db.tls }}
- name: {{ $prefix }}_PASSWORD_FILE
  value: /run/secrets/switchyard/databases/{{ $alias }}
{{- include "switchyard.databaseRole" (list $prefix $db) }}
{{- else if not $db.replicaOf }}
- name: {{ $prefix }}_URL
  value: {{ printf "%s://%s:%v/%s" $db.scheme $db.host $db.port $db.name }}
{{- include "switchyard.databaseRole" (list $prefix $db) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "switchyard.databaseRole" -}}
{{- $prefix := index . 0 -}}
{{- $db := index . 1 -}}
{{- with $db.replicaOf }}
- name: {{ $prefix }}_REPLICA_OF
  value: {{ quote . }}
- name: {{ $prefix }}_MAX_LAG_SECONDS
  value: {{ $db.maxLagSeconds | quote }}
{{- end }}
{{- with $db.apps }}
- name: {{ $prefix }}_APPS
  value: {{ join "," . | quote }}
{{- end }}
{{- if not (or $db.required $db.replicaOf) }}
- name: {{ $prefix }}_REQUIRED
  value: "false"
{{- end }}
{{- end -}}

{{/* Variables from the values `env` and `extraEnv`. */}}
{{- define "switchyard.extraEnv" -}}
{{- with include "switchyard.problems.extraEnv" . | fromYamlArray -}}
{{- fail (printf "\n%d problem(s) in the values:\n  - %s" (len .) (join "\n  - " .)) -}}
{{- end -}}
{{- range $name, $value := .Values.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Argument: a map from alias to the Secret with its password. */}}
{{- define "switchyard.passwordSources" -}}
{{- range $alias, $secret := . }}
- secret:
    name: {{ $secret }}
    items:
      - {key: password, path: databases/{{ $alias }}}
{{- end }}
{{- end -}}

{{- define "switchyard.secretsMount" -}}
{name: secrets, mountPath: /run/secrets/switchyard, readOnly: true}
{{- end -}}

{{/* Port-forwards and probes use localhost; pods use the Service's name in one of its forms. */}}
{{- define "switchyard.allowedHosts" -}}
{{- $name := include "switchyard.fullname" . -}}
{{- $own := list "localhost" "127.0.0.1" $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) (printf "%s.%s.svc.cluster.local" $name .Release.Namespace) -}}
{{- concat $own .Values.allowedHosts | join "," -}}
{{- end -}}
