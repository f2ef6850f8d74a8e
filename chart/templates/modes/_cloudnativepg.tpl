{{/*
Mode `cloudnativepg`: a `Cluster` that exists in the namespace. Its service `-rw` leads to the primary, and `-ro` to the other
instances. A replica has the cluster of its owner. A `Pooler` has a service of its name; its pods have the label of the cluster, too.
*/}}
{{- define "switchyard.mode.cloudnativepg" -}}
{{- $cluster := .values.cluster | default (dig "cloudnativepg" "cluster" "" .owner) -}}
{{- $host := empty $cluster | ternary "" (printf "%s-%s" $cluster (empty .values.replicaOf | ternary "rw" "ro")) -}}
host: {{ .values.poolerName | default $host | quote }}
port: 5432
directHost: {{ quote $host }}
directPort: 5432
pooler: {{ empty .values.poolerName | ternary "" "transaction" | quote }}
shared: {{ not (empty .values.replicaOf) }}
name: {{ .values.name | default .owner.name | default "app" | toJson }}
{{ include "switchyard.givenUsers" (merge (dict "defaultUser" "app" "defaultSecret" (printf "%s-app" $cluster)) .) }}
{{ include "switchyard.givenTls" (merge (dict "defaultCa" (printf "%s-ca" $cluster)) .) }}
network:
  pods: {cnpg.io/cluster: {{ quote $cluster }}}
  ports: [5432]
cloudnativepg:
  cluster: {{ quote $cluster }}
{{- end -}}
