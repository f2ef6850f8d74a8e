{{/* Parts of the modes whose servers the chart does not run. */}}

{{/*
The users. Without values, a replica has the user of its owner, and an owner migrates
as the user of the service. An owner whose tables others make has no user that migrates.
Arguments: those of a mode, defaultUser, defaultSecret.
*/}}
{{- define "switchyard.givenUsers" -}}
{{- $inherited := dig "users" "app" dict .owner -}}
{{- $secret := default dict .values.secret -}}
{{- $app := dict -}}
{{- $_ := set $app "name" (.values.user | default $inherited.name | default .defaultUser) -}}
{{- $_ := set $app "secret" ($secret.name | default $inherited.secret | default .defaultSecret) -}}
{{- $_ := set $app "key" ($secret.key | default (empty $secret.name | ternary $inherited.key "") | default "password") -}}
{{- $users := dict "app" $app -}}
{{- if and (not .values.replicaOf) (dig "managed" true .values) -}}
{{- $own := default dict .values.migrationSecret -}}
{{- $migrator := dict "name" (default "" .values.migrationUser) "secret" (default "" $own.name) "key" (default "password" $own.key) -}}
{{- $_ := set $users "migrator" (empty $own.name | ternary $app $migrator) -}}
{{- end -}}
users: {{ toJson $users }}
{{- end -}}

{{/*
How the server proves who it is. Arguments: those of a mode, and defaultCa: the name of a Secret.
A bundled owner's TLS is no default for a replica outside the release.
*/}}
{{- define "switchyard.givenTls" -}}
{{- $given := default dict .values.tls -}}
{{- $inherited := eq (default "" .owner.mode) "bundled" | ternary dict (dig "tls" dict .owner) -}}
{{- $mode := $given.mode | default $inherited.mode | default "verify-full" -}}
{{- $ca := default dict $inherited.ca -}}
{{- if $given.ca -}}
{{- $ca = dict "kind" (empty $given.ca.secret | ternary "configMap" "secret") "name" (coalesce $given.ca.secret $given.ca.configMap "") "key" (default "ca.crt" $given.ca.key) -}}
{{- else if and (not $ca) .defaultCa -}}
{{- $ca = dict "kind" "secret" "name" .defaultCa "key" "ca.crt" -}}
{{- end -}}
{{- $tls := dict "mode" $mode -}}
{{- if and $ca (hasPrefix "verify-" $mode) -}}
{{- $_ := set $tls "ca" $ca -}}
{{- end -}}
tls: {{ toJson $tls }}
{{- end -}}
