"""The image's entry point: /startup.sh runs it, and uWSGI loads entrypoint.application."""
