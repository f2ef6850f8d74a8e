{{/* Environment variables that describe databases or come from values, and the files with the passwords. */}}

{{/* Variables of all aliases, for the user of the service. Argument: the normal model. */}}
{{- define "switchyard.databaseEnv" -}}
{{- range $alias, $db := . }}
{{- include "switchyard.databaseUrl" (list $alias $db $db.users.app $db.host $db.port (include "switchyard.poolerQuery" $db)) }}
{{- end }}
{{- end -}}

{{/* What a URL says of the pooler that it leads to. Argument: model of the alias. */}}
{{- define "switchyard.poolerQuery" -}}
{{- if .pooler -}}
&pooler={{ .pooler }}&direct_host={{ .directHost }}&direct_port={{ .directPort }}
{{- if .shared -}}
&shared=true
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Variables of one owner, for its user that migrates, at its direct address and without a time limit for statements. The other
owners are named without a password, so that every app is installed and the graph of migrations is complete.
Arguments: root, databases, alias.
*/}}
{{- define "switchyard.migratorEnv" -}}
{{- range $alias, $db := .databases }}
{{- if eq $alias $.alias }}
{{- include "switchyard.databaseUrl" (list $alias $db $db.users.migrator $db.directHost $db.directPort "&statement_timeout=0") }}
{{- else if not $db.replicaOf }}
{{- $prefix := printf "DATABASE_%s" (upper $alias) }}
- name: {{ $prefix }}_URL
  value: {{ printf "%s://%s:%v/%s" $db.scheme $db.host $db.port (urlquery $db.name) }}
{{- include "switchyard.databaseRole" (list $prefix $db) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The variables that describe an alias for one of its users. Argument: list of alias, model of the alias, user, host, port, more query. */}}
{{- define "switchyard.databaseUrl" -}}
{{- $alias := index . 0 -}}
{{- $db := index . 1 -}}
{{- $prefix := printf "DATABASE_%s" (upper $alias) -}}
{{- $engine := get (include "switchyard.engines" . | fromYaml) $db.engine -}}
{{- $query := printf "%s=%s" $engine.tls.mode (get $engine.tlsModes $db.tls.mode) -}}
{{- if $db.tls.ca -}}
{{- $query = printf "%s&%s=/run/secrets/switchyard/ca/%s.crt" $query $engine.tls.ca $alias -}}
{{- end }}
- name: {{ $prefix }}_URL
  value: {{ printf "%s://%s@%s:%v/%s?%s%s" $db.scheme (urlquery (index . 2).name) (index . 3) (index . 4) (urlquery $db.name) $query (index . 5) }}
- name: {{ $prefix }}_PASSWORD_FILE
  value: /run/secrets/switchyard/databases/{{ $alias }}
{{- include "switchyard.databaseRole" (list $prefix $db) }}
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
{{- if not (or $db.migrates $db.replicaOf) }}
- name: {{ $prefix }}_MANAGED
  value: "false"
{{- end }}
{{- end -}}

{{/* Variables from the values `env` and `extraEnv`. */}}
{{- define "switchyard.extraEnv" -}}
{{- range $name, $value := .Values.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
The files that the variables above name: the password of a user of each alias, and the certificate of the authority that signs
for its server. Argument: list of the model, name of the user in it (app or migrator).
*/}}
{{- define "switchyard.databaseFiles" -}}
{{- $user := index . 1 -}}
{{- range $alias, $db := index . 0 }}
{{- with get $db.users $user }}
- secret:
    name: {{ .secret }}
    items:
      - {key: {{ quote .key }}, path: databases/{{ $alias }}}
{{- end }}
{{- with $db.tls.ca }}
- {{ .kind }}:
    name: {{ .name }}
    items:
      - {key: {{ quote .key }}, path: ca/{{ $alias }}.crt}
{{- end }}
{{- end }}
{{- end -}}

{{- define "switchyard.secretsMount" -}}
{name: secrets, mountPath: /run/secrets/switchyard, readOnly: true}
{{- end -}}
