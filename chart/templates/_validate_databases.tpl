{{/* The keys of an alias by mode and role, besides enabled, mode and replicaOf: * marks a key that must be set. */}}
{{- define "switchyard.keys" -}}
bundled:
  owner: ["*engine", apps, required, managed, clearMark, storage]
  replica: [maxLagSeconds, applyDelay, storage]
external:
  owner: ["*engine", "*host", port, pooler, directHost, directPort, "*name", user, migrationUser, "*secret", migrationSecret, tls, cidrs, apps, required, managed, clearMark]
  replica: ["*host", port, pooler, directHost, directPort, shared, name, user, secret, tls, cidrs, maxLagSeconds]
cloudnativepg:
  owner: [engine, "*cluster", poolerName, name, user, migrationUser, secret, migrationSecret, tls, apps, required, managed, clearMark]
  replica: [poolerName, user, secret, tls, maxLagSeconds]
{{- end -}}

{{/* Problems of each alias by itself, and of a replica with its owner. */}}
{{- define "switchyard.problems.aliases" -}}
{{- $enabled := include "switchyard.enabled" . | fromYaml -}}
{{- if not (hasKey $enabled "default") }}
- "databases.default is missing: it holds accounts and Django's own tables; set databases.default.engine"
{{- end }}
{{- $ownerOf := dict -}}
{{- range $alias, $values := $enabled -}}
{{- $at := printf "databases.%s" $alias -}}
{{- $owner := get $enabled ($values.replicaOf | default "") -}}
{{- $mode := $values.mode | default (default dict $owner).mode | default "bundled" -}}
{{- with $values.replicaOf -}}
{{- include "switchyard.problems.replica" (dict "at" $at "alias" $alias "mode" $mode "replicaOf" . "owner" $owner "enabled" $enabled "all" $.Values.databases) -}}
{{- end -}}
{{- /* The mode of a replica without an owner is not known, nor are its keys. */ -}}
{{- if or $values.mode $owner (not $values.replicaOf) -}}
{{- include "switchyard.problems.keys" (dict "at" $at "mode" $mode "values" $values) -}}
{{- end -}}
{{- include "switchyard.problems.unmanaged" (dict "at" $at "values" $values) -}}
{{- include "switchyard.problems.users" (dict "at" $at "mode" $mode "engine" ($values.engine | default (default dict $owner).engine) "values" $values) -}}
{{- range $app := $values.apps -}}
{{- if hasKey $ownerOf $app }}
- {{ printf "%s.apps names %q, which databases.%s.apps names too; remove it from one of them" $at $app (get $ownerOf $app) | toJson }}
{{- end -}}
{{- $_ := set $ownerOf $app $alias -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Problems of a replica with its owner. Arguments: at, alias, mode, replicaOf, owner, enabled, all. */}}
{{- define "switchyard.problems.replica" -}}
{{- if not .owner -}}
{{- $owners := list -}}
{{- range $alias, $values := .enabled -}}
{{- if not $values.replicaOf -}}
{{- $owners = append $owners $alias -}}
{{- end -}}
{{- end -}}
{{- $others := sortAlpha $owners | join ", " -}}
{{- if hasKey .all .replicaOf }}
- {{ printf "%s.replicaOf names %q, which is not an enabled alias; set %s.enabled=false as well, or set %s.replicaOf to one of: %s" .at .replicaOf .at .at $others | toJson }}
{{- else }}
- {{ printf "%s.replicaOf names %q, which is not an enabled alias; set it to one of: %s" .at .replicaOf $others | toJson }}
{{- end -}}
{{- else if eq .alias "default" }}
- "databases.default.replicaOf makes a replica of default, which holds Django's own tables; remove it"
{{- else if eq .alias .replicaOf }}
- {{ printf "%s.replicaOf names the alias itself; set it to one of: %s" .at (without (keys .enabled) .alias | sortAlpha | join ", ") | toJson }}
{{- else if .owner.replicaOf }}
- {{ printf "%s.replicaOf names %q, which is a replica itself; set it to %q" .at .replicaOf .owner.replicaOf | toJson }}
{{- else if and (ne .mode "external") (ne .mode (.owner.mode | default "bundled")) }}
- {{ printf "%s has mode %s, and its owner %s has mode %s; set %s.mode to %s" .at .mode .replicaOf (.owner.mode | default "bundled") .at (list (.owner.mode | default "bundled") "external" | uniq | join " or ") | toJson }}
{{- end -}}
{{- end -}}

{{/* Keys about migrations on an owner that migrates nothing. Arguments: at, values. */}}
{{- define "switchyard.problems.unmanaged" -}}
{{- if not (dig "managed" true .values) -}}
{{- range $key := list "clearMark" "migrationUser" "migrationSecret" -}}
{{- if get $.values $key }}
- {{ printf "%s.%s is set, and %s.managed is false, so that no migration runs there; remove one of the two" $.at $key $.at | toJson }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Keys that are missing, and keys of another mode or role. Arguments: at, mode, values. */}}
{{- define "switchyard.problems.keys" -}}
{{- $at := .at -}}
{{- $mode := .mode -}}
{{- $values := .values -}}
{{- $role := empty $values.replicaOf | ternary "owner" "replica" -}}
{{- $modes := include "switchyard.keys" . | fromYaml -}}
{{- range $key := get $modes $mode | dig $role list -}}
{{- if and (hasPrefix "*" $key) (not (get $values (trimPrefix "*" $key))) }}
{{- $also := eq $role "replica" | ternary (printf ", or %s.enabled=false" $at) "" -}}
{{- if eq $key "*engine" -}}
{{- $also = printf " to postgresql or mysql, or %s.replicaOf to an owner" $at -}}
{{- end }}
- {{ printf "%s has no %s, which mode %s needs; set %s.%s%s" $at (trimPrefix "*" $key) $mode $at (eq $key "*secret" | ternary "secret.name" (trimPrefix "*" $key)) $also | toJson }}
{{- end -}}
{{- end -}}
{{- range $key, $value := omit $values "enabled" "mode" "replicaOf" -}}
{{- $in := list -}}
{{- $roles := list -}}
{{- range $other, $of := $modes -}}
{{- range $name, $keys := $of -}}
{{- if or (has $key $keys) (has (printf "*%s" $key) $keys) -}}
{{- $in = append $in (printf "%s %s" $other $name) -}}
{{- $roles = append $roles $name -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if or (kindIs "invalid" $value) (has (printf "%s %s" $mode $role) $in) -}}
{{- else if and (eq $role "replica") (or (has (printf "%s owner" $mode) $in) (not (has "replica" $roles))) }}
- {{ printf "%s.%s is set on a replica; set it on databases.%s, its owner" $at $key $values.replicaOf | toJson }}
{{- else if not (has $role $roles) }}
- {{ printf "%s.%s is set on an owner; remove it: only an alias with replicaOf can lag" $at $key | toJson }}
{{- else }}
- {{ printf "%s.%s is not a key of mode %s; remove it, or set %s.mode to one of: %s" $at $key $mode $at (include "switchyard.modesWith" (list $in $role)) | toJson }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "switchyard.modesWith" -}}
{{- $modes := list -}}
{{- range index . 0 -}}
{{- if hasSuffix (printf " %s" (index $ 1)) . -}}
{{- $modes = append $modes (splitList " " . | first) -}}
{{- end -}}
{{- end -}}
{{- join ", " $modes -}}
{{- end -}}

{{/* Problems of users, TLS, pooler and engine. Arguments: at, mode, engine, values. */}}
{{- define "switchyard.problems.users" -}}
{{- $tls := default dict .values.tls -}}
{{- $ca := default dict $tls.ca -}}
{{- if and $tls.ca (eq (empty $ca.secret) (empty $ca.configMap)) }}
- {{ printf "%s.tls.ca needs one place of the certificate; set either %s.tls.ca.secret or %s.tls.ca.configMap" .at .at .at | toJson }}
{{- end -}}
{{- if and $ca (has $tls.mode (list "disable" "require")) }}
- {{ printf "%s.tls.ca is not read with %s.tls.mode=%s; remove it, or set the mode to verify-full" .at .at $tls.mode | toJson }}
{{- end -}}
{{- /* An owner has the operator's user, app, with its Secret. */ -}}
{{- $hasSecret := or .values.secret (and (not .values.replicaOf) (eq .values.user "app")) -}}
{{- if and .values.user (or .values.replicaOf (eq .mode "cloudnativepg")) (not $hasSecret) }}
- {{ printf "%s.user is set without its password; set %s.secret.name" .at .at | toJson }}
{{- end -}}
{{- if and (not .values.replicaOf) .values.migrationSecret (not .values.migrationUser) }}
- {{ printf "%s.migrationSecret is set without its user; set %s.migrationUser" .at .at | toJson }}
{{- else if and (not .values.replicaOf) .values.migrationUser (not .values.migrationSecret) }}
- {{ printf "%s.migrationUser is set without its password; set %s.migrationSecret.name" .at .at | toJson }}
{{- end -}}
{{- if and .values.pooler (not .values.directHost) (not .values.directPort) }}
- {{ printf "%s.pooler is set without the server behind the pooler; set %s.directHost or %s.directPort" .at .at .at | toJson }}
{{- end -}}
{{- if and .values.shared (not .values.pooler) }}
- {{ printf "%s.shared is set without a pooler; remove it: without a pooler the service finds each server itself" .at | toJson }}
{{- end -}}
{{- if and .values.pooler (eq (toString .engine) "mysql") }}
- {{ printf "%s.pooler is for PostgreSQL, and %s runs mysql; remove it" .at .at | toJson }}
{{- end -}}
{{- if and (eq .mode "cloudnativepg") (ne "postgresql" (.values.engine | default "postgresql")) }}
- {{ printf "%s.engine is %s, and CloudNativePG runs postgresql; set %s.engine=postgresql or %s.mode=external" .at .values.engine .at .at | toJson }}
{{- end -}}
{{- end -}}

{{/* Two aliases with one database, and servers whose certificate cannot be verified. */}}
{{- define "switchyard.problems.addresses" -}}
{{- $seen := dict -}}
{{- $model := include "switchyard.model" . | fromYaml -}}
{{- range $alias, $db := $model -}}
{{- /* A replica inherits the mode and the certificate of an owner that is not bundled: one of them is enough. */ -}}
{{- $owner := get $model $db.replicaOf | default dict -}}
{{- $inherits := and (ne "bundled" (default "bundled" $owner.mode)) (empty (get $.Values.databases $alias).tls) -}}
{{- if and (hasPrefix "verify-" $db.tls.mode) (not $db.tls.ca) (not $inherits) }}
- {{ printf "databases.%s.tls has no certificate of the authority, which mode %s needs; set databases.%s.tls.ca.secret or databases.%s.tls.ca.configMap, or databases.%s.tls.mode=require to verify nothing" $alias $db.tls.mode $alias $alias $alias | toJson }}
{{- end -}}
{{- if and $db.host $db.name -}}
{{- $address := printf "%s:%v/%s" (lower $db.host | trimSuffix ".") $db.port $db.name -}}
{{- if hasKey $seen $address }}
- {{ printf "databases.%s and databases.%s are one database, %s; set another host, port, name or cluster for one of them, or databases.%s.enabled=false" $alias (get $seen $address) $address $alias | toJson }}
{{- end -}}
{{- $_ := set $seen $address $alias -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Secrets and ConfigMaps of others that are missing in the namespace. Every namespace has kube-root-ca.crt: where it is not found,
Helm renders without a cluster. An object of `extraObjects` with the name of the Secret or of the Cluster will make what is missing.
*/}}
{{- define "switchyard.problems.secrets" -}}
{{- $made := include "switchyard.namesOfExtraObjects" . | fromYamlArray -}}
{{- if lookup "v1" "ConfigMap" .Release.Namespace "kube-root-ca.crt" -}}
{{- range $alias, $db := include "switchyard.model" . | fromYaml -}}
{{- if not (or $db.bundled (has (dig "cloudnativepg" "cluster" "" $db) $made)) -}}
{{- $wanted := list -}}
{{- range $user := $db.users -}}
{{- $wanted = append $wanted (dict "kind" "Secret" "name" $user.secret "key" $user.key) -}}
{{- end -}}
{{- with $db.tls.ca -}}
{{- $wanted = append $wanted (dict "kind" (eq .kind "secret" | ternary "Secret" "ConfigMap") "name" .name "key" .key) -}}
{{- end -}}
{{- range uniq $wanted -}}
{{- $found := lookup "v1" .kind $.Release.Namespace .name -}}
{{- if or (not .name) (has .name $made) -}}
{{- else if not $found }}
- {{ printf "databases.%s needs the %s %q with the key %q, and the namespace %s has none; create it, or set another name" $alias .kind .name .key $.Release.Namespace | toJson }}
{{- else if not (hasKey (default dict $found.data) .key) }}
- {{ printf "databases.%s needs the key %q of the %s %q, which has the keys: %s; set the key" $alias .key .kind .name (keys (default dict $found.data) | sortAlpha | join ", ") | toJson }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
