{{/* The configuration of the gateway. */}}
{{- define "narvi.nginx" -}}
{{- $mode := include "narvi.mode" . }}
{{- $g := .Values.gateway }}
{{- $of := dict "SingleBinary" (dict) "SimpleScalable" (dict "push" "write" "read" "read" "tail" "read" "rules" "backend" "delete" "backend") "Distributed" (dict "push" "distributor" "read" "query-frontend" "tail" "querier" "rules" "ruler" "delete" "compactor") }}
{{- $names := get $of $mode }}
{{- if and (eq $mode "Distributed") (not .Values.ruler.enabled) }}{{ $names = omit $names "rules" }}{{ end }}
{{- if and (eq $mode "Distributed") (not .Values.compactor.enabled) }}{{ $names = omit $names "delete" }}{{ end }}
worker_processes auto;
error_log /dev/stderr;
pid /tmp/nginx.pid;
worker_rlimit_nofile 8192;

events {
  worker_connections 4096;
}

http {
  client_body_temp_path /tmp/client_temp;
  proxy_temp_path /tmp/proxy_temp;
  fastcgi_temp_path /tmp/fastcgi_temp;
  uwsgi_temp_path /tmp/uwsgi_temp;
  scgi_temp_path /tmp/scgi_temp;

  default_type application/octet-stream;
  server_tokens off;
  {{- if $g.verboseLogging }}
  {{- with $g.nginxConfig.logFormat }}
  log_format {{ . | trim | trimSuffix ";" }};
  {{- else }}
  log_format main '$remote_addr [$time_iso8601] $status "$request" $body_bytes_sent $request_time "$http_user_agent"';
  {{- end }}
  access_log /dev/stderr main;
  {{- else }}
  access_log off;
  {{- end }}

  sendfile on;
  tcp_nopush on;
  proxy_http_version 1.1;
  proxy_read_timeout 310s;
  proxy_send_timeout 310s;
  # A host name in a variable is looked up when it is needed: a service may come later than nginx, and its address may change.
  resolver {{ $g.nginxConfig.resolver | default (printf "%s.%s.svc.%s" .Values.global.dnsService .Values.global.dnsNamespace .Values.global.clusterDomain) }};
  {{- $snippets := printf "%s %s" ($g.nginxConfig.httpSnippet | default "") ($g.nginxConfig.serverSnippet | default "") }}
  {{- if not (contains "client_max_body_size" $snippets) }}
  # Larger pushes are refused by Narvi, with a sentence.
  client_max_body_size 100M;
  {{- end }}
  {{- with $g.nginxConfig.httpSnippet }}
  {{- tpl . $ | trim | nindent 2 }}
  {{- end }}

  server {
    listen 8080;
    {{- if $g.basicAuth.enabled }}

    auth_basic "Narvi";
    auth_basic_user_file /etc/nginx/secrets/.htpasswd;
    {{- end }}

    location = / {
      auth_basic off;
      default_type text/plain;
      return 200 "OK\n";
    }

    location ~ ^/(loki/api/v1/push|api/prom/push|otlp/v1/logs)$ {
      proxy_pass http://{{ include "narvi.host" (dict "root" . "name" (get $names "push")) }}:3100$request_uri;
    }

    location ~ ^/(loki/api/v1|api/prom)/tail$ {
      proxy_pass http://{{ include "narvi.host" (dict "root" . "name" (get $names "tail")) }}:3100$request_uri;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
    }
    {{- if or (hasKey $names "rules") (eq $mode "SingleBinary") }}

    location ~ ^/(prometheus/api/v1/(rules|alerts)|(loki/api/v1|api/prom)/(rules|alerts)) {
      proxy_pass http://{{ include "narvi.host" (dict "root" . "name" (get $names "rules")) }}:3100$request_uri;
    }
    {{- end }}
    {{- if or (hasKey $names "delete") (eq $mode "SingleBinary") }}

    location ~ ^/loki/api/v1/(delete|cache/generation_numbers) {
      proxy_pass http://{{ include "narvi.host" (dict "root" . "name" (get $names "delete")) }}:3100$request_uri;
    }
    {{- end }}

    location ~ ^/(loki/api|api/prom)/ {
      proxy_pass http://{{ include "narvi.host" (dict "root" . "name" (get $names "read")) }}:3100$request_uri;
    }
    {{- with $g.nginxConfig.serverSnippet }}
    {{- tpl . $ | trim | nindent 4 }}
    {{- end }}
  }
}
{{- end }}
{{- define "narvi.gatewayEnabled" -}}
{{- if kindIs "bool" .Values.gateway.enabled }}{{ if .Values.gateway.enabled }}true{{ end }}
{{- else if ne (include "narvi.mode" .) "SingleBinary" }}true
{{- end }}
{{- end }}
