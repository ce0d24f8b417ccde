"""The cases of tools/drive-api, a module for each part of docs/api.md."""
