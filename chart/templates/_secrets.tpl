{{/*
The Secrets of the chart: generated once and then found again, so an upgrade changes none. An uninstall keeps them, as it keeps
the volumes. A map with the name as key:
  component, alias   its labels
  data               its values in clear
  rotations          of the service's Secret: the number in the values for which each key was generated

Generated values differ at each call, but checksums and Secrets must agree. The first call of a rendering keeps its result.
*/}}
{{- define "switchyard.secrets" -}}
{{- if not (hasKey .Values "renderedSecrets") -}}
{{- $name := include "switchyard.fullname" . -}}
{{- $secrets := dict $name (include "switchyard.serviceSecret" . | fromYaml) -}}
{{- range $alias, $db := include "switchyard.databases" . | fromYaml -}}
{{- if and $db.bundled (not $db.replicaOf) -}}
{{- range $secret, $keys := dict $db.users.app.secret (list "password") $db.users.migrator.secret (list "password") $db.bundled.serverSecret (eq $db.engine "postgresql" | ternary (list "superuser" "replicator") (list "superuser")) -}}
{{- $existing := include "switchyard.existingSecret" (list $ $secret) | fromYaml -}}
{{- $data := dict -}}
{{- range $key := $keys -}}
{{- $_ := set $data $key (get $existing.data $key | default (randAlphaNum 48)) -}}
{{- end -}}
{{- $_ := set $secrets $secret (dict "component" "database" "alias" $alias "data" $data) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $_ := set .Values "renderedSecrets" (toYaml $secrets) -}}
{{- end -}}
{{- .Values.renderedSecrets -}}
{{- end -}}

{{/*
The service's key and token. One that is too short, or that another number in `rotation` asks for, is replaced; the value before
it stays accepted.
*/}}
{{- define "switchyard.serviceSecret" -}}
{{- $existing := include "switchyard.existingSecret" (list . (include "switchyard.fullname" .)) | fromYaml -}}
{{- $data := dict -}}
{{- $rotations := dict -}}
{{- range $key, $rule := dict "secret-key" (dict "number" .Values.rotation.secretKey "shortest" 50) "api-token" (dict "number" .Values.rotation.apiToken "shortest" 32) -}}
{{- $number := int64 $rule.number | toString -}}
{{- $value := get $existing.data $key -}}
{{- $fallbacks := printf "%s-fallbacks" $key -}}
{{- if and (ge (len $value) $rule.shortest) (eq $number (get $existing.annotations (printf "switchyard/%s-rotation" $key) | default $number)) -}}
{{- $_ := set $data $key $value -}}
{{- $_ := set $data $fallbacks (get $existing.data $fallbacks) -}}
{{- else -}}
{{- $_ := set $data $key (randAlphaNum 64) -}}
{{- $_ := set $data $fallbacks $value -}}
{{- end -}}
{{- $_ := set $rotations $key $rule.number -}}
{{- end -}}
{{- dict "component" "service" "data" $data "rotations" $rotations | toYaml -}}
{{- end -}}

{{/* The annotations of a Secret in the cluster, and its values in clear; both are empty if there is none. Argument: list of root, name. */}}
{{- define "switchyard.existingSecret" -}}
{{- $root := index . 0 -}}
{{- $secret := lookup "v1" "Secret" $root.Release.Namespace (index . 1) -}}
{{- $data := dict -}}
{{- range $key, $value := $secret.data -}}
{{- $_ := set $data $key (b64dec $value) -}}
{{- end -}}
{{- dict "data" $data "annotations" (dig "metadata" "annotations" dict $secret) | toYaml -}}
{{- end -}}

{{/*
The checksum of those of the named Secrets that the chart makes, for the annotations of pods that read them only when they start.
Argument: list of root, names.
*/}}
{{- define "switchyard.secretsChecksum" -}}
{{- $secrets := include "switchyard.secrets" (index . 0) | fromYaml -}}
{{- $data := dict -}}
{{- range $name := index . 1 -}}
{{- if hasKey $secrets $name -}}
{{- $_ := set $data $name (get $secrets $name).data -}}
{{- end -}}
{{- end -}}
{{- toJson $data | sha256sum -}}
{{- end -}}
