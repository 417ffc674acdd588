"""gateway's neighbours: Envoy's admin and files, the request log, the state directory."""
