"""What every midstage process needs: settings, logs, metrics, HTTP, start and stop."""
