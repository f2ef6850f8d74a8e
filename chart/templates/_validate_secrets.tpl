{{/* Problems of the values about Secrets and certificates that exist outside the chart. */}}

{{/* What would be generated although `gitops` is true, and values that contradict each other. */}}
{{- define "switchyard.problems.gitops" -}}
{{- $bundled := include "switchyard.bundledAliases" . | fromYamlArray -}}
{{- $certificates := .Values.bundled.certificates -}}
{{- if and .Values.gitops (not .Values.service.existingSecret) }}
- {{ printf "gitops is true, so the chart generates no key and no token; set service.existingSecret to a Secret with the keys: %s" (include "switchyard.serviceSecretKeys" . | fromYamlArray | join ", ") | toJson }}
{{- end }}
{{- if and .Values.gitops $bundled (not .Values.bundled.existingSecret) }}
- {{ printf "gitops is true, so the chart generates no password for %s; set bundled.existingSecret to a Secret with the keys: %s" (join ", " $bundled) (include "switchyard.bundledKeys" . | fromYamlArray | join ", ") | toJson }}
{{- end }}
{{- if and .Values.gitops $bundled (not $certificates.issuerRef) (not $certificates.existingSecret) }}
- {{ printf "gitops is true, so the chart generates no certificate for %s; set bundled.certificates.issuerRef.name to an issuer of cert-manager, or bundled.certificates.existingSecret to a Secret with the keys: tls.crt, tls.key, ca.crt" (join ", " $bundled) | toJson }}
{{- end }}
{{- if and $certificates.issuerRef $certificates.existingSecret }}
- "bundled.certificates.issuerRef and bundled.certificates.existingSecret are both set; remove one of them"
{{- end }}
{{- if and $certificates.issuerRef (not $certificates.issuerRef.name) }}
- "bundled.certificates.issuerRef has no name; set bundled.certificates.issuerRef.name"
{{- end }}
{{- range $key, $number := .Values.rotation }}
{{- if and $.Values.service.existingSecret (ne (int64 $number) 1) }}
- {{ printf "rotation.%s is set, and the chart does not make the Secret %q; remove it, and change the value in that Secret" $key $.Values.service.existingSecret | toJson }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Secrets of values that are missing in the namespace, or lack keys. kube-root-ca.crt shows that Helm renders with a cluster. */}}
{{- define "switchyard.problems.existing" -}}
{{- $made := include "switchyard.namesOfExtraObjects" . | fromYamlArray -}}
{{- $wanted := dict -}}
{{- $_ := set $wanted "service.existingSecret" (dict "name" .Values.service.existingSecret "keys" (include "switchyard.serviceSecretKeys" . | fromYamlArray)) -}}
{{- if include "switchyard.bundledAliases" . | fromYamlArray -}}
{{- $_ := set $wanted "bundled.existingSecret" (dict "name" .Values.bundled.existingSecret "keys" (include "switchyard.bundledKeys" . | fromYamlArray)) -}}
{{- $_ := set $wanted "bundled.certificates.existingSecret" (dict "name" .Values.bundled.certificates.existingSecret "keys" (list "tls.crt" "tls.key" "ca.crt")) -}}
{{- end -}}
{{- if lookup "v1" "ConfigMap" .Release.Namespace "kube-root-ca.crt" -}}
{{- range $at, $secret := $wanted -}}
{{- if and $secret.name (not (has $secret.name $made)) -}}
{{- $found := lookup "v1" "Secret" $.Release.Namespace $secret.name -}}
{{- $missing := list -}}
{{- range $key := $secret.keys -}}
{{- if not (hasKey (default dict $found.data) $key) -}}
{{- $missing = append $missing $key -}}
{{- end -}}
{{- end -}}
{{- if not $found }}
- {{ printf "%s names the Secret %q, and the namespace %s has none; create it with the keys: %s" $at $secret.name $.Release.Namespace (join ", " $secret.keys) | toJson }}
{{- else if $missing }}
- {{ printf "%s names the Secret %q, which lacks the keys: %s; add them" $at $secret.name (join ", " $missing) | toJson }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "switchyard.bundledAliases" -}}
{{- range $alias, $db := include "switchyard.model" . | fromYaml }}
{{- if $db.bundled }}
- {{ quote $alias }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The keys that `bundled.existingSecret` needs. */}}
{{- define "switchyard.bundledKeys" -}}
{{- range $alias, $db := include "switchyard.model" . | fromYaml }}
{{- if and $db.bundled (not $db.replicaOf) }}
{{- range $role := keys $db.bundled.passwords | sortAlpha }}
- {{ $alias }}-{{ $role }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The names of the objects of `extraObjects`, which may make a Secret of the same name. */}}
{{- define "switchyard.namesOfExtraObjects" -}}
{{- range .Values.extraObjects }}
- {{ include "switchyard.extraObject" (list $ .) | fromYaml | dig "metadata" "name" "" | quote }}
{{- end }}
{{- end -}}
