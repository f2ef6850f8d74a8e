{{/*
The Secrets of the chart: generated once and then found again, so an upgrade changes none. An uninstall keeps them, as it keeps
the volumes. Where values name a Secret that exists, the chart makes none. A map with the name as key:
  component, alias   its labels
  annotations        its annotations
  type               Opaque if absent
  data               its values in clear

Generated values differ at each call, but checksums and Secrets must agree. The first call of a rendering keeps its result.
The values pass between templates as JSON, because toYaml removes the last line end of a text.
*/}}
{{- define "switchyard.secrets" -}}
{{- if not (hasKey .Values "renderedSecrets") -}}
{{- $secrets := dict -}}
{{- if not .Values.service.existingSecret -}}
{{- $_ := set $secrets (include "switchyard.serviceSecretName" .) (include "switchyard.serviceSecret" . | fromYaml) -}}
{{- end -}}
{{- range $alias, $db := include "switchyard.databases" . | fromYaml -}}
{{- if and $db.bundled (not $.Values.bundled.certificates.issuerRef) (not $.Values.bundled.certificates.existingSecret) -}}
{{- $_ := set $secrets $db.bundled.certificate (include "switchyard.certificate" (dict "root" $ "alias" $alias "name" $db.bundled.name "secret" $db.bundled.certificate) | fromYaml) -}}
{{- end -}}
{{- if and $db.bundled (not $db.replicaOf) (not $.Values.bundled.existingSecret) -}}
{{- range $role, $at := $db.bundled.passwords -}}
{{- $existing := include "switchyard.existingSecret" (list $ $at.secret) | fromYaml -}}
{{- $secret := get $secrets $at.secret | default (dict "component" "database" "alias" $alias "data" dict) -}}
{{- $length := eq $role "replicator" | ternary 32 48 -}}{{/* MySQL takes at most 32 characters for replication */}}
{{- $_ := set $secret.data $at.key (get $existing.data $at.key | default (randAlphaNum $length)) -}}
{{- $_ := set $secrets $at.secret $secret -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $_ := set .Values "renderedSecrets" (toJson $secrets) -}}
{{- end -}}
{{- .Values.renderedSecrets -}}
{{- end -}}

{{- define "switchyard.serviceSecretName" -}}
{{ .Values.service.existingSecret | default (include "switchyard.fullname" .) }}
{{- end -}}

{{- define "switchyard.serviceSecretKeys" -}}
[secret-key, secret-key-fallbacks, api-token, api-token-fallbacks]
{{- end -}}

{{/*
The service's key and token. One that is too short, or that another number in `rotation` asks for, is replaced; the value before
it stays accepted.
*/}}
{{- define "switchyard.serviceSecret" -}}
{{- $existing := include "switchyard.existingSecret" (list . (include "switchyard.fullname" .)) | fromYaml -}}
{{- $data := dict -}}
{{- $annotations := dict -}}
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
{{- $_ := set $annotations (printf "switchyard/%s-rotation" $key) $number -}}
{{- end -}}
{{- dict "component" "service" "data" $data "annotations" $annotations | toJson -}}
{{- end -}}

{{/*
The certificate of a bundled server for the names of its Service, and for the loopback of a port-forward. Each server has an
authority of its own, whose key nothing keeps: nobody can sign a second certificate, and an alias that is added later needs no
other. Arguments: root, alias, name, secret.
*/}}
{{- define "switchyard.certificate" -}}
{{- $existing := include "switchyard.existingSecret" (list .root .secret) | fromYaml -}}
{{- $data := pick $existing.data "ca.crt" "tls.crt" "tls.key" -}}
{{- $annotations := pick $existing.annotations "switchyard/valid-until" -}}
{{- if lt (len $data) 3 -}}
{{- $authority := genCAWithKey (printf "%s-ca" .name) 3650 (genPrivateKey "ecdsa") -}}
{{- $names := include "switchyard.serverNames" . | fromYamlArray -}}
{{- $signed := genSignedCertWithKey .name (list "127.0.0.1") $names 3650 $authority (genPrivateKey "ecdsa") -}}
{{- $data = dict "ca.crt" $authority.Cert "tls.crt" $signed.Cert "tls.key" $signed.Key -}}
{{- $annotations = dict "switchyard/valid-until" (dateInZone "2006-01-02" (now | dateModify "87600h") "UTC") -}}
{{- end -}}
{{- dict "component" "database" "alias" .alias "type" "kubernetes.io/tls" "data" $data "annotations" $annotations | toJson -}}
{{- end -}}

{{/* Arguments: root, name of the Service. */}}
{{- define "switchyard.serverNames" -}}
{{- $name := printf "%s.%s" .name .root.Release.Namespace -}}
{{- list .name $name (printf "%s.svc" $name) (printf "%s.svc.cluster.local" $name) "localhost" | toYaml -}}
{{- end -}}

{{/* The annotations of a Secret in the cluster, and its values in clear; both are empty if there is none. Argument: list of root, name. */}}
{{- define "switchyard.existingSecret" -}}
{{- $root := index . 0 -}}
{{- $secret := lookup "v1" "Secret" $root.Release.Namespace (index . 1) -}}
{{- $data := dict -}}
{{- range $key, $value := $secret.data -}}
{{- $_ := set $data $key (b64dec $value) -}}
{{- end -}}
{{- dict "data" $data "annotations" (dig "metadata" "annotations" dict $secret) | toJson -}}
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
