"""Tasks: a file a task — where problems come from and how an outcome is judged."""
