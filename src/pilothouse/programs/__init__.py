"""Programs: a file a way of using a language policy; no engine and no network in sight."""
