{{/* Which processes run: the mode, and a list of components. */}}

{{- define "narvi.mode" -}}
{{- $v := .Values }}
{{- if $v.deploymentMode }}{{ $v.deploymentMode }}
{{- else if or $v.distributor.replicas $v.ingester.replicas $v.querier.replicas $v.queryFrontend.replicas }}Distributed
{{- else if or $v.write.replicas $v.read.replicas }}SimpleScalable
{{- else }}SingleBinary
{{- end }}
{{- end }}

{{/*
The components of the mode, as YAML. key: where its values are; kind: what it is made of unless it keeps data; data: whether
it keeps data unless its values say otherwise; grace: how long it may take to end, in seconds; clients: whether others look
up each of its pods, ready or not.
*/}}
{{- define "narvi.components" -}}
{{- $mode := include "narvi.mode" . }}
{{- if eq $mode "SingleBinary" }}
- {name: "", key: singleBinary, target: all, kind: StatefulSet, data: true, replicas: 1, grace: 120}
{{- else if eq $mode "SimpleScalable" }}
- {name: write, key: write, target: write, kind: StatefulSet, data: true, replicas: 3, grace: 300}
- {name: read, key: read, target: read, kind: Deployment, replicas: 2, grace: 60, clients: true}
- {name: backend, key: backend, target: backend, kind: StatefulSet, data: true, replicas: 1, grace: 60, clients: true}
{{- else }}
- {name: distributor, key: distributor, target: distributor, kind: Deployment, replicas: 1, grace: 60}
- {name: ingester, key: ingester, target: ingester, kind: StatefulSet, data: true, replicas: 1, grace: 300}
- {name: querier, key: querier, target: querier, kind: Deployment, replicas: 1, grace: 60}
- {name: query-frontend, key: queryFrontend, target: query-frontend, kind: Deployment, replicas: 1, grace: 60, clients: true}
{{- if .Values.queryScheduler.enabled }}
- {name: query-scheduler, key: queryScheduler, target: query-scheduler, kind: Deployment, replicas: 2, grace: 60, clients: true}
{{- end }}
{{- if .Values.indexGateway.enabled }}
- {name: index-gateway, key: indexGateway, target: index-gateway, kind: StatefulSet, data: true, replicas: 1, grace: 60}
{{- end }}
{{- if .Values.compactor.enabled }}
- {name: compactor, key: compactor, target: compactor, kind: StatefulSet, data: true, replicas: 1, grace: 60}
{{- end }}
{{- if .Values.ruler.enabled }}
- {name: ruler, key: ruler, target: ruler, kind: StatefulSet, replicas: 1, grace: 60}
{{- end }}
{{- end }}
{{- end }}

{{/*
A component with its values: what `defaults` has, and over it what the component has. Call with
(dict "root" $ "component" $component); gives YAML of name, key, target, kind, data, replicas, grace, clients, values.
*/}}
{{- define "narvi.component" -}}
{{- $c := deepCopy .component }}
{{- $v := mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (get .root.Values $c.key)) }}
{{- $data := dig "persistence" "enabled" "unset" $v }}
{{- if or (eq (toString $data) "unset") (kindIs "invalid" $data) }}{{ $data = $c.data | default false }}{{ end }}
{{- $_ := set $c "data" $data }}
{{- $_ := set $c "kind" ($v.kind | default (ternary "StatefulSet" $c.kind $data)) }}
{{- if not (kindIs "invalid" $v.replicas) }}{{ $_ := set $c "replicas" (int $v.replicas) }}{{ end }}
{{- $_ := set $c "grace" ($v.terminationGracePeriodSeconds | default $c.grace) }}
{{- $_ := set $c "values" $v }}
{{- if and $data (eq $c.kind "Deployment") (gt (int $c.replicas) 1) }}
{{- fail (printf "%s: a Deployment has one volume for all its pods: leave out %s.kind, or persistence, or run one replica" $c.key $c.key) }}
{{- end }}
{{- toYaml $c }}
{{- end }}

{{/* How many hold each line. */}}
{{- define "narvi.replicationFactor" -}}
{{- $mode := include "narvi.mode" . }}
{{- if eq $mode "SingleBinary" }}
{{- $replicas := .Values.singleBinary.replicas | default 1 | int }}{{ ternary 3 1 (ge $replicas 3) }}
{{- else }}
{{- $replicas := ternary (.Values.write.replicas | default 3) (.Values.ingester.replicas | default 1) (eq $mode "SimpleScalable") | int }}
{{- ternary 3 1 (ge $replicas 3) }}
{{- end }}
{{- end }}
